import t from 'tap';
import { mergeNode, nodeObject } from '../../src/agent/node-object.js';
import { isExternalNode, isReady } from '../../src/api/node.js';
import { AGENT_ANNOTATION, FLANNEL_BACKEND_DATA, FLANNEL_PUBLIC_IP } from '../../src/api/types.js';
import { validate } from '../../src/api/validate.js';

const FACTS = { name: 'node1', address: '192.168.50.1', vni: 1, now: '2026-01-01T00:00:00Z' };

t.test("what an agent says of its node is a valid Node with flannel's annotations", async (t) => {
  const node = nodeObject({ ...FACTS, podCidr: '10.244.1.0/24' });
  t.same(validate(node), []);
  t.equal(node.metadata.annotations?.[FLANNEL_PUBLIC_IP], '192.168.50.1');
  t.equal(node.metadata.annotations?.[FLANNEL_BACKEND_DATA], '{"VNI":1,"VtepMAC":"0e:58:0a:f4:01:00"}');
  t.notOk(isExternalNode(node));
  t.ok(isReady(node));
});

t.test('people see what the node has, and that it is not under pressure', async (t) => {
  const node = nodeObject({ ...FACTS, capacity: { cpu: '2', memory: '4096Ki', pods: '110' } });
  t.same(validate(node), []);
  t.match(node.status, { capacity: { cpu: '2' }, allocatable: { memory: '4096Ki', pods: '110' } });
  t.match(
    node.status?.conditions?.map(({ type, status }) => `${type}=${status}`),
    ['MemoryPressure=False', 'DiskPressure=False', 'PIDPressure=False', 'Ready=True'],
  );
});

t.test('before the pod CIDR is known there is no VTEP to speak of', async (t) => {
  const node = nodeObject({ ...FACTS, notReady: { reason: 'AgentStarting', message: 'The agent starts' } });
  t.equal(node.metadata.annotations?.[FLANNEL_BACKEND_DATA], undefined);
  t.ok(node.metadata.annotations?.[AGENT_ANNOTATION]);
  t.notOk(isReady(node));
});

t.test('merging keeps what others wrote, and the time of a condition that did not change', async (t) => {
  const current = nodeObject(FACTS);
  current.metadata.resourceVersion = '7';
  current.metadata.labels = { ...current.metadata.labels, zone: 'a' };
  current.status!.conditions!.push({ type: 'NetworkUnavailable', status: 'False' });
  const later = mergeNode(current, nodeObject({ ...FACTS, now: '2026-01-01T00:00:10Z' }));
  t.match(later.metadata, { resourceVersion: '7', labels: { zone: 'a' } });
  const ready = later.status?.conditions?.find((condition) => condition.type === 'Ready');
  t.match(ready, { lastHeartbeatTime: '2026-01-01T00:00:10Z', lastTransitionTime: '2026-01-01T00:00:00Z' });
  t.ok(later.status?.conditions?.some((condition) => condition.type === 'NetworkUnavailable'));
  const ill = mergeNode(
    later,
    nodeObject({ ...FACTS, now: '2026-01-01T00:00:20Z', notReady: { reason: 'x', message: 'y' } }),
  );
  t.match(
    ill.status?.conditions?.find((condition) => condition.type === 'Ready'),
    {
      status: 'False',
      lastTransitionTime: '2026-01-01T00:00:20Z',
    },
  );
});
