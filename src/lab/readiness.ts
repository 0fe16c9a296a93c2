/** Which nodes and pods are not Ready, and why, in words. Pure. */

import { keyOf, type ApiObject, type Condition, type Node, type Pod } from '../api/types.js';

/** An object that is not as it should be. */
export interface Trouble {
  /** `pod default/web-1`, `node node2`. */
  readonly what: string;
  /** What is known of the cause. */
  readonly why: string;
}

/** Those of `items` that are not Ready; pods that have done their work count as well. */
export function notReady(items: readonly (Node | Pod)[]): Trouble[] {
  return items.flatMap((object) => {
    const why = object.kind === 'Pod' ? podTrouble(object as Pod) : nodeTrouble(object as Node);
    return why === undefined
      ? []
      : [{ what: `${object.kind.toLowerCase()} ${keyOf(object as ApiObject)}`, why }];
  });
}

const readyCondition = (conditions: readonly Condition[] | undefined): Condition | undefined =>
  conditions?.find((condition) => condition.type === 'Ready');

function nodeTrouble(node: Node): string | undefined {
  const ready = readyCondition(node.status?.conditions);
  if (ready?.status === 'True') return undefined;
  return ready ? words(ready) || 'not Ready' : 'its agent has not reported yet';
}

function podTrouble(pod: Pod): string | undefined {
  const { status } = pod;
  if (status?.phase === 'Succeeded') return undefined;
  const ready = readyCondition(status?.conditions);
  if (ready?.status === 'True') return undefined;
  if (!pod.spec.nodeName) {
    const scheduled = status?.conditions?.find((condition) => condition.type === 'PodScheduled');
    return words(scheduled) || 'no node was chosen for it yet';
  }
  for (const container of status?.containerStatuses ?? []) {
    const { waiting, terminated } = container.state ?? {};
    const why =
      waiting ?? (terminated && { reason: terminated.reason, message: `exit code ${terminated.exitCode}` });
    if (why && !container.ready) return `container ${container.name}: ${words(why) || 'waiting'}`;
  }
  if (status?.reason || status?.message) return words(status);
  if (!status?.podIP) return 'no address was given to it yet';
  return words(ready) || `${status.phase ?? 'Pending'} on ${pod.spec.nodeName}`;
}

const words = (of: { reason?: string; message?: string } | undefined): string =>
  [of?.reason, of?.message].filter(Boolean).join(': ');
