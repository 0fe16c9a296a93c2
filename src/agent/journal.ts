/**
 * The journal of host state: what was changed on the host and how to take it back.
 *
 * Theory of operation. The file holds one JSON object a line. `{"will": ID, "undo": STEP|null}` is on the disk
 * (fsync) before the change it speaks of is made, so whoever reads the file after a crash knows at least as much
 * as was done; undoing what was never done does no harm. `{"undone": ID}` follows when it has been taken back. A
 * line cut short by a crash is the last one, and its change was not made yet: it is dropped. `"needs": [ID…]` in the first kind names changes
 * that have to stay for as long as this one does. Opening the file
 * writes it afresh without what cancels out, so it grows only as long as one agent lives.
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

/** One thing done to the host: a line for `ip -batch`, or a value for a file under /proc/sys. */
export type Step = { readonly ip: string } | { readonly sysctl: string; readonly value: string };

/** What was changed, as far as taking it back goes. */
export interface JournalEntry {
  /** What takes it back; `null`: nothing does. */
  readonly undo: Step | null;
  /** Changes that must not be taken back before this one is. */
  readonly needs?: readonly string[];
}

export interface Journal {
  /** What was changed and not taken back, in the order of the changes. */
  readonly entries: ReadonlyMap<string, JournalEntry>;
  /** Write down what will be changed; on the disk when this returns. */
  will(changes: readonly ({ id: string } & JournalEntry)[]): void;
  /** Write down that changes have been taken back. */
  undone(ids: readonly string[]): void;
  /** Close the file; remove it when nothing is left to take back. */
  close(): void;
}

const parseLine = (line: string, entries: Map<string, JournalEntry>): void => {
  const record = JSON.parse(line) as { will?: string; undone?: string } & Partial<JournalEntry>;
  if (record.will !== undefined) entries.set(record.will, { undo: record.undo ?? null, needs: record.needs });
  else if (record.undone !== undefined) entries.delete(record.undone);
};

const readEntries = (path: string): Map<string, JournalEntry> => {
  const entries = new Map<string, JournalEntry>();
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return entries;
    throw error;
  }
  const lines = text.split('\n');
  lines.pop(); // '' after a whole last line, else the line that a crash cut short
  lines.forEach((line, index) => {
    try {
      parseLine(line, entries);
    } catch {
      throw new SyntaxError(
        `Cannot read journal ${path}, line ${index + 1}: expected a JSON object; remove the line, then undo by hand what it spoke of`,
      );
    }
  });
  return entries;
};

const lineOf = (id: string, { undo, needs }: JournalEntry): string =>
  `${JSON.stringify({ will: id, undo, needs })}\n`;

const syncDir = (path: string): void => {
  const fd = openSync(path, 'r');
  fsyncSync(fd);
  closeSync(fd);
};

/** Open the journal at `path`, with what an agent before this one left in it. Its directory must exist. */
export const openJournal = (path: string): Journal => {
  const entries = readEntries(path);
  const fresh = `${path}.new`;
  const fd = openSync(fresh, 'w', 0o600);
  const append = (text: string): void => {
    writeSync(fd, text);
    fsyncSync(fd);
  };
  append([...entries].map(([id, entry]) => lineOf(id, entry)).join(''));
  renameSync(fresh, path);
  syncDir(dirname(path));
  return {
    entries,
    will(changes) {
      if (changes.length === 0) return;
      append(changes.map((change) => lineOf(change.id, change)).join(''));
      for (const { id, undo, needs } of changes) entries.set(id, { undo, needs });
    },
    undone(ids) {
      if (ids.length === 0) return;
      append(ids.map((id) => `${JSON.stringify({ undone: id })}\n`).join(''));
      for (const id of ids) entries.delete(id);
    },
    close() {
      closeSync(fd);
      if (entries.size === 0) rmSync(path, { force: true });
    },
  };
};
