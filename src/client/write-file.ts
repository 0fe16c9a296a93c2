/**
 * A file that is there whole or not at all, for its owner alone.
 */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';

/** Write `text` to `path`, mode 0600: a reader, also after a crash, finds the old text or the new. */
export function writeFileWhole(path: string, text: string): void {
  const beside = `${path}.${process.pid}.new`;
  try {
    const fd = openSync(beside, 'w', 0o600);
    try {
      writeFileSync(fd, text);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(beside, path);
  } catch (error) {
    rmSync(beside, { force: true });
    throw error;
  }
}
