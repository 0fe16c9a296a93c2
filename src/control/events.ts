/**
 * Events: how a word about an object becomes one, and how long it is kept.
 */
import { timestamp } from '../api/age.js';
import { DEFAULT_NAMESPACE } from '../api/defaults.js';
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

/** Take away events of long ago. */
export function forgetEvents(events: readonly Event[], agenda: Agenda): void {
  for (const event of events) {
    const end = endOf(event);
    if (end <= agenda.now) agenda.remove(event);
    else agenda.lookAgain(end);
  }
}
