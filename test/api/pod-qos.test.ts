import t from 'tap';
import { qosClassOf } from '../../src/api/pod-qos.js';
import type { Container } from '../../src/api/types.js';

type Resources = Container['resources'];
const both = { cpu: '500m', memory: '64Mi' };

t.test('the class follows from what is asked for and what is the limit', async (t) => {
  for (const [name, resources, expected] of [
    ['nothing', [{}, undefined], 'BestEffort'],
    ['zero', [{ requests: { cpu: 0 } }], 'BestEffort'],
    ['a resource that does not count', [{ limits: { 'ephemeral-storage': '1Gi' } }], 'BestEffort'],
    ['a request', [{ requests: { cpu: '100m' } }], 'Burstable'],
    ['one limit of two', [{ limits: { cpu: 1 } }], 'Burstable'],
    ['limits alone', [{ limits: both }], 'Guaranteed'],
    ['equal, in other words', [{ limits: both, requests: { cpu: 0.5, memory: '65536Ki' } }], 'Guaranteed'],
    ['less than the limit', [{ limits: both, requests: { cpu: '100m', memory: '64Mi' } }], 'Burstable'],
    ['one container of two', [{ limits: both }, {}], 'Burstable'],
  ] as [string, Resources[], string][]) {
    const containers = resources.map((one, i) => ({ name: `c${i}`, resources: one }));
    t.equal(qosClassOf({ containers }), expected, name);
  }
  const init = { name: 'i', resources: {} };
  const main = { name: 'c', resources: { limits: both } };
  t.equal(qosClassOf({ containers: [main], initContainers: [init] }), 'Burstable', 'init containers count');
});
