/**
 * The loop that feeds control: whatever changes, look once and write what should be. It hands over all objects, and what
 * control remembers of them: so a run costs what has changed. Lists are made anew for kinds of which something has.
 *
 * Changes that come together are looked at together. When control says that time alone will change something (a pod will
 * count as available, a deadline passes) it is asked again then. A write that finds its object changed is dropped: whoever changed
 * it has brought the loop round again. A store that cannot be written to (a full disk) is tried again after a second.
 */
import type { Logger } from 'pino';
import { ApiError } from '../api/error.js';
import { EVENT, KINDS, LAB, LEASE, type Kind } from '../api/kinds.js';
import type { ApiObject, Lab, Lease } from '../api/types.js';
import { reconcileAggregates } from '../control/aggregated-roles.js';
import { reconcileApiService } from '../control/api-service.js';
import { reconcileRequests, type Signing } from '../control/certificate-requests.js';
import { reconcileDnsService } from '../control/dns-service.js';
import { ControlMemo } from '../control/memo.js';
import { compareCreation } from '../control/order.js';
import { decide } from '../control/reconcile.js';
import { reconcileRootCa } from '../control/root-ca.js';
import { reconcileServiceAccounts } from '../control/service-accounts.js';
import { controlView } from '../control/view.js';
import { EventRecorder } from './event-recorder.js';
import { prefixOf, REGISTRY } from './registry/place.js';
import type { Registry } from './registry/registry.js';
import { DEFAULT_LAB } from './registry/stored-objects.js';
import { StoreError } from './store/store.js';

const RETRY_MS = 1000;
/** A timer's longest delay; sooner than wanted does no harm. */
const LONGEST_MS = 3_600_000;

export interface ControlLoop {
  /** Stop; resolves when the last write is done. */
  close(): Promise<void>;
}

/**
 * @param authority  certificate by which pods know the server, PEM
 * @param signing    the authority's keys, for who asks for a certificate
 * @param fatal      told of an error of control itself, which no retry can mend
 */
export async function startControlLoop(
  registry: Registry,
  authority: string,
  signing: Signing,
  log: Logger,
  fatal: (error: unknown) => void,
): Promise<ControlLoop> {
  const { store } = registry;
  const objects = new Map<Kind, Map<string, ApiObject>>();
  /** The same as lists, of kinds that have not changed since they were last asked for. */
  const lists = new Map<Kind, readonly ApiObject[]>();
  const prefixes = KINDS.map((kind) => ({
    kind,
    prefix: prefixOf({ kind, namespace: undefined }),
  }));
  const put = (key: string, object: ApiObject | undefined): void => {
    const found = prefixes.find(({ prefix }) => key.startsWith(prefix));
    if (!found) return;
    if (object) objects.get(found.kind)!.set(key, seen(object));
    else objects.get(found.kind)!.delete(key);
    lists.delete(found.kind);
  };
  /** Kinds that are written often, and of which only the end gives control something to do. */
  const quiet = [EVENT, LEASE].map((kind) => prefixOf({ kind, namespace: undefined }));
  const isQuiet = (key: string): boolean => quiet.some((prefix) => key.startsWith(prefix));
  for (const { kind } of prefixes) objects.set(kind, new Map());
  const { items, revision } = await store.range(REGISTRY);
  for (const item of items) put(item.key, registry.objects.decode(item));

  const recorder = new EventRecorder(registry, log);
  const memo = new ControlMemo();
  let isDirty = true;
  let isRunning = false;
  let isClosed = false;
  let turn: NodeJS.Immediate | undefined;
  let retry: NodeJS.Timeout | undefined;
  let alarm: NodeJS.Timeout | undefined;
  let idle = (): void => {};

  const list = (kind: Kind): readonly ApiObject[] => {
    let known = lists.get(kind);
    if (!known) lists.set(kind, (known = [...objects.get(kind)!.values()]));
    return known;
  };
  const lab = (): Lab => (list(LAB) as readonly Lab[]).toSorted(compareCreation)[0] ?? DEFAULT_LAB;

  const run = async (): Promise<void> => {
    while (isDirty && !isClosed) {
      isDirty = false;
      const now = controlView(lab(), list);
      const decision = decide(now, Date.now(), store.revision, undefined, memo);
      wakeAt(decision.again);
      const changes = [
        ...decision.changes,
        ...reconcileApiService(now, memo.services),
        ...reconcileDnsService(now, false, memo.services),
        ...reconcileServiceAccounts(now),
        ...reconcileRootCa(now, authority),
        ...reconcileAggregates(now),
        ...reconcileRequests(now.certificateRequests, now.nodes, signing, Date.now()),
      ];
      // Together, so that they are one flush to disk.
      const results = await Promise.allSettled(changes.map((change) => registry.apply(change)));
      for (const [i, result] of results.entries()) {
        if (result.status === 'fulfilled') {
          if (result.value) recorder.record(changes[i]!.notes ?? []);
          continue;
        }
        const error: unknown = result.reason;
        if (error instanceof StoreError) {
          log.error({ err: error }, 'control could not write; it tries again');
          retry ??= setTimeout(() => {
            retry = undefined;
            wake();
          }, RETRY_MS);
        } else if (error instanceof ApiError) {
          // Somebody was faster: the object is gone, or what it should get is taken. The next view knows.
          log.debug({ err: error }, 'control was overtaken');
        } else throw error;
      }
    }
  };
  const wakeAt = (again: number | undefined): void => {
    clearTimeout(alarm);
    alarm = setTimeout(wake, Math.min(Math.max((again ?? Infinity) - Date.now(), 0), LONGEST_MS));
  };
  const wake = (): void => {
    isDirty = true;
    if (isRunning || isClosed) return;
    turn ??= setImmediate(() => {
      turn = undefined;
      isRunning = true;
      run()
        .catch(fatal)
        .finally(() => {
          isRunning = false;
          idle();
          if (isDirty) wake();
        });
    });
  };

  const watch = store.watch({
    prefix: REGISTRY,
    from: revision + 1,
    events: (events) => {
      for (const { key, current } of events) put(key, current && registry.objects.decode(current));
      if (events.some(({ key, current }) => !current || !isQuiet(key))) wake();
    },
    failed: fatal,
  });
  wake();

  return {
    async close() {
      isClosed = true;
      watch.close();
      clearImmediate(turn);
      clearTimeout(retry);
      clearTimeout(alarm);
      if (isRunning) await new Promise<void>((resolve) => (idle = resolve));
      await recorder.close();
    },
  };
}

/**
 * An object as control shall see it: a Lease is renewed when we see it renewed, by our own clock. Those of its holder's
 * host may differ, and while we did not run nobody could renew.
 */
function seen(object: ApiObject): ApiObject {
  if (object.kind !== LEASE.kind) return object;
  const { spec } = object as Lease;
  return spec?.renewTime === undefined
    ? object
    : ({ ...object, spec: { ...spec, renewTime: new Date().toISOString() } } as Lease);
}
