/**
 * Event: the row. What happened to an object, for people: `kubectl describe` and `kubectl get events`.
 *
 * Source: k8s.io/kubernetes, pkg/apis/core/validation/events.go; pkg/printers/internalversion, printEvent.
 */
import { age } from './age.js';
import { column, NAME_COLUMN, type Kind } from './kind.js';
import { OBJECT_REFERENCE } from './object-reference.js';
import { invalid, required, type Problem } from './problem.js';
import { checkDnsSubdomain } from './rules.js';
import { INT32, object, objectSchema, STRING, TIME } from './schema.js';
import type { Event } from './types.js';

const wide = { priority: 1 as const };

export const EVENT: Kind<Event> = {
  group: '',
  versions: ['v1'],
  kind: 'Event',
  plural: 'events',
  singular: 'event',
  shortNames: ['ev'],
  namespaced: true,
  subresources: [],
  schema: objectSchema({
    action: STRING,
    count: INT32,
    eventTime: TIME,
    firstTimestamp: TIME,
    involvedObject: OBJECT_REFERENCE,
    lastTimestamp: TIME,
    message: STRING,
    reason: STRING,
    related: OBJECT_REFERENCE,
    reportingComponent: STRING,
    reportingInstance: STRING,
    series: object({ count: INT32, lastObservedTime: TIME }),
    source: object({ component: STRING, host: STRING }),
    type: STRING,
  }),
  columns: [
    column('Last Seen', (event, now) => age(lastSeen(event), now)),
    column('Type', ({ type }) => type ?? ''),
    column('Reason', ({ reason }) => reason ?? ''),
    column('Object', ({ involvedObject: { kind = '', name = '' } }) =>
      name ? `${kind.toLowerCase()}/${name}` : kind.toLowerCase(),
    ),
    column('Subobject', ({ involvedObject }) => involvedObject.fieldPath ?? '', wide),
    column('Source', sourceText, wide),
    column('Message', ({ message = '' }) => message.trim()),
    column('First Seen', (event, now) => age(firstSeen(event), now), wide),
    column('Count', ({ count, series }) => series?.count ?? (count || 1), { ...wide, type: 'integer' }),
    { ...NAME_COLUMN, priority: 1 },
  ],
  selectable: [
    'involvedObject.kind',
    'involvedObject.namespace',
    'involvedObject.name',
    'involvedObject.uid',
    'involvedObject.apiVersion',
    'involvedObject.resourceVersion',
    'involvedObject.fieldPath',
    'reason',
    'reportingComponent',
    'type',
  ],
  hasEffect: true,
  defaults(event) {
    event.involvedObject ??= {};
  },
  validate: validateEvent,
};

const firstSeen = (event: Event): string | undefined => event.firstTimestamp ?? event.eventTime;
const lastSeen = (event: Event): string | undefined =>
  event.series?.lastObservedTime ?? event.lastTimestamp ?? firstSeen(event);

function sourceText({ source, reportingComponent = '', reportingInstance = '' }: Event): string {
  const component = source?.component || reportingComponent;
  const host = source?.host || (source?.component ? '' : reportingInstance);
  return host ? `${component}, ${host}` : component;
}

function validateEvent({ metadata, involvedObject, eventTime, type, reason, action }: Event): Problem[] {
  const problems = metadata.name ? checkDnsSubdomain(metadata.name, 'metadata.name') : [];
  // An object without a namespace has its events in `default`.
  const home = involvedObject.namespace ?? '';
  if (metadata.namespace !== (home || 'default'))
    problems.push(invalid('involvedObject.namespace', home, 'does not match event.namespace'));
  if (!eventTime) return problems;
  if (!action) problems.push(required('action'));
  if (!reason) problems.push(required('reason'));
  if (type !== 'Normal' && type !== 'Warning')
    problems.push(invalid('type', type ?? '', 'has invalid value: '));
  return problems;
}
