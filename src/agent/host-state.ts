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
 * An item may lean on others ({@link HostItem.needs}): it is made only when they are there, and they stay as long as it
 * could not be taken back. All work is done one after the other; nothing here runs twice at once.
 */
import { existsSync } from 'node:fs';
import { netnsPath } from '../sys/netns.js';
import { takeSnapshot } from './host-snapshot.js';
import type { HostSnapshot } from './host-snapshot.js';
import { carryOut } from './host-steps.js';
import type { Task } from './host-steps.js';
import { openJournal } from './journal.js';
import type { Journal, Step } from './journal.js';
import type { Logger } from './log.js';

/** One thing that shall be so. */
export interface HostItem {
  /** Says all that makes it this item, so that a changed item is another one. */
  readonly id: string;
  /** The setting to read for the snapshot, if it is one. */
  readonly sysctl?: string;
  /** Items that must be there before this one is made, and stay until it has been taken back. */
  readonly needs?: readonly string[];
  /** Makes it, given how the host is now; must do no harm when it is there already. */
  readonly make: Step | ((now: HostSnapshot) => Step);
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

/**
 * Take back these entries of the journal, last first. What cannot be taken back stays in it, and so does what that one
 * leans on.
 *
 * @returns what went wrong, in sentences
 */
const takeBack = async (
  journal: Journal,
  ids: readonly string[],
  netns: string | undefined,
): Promise<string[]> => {
  const problems: string[] = [];
  const turn = async (tasks: readonly Task[]): Promise<void> => {
    const failures = await carryOut(tasks, netns);
    const done: string[] = [];
    for (const { id } of tasks) {
      const failure = failures.get(id);
      // What takes back a removal adds something: it may have come back by itself.
      if (!failure || failure.isGone || failure.isThere) done.push(id);
      else problems.push(`Cannot take back host state "${id}": ${failure.words}`);
    }
    journal.undone(done);
  };
  let tasks: Task[] = [];
  for (const id of [...ids].reverse()) {
    const leaning = [...journal.entries].find(([, { needs }]) => needs?.includes(id));
    if (leaning && tasks.some((task) => task.id === leaning[0])) await turn(tasks.splice(0));
    if (leaning && journal.entries.has(leaning[0]))
      problems.push(`Cannot take back host state "${id}" as long as "${leaning[0]}" is not`);
    else tasks.push({ id, step: journal.entries.get(id)?.undo ?? null });
  }
  await turn(tasks);
  return problems;
};

const takeAllBack = (journal: Journal, netns: string | undefined): Promise<string[]> =>
  takeBack(journal, [...journal.entries.keys()], netns);

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

  /** Make these items, in their order, as far as what they need is there. */
  const make = async (items: readonly HostItem[], now: HostSnapshot): Promise<void> => {
    let batch: HostItem[] = [];
    const flush = async (): Promise<void> => {
      const tasks = batch.map(({ id, make }) => ({
        id,
        step: typeof make === 'function' ? make(now) : make,
      }));
      batch = [];
      const failures = await carryOut(tasks, netns);
      for (const { id } of tasks) {
        const failure = failures.get(id);
        if (failure && !failure.isThere) problems.set(id, `Cannot make host state "${id}": ${failure.words}`);
        else found.set(id, true);
      }
    };
    for (const item of items) {
      if (item.needs) await flush();
      const absent = item.needs?.find((id) => !found.get(id));
      if (absent === undefined) batch.push(item);
      else problems.set(item.id, `Cannot make host state "${item.id}" as long as "${absent}" is missing`);
    }
    await flush();
  };

  /** Make what is missing. @returns what was missing, whether it could be made or not */
  const converge = async (): Promise<string[]> => {
    const settings = desired.flatMap((item) => item.sysctl ?? []);
    const snapshot = await takeSnapshot(netns, settings);
    journal.will(
      desired
        .filter((item) => !journal.entries.has(item.id))
        .map((item) => ({ id: item.id, undo: item.undo(snapshot), needs: item.needs })),
    );
    problems.clear();
    for (const item of desired) found.set(item.id, item.isThere(snapshot));
    const missing = desired.filter(({ id }) => !found.get(id));
    await make(missing, snapshot);
    return missing.map(({ id }) => id);
  };

  const apply = async (items: readonly HostItem[]): Promise<void> => {
    if (isClosed) return;
    const wanted = new Set(items.map((item) => item.id));
    desired = items;
    const unwanted = [...journal.entries.keys()].filter((id) => !wanted.has(id));
    for (const problem of await takeBack(journal, unwanted, netns)) log.warn(problem);
    for (const id of unwanted) found.delete(id);
    await converge();
    const [problem] = problems.values();
    if (problem !== undefined) throw new Error(problem);
  };

  const check = async (): Promise<string[]> => {
    if (isClosed || desired.length === 0) return [];
    try {
      const missing = await converge();
      for (const id of missing) {
        repairs++;
        if (problems.has(id)) log.error({ item: id }, problems.get(id));
        else log.warn({ item: id }, 'Host state was removed or changed by somebody else; made again');
      }
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
  if (isGone) journal.undone([...journal.entries.keys()]);
  else problems.push(...(await takeAllBack(journal, netns)));
  journal.close();
  return problems;
};
