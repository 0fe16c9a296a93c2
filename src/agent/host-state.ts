/**
 * Host state: what podwire changes on a host outside of its own packet path – link attributes, addresses, rules,
 * routes, neighbours, kernel settings.
 *
 * Theory of operation. The caller gives a desired list ({@link HostState.apply}); each item knows how it is made,
 * how it is recognised and how it is taken back. Before an item is made for the first time, what takes it back is
 * written to the journal, with the value that was there. Every few seconds the list is compared with what the
 * kernel says, and what is missing is made again: networkd and NetworkManager remove foreign rules, and a link that
 * goes down loses its routes. An item that is desired no longer is taken back. {@link HostState.close} takes all of
 * it back, last first. An agent that dies leaves its journal; the next one goes on with it (and so keeps the values
 * that were there before the *first* of them), or {@link undoJournal} takes all back in its place.
 *
 * All work is done one after the other; nothing here runs twice at once.
 */
import { existsSync } from 'node:fs';
import { ENOENT, SysError } from '../sys/errno.js';
import { ipAsync, ipJsonAsync, readSysctl, sysctl } from '../sys/iproute2.js';
import { netnsPath } from '../sys/netns.js';
import { openJournal } from './journal.js';
import type { Journal, Step } from './journal.js';
import type { Logger } from './log.js';

/** A link with its addresses, as `ip -j address show` prints it. */
export interface LinkJson {
  ifname: string;
  address?: string;
  mtu: number;
  flags: string[];
  addr_info: { family: string; local: string; prefixlen: number; scope: string }[];
}
export interface RuleJson {
  priority: number;
  src?: string;
  dst?: string;
  iif?: string;
  table?: string | number;
}
export interface RouteJson {
  dst: string;
  gateway?: string;
  dev?: string;
  prefsrc?: string;
  metric?: number;
}
export interface NeighborJson {
  dst: string;
  dev: string;
  lladdr?: string;
}

/** What the kernel holds at one moment. */
export interface HostSnapshot {
  readonly links: ReadonlyMap<string, LinkJson>;
  readonly rules: readonly RuleJson[];
  /** Of table main. */
  readonly routes: readonly RouteJson[];
  /** The permanent ones. */
  readonly neighbors: readonly NeighborJson[];
  /** The settings that the desired list names; one whose device is missing is missing too. */
  readonly sysctls: ReadonlyMap<string, string>;
}

/** One thing that shall be so. */
export interface HostItem {
  /** Says all that makes it this item, so that a changed item is another one. */
  readonly id: string;
  /** The setting to read for the snapshot, if it is one. */
  readonly sysctl?: string;
  /** Makes it; must do no harm when it is there already. */
  readonly make: Step;
  /** What takes it back, given how the host was before; null when nothing must be. */
  undo(before: HostSnapshot): Step | null;
  isThere(snapshot: HostSnapshot): boolean;
}

export interface HostStateOptions {
  netns?: string;
  /** The journal's file, in a directory that exists. */
  journal: string;
  log: Logger;
  /** Time between two comparisons. */
  intervalMs?: number;
}

