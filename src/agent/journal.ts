/**
 * The journal of host state: what was changed on the host and how to take it back.
 *
 * Theory of operation. The file holds one JSON object a line. `{"will": ID, "undo": STEP|null}` is on the disk
 * (fsync) before the change it speaks of is made, so whoever reads the file after a crash knows at least as much
 * as was done; undoing what was never done does no harm. `{"undone": ID}` follows when it has been taken back. A
 * line cut short by a crash is the last one, and its change was not made yet: it is dropped. Opening the file
 * writes it afresh without what cancels out, so it grows only as long as one agent lives.
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

/** One thing done to the host: a line for `ip -batch`, or a value for a file under /proc/sys. */
export type Step = { readonly ip: string } | { readonly sysctl: string; readonly value: string };

export interface Journal {
  /** What was changed and not taken back, in the order of the changes. `null`: nothing needs taking back. */
  readonly entries: ReadonlyMap<string, Step | null>;
  /** Write down what will be changed; on the disk when this returns. */
  will(changes: readonly { id: string; undo: Step | null }[]): void;
  /** Write down that a change has been taken back. */
  undone(id: string): void;
  /** Close the file; remove it when nothing is left to take back. */
  close(): void;
}

const parseLine = (line: string, entries: Map<string, Step | null>): void => {
  const record = JSON.parse(line) as { will?: string; undo?: Step | null; undone?: string };
  if (record.will !== undefined) entries.set(record.will, record.undo ?? null);
  else if (record.undone !== undefined) entries.delete(record.undone);
};

const readEntries = (path: string): Map<string, Step | null> => {
  const entries = new Map<string, Step | null>();
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

const lineOf = (id: string, undo: Step | null): string => `${JSON.stringify({ will: id, undo })}\n`;

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
  append([...entries].map(([id, undo]) => lineOf(id, undo)).join(''));
  renameSync(fresh, path);
  syncDir(dirname(path));
  return {
    entries,
    will(changes) {
      if (changes.length === 0) return;
      append(changes.map(({ id, undo }) => lineOf(id, undo)).join(''));
      for (const { id, undo } of changes) entries.set(id, undo);
    },
    undone(id) {
      append(`${JSON.stringify({ undone: id })}\n`);
      entries.delete(id);
    },
    close() {
      closeSync(fd);
      if (entries.size === 0) rmSync(path, { force: true });
    },
  };
};
