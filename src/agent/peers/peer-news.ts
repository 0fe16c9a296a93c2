/**
 * What the underlay is like, for people: conditions of the node, whose sentences `status` and `doctor` show too, and an event
 * when one of them changes.
 */
import type { Event } from '../../api/types.js';
import { hostEvent } from '../host-event.js';
import type { Way } from './peer-watch.js';

/** Status True: the underlay carries packets of the size that the lab counts on. */
export const UNDERLAY_MTU_CONDITION = 'UnderlayMTU';
/** Status True: every ready peer answers through the tunnel. */
export const PEERS_CONDITION = 'PeersReachable';

/** Kubernetes' own, status True: no packet comes to this host or leaves it. */
export const NETWORK_CONDITION = 'NetworkUnavailable';

export interface UnderlayCondition {
  readonly type: string;
  readonly status: 'True' | 'False';
  readonly reason: string;
  readonly message: string;
}

export interface UnderlayFacts {
  readonly nic: string;
  /** Of the NIC. */
  readonly mtu: number;
  /** Why the NIC carries nothing, when it does not. */
  readonly away: string | undefined;
  /** What the lab counts on. */
  readonly expected: number;
  readonly lab: string;
}

/** At most so many names in a sentence. */
const MOST_NAMES = 5;

/** The node's conditions for what is known of its underlay. */
export function underlayConditions(
  underlay: UnderlayFacts,
  ways: ReadonlyMap<string, Way>,
): UnderlayCondition[] {
  return [networkCondition(underlay), mtuCondition(underlay, ways), reachCondition(ways)];
}

/** Whether a condition is bad news. */
export const isBad = ({ type, status }: UnderlayCondition): boolean =>
  status === (type === NETWORK_CONDITION ? 'True' : 'False');

/** What happened to a node, for `kubectl get events` and `describe node`. */
export const underlayEvent = (node: string, condition: UnderlayCondition, nowMs: number): Event =>
  hostEvent(
    node,
    {
      // As the kubelet has it, whose nodes' uid in events is their name.
      involvedObject: { kind: 'Node', name: node, uid: node, apiVersion: 'v1' },
      type: isBad(condition) ? 'Warning' : 'Normal',
      reason: condition.reason,
      message: condition.message,
    },
    nowMs,
  );

const networkCondition = ({ nic, away }: UnderlayFacts): UnderlayCondition =>
  away === undefined
    ? {
        type: NETWORK_CONDITION,
        status: 'False',
        reason: 'UnderlayThere',
        message: `${nic} carries the tunnels`,
      }
    : { type: NETWORK_CONDITION, status: 'True', reason: 'UnderlayAway', message: away };

function mtuCondition(
  { nic, mtu, expected, lab }: UnderlayFacts,
  ways: ReadonlyMap<string, Way>,
): UnderlayCondition {
  const narrow = [...ways].flatMap(([name, way]) => (way.state === 'narrow' ? [{ name, mtu: way.mtu }] : []));
  const least = Math.min(mtu, ...narrow.map((one) => one.mtu));
  if (least >= expected)
    return {
      type: UNDERLAY_MTU_CONDITION,
      status: 'True',
      reason: 'MTULargeEnough',
      message: `The underlay carries packets of ${expected} bytes`,
    };
  const where =
    narrow.length > 0
      ? `the way to ${list(narrow.map((one) => one.name))} carries packets of ${least} bytes`
      : `NIC ${nic} carries packets of ${mtu} bytes`;
  return {
    type: UNDERLAY_MTU_CONDITION,
    status: 'False',
    reason: 'MTUTooSmall',
    message:
      `${capital(where)}, the cluster counts on ${expected}: large packets of pods are lost; set spec.underlay.mtu of Lab ` +
      `"${lab}" to ${least} and restart the agents`,
  };
}

function reachCondition(ways: ReadonlyMap<string, Way>): UnderlayCondition {
  const silent = [...ways].flatMap(([name, way]) => (way.state === 'silent' ? [{ name, why: way.why }] : []));
  if (silent.length === 0)
    return {
      type: PEERS_CONDITION,
      status: 'True',
      reason: 'PeersAnswer',
      message: 'Every ready peer answers through the tunnel',
    };
  return {
    type: PEERS_CONDITION,
    status: 'False',
    reason: 'PeersSilent',
    message: list(
      silent.map(({ name, why }) => `${name} does not answer through the tunnel: ${why}`),
      '; ',
    ),
  };
}

const list = (words: readonly string[], between = ', '): string =>
  words.slice(0, MOST_NAMES).join(between) +
  (words.length > MOST_NAMES ? ` and ${words.length - MOST_NAMES} more` : '');

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
