/**
 * Write a volume's files so that a program never sees half of a change.
 *
 * Theory of operation. As the kubelet's atomic writer does it:
 *
 *     ..data ─▶ ..1764201600000-1      a folder with all files of one moment
 *     KEY    ─▶ ..data/KEY             one link for each first word of a path
 *
 * A change makes a new folder and moves `..data` by one rename; then come links for what is new, and what is old is
 * removed. What has not changed is not written again. A path that was mounted by subPath keeps the file of its moment.
 *
 * Source: k8s.io/kubernetes, pkg/volume/util/atomic_writer.go
 */
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

/** A file whose content is known. */
export interface VolumeFile {
  /** Below the volume, without `..`. */
  path: string;
  mode: number;
  bytes: Buffer;
}

const DATA = '..data';
let moments = 0;

/**
 * Make a volume hold exactly these files.
 *
 * @returns  whether anything has changed
 */
export function writePayload(volume: string, files: readonly VolumeFile[]): boolean {
  const before = linkOf(join(volume, DATA));
  if (before !== undefined && isSame(join(volume, before), files)) return false;
  const moment = `..${Date.now()}-${(moments += 1)}`;
  const folder = join(volume, moment);
  mkdirSync(folder, { mode: 0o755 });
  for (const { path, mode, bytes } of files) {
    const place = join(folder, path);
    mkdirSync(dirname(place), { recursive: true, mode: 0o755 });
    writeFileSync(place, bytes, { mode });
    chmodSync(place, mode); // whatever the umask is
  }
  const next = join(volume, `${DATA}_tmp`);
  rmSync(next, { force: true });
  symlinkSync(moment, next);
  renameSync(next, join(volume, DATA));
  const names = new Set(files.map(({ path }) => path.split('/').find(Boolean)!));
  const known = readdirSync(volume).filter((name) => !name.startsWith('..'));
  for (const name of names) if (!known.includes(name)) symlinkSync(join(DATA, name), join(volume, name));
  for (const name of known)
    if (!names.has(name)) rmSync(join(volume, name), { recursive: true, force: true });
  for (const name of readdirSync(volume))
    if (name.startsWith('..') && name !== DATA && name !== moment)
      rmSync(join(volume, name), { recursive: true, force: true });
  return true;
}

/** Whether a folder holds these files, and no others. */
function isSame(folder: string, files: readonly VolumeFile[]): boolean {
  try {
    const there = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(
      (it) => !it.isDirectory(),
    );
    return (
      there.length === files.length &&
      files.every(({ path, mode, bytes }) => {
        const place = join(folder, path);
        return (lstatSync(place).mode & 0o777) === mode && readFileSync(place).equals(bytes);
      })
    );
  } catch {
    return false;
  }
}

const linkOf = (path: string): string | undefined => {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
};
