/**
 * An event that a host tells of, in the form of the kubelet's: what `kubectl get events` and `describe` show.
 *
 * Source: k8s.io/client-go, tools/record/event.go
 */
import { timestamp } from '../api/age.js';
import type { Event } from '../api/types.js';

/** Kubernetes' own limit for a message. */
const MAX_MESSAGE = 1024;

/** What is told, of what. */
export type Told = Pick<Event, 'type' | 'reason' | 'involvedObject'> & { message: string };

/**
 * Make an event that has happened once.
 *
 * @param node    the host that tells of it
 * @param nowMs   milliseconds since 1970
 * @param number  keeps those of one millisecond apart
 */
export function hostEvent(
  node: string,
  { type, reason, message, involvedObject }: Told,
  nowMs: number,
  number = 0,
): Event {
  const at = timestamp(nowMs);
  // The name of an event ends with a time in nanoseconds.
  const unique = (BigInt(Math.floor(nowMs)) * 1_000_000n + BigInt(number % 1_000_000)).toString(16);
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: {
      name: `${involvedObject.name}.${unique}`,
      namespace: involvedObject.namespace ?? 'default',
    },
    involvedObject,
    type,
    reason,
    message: message.slice(0, MAX_MESSAGE),
    source: { component: 'kubelet', host: node },
    reportingComponent: 'kubelet',
    reportingInstance: node,
    firstTimestamp: at,
    lastTimestamp: at,
    count: 1,
  };
}
