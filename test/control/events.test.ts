import t from 'tap';
import { timestamp } from '../../src/api/age.js';
import type { Event, Pod } from '../../src/api/types.js';
import type { Note } from '../../src/control/change.js';
import { countedUp, eventOf, noteKey } from '../../src/control/events.js';
import { FakeCluster } from '../lib/fake-cluster.js';

const NOW = Date.parse('2026-01-01T00:00:00Z');
const pod: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web', namespace: 'shop', uid: 'u1', resourceVersion: '7' },
  spec: { containers: [] },
};
const note: Note = {
  about: pod,
  type: 'Normal',
  reason: 'Scheduled',
  message: 'Successfully assigned shop/web to node1',
  component: 'default-scheduler',
};

t.test('a note becomes an event beside its object', async (t) => {
  t.match(eventOf(note, 'abc', NOW), {
    metadata: { name: 'web.abc', namespace: 'shop' },
    involvedObject: { apiVersion: 'v1', kind: 'Pod', name: 'web', namespace: 'shop', uid: 'u1' },
    type: 'Normal',
    count: 1,
    firstTimestamp: '2026-01-01T00:00:00Z',
    source: { component: 'default-scheduler' },
  });
  const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'node1' } };
  const event = eventOf({ ...note, about: node }, 'abc', NOW);
  t.equal(event.metadata.namespace, 'default');
  t.equal(event.involvedObject.namespace, undefined);
  t.match(countedUp(event, NOW + 5000), {
    count: 2,
    lastTimestamp: '2026-01-01T00:00:05Z',
    firstTimestamp: timestamp(NOW),
  });
});

t.test('notes are the same when they say the same of the same object', async (t) => {
  const key = noteKey(note);
  t.equal(noteKey({ ...note, about: { ...pod, metadata: { ...pod.metadata, resourceVersion: '8' } } }), key);
  t.not(noteKey({ ...note, about: { ...pod, metadata: { ...pod.metadata, uid: 'u2' } } }), key);
  t.not(noteKey({ ...note, message: 'else' }), key);
});

t.test('events are forgotten an hour after they last happened', async (t) => {
  const cluster = new FakeCluster();
  const about = { ...pod, metadata: { ...pod.metadata, namespace: 'default' } };
  cluster.create(eventOf({ ...note, about }, 'old', cluster.now));
  cluster.create(countedUp(eventOf({ ...note, about }, 'again', cluster.now), cluster.now + 600_000));
  const names = (): string[] => cluster.list<Event>('Event').map(({ metadata }) => metadata.name);
  cluster.settle();
  t.equal(cluster.again, cluster.now + 3_600_000);
  cluster.now += 3_600_000;
  cluster.settle();
  t.strictSame(names(), ['web.again']);
  t.equal(cluster.again, cluster.now + 600_000);
  cluster.now += 600_000;
  cluster.settle();
  t.strictSame(names(), []);
});
