/**
 * Real kubectls: the one that KUBECTL_BIN names, those on the PATH, and the numbered ones that Debian's google-cloud-cli
 * brings. Each runs with a kubeconfig, a cache and a home of the test's own.
 */
import { existsSync, mkdirSync, realpathSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { runSync, type Result } from './spawn.js';

export interface Kubectl {
  readonly path: string;
  /** The 33 of 1.33.1. */
  readonly minor: number;
  /** Run it. @param home  a folder of the test's own that holds `kubeconfig` */
  run(home: string, words: readonly string[], input?: string): Result;
}

/** Where Debian's google-cloud-cli puts its programs. */
const CLOUD_FOLDERS = ['/usr/lib/google-cloud-sdk/bin', '/usr/share/google-cloud-sdk/bin'];

/** All kubectls of this machine, the oldest first, one of each minor version. */
export function findKubectls(): Kubectl[] {
  const paths = [
    ...(process.env['KUBECTL_BIN'] ?? '').split(delimiter),
    ...(process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, 'kubectl')),
    ...CLOUD_FOLDERS.flatMap((folder) =>
      Array.from({ length: 30 }, (_, i) => join(folder, `kubectl.1.${i + 20}`)),
    ),
  ].filter((path) => path !== '' && existsSync(path));
  const found = new Map<number, Kubectl>();
  for (const path of new Set(paths.map((one) => realpathSync(one)))) {
    const minor = minorOf(path);
    if (minor !== undefined && !found.has(minor)) found.set(minor, { path, minor, run: runner(path) });
  }
  return [...found.values()].sort((a, b) => a.minor - b.minor);
}

/** Undefined for what is no kubectl, or chooses among others behind our back. */
function minorOf(path: string): number | undefined {
  const { status, stdout } = runSync([path, 'version', '--client', '-o', 'json']);
  if (status !== 0) return undefined;
  try {
    const { clientVersion } = JSON.parse(stdout) as { clientVersion: { minor: string; gitVersion: string } };
    return clientVersion.gitVersion.includes('dispatcher') ? undefined : parseInt(clientVersion.minor, 10);
  } catch {
    return undefined;
  }
}

const runner =
  (path: string): Kubectl['run'] =>
  (home, words, input) => {
    const cache = join(home, 'cache', realpathSync(path).replaceAll('/', '_'));
    mkdirSync(cache, { recursive: true });
    return runSync([path, '--kubeconfig', join(home, 'kubeconfig'), '--cache-dir', cache, ...words], {
      ...(input !== undefined && { input }),
      env: { HOME: home, KUBECONFIG: undefined, KUBE_EDITOR: undefined, TERM: 'dumb' },
    });
  };