export interface HostState {
  /** Make the host have these items and take back those that are no longer among them. Rejects when one cannot be made. */
  apply(items: readonly HostItem[]): Promise<void>;
  /** Compare now and repair. Never rejects: what cannot be repaired is in {@link status}. @returns the items that were missing */
  check(): Promise<string[]>;
  status(): { items: { id: string; isThere: boolean; problem?: string }[]; repairs: number };
  /** Take everything back, last first, and remove the journal. What cannot be taken back stays in it. */
  close(): Promise<void>;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** ip's words, and the kernel's, for "there is no such thing": nothing to take back then. */
const GONE =
  /No such (process|file|device)|Cannot find device|Cannot assign requested address|Address not found|FIB table does not exist/;
const EXISTS = /File exists/;

/** A setting's value, or undefined where there is none: its device is missing. */
const sysctlValue = (path: string, netns: string | undefined): string | undefined => {
  try {
    return readSysctl(path, netns);
  } catch (error) {
    if (error instanceof SysError && error.errno === ENOENT) return undefined;
    throw error;
  }
};

const takeSnapshot = async (netns: string | undefined, items: readonly HostItem[]): Promise<HostSnapshot> => {
  const show = <T>(...args: string[]): Promise<T> => ipJsonAsync<T>(args, { netns });
  const [links, rules, routes, neighbors] = await Promise.all([
    show<LinkJson[]>('address', 'show'),
    show<RuleJson[]>('rule', 'show'),
    show<RouteJson[]>('route', 'show', 'table', 'main'),
    show<NeighborJson[]>('neigh', 'show', 'nud', 'permanent'),
  ]);
  const sysctls = new Map<string, string>();
  for (const { sysctl: path } of items) {
    const value = path === undefined ? undefined : sysctlValue(path, netns);
    if (path !== undefined && value !== undefined) sysctls.set(path, value);
  }
  return { links: new Map(links.map((link) => [link.ifname, link])), rules, routes, neighbors, sysctls };
};

const carryOut = async (step: Step, netns: string | undefined): Promise<void> => {
  if ('ip' in step) await ipAsync([step.ip], { netns });
  else sysctl(step.sysctl, step.value, netns);
};

/** Take back one entry of the journal. @returns what went wrong, if something did; the entry then stays. */
const takeBack = async (
  journal: Journal,
  id: string,
  netns: string | undefined,
): Promise<string | undefined> => {
  const step = journal.entries.get(id);
  try {
    if (step) await carryOut(step, netns);
  } catch (error) {
    const isGone = error instanceof SysError ? error.errno === ENOENT : GONE.test(messageOf(error));
    if (!isGone) return `Cannot take back host state "${id}": ${messageOf(error)}`;
  }
  journal.undone(id);
  return undefined;
};

const takeAllBack = async (journal: Journal, netns: string | undefined): Promise<string[]> => {
  const problems: string[] = [];
  for (const id of [...journal.entries.keys()].reverse()) {
    const problem = await takeBack(journal, id, netns);
    if (problem) problems.push(problem);
  }
  return problems;
};

/** Start with what the journal of an earlier agent says; changes nothing yet. */
export const openHostState = (options: HostStateOptions): HostState => {
  const { netns, log } = options;
  const journal = openJournal(options.journal);
  const found = new Map<string, boolean>();
  const problems = new Map<string, string>();
  let desired: readonly HostItem[] = [];
  let repairs = 0;
  let isClosed = false;

  let last: Promise<unknown> = Promise.resolve();
  /** Run after all work that was asked for before. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const next = last.then(work, work);
    last = next.catch(() => undefined);
    return next;
  };

  const make = async (item: HostItem): Promise<void> => {
    try {
      await carryOut(item.make, netns);
    } catch (error) {
      if (!EXISTS.test(messageOf(error)))
        throw new Error(`Cannot make host state "${item.id}": ${messageOf(error)}`, { cause: error });
    }
    found.set(item.id, true);
    problems.delete(item.id);
  };

  /** Make what is missing. @returns what was missing; and the first error, after all were tried */
  const converge = async (): Promise<{ missing: string[]; error?: unknown }> => {
    const snapshot = await takeSnapshot(netns, desired);
    journal.will(
      desired
        .filter((item) => !journal.entries.has(item.id))
        .map((item) => ({ id: item.id, undo: item.undo(snapshot) })),
    );
    const missing: string[] = [];
    let failure: unknown;
    for (const item of desired) {
      found.set(item.id, item.isThere(snapshot));
      if (found.get(item.id)) {
        problems.delete(item.id);
        continue;
      }
      missing.push(item.id);
      try {
        await make(item);
      } catch (error) {
        failure ??= error;
        problems.set(item.id, messageOf(error));
      }
    }
    return { missing, error: failure };
  };

  const apply = async (items: readonly HostItem[]): Promise<void> => {
    const wanted = new Set(items.map((item) => item.id));
    desired = items;
    for (const id of [...journal.entries.keys()].filter((key) => !wanted.has(key)).reverse()) {
      const problem = await takeBack(journal, id, netns);
      if (problem) log.warn({ item: id }, problem);
      found.delete(id);
      problems.delete(id);
    }
    const { error } = await converge();
    if (error) throw error;
  };

  const check = async (): Promise<string[]> => {
    if (isClosed || desired.length === 0) return [];
    try {
      const { missing, error } = await converge();
      for (const id of missing) {
        repairs++;
        if (problems.has(id)) log.error({ item: id }, problems.get(id));
        else log.warn({ item: id }, 'Host state was removed or changed by somebody else; made again');
      }
      if (error && missing.length === 0) log.error(messageOf(error));
      return missing;
    } catch (error) {
      log.error(`Cannot compare the host state: ${messageOf(error)}`);
      return [];
    }
  };

  const timer = setInterval(() => void inTurn(check), options.intervalMs ?? 3_000);
  timer.unref();

  return {
    apply: (items) => inTurn(() => apply(items)),
    check: () => inTurn(check),
    status: () => ({
      items: desired.map(({ id }) => {
        const problem = problems.get(id);
        return { id, isThere: found.get(id) ?? false, ...(problem === undefined ? {} : { problem }) };
      }),
      repairs,
    }),
    close: () =>
      inTurn(async () => {
        if (isClosed) return;
        isClosed = true;
        clearInterval(timer);
        for (const problem of await takeAllBack(journal, netns)) log.error(problem);
        journal.close();
      }),
  };
};

/**
 * Take back what a dead agent left on its host, as its journal tells.
 *
 * @param file   the journal; a missing one means that there is nothing to do
 * @param netns  the agent's namespace; if that is gone, so is what was in it
 * @returns      what could not be taken back; it stays in the journal
 */
export const undoJournal = async (file: string, netns?: string): Promise<string[]> => {
  if (!existsSync(file)) return [];
  const journal = openJournal(file);
  const isGone = netns !== undefined && !existsSync(netnsPath(netns));
  const problems: string[] = [];
  if (isGone) for (const id of [...journal.entries.keys()]) journal.undone(id);
  else problems.push(...(await takeAllBack(journal, netns)));
  journal.close();
  return problems;
};
