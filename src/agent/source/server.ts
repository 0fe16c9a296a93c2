/**
 * A cluster from a server: its lists, watched; and what became of our pods and our node, sent back.
 *
 * When the server is away, what was known stays in force and reports wait; when it is back, the newest of them go out.
 */
import type { Socket } from 'node:net';
import { ApiError } from '../../api/error.js';
import { DEFAULT_NAMESPACE } from '../../api/defaults.js';
import { equal } from '../../api/json.js';
import {
  ENDPOINT_SLICE,
  EVENT,
  LAB,
  NAMESPACE,
  NODE,
  POD,
  SERVICE,
  SERVICE_ACCOUNT,
} from '../../api/kinds.js';
import type { Kind } from '../../api/kinds.js';
import { keyOf, NODE_LOST, NODE_STARTING } from '../../api/types.js';
import type { ApiObject, Event, Lab, Node, Pod } from '../../api/types.js';
import type { Client } from '../../client/client.js';
import { createInformer } from '../../client/informer.js';
import type { Informer } from '../../client/informer.js';
import type { Membership } from '../join/membership.js';
import type { Logger } from '../log.js';
import { mergeNode } from '../node-object.js';
import { mergeStatus } from '../pods/pod-status.js';
import { renewLease } from './lease.js';
import { createOutbox } from './outbox.js';
import { createReferences } from './references.js';
import type { ClusterSource } from './source.js';

export interface ServerSourceOptions {
  client: Client;
  /** A raw connection to the TLS side of its API. */
  connectToApi?(): Promise<Socket>;
  /** Keeps our certificate good, where the server knows us by one. */
  membership?: Pick<Membership, 'start' | 'problems' | 'close'>;
  /** The server in words. */
  name: string;
  /** Whose pods' ConfigMaps and Secrets are wanted. */
  node: string;
  /** The lab's name when the server has no Lab object. */
  lab: string;
  log: Logger;
}

/** How long {@link ClusterSource.close} waits for what was reported last. */
const LAST_REPORTS_MS = 1_000;

/** Events that wait to be written; more are dropped, so that a server that is away costs no memory. */
const MOST_EVENTS = 100;

/** How often a report is made afresh at once because somebody else wrote the same object meanwhile. */
const MOST_CONFLICTS = 5;

/** Do what begins with a look at the object again, as long as somebody else is faster. */
const afresh = async (send: () => Promise<void>): Promise<void> => {
  for (let turn = 1; ; turn++)
    try {
      return await send();
    } catch (error) {
      if (!(error instanceof ApiError && error.reason === 'Conflict') || turn === MOST_CONFLICTS) throw error;
    }
};

/** Whether a node's agent, which says this of it, goes on. */
const isAlive = ({ status }: Node): boolean =>
  (status?.conditions ?? []).some(
    ({ type, status: isTrue, reason }) => type === 'Ready' && (isTrue === 'True' || reason === NODE_STARTING),
  );

