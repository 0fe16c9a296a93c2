/**
 * A cluster without a server: objects that changes are applied to as a registry would, and agents that start and end
 * pods as slowly as a test likes. Time stands still until a test moves it.
 */
import { timestamp } from '../../src/api/age.js';
import { withDefaults } from '../../src/api/defaults.js';
import { equal } from '../../src/api/json.js';
import { findKind, KINDS, LAB } from '../../src/api/kinds.js';
import { isReady } from '../../src/api/node.js';
import { isTerminal } from '../../src/api/pod.js';
import type { ApiObject, Condition, Lab, Node, Pod } from '../../src/api/types.js';
import type { Change, Note } from '../../src/control/change.js';
import { ControlMemo } from '../../src/control/memo.js';
import { decide } from '../../src/control/reconcile.js';
import { controlView } from '../../src/control/view.js';

const LAB_OBJECT: Lab = { apiVersion: 'podwire.dev/v1alpha1', kind: 'Lab', metadata: { name: 'test' } };

type Parts = ApiObject & { spec?: unknown; status?: unknown };

export class FakeCluster {
  now = Date.parse('2026-01-01T00:00:00Z');
  readonly notes: Note[] = [];
  /** When control wants to look again. */
  again: number | undefined;
  readonly #objects = new Map<string, ApiObject>();
  readonly #memo = new ControlMemo();
  #revision = 1;

  constructor(nodes: readonly string[] = []) {
    this.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' } });
    for (const name of nodes) this.addNode(name);
  }

  addNode(name: string, metadata: Partial<Node['metadata']> = {}): void {
    const node: Node = { apiVersion: 'v1', kind: 'Node', metadata: { ...metadata, name } };
    const ready: Condition = { type: 'Ready', status: 'True', lastTransitionTime: timestamp(this.now) };
    this.create(node);
    this.change<Node>('Node', name, (old) => ({ ...old, status: { ...old.status, conditions: [ready] } }));
  }

