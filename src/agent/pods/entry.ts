/**
 * The way into a container: a script that gives a program the container's own volumes and environment.
 *
 * Theory of operation. All containers of a pod share its root. What is a container's own are the volumes it mounts and
 * its environment; a program gets them in a mount namespace of its own, which is a copy of the holder's:
 *
 *     nsenter (the holder's namespaces)  unshare --mount  sh /.volumes/.NAME/enter  PROGRAM…
 *
 * The script binds each volume from /.volumes, where only the holder's namespace has them, to its mount path, takes
 * /.volumes away, and becomes the program. Commands, probes, hooks and exec all come this way; so a container without a
 * process (a built-in server) is entered like any other, and two containers can mount different volumes at one path.
 * Mounting is repeated for each program: some 2 ms a mount.
 *
 * The script holds the environment, Secrets too: it lies on the pod's tmpfs, and never shows in an argument list, which
 * all of the machine's users can read.
 */
import { closeSync, constants, existsSync, mkdirSync, openSync, readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Container, Volume } from '../../api/types.js';
import { hasPayload } from '../../api/pod-payload.js';
import { expand } from '../../api/container-environment.js';
import { DEFAULT_PATH } from './holder.js';

/** Where the holder has a pod's volumes, and containers have nothing. */
export const VOLUMES = '/.volumes';

/** A volume at its place. */
export interface Mount {
  /** Below {@link VOLUMES}. */
  source: string;
  target: string;
  isReadOnly: boolean;
}

/** As many bytes of a container's last words are kept. */
const MESSAGE_BYTES = 4096;
const DEFAULT_MESSAGE_PATH = '/dev/termination-log';

/** A container's own files below {@link VOLUMES}; no volume's name begins with a dot. */
const ownFolder = (container: string): string => `.${container}`;

/** The words that run a program in a container, after those that enter the holder's namespaces. */
export const entryArgs = (container: string): string[] => [
  ...['unshare', '--mount', '--', 'sh', `${VOLUMES}/${ownFolder(container)}/enter`],
];

/** What is below {@link VOLUMES} of a pod, as the agent reaches it. */
export const volumesPath = (holderPid: number): string => `/proc/${holderPid}/root${VOLUMES}`;

/** A container's mounts, the outer before the inner. */
export function mountsOf(
  { volumeMounts = [] }: Container,
  volumes: readonly Volume[],
  env: Readonly<Record<string, string>>,
): Mount[] {
  return volumeMounts
    .map(({ name, mountPath, readOnly = false, subPath, subPathExpr }): Mount => {
      const volume = volumes.find((one) => one.name === name);
      const below = subPathExpr ? expand(subPathExpr, env) : subPath;
      return {
        source: below ? `${name}/${below}` : name,
        target: mountPath,
        isReadOnly: readOnly || (volume !== undefined && hasPayload(volume)),
      };
    })
    .sort((a, b) => a.target.split('/').length - b.target.split('/').length);
}

const quote = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;

/** fd 3, where a start has it, takes the reason of a failure; see command.ts. */
const PREAMBLE = `
fail() {
  { echo "failed $1" >&3; } 2>/dev/null
  echo "$1" >&2
  exit 128
}
bind() { # SOURCE TARGET OPTIONS
  if [ -d "$1" ]; then
    [ -d "$2" ] || mkdir -p "$2" || fail "cannot make mount point $2"
  elif [ -e "$1" ]; then
    [ -e "$2" ] || { mkdir -p "\${2%/*}/" && : >"$2"; } || fail "cannot make mount point $2"
  else
    mkdir -p "$1" "$2" || fail "cannot make mount point $2"
  fi
  mount -n -o "$3" "$1" "$2" || fail "cannot mount at $2"
}
`;

/** What a script is made of. */
export interface EntryOptions {
  container: Container;
  volumes: readonly Volume[];
  env: Readonly<Record<string, string>>;
  hostname: string;
}

