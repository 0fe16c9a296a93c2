/**
 * What one run of control has decided so far. Controllers that touch the same object one after the other see each
 * other's decisions ({@link Agenda.latest}), and what comes out has each object at most once.
 */
import { timestamp } from '../api/age.js';
import type { ApiObject } from '../api/types.js';
import type { Change, Note } from './change.js';

interface Draft {
  readonly type: Change['type'];
  readonly object: ApiObject;
  readonly notes: readonly Note[];
}

const idOf = ({ kind, metadata }: ApiObject): string =>
  `${kind}/${metadata.namespace ?? ''}/${metadata.name}`;

export class Agenda {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Names that shall look random come from it. */
  readonly seed: number;
  readonly #drafts = new Map<string, Draft>();
  /** Kinds of objects of which something was decided. */
  readonly #kinds = new Set<string>();
  #again = Infinity;
  #decisions = 0;

  constructor(now: number, seed: number) {
    this.now = now;
    this.seed = seed;
  }

  /** An object as it will be. */
  latest<T extends ApiObject>(object: T): T {
    if (this.#drafts.size === 0) return object;
    const draft = this.#drafts.get(idOf(object));
    return draft?.type === 'update' ? (draft.object as T) : object;
  }

  /** Whether an object will be there, and is not on its way out. */
  isStaying(object: ApiObject): boolean {
    return object.metadata.deletionTimestamp === undefined && !this.isLeaving(object);
  }

  /** Whether this run deletes an object. */
  isLeaving(object: ApiObject): boolean {
    if (this.#drafts.size === 0) return false;
    const type = this.#drafts.get(idOf(object))?.type;
    return type === 'delete' || type === 'remove';
  }

  /** An object as it will be; one that this run deletes looks as if it were on its way out already. */
  foreseen<T extends ApiObject>(object: T): T {
    if (!this.isLeaving(object)) return this.latest(object);
    const deletionTimestamp = object.metadata.deletionTimestamp ?? timestamp(this.now);
    return { ...object, metadata: { ...object.metadata, deletionTimestamp } };
  }

  create<T extends ApiObject>(object: T, ...notes: Note[]): void {
    this.#put('create', object, notes);
  }

  /** Write an object so; nothing happens to one that is to be deleted. */
  update<T extends ApiObject>(object: T, ...notes: Note[]): void {
    this.#put('update', object, notes);
  }

  /** Delete as a user does, with grace. */
  delete(object: ApiObject, ...notes: Note[]): void {
    if (object.metadata.deletionTimestamp === undefined) this.#put('delete', object, notes);
  }

  /** Take away at once. */
  remove(object: ApiObject, ...notes: Note[]): void {
    this.#put('remove', object, notes);
  }

  add(changes: readonly Change[]): void {
    for (const { type, object, notes = [] } of changes) this.#put(type, object, notes);
  }

  /** Whether anything was decided of an object of this kind. */
  hasDecidedOn(kind: string): boolean {
    return this.#kinds.has(kind);
  }

  /** What a part of a run comes to: whether it decided anything, and when it wants to be asked again. */
  observe(run: () => void): { hasDecided: boolean; again: number } {
    const [decisions, again] = [this.#decisions, this.#again];
    this.#again = Infinity;
    run();
    const mine = this.#again;
    this.#again = Math.min(again, mine);
    return { hasDecided: this.#decisions > decisions, again: mine };
  }

  /** Look again at this time even when nothing changes. @param at  milliseconds since 1970 */
  lookAgain(at: number): void {
    this.#again = Math.min(this.#again, Math.max(at, this.now + 1));
  }

  /** The earliest of these times. */
  get again(): number | undefined {
    return this.#again === Infinity ? undefined : this.#again;
  }

  get changes(): Change[] {
    return [...this.#drafts.values()].map(({ type, object, notes }) =>
      notes.length > 0 ? { type, object, notes } : { type, object },
    );
  }

  #put(type: Change['type'], object: ApiObject, notes: readonly Note[]): void {
    const id = idOf(object);
    this.#decisions++;
    this.#kinds.add(object.kind);
    const before = this.#drafts.get(id);
    if (before && RANK[before.type] > RANK[type]) return;
    this.#drafts.set(id, { type, object, notes: [...(before?.notes ?? []), ...notes] });
  }
}

/** The stronger decision holds. */
const RANK = { create: 0, update: 1, delete: 2, remove: 3 } as const;
