/**
 * What crosses an interface, frame by frame: tcpdump as the eye, its file format taken apart here.
 *
 * Format: draft-ietf-opsawg-pcap, the classic one that `tcpdump -w` writes.
 */
import type { ChildProcess } from 'node:child_process';
import type { TestScope } from './scope.js';
import { printed, start } from './spawn.js';
import { until } from './until.js';

const FILE_HEADER = 24;
const RECORD_HEADER = 16;
/** Times in micro- and in nanoseconds, both in this machine's byte order. */
const MAGICS = [0xa1b2c3d4, 0xa1b23c4d];
const LINKTYPE_ETHERNET = 1;

/**
 * Reads a capture that comes in chunks.
 *
 * @param onFrame  called with each whole frame
 * @throws         RangeError when it is no capture of Ethernet frames, or a frame was cut short
 */
export function pcapReader(onFrame: (frame: Uint8Array) => void): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  let isBegun = false;
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    if (!isBegun) {
      if (rest.length < FILE_HEADER) return;
      const [magic, linkType] = [rest.readUInt32LE(0), rest.readUInt32LE(20)];
      if (!MAGICS.includes(magic) || linkType !== LINKTYPE_ETHERNET)
        throw new RangeError(`Cannot read capture: magic ${magic.toString(16)}, link type ${linkType}`);
      isBegun = true;
      rest = rest.subarray(FILE_HEADER);
    }
    while (rest.length >= RECORD_HEADER) {
      const [captured, original] = [rest.readUInt32LE(8), rest.readUInt32LE(12)];
      if (captured !== original)
        throw new RangeError(`Cannot read capture: ${captured} bytes of a frame of ${original}`);
      if (rest.length < RECORD_HEADER + captured) return;
      onFrame(Uint8Array.from(rest.subarray(RECORD_HEADER, RECORD_HEADER + captured)));
      rest = rest.subarray(RECORD_HEADER + captured);
    }
  };
}

/** A running capture. */
export interface Capture {
  /** All frames so far. */
  readonly frames: readonly Uint8Array[];
  /** Wait for a frame, among those from number `from` on. Its number. */
  until(what: string, isWanted: (frame: Uint8Array) => boolean, from?: number): Promise<number>;
}

/**
 * Capture on an interface of a namespace until the test ends.
 *
 * @param direction  seen from that namespace: `in` is what its kernel is given
 */
export async function capture(
  t: TestScope,
  netns: string,
  link: string,
  direction: 'in' | 'out',
): Promise<Capture> {
  const frames: Uint8Array[] = [];
  const child: ChildProcess = start(t, [
    ...['ip', 'netns', 'exec', netns, 'tcpdump', '-Z', 'root', '-B', '16384', '--immediate-mode', '-U'],
    ...['-nn', '-i', link, '-Q', direction, '-w', '-'],
  ]);
  child.stdout!.on(
    'data',
    pcapReader((frame) => frames.push(frame)),
  );
  await printed(child, /listening on/);
  return {
    frames,
    async until(what, isWanted, from = 0) {
      let next = from;
      await until(what, () => {
        while (next < frames.length) if (isWanted(frames[next++]!)) return true;
        return false;
      });
      return next - 1;
    },
  };
}
