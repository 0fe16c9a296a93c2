/**
 * One entry of a container's log, as a kubelet's runtime writes it:
 *
 *     2016-10-06T00:17:09.669794202Z stdout F the line
 *     time, nine digits              stream │ what was written
 *                                           └ F: a line ends here; P: it goes on in the next entry
 *
 * A program's bytes are kept as they are, so an entry is handled as Latin-1 text, a character for each byte. The first
 * three fields have a fixed width: times can be compared as text.
 *
 * Source: k8s.io/kubernetes pkg/kubelet/kuberuntime/logs, and the design of the CRI log format.
 */

export type LogStream = 'stdout' | 'stderr';

/** Where in an entry its fields begin. */
const STREAM_AT = 31;
const TAG_AT = 38;
const TEXT_AT = 40;

let anchorNs = 0n;

/** Now, in nanoseconds since 1970. It never goes back unless the machine's clock does. */
function nowNs(): bigint {
  const wallNs = BigInt(Date.now()) * 1_000_000n;
  const sinceStartNs = process.hrtime.bigint();
  const ns = anchorNs + sinceStartNs;
  if (ns >= wallNs && ns - wallNs < 2_000_000n) return ns;
  anchorNs = wallNs - sinceStartNs;
  return wallNs;
}

/** RFC 3339 with nine digits. */
export function logTime(ns = nowNs()): string {
  const seconds = new Date(Number(ns / 1_000_000n)).toISOString().slice(0, 19);
  return `${seconds}.${String(ns % 1_000_000_000n).padStart(9, '0')}Z`;
}

/** What a program has written in one go, as entries that end with a newline. Empty for nothing. */
export function toEntries(stream: LogStream, written: Buffer, time = logTime()): string {
  const text = written.toString('latin1');
  const end = text.lastIndexOf('\n');
  const full = `${time} ${stream} F `;
  const lines = end < 0 ? '' : `${full}${text.slice(0, end).replaceAll('\n', `\n${full}`)}\n`;
  const rest = text.slice(end + 1);
  return rest === '' ? lines : `${lines}${time} ${stream} P ${rest}\n`;
}

/** An entry, taken apart. */
export interface LogEntry {
  time: string;
  stream: LogStream;
  isPartial: boolean;
  text: string;
}

/**
 * Take an entry apart.
 *
 * @param entry  without its newline
 * @returns      undefined for what is none: half of one, which an agent left that was killed while it wrote
 */
export function parseEntry(entry: string): LogEntry | undefined {
  const stream = entry.slice(STREAM_AT, TAG_AT - 1);
  const tag = entry[TAG_AT];
  const isEntry =
    (stream === 'stdout' || stream === 'stderr') && (tag === 'F' || tag === 'P') && entry[TAG_AT + 1] === ' ';
  if (!isEntry) return undefined;
  return {
    time: entry.slice(0, STREAM_AT - 1),
    stream,
    isPartial: tag === 'P',
    text: entry.slice(TEXT_AT),
  };
}

/** Where the last `count` lines begin in whole entries; a last line without an end counts. */
export function tailStart(entries: string, count: number): number {
  let start = entries.length;
  for (let left = count; left > 0 && start > 0;) {
    start = entryBefore(entries, start);
    if (start === 0 || entries[entryBefore(entries, start) + TAG_AT] !== 'P') left -= 1;
  }
  return start;
}

/** Where the entry begins that ends before `end`. */
const entryBefore = (entries: string, end: number): number =>
  end < 2 ? 0 : entries.lastIndexOf('\n', end - 2) + 1;