/** The script. */
export function entryScript({ container, volumes, env, hostname }: EntryOptions): string {
  const { name, workingDir = '/', terminationMessagePath } = container;
  const all: Record<string, string> = { PATH: DEFAULT_PATH, HOME: '/root', HOSTNAME: hostname, ...env };
  const message = `${ownFolder(name)}/termination-log`;
  const mounts: Mount[] = [
    ...mountsOf(container, volumes, env),
    { source: message, target: terminationMessagePath || DEFAULT_MESSAGE_PATH, isReadOnly: false },
  ];
  return [
    PREAMBLE,
    ...mounts.map(
      ({ source, target, isReadOnly }) =>
        `bind ${quote(`${VOLUMES}/${source}`)} ${quote(target)} ${isReadOnly ? 'rbind,ro' : 'rbind'}`,
    ),
    `umount -n -l ${VOLUMES} || fail 'cannot hide what belongs to other containers'`,
    `cd ${quote(workingDir)} 2>/dev/null || cd /`,
    'exec env -i \\',
    ...Object.entries(all).map(([key, value]) => `${quote(`${key}=${value}`)} \\`),
    '"$@"',
    '',
  ].join('\n');
}

/** Write a container's script, and make room for its last words. */
export function writeEntry(holderPid: number, options: EntryOptions): void {
  const folder = join(volumesPath(holderPid), ownFolder(options.container.name));
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeFileSync(join(folder, 'enter'), entryScript(options), { mode: 0o600 });
  writeFileSync(join(folder, 'termination-log'), '', { mode: 0o666 });
}

/** Whether a container's script is there: it goes with the holder. */
export const hasEntry = (holderPid: number, container: string): boolean =>
  existsSync(join(volumesPath(holderPid), ownFolder(container), 'enter'));

/** What a container wrote to its terminationMessagePath; undefined when that is nothing, or the holder is gone. */
export function readLastWords(holderPid: number, container: string): string | undefined {
  const path = join(volumesPath(holderPid), ownFolder(container), 'termination-log');
  try {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      const bytes = Buffer.alloc(MESSAGE_BYTES);
      return bytes.toString('utf8', 0, readSync(fd, bytes)) || undefined;
    } finally {
      closeSync(fd);
    }
  } catch {
    return undefined;
  }
}

/**
 * The lines of a holder's set-up that make its volumes: in the folder `volumes` of the pod's tmpfs, while / is still the
 * machine's root.
 */
export function volumesScript(
  volumes: readonly Volume[],
  tmpfsSize: (volume: Volume) => string | undefined,
): string {
  return volumes
    .map((volume) => {
      const place = `volumes/${volume.name}`;
      const { hostPath } = volume;
      if (hostPath)
        return `${HOST_PATH[hostPath.type ?? ''](quote(hostPath.path))}\n${hostBind(hostPath.path, place)}`;
      const size = tmpfsSize(volume);
      if (size !== undefined) return `mkdir ${place}; mount -t tmpfs -o mode=777,${size} podwire ${place}`;
      return `mkdir -m ${volume.emptyDir ? 777 : 755} ${place}`;
    })
    .join('\n');
}

const hostBind = (path: string, place: string): string =>
  `if [ -d ${quote(path)} ]; then mkdir ${place}; else : >${place}; fi
mount -n --rbind ${quote(path)} ${place}`;

/** What has to be true of a host path, or is made so, by its type; the words are the kubelet's. */
const must =
  (test: string, what: string) =>
  (path: string): string =>
    `[ ${test} ${path} ] || { echo "hostPath type check failed: "${path}" is not a ${what}" >&2; exit 1; }`;
const HOST_PATH: Readonly<Record<string, (path: string) => string>> = {
  '': (path) => `[ -e ${path} ] || mkdir -p ${path}`,
  DirectoryOrCreate: (path) => `mkdir -p ${path}`,
  FileOrCreate: (path) => `[ -e ${path} ] || : >${path}`,
  Directory: must('-d', 'directory'),
  File: must('-f', 'file'),
  Socket: must('-S', 'socket file'),
  CharDevice: must('-c', 'character device'),
  BlockDevice: must('-b', 'block device'),
};
