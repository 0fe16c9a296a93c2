/**
 * The quality of service class of a pod, which follows from what its containers ask for. People read it in `kubectl describe`;
 * nothing here is evicted by it.
 *
 * Source: kubernetes.io/docs/concepts/workloads/pods/pod-qos
 */
import { parseQuantity } from './quantity.js';
import type { PodSpec, QosClass } from './types.js';

/** Nothing else counts. */
const RESOURCES = ['cpu', 'memory'];

/** The class of a pod that is created. */
export function qosClassOf({ containers, initContainers = [] }: PodSpec): QosClass {
  const pairs = [...containers, ...initContainers].flatMap(
    ({ resources: { limits = {}, requests = {} } = {} }) =>
      RESOURCES.map((name) => {
        const limit = parseQuantity(limits[name] ?? 0) ?? 0;
        // Who says how much it may have at most, asks for that.
        return { limit, request: name in requests ? (parseQuantity(requests[name]) ?? 0) : limit };
      }),
  );
  if (pairs.every(({ limit, request }) => limit === 0 && request === 0)) return 'BestEffort';
  return pairs.every(({ limit, request }) => limit > 0 && request === limit) ? 'Guaranteed' : 'Burstable';
}
