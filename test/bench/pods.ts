/**
 * `node dist/test/bench/pods.js [--pods N] [--steps N]`: what each further pod of a lab costs.
 *
 * A lab of three nodes gets its pods in steps of equal size. Each line says how long a step took until all were Ready, and
 * what a pod of it cost: time, CPU of the agents, memory of the agents, memory of the machine. A cost that grows from line
 * to line is not flat.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { inRoot } from '../lib/root.js';

const { values } = parseArgs({
  options: { pods: { type: 'string', default: '100' }, steps: { type: 'string', default: '4' } },
});
const steps = Number(values.steps);
const inAStep = Math.ceil(Number(values.pods) / steps);
const NODES = ['node1', 'node2', 'node3'];
const TICKS_PER_SECOND = 100;
const READY_LIMIT_MS = 600_000;

// The name of a lab is part of link names: short.
const lab = `pwt-${process.pid % 100_000}`;
const dir = mkdtempSync(join(tmpdir(), `${lab}-`));
process.env['PODWIRE_RUN'] = join(dir, 'run');
const podwire = (...args: string[]): string =>
  execFileSync(inRoot('scripts/podwire'), [...args, '--lab', lab], { encoding: 'utf8' });

interface Look {
  seconds: number;
  cpuMs: number;
  agentsKb: number;
  machineKb: number;
}

const numberIn = (path: string, pattern: RegExp): number =>
  Number(pattern.exec(readFileSync(path, 'utf8'))?.[1]);

/** Everything that a step may cost, so far. */
function look(): Look {
  const pids = NODES.map((node) => readFileSync(join(dir, 'run', lab, node, 'agent.pid'), 'utf8').trim());
  let ticks = 0;
  let agentsKb = 0;
  for (const pid of pids) {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    ticks += Number(fields[11]) + Number(fields[12]);
    agentsKb += numberIn(`/proc/${pid}/status`, /VmRSS:\s+(\d+)/);
  }
  const machineKb = -numberIn('/proc/meminfo', /MemAvailable:\s+(\d+)/);
  return { seconds: performance.now() / 1000, cpuMs: (ticks * 1000) / TICKS_PER_SECOND, agentsKb, machineKb };
}

const podText = (i: number): string =>
  `---\napiVersion: v1\nkind: Pod\nmetadata: {name: p${i}}\nspec: {containers: [{name: c, image: nginx}]}\n`;

const readyPods = (): number => (podwire('get', 'pods').match(/\s1\/1\s+Running/g) ?? []).length;

async function untilReady(count: number): Promise<void> {
  const limit = performance.now() + READY_LIMIT_MS;
  while (readyPods() < count) {
    if (performance.now() > limit) throw new Error(`Only ${readyPods()} of ${count} pods became Ready`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const line = (...cells: string[]): void => console.log(cells.map((cell) => cell.padStart(14)).join(''));

try {
  const labFile = join(dir, 'lab.yaml');
  const nodes = NODES.map((name) => `{name: ${name}}`).join(', ');
  writeFileSync(
    labFile,
    `apiVersion: podwire.dev/v1alpha1\nkind: Lab\nmetadata: {name: ${lab}}\nspec: {nodes: [${nodes}]}\n`,
  );
  podwire('up', '-f', labFile);
  line('pods', 's a step', 'ms a pod', 'CPU ms a pod', 'agent KB', 'machine KB');
  let before = look();
  for (let step = 1; step <= steps; step++) {
    const file = join(dir, `step-${step}.yaml`);
    writeFileSync(
      file,
      Array.from({ length: inAStep }, (_, i) => podText((step - 1) * inAStep + i)).join(''),
    );
    before = { ...before, seconds: performance.now() / 1000 };
    podwire('apply', '-f', file);
    await untilReady(step * inAStep);
    const now = look();
    const each = (key: keyof Look): number => (now[key] - before[key]) / inAStep;
    line(
      String(step * inAStep),
      (now.seconds - before.seconds).toFixed(1),
      (each('seconds') * 1000).toFixed(0),
      each('cpuMs').toFixed(0),
      each('agentsKb').toFixed(0),
      each('machineKb').toFixed(0),
    );
    before = now;
  }
} finally {
  podwire('down');
  rmSync(dir, { recursive: true, force: true });
}
