/** What a change costs, counted in objects that control reads: as much among many as among few. */
import t from 'tap';
import { withDefaults } from '../../src/api/defaults.js';
import { LAB, type Kind } from '../../src/api/kinds.js';
import type { ApiObject, EndpointSlice, Lab, Pod, Service } from '../../src/api/types.js';
import { reconcileApiService } from '../../src/control/api-service.js';
import { ControlMemo } from '../../src/control/memo.js';
import { reconcileDnsService } from '../../src/control/dns-service.js';
import { decide } from '../../src/control/reconcile.js';
import { controlView } from '../../src/control/view.js';
import { FakeCluster } from '../lib/fake-cluster.js';

const FEW = 10;
const MANY = 1000;
const LAB_OBJECT: Lab = { apiVersion: 'podwire.dev/v1alpha1', kind: 'Lab', metadata: { name: 'test' } };

/** Objects that say when they are read. */
class Counted {
  readonly read = new Map<string, number>();
  readonly #lists = new Map<string, ApiObject[]>();

  constructor(cluster: FakeCluster) {
    for (const kind of ['Namespace', 'Node', 'Pod', 'Service', 'EndpointSlice', 'Endpoints', 'Deployment'])
      this.#lists.set(
        kind,
        cluster.list(kind).map((object) => this.#counted(object)),
      );
  }

  #counted<T extends ApiObject>(object: T): T {
    const count = (): void => void this.read.set(object.kind, (this.read.get(object.kind) ?? 0) + 1);
    return new Proxy(object, {
      get(target, key) {
        count();
        return Reflect.get(target, key) as unknown;
      },
      ownKeys(target) {
        count();
        return Reflect.ownKeys(target);
      },
    });
  }

  readonly listOf = (kind: Kind): ApiObject[] => this.#lists.get(kind.kind) ?? [];

  /** Put another object in the place of one in the middle. */
  replace<T extends ApiObject>(kind: string, change: (old: T) => T): void {
    const list = [...this.#lists.get(kind)!] as T[];
    const middle = list.length >> 1;
    list[middle] = this.#counted(change(list[middle]!));
    this.#lists.set(kind, list);
  }
}

/** How much a run reads after one change in a cluster of so many Services, each with a pod, that is at rest. */
function readsAfter(
  services: number,
  change: (counted: Counted) => void,
): { reads: Map<string, number>; changes: string[] } {
  const cluster = new FakeCluster(['node1', 'node2', 'node3', 'node4', 'node5']);
  for (let i = 0; i < services; i++) {
    const labels = { app: `web-${i}`, tier: 'front' };
    const metadata = { name: `web-${i}`, namespace: 'default', labels };
    cluster.create({
      apiVersion: 'v1',
      kind: 'Service',
      metadata,
      spec: { selector: labels, ports: [{ port: 80 }] },
    } as ApiObject);
    cluster.create({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata,
      spec: { containers: [{ name: 'c', image: 'nginx' }] },
    } as ApiObject);
  }
  cluster.converge();
  const counted = new Counted(cluster);
  const memo = new ControlMemo();
  const run = (): string[] => {
    const view = controlView(LAB_OBJECT, (kind) => (kind === LAB ? [] : counted.listOf(kind)));
    const { changes } = decide(view, cluster.now, 1, undefined, memo);
    reconcileApiService(view, memo.services);
    reconcileDnsService(view, false, memo.services);
    return changes.map(({ type, object }) => `${type} ${object.kind}`);
  };
  const first = run();
  if (first.length > 0) throw new Error(`not at rest: ${first.join(', ')}`);
  run();
  change(counted);
  counted.read.clear();
  const changes = run();
  return { reads: new Map(counted.read), changes };
}

t.test('a changed endpoint costs as much among many Services as among few', (t) => {
  const change = (counted: Counted): void =>
    counted.replace<EndpointSlice>('EndpointSlice', (slice) => ({
      ...slice,
      endpoints: [{ addresses: ['10.244.1.99'], conditions: { ready: true } }],
    }));
  const few = readsAfter(FEW, change);
  t.strictSame(few.changes, ['update EndpointSlice'], 'what somebody wrote there is put right');
  t.strictSame(readsAfter(MANY, change), few);
  t.equal(few.reads.get('Deployment') ?? 0, 0);
  t.end();
});

t.test('so does a changed Service', (t) => {
  const change = (counted: Counted): void =>
    counted.replace<Service>('Service', (service) =>
      withDefaults({ ...service, spec: { ...service.spec, ports: [{ port: 81 }] } }),
    );
  const few = readsAfter(FEW, change);
  t.ok(few.changes.includes('update EndpointSlice'));
  t.strictSame(readsAfter(MANY, change), few);
  t.end();
});

t.test('a pod that is ready no longer reads its own Service alone', (t) => {
  const change = (counted: Counted): void =>
    counted.replace<Pod>('Pod', (pod) => ({
      ...pod,
      status: { ...pod.status, conditions: [{ type: 'Ready', status: 'False' }] },
    }));
  const few = readsAfter(FEW, change);
  const many = readsAfter(MANY, change);
  t.ok(few.changes.includes('update EndpointSlice'));
  t.strictSame(many.changes, few.changes);
  for (const kind of ['Service', 'EndpointSlice', 'Endpoints'])
    t.equal(many.reads.get(kind), few.reads.get(kind), kind);
  t.end();
});

t.test('a run in which nothing has changed reads nothing but nodes and namespaces', (t) => {
  const { reads, changes } = readsAfter(FEW, () => {});
  t.strictSame(changes, []);
  t.strictSame([...reads.keys()].sort(), ['Namespace', 'Node']);
  t.end();
});
