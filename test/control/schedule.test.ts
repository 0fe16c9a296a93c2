import t from 'tap';
import { emptySeat, schedule, sit } from '../../src/control/schedule.js';
import type { ContainerPort, Node, Pod, PodSpec } from '../../src/api/types.js';

const seat = (name: string) =>
  emptySeat({ apiVersion: 'v1', kind: 'Node', metadata: { name } } as Node, () => true);
const pod = (ports: ContainerPort[], spec: Partial<PodSpec> = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p' },
  spec: { containers: [{ name: 'c' }, { name: 'd', ports }], ...spec },
});
const TAKEN = {
  why: "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.",
};

t.test('a pod goes to the node with the fewest pods', async (t) => {
  const seats = [seat('a'), seat('b')];
  const next = () => {
    const placement = schedule(pod([]), seats) as { node: string };
    sit(
      seats.find(({ node }) => node.metadata.name === placement.node)!,
      pod([]),
    );
    return placement.node;
  };
  t.strictSame([next(), next(), next(), next()], ['a', 'b', 'a', 'b']);
});

t.test('a host port is one pod’s of a node', async (t) => {
  const one = seat('a');
  sit(one, pod([{ containerPort: 80, hostPort: 8080 }]));
  const wants = (port: Partial<ContainerPort>, spec?: Partial<PodSpec>) =>
    schedule(pod([{ containerPort: 80, ...port }], spec), [one]);
  t.strictSame(wants({ hostPort: 8080 }), TAKEN);
  t.strictSame(wants({ hostPort: 8080, hostIP: '127.0.0.1' }), TAKEN);
  t.strictSame(wants({ hostPort: 8080 }, { hostNetwork: true }), TAKEN);
  t.strictSame(wants({}), { node: 'a' });
  t.strictSame(wants({ hostPort: 8081 }), { node: 'a' });
  t.strictSame(wants({ hostPort: 8080, protocol: 'UDP' }), { node: 'a' });
  t.strictSame(schedule(pod([{ containerPort: 80, hostPort: 8080 }]), [one, seat('b')]), { node: 'b' });
});

t.test('two pods may have one host port on two addresses', async (t) => {
  const one = seat('a');
  sit(one, pod([{ containerPort: 80, hostPort: 80, hostIP: '127.0.0.1' }]));
  const wants = (hostIP: string) => schedule(pod([{ containerPort: 80, hostPort: 80, hostIP }]), [one]);
  t.strictSame(wants('192.168.50.1'), { node: 'a' });
  t.strictSame(wants('127.0.0.1'), TAKEN);
  t.strictSame(wants('0.0.0.0'), TAKEN);
});
