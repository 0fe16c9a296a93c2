import t from 'tap';
import { steeredHostPorts } from '../../src/compile/host-ports.js';
import type { ContainerPort, Pod } from '../../src/api/types.js';

const pod = (name: string, nodeName: string, ...ports: ContainerPort[]): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: { nodeName, containers: [{ name: 'c', ports }] },
  status: { podIP: '10.244.1.2' },
});
const on = (node: string, ...pods: Pod[]) =>
  steeredHostPorts({ pods }, node, '192.168.50.1').map(
    ({ to, protocol, port }) => `${to} ${protocol} ${port}`,
  );

t.test('a host port is steered at the host’s address and its loopback, on its host', async (t) => {
  const web = pod('web', 'n1', { containerPort: 80, hostPort: 8088 });
  t.same(on('n1', web), ['127.0.0.0/8 tcp 8088', '192.168.50.1 tcp 8088']);
  t.same(on('n2', web), []);
});

t.test('hostIP chooses among them', async (t) => {
  const at = (hostIP: string) =>
    on('n1', pod('web', 'n1', { containerPort: 53, hostPort: 53, protocol: 'UDP', hostIP }));
  t.same(at('127.0.0.1'), ['127.0.0.0/8 udp 53']);
  t.same(at('192.168.50.1'), ['192.168.50.1 udp 53']);
  t.same(at('0.0.0.0').length, 2);
  t.same(at('203.0.113.1'), [], 'no address of this host');
});

t.test('what is steered anyway, and SCTP, is left out; each port stands once, in one order', async (t) => {
  const node = pod(
    'a',
    'n1',
    { containerPort: 80, hostPort: 30080 },
    { containerPort: 7, hostPort: 7, protocol: 'SCTP' },
  );
  t.same(on('n1', node), []);
  const two = [
    pod('a', 'n1', { containerPort: 1, hostPort: 81 }),
    pod('b', 'n1', { containerPort: 2, hostPort: 81 }),
  ];
  t.same(on('n1', ...two), on('n1', ...two.toReversed()));
  t.same(on('n1', ...two).length, 2);
});
