/** `podwire bench`: how fast it is on this machine, beside the kernel. */

import type { Topic } from '../bench/case.js';
import { hasProgram } from './has-program.js';
import { formatTable, OUTPUT, outputFormat, printJson } from './output.js';
import { selfArgv } from './self.js';
import { CommandError, defineVerb, UsageError } from './verb.js';

const ROUNDS = '5';
const SECONDS = '2';
const MOST_ROUNDS = 100;
const MOST_SECONDS = 30;

export const bench = defineVerb({
  usage: ['bench [--only WORD]… [--rounds N] [--seconds N]'],
  description:
    'Measure podwire beside the kernel (veth, bridge, VXLAN as flannel wires them, iptables as kube-proxy writes it) and its DNS ' +
    'beside dnsmasq and unbound, in turn, on this machine: medians, ratios, the least and the largest ratio of a round, and the ' +
    'processor time of all processes. A ratio above 1: podwire is better. Needs root and the traffic programs; ' +
    './scripts/bench installs them. Traffic stays in namespaces that it makes and removes.',
  options: {
    only: {
      type: 'string',
      multiple: true,
      value: 'WORD',
      help: 'a topic (forwarding, wires, services, dns), or what has the word in its name',
    },
    rounds: {
      type: 'string',
      value: 'N',
      help: `rounds of each pair, 1 to ${MOST_ROUNDS} (default: ${ROUNDS})`,
    },
    seconds: { type: 'string', value: 'N', help: `of each run, 1 to ${MOST_SECONDS} (default: ${SECONDS})` },
    output: OUTPUT,
  },
  example: [
    'podwire bench --rounds 3 --seconds 1',
    'podwire bench --only forwarding',
    'podwire bench --only "UDP, 64" -o json',
  ],
  async run({ flags, io }) {
    const format = outputFormat(flags.output, ['json']);
    const rounds = readCount('rounds', flags.rounds ?? ROUNDS, MOST_ROUNDS);
    const seconds = readCount('seconds', flags.seconds ?? SECONDS, MOST_SECONDS);
    const only = flags.only ?? [];
    if (process.getuid?.() !== 0) throw new CommandError('Cannot make hosts to measure: run as root');
    const { runBench, wantedTopics } = await import('../bench/bench.js');
    const topics = wantedTopics(only);
    if (topics.length === 0)
      throw new UsageError(`Nothing that is measured has the word "${only.join('" or "')}" in its name`);
    needPrograms(topics);

    const stop = new AbortController();
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.once(signal, () => stop.abort(new CommandError(`Ended by ${signal}: what was made is gone`)));
    const say = (text: string): void => void io.stderr.write(`${text}\n`);
    const results = await runBench({ rounds, seconds, only, say, podwire: selfArgv() }, stop.signal);
    const { cpuRows, figureRows, reportObject } = await import('../bench/report.js');
    if (format === 'json') printJson(io, reportObject(results));
    else {
      io.stdout.write(formatTable(figureRows(results.results)));
      if (results.cpu.length > 0) io.stdout.write(`\n${formatTable(cpuRows(results.cpu))}`);
      io.stdout.write(
        `\nmedians of ${rounds} rounds of ${seconds} s, in turn; a ratio above 1: podwire is better\n`,
      );
      for (const failure of results.failures) io.stdout.write(`not measured: ${failure}\n`);
    }
    return results.failures.length > 0 ? 1 : 0;
  },
});

function readCount(flag: string, word: string, most: number): number {
  if (/^\d{1,3}$/.test(word) && Number(word) >= 1 && Number(word) <= most) return Number(word);
  throw new UsageError(`Cannot read --${flag} "${word}"; need a number, 1 to ${most}`);
}

/** @throws CommandError that says what to install */
function needPrograms(topics: readonly Topic[]): void {
  const needed = new Map(topics.flatMap(({ programs }) => Object.entries(programs)));
  const missing = [...needed].filter(([program]) => !hasProgram(program));
  if (missing.length === 0) return;
  throw new CommandError(
    `Cannot measure without ${missing.map(([program]) => program).join(', ')}: ` +
      `apt-get install ${missing.map(([, name]) => name).join(' ')}, or choose what needs less with --only`,
  );
}
