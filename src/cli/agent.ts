/**
 * `podwire agent`: run one host. The supervisor of a lab starts it for each of the lab's nodes; on a real host or a VM
 * it is started by hand or by systemd.
 */

import { hostname } from 'node:os';
import { runAgent } from '../agent/agent.js';
import { cleanUp } from '../agent/cleanup.js';
import { createLogger, type Logger } from '../agent/log.js';
import { MAX_SPIN_US, SPIN_US } from '../agent/packet/contract.js';
import { startPacketPath } from '../agent/packet/packet-path.js';
import { createPodRuntime } from '../agent/pods/runtime.js';
import { preflight } from '../agent/preflight.js';
import { checkDnsLabel, checkDnsSubdomain } from '../api/rules.js';
import type { Offload } from '../sys/tap.js';
import { openSource, type AgentSource } from './agent-source.js';
import { CommandError, defineVerb, UsageError } from './verb.js';

/** The lab's name of a host that is in none. */
const NO_LAB = 'host';
const OFFLOADS: readonly Offload[] = ['all', 'tso', 'none'];
/** An agent that cannot end in this time is ended; sooner than a supervisor would do it. */
const LONGEST_END_MS = 4_000;

export const agent = defineVerb({
  usage: [
    'agent [--node NODE] --server https://HOST:PORT --token TOKEN [--iface NIC | --iface-can-reach ADDRESS]',
    'agent [--node NODE] --server SOCKET [--iface NIC | --iface-can-reach ADDRESS]',
    'agent [--node NODE] --objects FILE…',
    'agent [--node NODE] --cleanup [--keep-pods | --forget]',
  ],
  description:
    'Run one host: its pods, their network, and the tunnels to other hosts. The objects come from a server, or from ' +
    'files that every host has a copy of. It logs JSON lines to standard error and ends on SIGTERM or SIGINT: pods go ' +
    'on, what it changed on the host is taken back. With --cleanup it removes all that an agent left, pods included.',
  options: {
    node: { type: 'string', value: 'NODE', help: "this host's node (default: the host's name)" },
    lab: { type: 'string', value: 'NAME', help: `the lab it belongs to (default: ${NO_LAB})` },
    netns: { type: 'string', value: 'NETNS', help: 'the network namespace that plays the host' },
    server: {
      type: 'string',
      value: 'URL|SOCKET',
      help: 'its https://HOST:PORT or path socket (default: the one that this host has joined)',
    },
    token: {
      type: 'string',
      value: 'TOKEN',
      help: 'the word to join with, as "podwire token create" prints it',
    },
    'token-file': { type: 'string', value: 'FILE', help: 'a file with that word, which others cannot see' },
    objects: {
      type: 'string',
      multiple: true,
      value: 'FILE',
      help: 'files or folders with Node, Pod, Namespace and Lab objects; watched',
    },
    iface: { type: 'string', value: 'NIC', help: 'the NIC that carries the tunnels' },
    'iface-can-reach': { type: 'string', value: 'ADDRESS', help: 'take the NIC on the way to this address' },
    offload: {
      type: 'string',
      value: OFFLOADS.join('|'),
      help: 'what kernel and NIC may do for us (default: all)',
    },
    'spin-us': {
      type: 'string',
      value: 'N',
      help: `look for packets up to N µs before sleeping, if that pays; 0: never (default: ${SPIN_US})`,
    },
    'dns-relay': { type: 'string', value: 'SOCKET', help: 'path of the lab’s relay to DNS servers outside' },
    'no-host-rules': {
      type: 'boolean',
      help: 'touch no rules, routes and settings of the host: pods and tunnels only',
    },
    cleanup: { type: 'boolean', help: 'remove what an agent left on this host' },
    'keep-pods': { type: 'boolean', help: 'with --cleanup: take back what it changed on the host, no more' },
    forget: { type: 'boolean', help: 'with --cleanup: remove also who this host is to its server' },
  },
  args: { min: 0, max: Number.MAX_SAFE_INTEGER },
  example: [
    'podwire agent --server https://192.168.56.11:6443 --token-file token',
    'podwire agent --node vm1 --objects nodes.yaml pods.yaml',
    'podwire agent --node vm1 --cleanup',
  ],

  async run({ flags, args }) {
    const lab = flags.lab ?? NO_LAB;
    const node = flags.node ?? hostname().toLowerCase();
    refuse('lab', lab, checkDnsLabel(lab, 'lab'));
    refuse('node', node, checkDnsSubdomain(node, 'node'));
    const offload = flags.offload ?? 'all';
    if (!isOffload(offload))
      throw new UsageError(`Unknown value "${offload}" of --offload: expected one of ${OFFLOADS.join(', ')}`);
    // `--objects a.yaml b.yaml`: the shell's * makes arguments of all but the first.
    const files = flags.objects && [...flags.objects, ...args];
    if (!files && args.length > 0) throw new UsageError(`Unexpected argument "${args[0]}"`);
    const log = createLogger({ lab, node });
    const { netns } = flags;
    const keepPods = flags['keep-pods'];
    if (keepPods && !flags.cleanup) throw new UsageError('--keep-pods goes with --cleanup');

    const { forget } = flags;
    if (forget && (!flags.cleanup || keepPods))
      throw new UsageError('--forget goes with --cleanup, and not with --keep-pods');

    if (flags.cleanup) {
      if (flags.server !== undefined || files)
        throw new UsageError('--cleanup takes neither --server nor --objects');
      const [problem] = preflight();
      if (problem !== undefined) throw new CommandError(problem);
      const problems = await cleanUp({ lab, node, netns, log, keepPods, forget, createPodRuntime });
      if (problems.length > 0) throw new CommandError(problems.join('\n'));
      return 0;
    }

    const spinUs = readSpin(flags['spin-us']);
    let signal: AbortSignal | undefined;
    const stop = (): AbortSignal => (signal ??= stopOnSignals(log));
    let opened: AgentSource;
    try {
      opened = await openSource(flags, files, { lab, node, netns, log, stop });
    } catch (error) {
      if (signal?.aborted) return 0; // while it waited for the server
      throw error;
    }
    return runAgent({
      lab,
      node,
      netns,
      iface: flags.iface,
      canReach: flags['iface-can-reach'],
      offload,
      spinUs,
      hasHostRules: !flags['no-host-rules'],
      dnsRelay: flags['dns-relay'],
      ...opened,
      parts: { startPacketPath, createPodRuntime },
      log,
      stop: stop(),
    });
  },
});

