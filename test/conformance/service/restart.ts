/** Cases in which something of a host is broken: they take a real lab, with kernels of its own. */
import { POD, SERVICE } from '../../../src/api/kinds.js';
import type { TestLab } from '../../lib/lab.js';
import { output, runSync } from '../../lib/spawn.js';
import { until } from '../../lib/until.js';
import type { Test } from 'tap';

export const LAB = `
apiVersion: podwire.dev/v1alpha1
kind: Lab
metadata: { name: cases }
spec: { nodes: [{ name: node1 }] }
---
apiVersion: v1
kind: Pod
metadata: { name: client }
spec: { nodeName: node1, containers: [{ name: main, image: alpine }] }
`;

export type LabDriver = (t: Test, lab: TestLab) => Promise<void>;

/** A Service of a name and three pods behind it. */
const serviceYaml = (name: string, type = 'ClusterIP'): string =>
  [1, 2, 3]
    .map(
      (i) => `
apiVersion: v1
kind: Pod
metadata: { name: ${name}-${i}, labels: { app: ${name} } }
spec: { nodeName: node1, containers: [{ name: nginx, image: nginx }] }
---`,
    )
    .join('') +
  `
apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec: { type: ${type}, selector: { app: ${name} }, ports: [{ port: 80 }] }
`;

const ipOf = (lab: TestLab, name: string): string =>
  (JSON.parse(lab.must('get', SERVICE.singular, name, '-o', 'json')) as { spec: { clusterIP: string } }).spec
    .clusterIP;

/** Until every pod of a Service has answered. */
async function allAnswer(t: Test, lab: TestLab, name: string): Promise<void> {
  const ip = ipOf(lab, name);
  const seen = new Set<string>();
  await until(`all pods of ${name} have answered`, () => {
    const urls = new Array<string>(20).fill(`http://${ip}/`);
    // A connection each; of twenty, one to each pod but for once in a thousand.
    const curl = ['curl', '-s', '-m', '2', '-H', 'connection: close', ...urls];
    const { stdout } = lab.podwire('exec', 'client', '--', ...curl);
    for (const [, pod] of stdout.matchAll(/This is pod ([\w-]+)/g)) seen.add(pod!);
    return seen.size === 3;
  });
  t.strictSame(
    [...seen].sort(),
    [1, 2, 3].map((i) => `${name}-${i}`),
  );
}

export const RESTART: Record<string, LabDriver> = {
  'svc-009': async (t, lab) => {
    lab.apply(serviceYaml('svc1'));
    await lab.ready();
    await allAnswer(t, lab, 'svc1');
    const { agentPid } = lab.status().nodes[0]!;
    process.kill(agentPid!, 'SIGKILL');
    lab.apply(serviceYaml('svc2'));
    await lab.ready();
    await allAnswer(t, lab, 'svc1');
    await allAnswer(t, lab, 'svc2');
    t.not(lab.status().nodes[0]!.agentPid, agentPid, 'the proxy is another process');
    for (const name of ['svc1', 'svc2'])
      for (const i of [1, 2, 3]) lab.must('delete', POD.singular, `${name}-${i}`);
  },

  'svc-074': async (t, lab) => {
    lab.apply(serviceYaml('svc3', 'NodePort'));
    await lab.ready();
    await allAnswer(t, lab, 'svc3');
    const json = lab.must('get', SERVICE.singular, 'svc3', '-o', 'json');
    const { nodePort } = (JSON.parse(json) as { spec: { ports: { nodePort: number }[] } }).spec.ports[0]!;
    const node = lab.status().nodes[0]!;
    const ask = (): boolean =>
      runSync([
        'ip',
        'netns',
        'exec',
        `${lab.name}.node1`,
        'curl',
        '-s',
        '-m',
        '1',
        `http://${node.address}:${nodePort}/`,
      ]).status === 0;
    await until('the NodePort answers', ask);
    // Rules that lead NodePorts to the router, and its route: what a flush of a proxy's rules takes. Its agent may put them
    // back before anybody has looked.
    await until('without them nobody answers', () => {
      for (;;) {
        const { status } = runSync(['ip', '-n', `${lab.name}.node1`, 'rule', 'del', 'pref', '10']);
        if (status !== 0) break;
      }
      output(['ip', '-n', `${lab.name}.node1`, 'route', 'flush', 'table', '100']);
      return !ask();
    });
    await until('they are there again', ask);
    await allAnswer(t, lab, 'svc3');
  },
};
