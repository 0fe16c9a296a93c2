/**
 * Events about pods, in the words of the kubelet: what `kubectl describe pod` shows.
 *
 * Theory of operation. An event that says again what one has said counts up: the same object of the API, `count` and
 * `lastTimestamp` new. Each pod has a bucket of {@link BURST} events that refills slowly, as the kubelet's spam filter has;
 * what does not fit is dropped, and so a pod that crashes for days costs the server nothing. A pod that is gone is
 * forgotten by {@link EventRecorder.forget}.
 *
 * Source: k8s.io/client-go, tools/record/events_cache.go; k8s.io/kubernetes, pkg/kubelet/events/event.go
 */
import { timestamp } from '../../api/age.js';
import type { Event, Pod } from '../../api/types.js';
import { hostEvent } from '../host-event.js';

/** What happened. */
export interface Happening {
  type: 'Normal' | 'Warning';
  /** One word in CamelCase. */
  reason: string;
  message: string;
  /** Of the pod's containers or init containers. */
  container?: string;
}

const BURST = 25;
const REFILL_MS = 300_000;
/** Of one pod: when there are more different ones, the oldest is forgotten and would begin anew. */
const MOST_KINDS = 50;

interface PodEvents {
  tokens: number;
  refilledMs: number;
  known: Map<string, Event>;
}

export interface EventRecorder {
  record(pod: Pod, happening: Happening): void;
  forget(pod: Pod): void;
}

/**
 * Make a recorder.
 *
 * @param node  its name
 * @param send  an event that is new, or has counted up
 * @param now   milliseconds since 1970
 */
export function createEventRecorder(
  node: string,
  send: (event: Event) => void,
  now: () => number = Date.now,
): EventRecorder {
  const pods = new Map<string, PodEvents>();
  let made = 0;
  const keyOf = ({ metadata }: Pod): string => metadata.uid ?? `${metadata.namespace}/${metadata.name}`;

  /** Whether the pod may say something more. */
  const take = (events: PodEvents): boolean => {
    const gained = Math.floor((now() - events.refilledMs) / REFILL_MS);
    events.tokens = Math.min(events.tokens + gained, BURST);
    events.refilledMs += gained * REFILL_MS;
    if (events.tokens <= 0) return false;
    events.tokens -= 1;
    return true;
  };

  return {
    record(pod, happening) {
      const key = keyOf(pod);
      let events = pods.get(key);
      if (!events) pods.set(key, (events = { tokens: BURST, refilledMs: now(), known: new Map() }));
      if (!take(events)) return;
      const what = JSON.stringify(happening);
      const before = events.known.get(what);
      const event = before ? again(before, now()) : newEvent(node, pod, happening, now(), (made += 1));
      events.known.delete(what);
      events.known.set(what, event);
      if (events.known.size > MOST_KINDS) events.known.delete(events.known.keys().next().value!);
      send(event);
    },
    forget: (pod) => void pods.delete(keyOf(pod)),
  };
}

const again = (event: Event, nowMs: number): Event => ({
  ...event,
  count: (event.count ?? 1) + 1,
  lastTimestamp: timestamp(nowMs),
});

function newEvent(
  node: string,
  pod: Pod,
  { type, reason, message, container }: Happening,
  nowMs: number,
  number: number,
): Event {
  const { name, namespace = 'default', uid } = pod.metadata;
  const listOf = (['initContainers', 'ephemeralContainers'] as const).find((list) =>
    pod.spec[list]?.some((one) => one.name === container),
  );
  return hostEvent(
    node,
    {
      involvedObject: {
        kind: 'Pod',
        namespace,
        name,
        uid,
        apiVersion: 'v1',
        ...(container && { fieldPath: `spec.${listOf ?? 'containers'}{${container}}` }),
      },
      type,
      reason,
      message,
    },
    nowMs,
    number,
  );
}
