/**
 * The supervisor as a process: `podwire supervise --lab NAME`, started by `up`, ended by `down` with SIGTERM. Real
 * children, real time and files around {@link createSupervisor}.
 */

import { spawn } from 'node:child_process';
import { closeSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { labSpec } from '../api/lab.js';
import { createLogger } from '../agent/log.js';
import { createCluster } from './create-cluster.js';
import { startDnsRelay } from './dns-relay.js';
import { daemonEnv } from './environment.js';
import { labPaths, readLab, writeProcesses, type LabRecord } from './record.js';
import { createSupervisor, type ChildSpec, type Running } from './supervisor.js';

/** How long children may take to end before they are killed. `down` gives us twice as long. */
const GRACE_MS = 5_000;

/** The lab's server. */
export const serverOf = (record: LabRecord, podwire: readonly string[]): ChildSpec => {
  const paths = labPaths(record.name);
  return {
    name: 'server',
    argv: [
      ...[...podwire, 'server'],
      ...['--socket', paths.serverSocket],
      ...['--data', paths.store],
      ...['--listen', '127.0.0.1:0'],
      ...['--write-kubeconfig', paths.kubeconfig],
      ...['--name', `podwire-${record.name}`],
    ],
  };
};

/** An agent for each host. */
export const agentsOf = (record: LabRecord, podwire: readonly string[]): ChildSpec[] =>
  record.nodes.map(({ name, netns }) => ({
    name,
    argv: [
      ...[...podwire, 'agent'],
      ...['--node', name],
      ...['--lab', record.name],
      ...['--netns', netns],
      ...['--iface', 'eth0'],
      ...['--server', labPaths(record.name).serverSocket],
      ...['--dns-relay', labPaths(record.name).dnsSocket],
    ],
  }));

/**
 * Run until SIGTERM or SIGINT.
 *
 * @throws when the lab has no record, has a supervisor already, or its first objects are refused
 */
export async function runSupervisor(lab: string, podwire: readonly string[]): Promise<void> {
  const known = readLab(lab);
  if (!known?.record) throw new Error(`There is no lab "${lab}"; podwire up makes one`);
  if (known.supervisorPid !== undefined)
    throw new Error(`Lab "${lab}" has a supervisor already, process ${known.supervisorPid}`);
  const paths = labPaths(lab);
  const log = createLogger({ lab });
  const ended = new Promise<string>((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => resolve(name));
  });
  const hasEnded = new AbortController();
  process.on('SIGHUP', () => {}); // the terminal of `up` is closed
  writeFileSync(paths.pid, `${process.pid}\n`, { mode: 0o600 });
  log.info({ pid: process.pid }, 'Supervisor started');
  const relay = await startDnsRelay(paths.dnsSocket, labSpec(known.record.lab).dns, (line) => log.warn(line));
  const supervisor = createSupervisor({
    start: (child, onEnd) =>
      startChild(child, lab, (how) => {
        log.warn({ child: child.name, how }, 'Process ended');
        onEnd(how);
      }),
    after(ms, action) {
      const timer = setTimeout(action, ms);
      return () => clearTimeout(timer);
    },
    now: () => performance.now(),
    changed: (children) => writeProcesses(lab, children),
  });
  supervisor.add(serverOf(known.record, podwire));
  const cluster = createCluster(known.record, hasEnded.signal).then(() => {
    for (const agent of agentsOf(known.record!, podwire)) supervisor.add(agent);
    return ended;
  });
  const why = await Promise.race([ended, cluster]).catch((error: unknown) => error);
  log.info({ signal: String(why) }, 'Supervisor ends');
  hasEnded.abort();
  await supervisor.stop(GRACE_MS);
  await relay.close();
  rmSync(paths.pid, { force: true });
  if (why instanceof Error) throw why;
}

/** Start one child with a log file of its own. */
function startChild(spec: ChildSpec, lab: string, ended: (how: string) => void): Running {
  const paths = labPaths(lab);
  const log = openSync(paths.log(spec.name), 'a', 0o600);
  try {
    const [program, ...args] = spec.argv;
    const child = spawn(program!, args, { cwd: '/', stdio: ['ignore', log, log], env: daemonEnv(paths.dir) });
    let over = false;
    const end = (how: string): void => {
      if (!over) ended(how);
      over = true;
    };
    child.on('error', (error) => end(error.message));
    child.on('exit', (code, signal) => end(signal ?? `exit code ${code}`));
    return { pid: child.pid ?? 0, kill: (name) => child.kill(name) };
  } finally {
    closeSync(log);
  }
}