function readSpin(word: string | undefined): number | undefined {
  if (word === undefined) return undefined;
  if (/^\d{1,4}$/.test(word) && Number(word) <= MAX_SPIN_US) return Number(word);
  throw new UsageError(`Unknown value "${word}" of --spin-us: expected microseconds, 0..${MAX_SPIN_US}`);
}

const isOffload = (word: string): word is Offload => (OFFLOADS as readonly string[]).includes(word);

function refuse(what: string, name: string, problems: readonly { message: string }[]): void {
  if (problems.length > 0) throw new UsageError(`Cannot use --${what} "${name}": ${problems[0]!.message}`);
}

/** Aborted by the first signal; a second one, or an end that takes too long, ends the process at once. */
function stopOnSignals(log: Logger): AbortSignal {
  const control = new AbortController();
  const stop = (signal: NodeJS.Signals): void => {
    if (control.signal.aborted) process.exit(1);
    log.info({ signal }, 'Told to end');
    control.abort();
    setTimeout(() => {
      log.fatal(`The agent did not end within ${LONGEST_END_MS / 1000} s: ended by force`);
      process.exit(1);
    }, LONGEST_END_MS).unref();
  };
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, stop);
  const die = (error: unknown): void => {
    log.fatal({ err: error }, 'The agent ends by an error that nobody expected');
    process.exit(1);
  };
  process.on('uncaughtException', die).on('unhandledRejection', die);
  return control.signal;
}