/** Watch a server. */
export const createServerSource = (options: ServerSourceOptions): ClusterSource => {
  const { client, name, node: ourNode, lab, log, connectToApi, membership } = options;
  const outbox = createOutbox();
  const informers: Informer<never>[] = [];
  /** Lists that are not up to date, and why. */
  const troubles = new Map<string, string>();
  let tell = (): void => undefined;
  let isScheduled = false;

  /** Several lists change together when a pod is placed: one view for all of them. */
  const schedule = (): void => {
    if (isScheduled) return;
    isScheduled = true;
    setImmediate(() => {
      isScheduled = false;
      tell();
    });
  };

  const trouble = (plural: string, error: Error | undefined): void => {
    const before = troubles.size;
    if (error) troubles.set(plural, error.message);
    else troubles.delete(plural);
    if (before === 0 && error) log.warn(`${error.message}; what is known stays in force`);
    if (before > 0 && troubles.size === 0) log.info('The server answers again');
  };

  /** A list that stays up to date, and is the very same one while nothing in it has changed. */
  const follow = <T extends ApiObject>(kind: Kind<T>): (() => T[]) => {
    let list: T[] | undefined;
    const informer = createInformer<T>(client, kind, {
      changed() {
        list = undefined;
        schedule();
      },
      trouble: (error) => trouble(kind.plural, error),
    });
    informers.push(informer as unknown as Informer<never>);
    return () => (list ??= [...informer.items.values()]);
  };

  const references = createReferences({ client, node: ourNode, changed: schedule, trouble });

  const sendNode = async (said: Node): Promise<void> => {
    const { name: nodeName } = said.metadata;
    let current =
      (await client.get(NODE, nodeName)) ?? (await client.create<Node>({ ...said, status: undefined }));
    const next = mergeNode(current, said);
    if (!equal(next.metadata, current.metadata))
      current = await client.update<Node>({ ...current, metadata: next.metadata });
    await client.updateStatus<Node>({ ...current, status: next.status });
  };

  const sendPod = async (pod: Pod, status: Pod['status']): Promise<void> => {
    const { name: podName, namespace, uid } = pod.metadata;
    const current = await client.get(POD, podName, namespace);
    if (!current || current.metadata.uid !== uid) return; // gone, or another of the same name
    const next = { ...current, status: mergeStatus(current.status, status) };
    if (!equal(next.status, current.status)) await client.updateStatus(next);
  };

  /** An event that is new, or that has counted up. */
  const sendEvent = async (said: Event): Promise<void> => {
    const { name: eventName, namespace } = said.metadata;
    const current = said.count === 1 ? undefined : await client.get(EVENT, eventName, namespace);
    if (current) await client.update<Event>({ ...said, metadata: current.metadata });
    else await client.create(said);
  };
  let eventsUnderWay = 0;
  let lastEvent = Promise.resolve();

  const sayLease = (node: string): void => {
    // In microseconds, as Kubernetes has the times of leases.
    const now = (): string => new Date().toISOString().replace('Z', '000Z');
    outbox.put('lease', () => afresh(() => renewLease(client, node, now())));
  };

  let lastNode: Node | undefined;
  const sayNode = (node: Node): void => outbox.put('node', () => afresh(() => sendNode(node)));
  /** The server had lost us, and we are here: say so without waiting for the next heartbeat. */
  const sayWeAreHere = (nodes: readonly Node[]): void => {
    const ours = nodes.find(({ metadata }) => metadata.name === lastNode?.metadata.name);
    if (lastNode && ours?.status?.conditions?.some(({ reason }) => reason === NODE_LOST)) sayNode(lastNode);
  };

  /** Reports of a pod, of which only the newest counts: that it is gone comes after all others. */
  const lane = (pod: Pod): string => `pod ${keyOf(pod)} ${pod.metadata.uid}`;

  return {
    name,
    saysAddresses: false,
    ...(connectToApi && { connectToApi }),
    requestToken: ({ metadata, spec }, { audience, expirationSeconds }) =>
      client.requestToken(metadata.namespace ?? DEFAULT_NAMESPACE, spec.serviceAccountName || 'default', {
        audiences: audience ? [audience] : [],
        expirationSeconds,
        boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: metadata.name, uid: metadata.uid },
      }),
    async start(changed) {
      membership?.start(client);
      const labs = follow<Lab>(LAB);
      const namespaces = follow(NAMESPACE);
      const nodes = follow(NODE);
      const pods = follow(POD);
      const services = follow(SERVICE);
      const endpointSlices = follow(ENDPOINT_SLICE);
      const serviceAccounts = follow(SERVICE_ACCOUNT);
      await Promise.all(informers.map((informer) => informer.start()));
      await references.follow(pods());
      tell = () => {
        sayWeAreHere(nodes());
        void references.follow(pods());
        changed({
          lab: labs().find((one) => one.metadata.name === lab) ?? {
            apiVersion: 'podwire.dev/v1alpha1',
            kind: 'Lab',
            metadata: { name: lab },
          },
          namespaces: namespaces(),
          nodes: nodes(),
          pods: references.settled(pods()),
          services: services(),
          endpointSlices: endpointSlices(),
          // The server keeps them in step with the slices, by which packets go.
          endpoints: [],
          configMaps: references.configMaps(),
          secrets: references.secrets(),
          serviceAccounts: serviceAccounts(),
        });
      };
      tell();
    },
    reportPod: (pod, status) => outbox.put(lane(pod), () => afresh(() => sendPod(pod, status))),
    podRemoved: (pod) =>
      outbox.put(lane(pod), () =>
        client
          .remove(POD, pod.metadata.name, pod.metadata.namespace, {
            gracePeriodSeconds: 0,
            uid: pod.metadata.uid,
          })
          .catch((error: unknown) => {
            // Somebody else was faster, and perhaps made another of the same name.
            if (!(error instanceof ApiError && [404, 409].includes(error.code))) throw error;
          }),
      ),
    reportEvent(event) {
      if (eventsUnderWay >= MOST_EVENTS) return;
      eventsUnderWay += 1;
      // One after another, and each tried once: an event is not worth more.
      lastEvent = lastEvent
        .then(() => sendEvent(event))
        .catch((error: unknown) => log.debug({ err: error }, 'The server did not take an event'))
        .finally(() => (eventsUnderWay -= 1));
    },
    reportLease: sayLease,
    reportNode(node) {
      lastNode = node;
      sayNode(node);
      if (isAlive(node)) sayLease(node.metadata.name);
    },
    problems: () => [
      ...new Set(troubles.values()),
      ...(membership?.problems() ?? []),
      ...outbox.problems().map((problem) => `A report waits: ${problem}`),
    ],
    async close() {
      membership?.close();
      await outbox.close(LAST_REPORTS_MS);
      tell = () => undefined;
      for (const informer of informers) informer.close();
      references.close();
      client.close();
    },
  };
};
