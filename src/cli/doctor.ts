/** `podwire doctor`: what on this machine will bite. */

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { labDir, runRoot } from '../agent/paths.js';
import { preflight } from '../agent/preflight.js';
import { listLabs } from '../lab/record.js';
import { getFromAgent, textOf } from './agent-request.js';
import { CHECKS } from './doctor-checks.js';
import type { Finding, Probe } from './doctor-finding.js';
import { hasProgram } from './has-program.js';
import { formatTable, OUTPUT, outputFormat, printJson } from './output.js';
import { defineVerb } from './verb.js';

export const doctor = defineVerb({
  usage: ['doctor'],
  description:
    'Check this machine, a line a check: ok, warn (it will work, but), fail (with what to do). Exit code 1 if one fails.',
  options: { output: OUTPUT },
  example: ['podwire doctor'],
  async run({ flags, io }) {
    const format = outputFormat(flags.output, ['json']);
    const findings = await examine();
    if (format === 'json') printJson(io, { checks: findings });
    else io.stdout.write(formatTable(findings.map(({ level, check, text }) => [level, check, text])));
    return findings.some((one) => one.level === 'fail') ? 1 : 0;
  },
});

/** Run all checks on this machine. */
async function examine(): Promise<Finding[]> {
  const probe = await probeMachine();
  return CHECKS.flatMap((check) => check(probe));
}

/** The machine asks the kernel through FFI and `ip`: loaded late, and only where they can answer. */
async function probeMachine(): Promise<Probe> {
  const { machineRoutes, takenPrefixes } = await import('../lab/machine.js');
  const { freeUnderlays } = await import('../lab/plan.js');
  const { loadRawSocket } = await import('../agent/raw-socket.js');
  const hasRawSocket = (await loadRawSocket()) !== undefined;
  const agents = await askAgents();
  const canAsk = hasProgram('ip');
  const routes = canAsk ? machineRoutes() : [];
  return {
    preflight: () => preflight(),
    nodeVersion: process.version,
    kernel: release(),
    hasProgram,
    read: (file) => tried(() => readFileSync(file, 'utf8')),
    list: (dir) => tried(() => readdirSync(dir)) ?? [],
    routes: () => routes,
    labs: () =>
      (tried(listLabs) ?? []).map((lab) => ({ name: lab.name, running: lab.supervisorPid !== undefined })),
    freeUnderlays: () => (canAsk ? (tried(() => freeUnderlays(takenPrefixes('')).length) ?? 50) : 50),
    agents: () => agents,
    hasRawSocket,
    forwardRules,
  };
}

/** The agents on this machine, by the path sockets beside their folders; one that does not answer is none. */
async function askAgents(): Promise<ReturnType<Probe['agents']>> {
  const folders = (tried(() => readdirSync(runRoot())) ?? []).sort();
  const sockets = folders.flatMap((lab) =>
    (tried(() => readdirSync(labDir(lab))) ?? [])
      .filter((name) => name.endsWith('.sock') && existsSync(join(labDir(lab), name.slice(0, -5))))
      .map((name) => ({ lab, node: name.slice(0, -5) })),
  );
  const answers = sockets.map(async ({ lab, node }) => {
    const { problems = [] } = JSON.parse(await textOf(await getFromAgent(lab, node, '/status'))) as {
      problems?: string[];
    };
    return { node, problems };
  });
  return (await Promise.allSettled(answers)).flatMap((one) =>
    one.status === 'fulfilled' ? [one.value] : [],
  );
}

/** Asked only where Docker is: elsewhere the question itself would load tables into the kernel. */
function forwardRules(): string | undefined {
  if (!existsSync('/sys/class/net/docker0')) return undefined;
  const { status, stdout } = spawnSync('iptables', ['-w', '-S', 'FORWARD'], {
    encoding: 'utf8',
    timeout: 5_000,
  });
  if (status !== 0) return undefined;
  const more = spawnSync('iptables', ['-w', '-S', 'DOCKER-USER'], { encoding: 'utf8', timeout: 5_000 });
  return stdout + (more.stdout ?? '');
}

function tried<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
