/**
 * Writes what control has to say about objects as Events.
 *
 * Theory of operation. A note that was written before, in the same words about the same object, counts its event up; of
 * the newest {@link REMEMBERED} it is known which event they became. A source may write {@link BURST} events about one
 * object, and then one every five minutes: a crash loop shall not fill the store. Events are a service to people: one
 * that cannot be written is dropped.
 *
 * Source: k8s.io/client-go, tools/record/events_cache.go.
 */
import type { Logger } from 'pino';
import { EVENT } from '../api/kinds.js';
import type { Event } from '../api/types.js';
import type { Note } from '../control/change.js';
import { countedUp, eventNamespace, eventOf, noteKey } from '../control/events.js';
import type { Registry } from './registry/registry.js';

const REMEMBERED = 4096;
const BURST = 25;
const REFILL_MS = 300_000;

interface Bucket {
  tokens: number;
  at: number;
}

export class EventRecorder {
  readonly #registry: Registry;
  readonly #log: Logger;
  /** Names of events by what they say, the newest last. */
  readonly #known = new Map<string, string>();
  readonly #buckets = new Map<string, Bucket>();
  readonly #running = new Set<Promise<void>>();
  #last = 0;

  constructor(registry: Registry, log: Logger) {
    this.#registry = registry;
    this.#log = log;
  }

  /** Write notes, in the background. */
  record(notes: readonly Note[]): void {
    for (const note of notes) {
      if (!this.#mayWrite(note)) continue;
      const task = this.#write(note).catch((error: unknown) => {
        this.#log.debug({ err: error, reason: note.reason }, 'an event was not written');
      });
      this.#running.add(task);
      void task.finally(() => this.#running.delete(task));
    }
  }

  /** Resolves when everything is written. */
  async close(): Promise<void> {
    await Promise.all(this.#running);
  }

  async #write(note: Note): Promise<void> {
    const now = Date.now();
    const key = noteKey(note);
    const place = { kind: EVENT, namespace: eventNamespace(note.about) };
    const known = this.#known.get(key);
    if (known !== undefined && (await this.#registry.objects.find(place, known))) {
      this.#remember(key, known);
      await this.#registry.modify(place, known, (old) => countedUp(old as Event, now), undefined);
      return;
    }
    // Never the same twice, also within a millisecond.
    this.#last = Math.max(this.#last + 1, now * 1000);
    const event = eventOf(note, this.#last.toString(16), now);
    this.#remember(key, event.metadata.name);
    await this.#registry.create(place, event);
  }

  #remember(key: string, name: string): void {
    this.#known.delete(key);
    this.#known.set(key, name);
    if (this.#known.size > REMEMBERED) this.#known.delete(this.#known.keys().next().value!);
  }

  #mayWrite({ about, component }: Note): boolean {
    const key = `${component} ${about.metadata.uid ?? about.metadata.name}`;
    const now = Date.now();
    const bucket = this.#buckets.get(key) ?? { tokens: BURST, at: now };
    bucket.tokens = Math.min(BURST, bucket.tokens + (now - bucket.at) / REFILL_MS);
    bucket.at = now;
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > REMEMBERED) this.#buckets.delete(this.#buckets.keys().next().value!);
    if (bucket.tokens < 1) return false;
    bucket.tokens--;
    return true;
  }
}
