import t from 'tap';
import type { ApiObject, ConfigMap, Deployment, OwnerReference, Pod } from '../../src/api/types.js';
import { FakeCluster } from '../lib/fake-cluster.js';

const deployment: Deployment = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web', namespace: 'default' },
  spec: {
    replicas: 2,
    selector: { matchLabels: { app: 'web' } },
    template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image: 'nginx' }] } },
  },
};
const start = (): FakeCluster => {
  const cluster = new FakeCluster(['node1']);
  cluster.create(deployment);
  cluster.converge();
  return cluster;
};
const counts = (cluster: FakeCluster): number[] =>
  ['Deployment', 'ReplicaSet', 'Pod'].map((kind) => cluster.list(kind).length);
const configMap = (name: string, ...ownerReferences: OwnerReference[]): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default', ownerReferences },
});
const to = (
  { apiVersion, kind, metadata }: ApiObject,
  parts: Partial<OwnerReference> = {},
): OwnerReference => ({
  apiVersion,
  kind,
  name: metadata.name,
  uid: metadata.uid!,
  ...parts,
});

t.test('in the background an owner goes at once, and what it owned after it', async (t) => {
  const cluster = start();
  cluster.delete('Deployment', 'web');
  t.strictSame(counts(cluster), [0, 1, 2]);
  cluster.converge();
  t.strictSame(counts(cluster), [0, 0, 0]);
});

t.test('in the foreground an owner goes when all that it owned is gone', async (t) => {
  const cluster = start();
  cluster.delete('Deployment', 'web', 'foregroundDeletion');
  cluster.decide();
  t.equal(counts(cluster)[0], 1);
  cluster.converge();
  t.strictSame(counts(cluster), [0, 0, 0]);
});

t.test('an owner that orphans leaves what it owned behind', async (t) => {
  const cluster = start();
  cluster.delete('Deployment', 'web', 'orphan');
  cluster.converge();
  t.strictSame(counts(cluster), [0, 1, 2]);
  t.equal(cluster.list('ReplicaSet')[0]!.metadata.ownerReferences, undefined);
  t.match(cluster.list<Pod>('Pod')[0]!.metadata.ownerReferences, [{ kind: 'ReplicaSet' }]);
  cluster.create(deployment);
  cluster.converge();
  t.strictSame(counts(cluster), [1, 1, 2], 'the next one of that name takes it in again');
});

t.test('an object with several owners goes with the last', async (t) => {
  const cluster = new FakeCluster();
  const [a, b] = [cluster.create(configMap('a')), cluster.create(configMap('b'))];
  cluster.create(configMap('c', to(a), to(b)));
  cluster.delete('ConfigMap', 'a');
  cluster.converge();
  t.strictSame(cluster.get('ConfigMap', 'c')!.metadata.ownerReferences, [to(b)]);
  cluster.delete('ConfigMap', 'b');
  cluster.converge();
  t.equal(cluster.get('ConfigMap', 'c'), undefined);
});

t.test('only dependents that block hold an owner back', async (t) => {
  const cluster = new FakeCluster();
  const a = cluster.create(configMap('a'));
  cluster.create({ ...configMap('held', to(a, { blockOwnerDeletion: true })) });
  const held = cluster.get('ConfigMap', 'held')!;
  cluster.change('ConfigMap', 'held', () => ({
    ...held,
    metadata: { ...held.metadata, finalizers: ['mine.io/x'] },
  }));
  cluster.create(configMap('free', to(a)));
  cluster.delete('ConfigMap', 'a', 'foregroundDeletion');
  cluster.converge();
  t.strictSame(
    cluster.list('ConfigMap').map(({ metadata }) => metadata.name),
    ['a', 'held'],
  );
  cluster.erase('ConfigMap', 'held');
  cluster.converge();
  t.strictSame(cluster.list('ConfigMap'), []);
});

t.test('an owner of a kind that is not served counts as being there', async (t) => {
  const cluster = new FakeCluster();
  cluster.create(configMap('a', { apiVersion: 'batch/v1', kind: 'Job', name: 'j', uid: 'x' }));
  cluster.converge();
  t.ok(cluster.get('ConfigMap', 'a'));
});

t.test('an owner of the same name that was made anew is another one', async (t) => {
  const cluster = new FakeCluster();
  cluster.create(configMap('a'));
  cluster.create(configMap('b', { apiVersion: 'v1', kind: 'ConfigMap', name: 'a', uid: 'long gone' }));
  cluster.converge();
  t.strictSame(
    cluster.list('ConfigMap').map(({ metadata }) => metadata.name),
    ['a'],
  );
});
