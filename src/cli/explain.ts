/**
 * `podwire explain`: what would happen to a packet, and why. Offline from files, or with the objects of a running lab; needs no root,
 * and loads nothing that knows the kernel.
 */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { ClusterView } from '../api/types.js';
import { readManifests } from '../client/manifest.js';
import { explain as answer, type Explanation } from '../explain/explain.js';
import { checkQuery, MAX_TRIES, type Query } from '../explain/query.js';
import { viewOf } from '../explain/view.js';
import { objectsOfLab, takeObjects } from './offline-objects.js';
import { formatTable, OUTPUT, outputFormat, printJson, readStdin } from './output.js';
import { LAB_FLAG } from './pick-lab.js';
import { CommandError, defineVerb, UsageError, type Io } from './verb.js';

export const explain = defineVerb({
  usage: [
    'explain [-f FILE…] --node NODE --from IP[:PORT] --to IP:PORT [--proto tcp|udp|icmp]',
    'explain [-f FILE…] --queries FILE|-',
  ],
  description:
    'Say what would happen to a packet, step by step, each with the rule behind it: the real tables and the real pipeline on ' +
    'made-up connections. With -f offline from files, without it from the objects of the lab. --queries answers a line of ' +
    'JSON {"node","from","to","port","protocol","tries"} with a line of JSON.',
  options: {
    filename: {
      type: 'string',
      short: 'f',
      multiple: true,
      value: 'FILE',
      help: 'objects: a YAML or JSON file, a folder, or -; may be repeated',
    },
    node: { type: 'string', value: 'NODE', help: 'whose host; the only one when left out' },
    from: { type: 'string', value: 'IP[:PORT]', help: 'a pod, a host, or any address outside' },
    to: { type: 'string', value: 'IP:PORT', help: 'where to; no port for icmp' },
    proto: { type: 'string', value: 'PROTO', help: 'tcp, udp, icmp or sctp; default: tcp' },
    tries: { type: 'string', value: 'N', help: 'connections to make up; default: 1' },
    'in-interface': { type: 'string', value: 'underlay', help: 'it came in by the host’s NIC' },
    queries: { type: 'string', value: 'FILE', help: 'a file with one JSON query a line, or -' },
    output: OUTPUT,
    lab: LAB_FLAG,
  },
  example: [
    'podwire explain -f objects.yaml --node node1 --from 10.244.1.2 --to 10.96.0.10:53 --proto udp',
    'podwire explain --node node1 --from 203.0.113.7 --to 192.168.50.1:30080 --tries 100',
    'podwire explain -f objects.yaml --queries queries.jsonl',
  ],
  async run({ flags, io }) {
    const format = outputFormat(flags.output, ['json']);
    if (flags.queries !== undefined) {
      if (flags.from !== undefined || flags.to !== undefined)
        throw new UsageError('Either --queries or --from and --to');
      if (flags.queries === '-' && flags.filename?.includes('-'))
        throw new UsageError('Only one of -f and --queries can read standard input');
      const view = await viewFrom(flags.filename, flags.lab, io);
      return answerLines(view, flags.queries, flags.node, io);
    }
    const query = queryOf(flags);
    const explanation = answer(await viewFrom(flags.filename, flags.lab, io), query);
    for (const problem of explanation.problems) io.stderr.write(`note: ${problem}\n`);
    if (format === 'json') printJson(io, shown(explanation));
    else io.stdout.write(textOf(query, explanation));
    return 0;
  },
});