  create(object: ApiObject): ApiObject {
    const kind = findKind(object.apiVersion, object.kind)!;
    const copy = withDefaults(object);
    const key = this.#key(copy);
    if (this.#objects.has(key)) throw new Error(`${key} is there already`);
    copy.metadata.uid ??= `uid-${String(this.#revision).padStart(6, '0')}`;
    copy.metadata.creationTimestamp = timestamp(this.now);
    copy.metadata.generation = 1;
    kind.prepareCreate?.(copy);
    this.#put(copy);
    return copy;
  }

  /** Change an object as its author does: a changed spec is a new generation. */
  change<T extends ApiObject>(kind: string, name: string, change: (old: T) => T, namespace?: string): void {
    const old = this.get<T>(kind, name, namespace);
    if (!old) throw new Error(`no ${kind} ${name}`);
    this.#write(old, withDefaults(change(old)));
  }

  /** Delete as `kubectl delete` does. */
  delete(kind: string, name: string, finalizer?: string): void {
    const object = this.get(kind, name);
    if (!object) return;
    if (finalizer) object.metadata.finalizers = [...(object.metadata.finalizers ?? []), finalizer];
    this.#delete(object);
  }

  get<T extends ApiObject>(kind: string, name: string, namespace = 'default'): T | undefined {
    const row = KINDS.find((other) => other.kind === kind)!;
    const found = this.#objects.get(`${kind}/${row.namespaced ? namespace : ''}/${name}`);
    return found && (structuredClone(found) as T);
  }

  list<T extends ApiObject>(kind: string): T[] {
    return [...this.#objects.values()].filter((object) => object.kind === kind) as T[];
  }

  /** One run of control, with and without what it remembers. @returns how many changes it made */
  decide(): number {
    const view = controlView(LAB_OBJECT, (kind) => (kind === LAB ? [] : this.list(kind.kind)));
    const { changes, again } = decide(view, this.now, this.#revision);
    const remembering = decide(view, this.now, this.#revision, undefined, this.#memo).changes;
    if (!equal(inOrder(remembering), inOrder(changes)))
      throw new Error(
        `What control remembers changes what it decides: ${JSON.stringify([changes, remembering])}`,
      );
    this.again = again;
    for (const change of changes) this.#apply(change);
    return changes.length;
  }

  /** Run control until it wants nothing more. */
  settle(rounds = 100): void {
    for (let round = 0; round < rounds; round++) if (this.decide() === 0) return;
    throw new Error(`not at rest after ${rounds} rounds`);
  }

  /** Run control and all agents until nothing changes, moving time to whatever is waited for. */
  converge(rounds = 400): void {
    for (let round = 0; round < rounds; round++) {
      const changes = this.decide();
      const steps = this.stepPods();
      if (changes + steps > 0) continue;
      if (this.again === undefined) return;
      this.now = this.again;
    }
    throw new Error(`not at rest after ${rounds} rounds`);
  }

  /** What agents do next: pods that have an address start, those that shall end are gone. @returns how many moved */
  stepPods(moves: (pod: Pod) => boolean = () => true): number {
    let moved = 0;
    for (const pod of this.list<Pod>('Pod')) {
      const node = this.get<Node>('Node', pod.spec.nodeName ?? '');
      if (!node || !isReady(node) || !moves(pod)) continue;
      if (pod.metadata.deletionTimestamp !== undefined) {
        this.#objects.delete(this.#key(pod));
        this.#revision++;
      } else if (pod.status?.podIP && !isTerminal(pod) && !isReady(pod))
        this.setReady(pod.metadata.name, true);
      else continue;
      moved++;
    }
    return moved;
  }

  setReady(name: string, isTrue: boolean): void {
    this.change<Pod>('Pod', name, (pod) => {
      const conditions = (pod.status?.conditions ?? []).filter(({ type }) => type !== 'Ready');
      const ready: Condition = {
        type: 'Ready',
        status: isTrue ? 'True' : 'False',
        lastTransitionTime: timestamp(this.now),
      };
      return { ...pod, status: { ...pod.status, phase: 'Running', conditions: [...conditions, ready] } };
    });
  }

  setPhase(name: string, phase: 'Succeeded' | 'Failed'): void {
    this.change<Pod>('Pod', name, (pod) => ({ ...pod, status: { ...pod.status, phase, conditions: [] } }));
  }

  /** Take an object away at once. */
  erase(kind: string, name: string): void {
    this.#objects.delete(this.#key(this.get(kind, name)!));
    this.#revision++;
  }

  #apply({ type, object, notes = [] }: Change): void {
    const old = this.#objects.get(this.#key(object));
    if (type === 'create') this.create(object);
    else if (!old) return;
    else if (type === 'update') this.#write(old, structuredClone(object));
    else if (type === 'delete') this.#delete(old);
    else this.#objects.delete(this.#key(object));
    this.#revision++;
    this.notes.push(...notes);
  }

  #delete(old: ApiObject): void {
    const object = structuredClone(old);
    const isHeld = (object.metadata.finalizers ?? []).length > 0 || object.kind === 'Namespace';
    const runs = object.kind === 'Pod' && (object as Pod).spec.nodeName && !isTerminal(object as Pod);
    if (!isHeld && !runs) this.#objects.delete(this.#key(object));
    else {
      object.metadata.deletionTimestamp ??= timestamp(this.now + (runs ? 30_000 : 0));
      object.metadata.deletionGracePeriodSeconds = runs ? 30 : 0;
      this.#put(object);
    }
    this.#revision++;
  }

  #write(old: Parts, next: Parts): void {
    if (!equal(old.spec, next.spec)) next.metadata.generation = (old.metadata.generation ?? 0) + 1;
    this.#put(next);
  }

  #put(object: ApiObject): void {
    object.metadata.resourceVersion = String(++this.#revision);
    this.#objects.set(this.#key(object), object);
  }

  #key({ kind, metadata }: ApiObject): string {
    return `${kind}/${metadata.namespace ?? ''}/${metadata.name}`;
  }
}

const idOf = ({ object: { kind, metadata } }: Change): string =>
  `${kind}/${metadata.namespace ?? ''}/${metadata.name}`;

/** Changes by their objects, of which each has one at most. */
const inOrder = (changes: readonly Change[]): Change[] =>
  changes.toSorted((a, b) => (idOf(a) < idOf(b) ? -1 : 1));
