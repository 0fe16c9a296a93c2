/**
 * `podwire exec`: run a program in a pod, or in a host with `--node`.
 *
 * It enters the namespaces directly, by the state files, and asks neither server nor agent: so it works while they are
 * dead, and what it starts outlives them. The program has our standard streams, so a terminal is its terminal and a
 * pipe its pipe. A pod on another host is reached by the server.
 */

import { existsSync } from 'node:fs';
import { findPod, enterArgv } from '../agent/pods/enter.js';
import { runRoot } from '../agent/paths.js';
import { DEFAULT_NAMESPACE } from '../api/defaults.js';
import { NETNS_DIR } from '../lab/processes.js';
import { labPaths } from '../lab/record.js';
import { execByServer } from './exec-by-server.js';
import { runInside } from './foreground.js';
import { LAB_FLAG, pickNode, pickPlace } from './pick-lab.js';
import { NAMESPACE_FLAG } from './resources.js';
import { CommandError, defineVerb, UsageError } from './verb.js';

/** What runs when no command is given. */
const SHELL = ['bash'];

export const exec = defineVerb({
  usage: ['exec POD [-n NAMESPACE] [-c CONTAINER] [-- COMMAND…]', 'exec --node NODE [-- COMMAND…]'],
  description:
    'Run a program in a pod: with its network, its processes, its files. With --node in a host: its network, its /sys and ' +
    '/proc/net. A shell without a command. The exit code is that of the program; 128+N when signal N ended it.',
  options: {
    namespace: NAMESPACE_FLAG,
    container: {
      type: 'string',
      short: 'c',
      value: 'CONTAINER',
      help: 'whose environment; default: the first',
    },
    node: { type: 'string', value: 'NODE', help: 'in this host instead of a pod' },
    stdin: {
      type: 'boolean',
      short: 'i',
      help: "no effect, for kubectl's users: standard input is always connected",
    },
    tty: {
      type: 'boolean',
      short: 't',
      help: "no effect, for kubectl's users: a terminal is always passed on",
    },
    lab: LAB_FLAG,
  },
  args: { min: 0, max: 1 },
  rest: true,
  example: ['podwire exec client -- ping -c 3 10.244.2.2', 'podwire exec --node node1 -- ip route'],
  async run({ flags, args, rest, io }) {
    const [pod] = args;
    if ((pod === undefined) === (flags.node === undefined))
      throw new UsageError('Where? Name a pod, or a host with --node');
    if (rest?.length === 0) throw new UsageError('Which command? Nothing follows "--"');
    const command = rest ?? SHELL;
    const place = pickPlace(flags.lab);
    if (flags.node !== undefined) return runInside(hostArgv(pickNode(place, flags.node).netns, command));
    const namespace = flags.namespace ?? DEFAULT_NAMESPACE;
    const name = pod!.replace(/^pods?\//, '');
    const state = findPod(runRoot(), place.name, namespace, name);
    if (!state) {
      // On another host it may. A pod of this one that does not run is told about by the server too.
      const { serverSocket: socketPath } = labPaths(place.name);
      if (existsSync(socketPath))
        return execByServer({ socketPath, namespace, name, container: flags.container, command });
      throw new CommandError(
        `Pod "${name}" does not run in namespace ${namespace}; podwire get pods -A shows all`,
      );
    }
    const term: Record<string, string> = io.stdin.isTTY && io.env['TERM'] ? { TERM: io.env['TERM'] } : {};
    return runInside(
      enterArgv(state, [...command], {
        env: term,
        ...(flags.container !== undefined && { container: flags.container }),
      }),
    );
  },
});

/**
 * Enter a host as `ip netns exec` does: its network namespace, and a mount namespace of our own in which /sys shows that
 * network. /proc/net follows by itself.
 *
 * @param netns  name of its namespace; undefined: the machine itself
 */
export function hostArgv(netns: string | undefined, command: readonly string[]): string[] {
  if (netns === undefined) return [...command]; // a real host: we are there
  return [
    ...['nsenter', `--net=${NETNS_DIR}/${netns}`, '--'],
    ...['unshare', '--mount', '--'],
    ...['sh', '-c', 'mount -t sysfs sysfs /sys && exec "$@"', 'podwire'],
    ...command,
  ];
}