/** The query of the flags. */
function queryOf(flags: {
  readonly node?: string | undefined;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly proto?: string | undefined;
  readonly tries?: string | undefined;
  readonly 'in-interface'?: string | undefined;
}): Query {
  if (flags.from === undefined || flags.to === undefined)
    throw new UsageError('From where to where? Say --from IP and --to IP:PORT');
  const from = endOf('--from', flags.from);
  const to = endOf('--to', flags.to);
  const tries = Number(flags.tries ?? 1);
  if (!Number.isInteger(tries) || tries < 1 || tries > MAX_TRIES)
    throw new UsageError(`Cannot read --tries "${flags.tries}"; need a whole number, 1 to ${MAX_TRIES}`);
  if (to.port === undefined && (flags.proto ?? 'tcp').toLowerCase() !== 'icmp')
    throw new UsageError(`Cannot read --to "${flags.to}"; need IP:PORT`);
  try {
    return checkQuery({
      ...(flags.node !== undefined && { node: flags.node }),
      from: from.ip,
      to: to.ip,
      ...(to.port !== undefined && { port: to.port }),
      ...(from.port !== undefined && { fromPort: from.port }),
      protocol: (flags.proto ?? 'tcp').toUpperCase(),
      tries,
      ...(flags['in-interface'] !== undefined && { inInterface: flags['in-interface'] }),
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** `10.0.0.1`, `10.0.0.1:80`, `fd00::1` or `[fd00::1]:80`. */
function endOf(flag: string, text: string): { ip: string; port: number | undefined } {
  const [, bracketed, v4, port] = /^(?:\[([0-9a-f:.]+)\]|([\d.]+))(?::(\d+))?$/i.exec(text) ?? [];
  const ip = bracketed ?? v4 ?? (/^[0-9a-f:.]*:[0-9a-f:.]*$/i.test(text) ? text : undefined);
  if (ip === undefined) throw new UsageError(`Cannot read ${flag} "${text}"; need IP or IP:PORT`);
  return { ip, port: port === undefined ? undefined : Number(port) };
}

async function viewFrom(
  files: readonly string[] | undefined,
  lab: string | undefined,
  io: Io,
): Promise<ClusterView> {
  if (!files) return viewOf(await objectsOfLab(lab));
  if (lab !== undefined) throw new UsageError('Either -f or --lab');
  const located = await readManifests(files, () => readStdin(io));
  const view = viewOf(takeObjects(located, io));
  if (view.nodes.length === 0)
    throw new CommandError(
      `There is no Node object in ${files.join(', ')}; add one with its address and spec.podCIDR`,
    );
  return view;
}

/** One line of JSON for each; a line that cannot be read is answered with `{"error"}`. */
async function answerLines(
  view: ClusterView,
  path: string,
  node: string | undefined,
  io: Io,
): Promise<number> {
  const input = path === '-' ? io.stdin : createReadStream(path);
  let hasFailed = false;
  for await (const line of createInterface({ input, crlfDelay: Infinity })) {
    if (line.trim() === '') continue;
    try {
      const query = checkQuery(JSON.parse(line));
      const asked = query.node === undefined && node !== undefined ? { ...query, node } : query;
      io.stdout.write(`${JSON.stringify(shown(answer(view, asked)))}\n`);
    } catch (error) {
      hasFailed = true;
      io.stdout.write(`${JSON.stringify({ error: (error as Error).message })}\n`);
    }
  }
  return hasFailed ? 1 : 0;
}

/** Without what was said on standard error. */
function shown({ problems: _said, ...explanation }: Explanation): object {
  return explanation;
}

function textOf(query: Query, { verdict, reason, path, backends, sourceRewritten }: Explanation): string {
  const port = query.port === undefined ? '' : `:${query.port}`;
  const lines = [`${query.from} → ${query.to}${port} ${query.protocol}: ${verdict}`, `  ${reason}`, ''];
  const steps = formatTable(
    path.map(({ stage, text, rule }) => [stage, rule ? `${text}  [${rule}]` : text]),
    '  ',
  );
  const chosen = backends.map(({ ip, port, count }) => `  ${ip}:${port}   ${count} of ${query.tries}\n`);
  const heading = backends.length > 0 ? '\nEndpoints chosen:\n' : '';
  const source = sourceRewritten ? '\nThe receiver does not see the sender’s address.\n' : '';
  return `${lines.join('\n')}\n${steps}${heading}${chosen.join('')}${source}`;
}
