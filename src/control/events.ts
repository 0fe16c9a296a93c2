/**
 * Events: how a word about an object becomes one, and how long it is kept.
 */
import { timestamp } from '../api/age.js';
import { DEFAULT_NAMESPACE } from '../api/defaults.js';
import { TrackedObjects } from '../api/tracked-objects.js';
import type { ApiObject, Event } from '../api/types.js';
import type { Agenda } from './agenda.js';
import type { Note } from './change.js';

/** An event is kept so long after it last happened. */
const KEPT_MS = 3_600_000;

/** Where the events of an object are: beside it, or in `default` when it is in no namespace. */
export const eventNamespace = ({ metadata }: ApiObject): string => metadata.namespace ?? DEFAULT_NAMESPACE;

/** What makes two notes the same event, which then counts up. */
export const noteKey = ({ about, type, reason, message, component }: Note): string =>
  [about.metadata.uid ?? `${about.kind}/${about.metadata.name}`, component, type, reason, message].join('\n');

/** The event of a note. @param unique  makes its name its own */
export function eventOf(note: Note, unique: string, now: number): Event {
  const { apiVersion, kind, metadata } = note.about;
  const namespace = eventNamespace(note.about);
  const { name, uid, resourceVersion } = metadata;
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: `${name}.${unique}`, namespace },
    involvedObject: {
      apiVersion,
      kind,
      name,
      ...(metadata.namespace && { namespace }),
      ...(uid && { uid }),
      ...(resourceVersion && { resourceVersion }),
    },
    type: note.type,
    reason: note.reason,
    message: note.message,
    count: 1,
    firstTimestamp: timestamp(now),
    lastTimestamp: timestamp(now),
    source: { component: note.component },
    reportingComponent: note.component,
  };
}

/** The same event once more. */
export const countedUp = (event: Event, now: number): Event => ({
  ...event,
  count: (event.count ?? 1) + 1,
  lastTimestamp: timestamp(now),
});

const ends = new WeakMap<Event, number>();

/** When an event may go, in milliseconds since 1970. Remembered, for there may be thousands. */
function endOf(event: Event): number {
  let end = ends.get(event);
  if (end === undefined) {
    const { series, lastTimestamp, eventTime, metadata } = event;
    const last = series?.lastObservedTime ?? lastTimestamp ?? eventTime ?? metadata.creationTimestamp;
    end = (last === undefined ? 0 : Date.parse(last)) + KEPT_MS;
    ends.set(event, end);
  }
  return end;
}

/** When the first of many events may go. */
export class EventEnds {
  readonly #tracked = new TrackedObjects<Event>();
  /** None ends before, in milliseconds since 1970. */
  #first = Infinity;

  /** @returns the events that may have ended by now: none, or, when there may be one, all */
  sync(events: readonly Event[], now: number): readonly Event[] {
    this.#tracked.sync(events, (event, by) => {
      if (by > 0) this.#first = Math.min(this.#first, endOf(event));
    });
    if (this.#first > now) return [];
    this.#first = events.reduce((first, event) => Math.min(first, endOf(event)), Infinity);
    return events;
  }

  get first(): number {
    return this.#first;
  }
}

/** Take away events of long ago. */
export function forgetEvents(events: readonly Event[], agenda: Agenda, ends: EventEnds): void {
  for (const event of ends.sync(events, agenda.now)) if (endOf(event) <= agenda.now) agenda.remove(event);
  agenda.lookAgain(ends.first);
}
