/**
 * The files of a built-in nginx: what lies in /usr/share/nginx/html of its container, in a volume or written by hand.
 */
import { readFileSync, statSync } from 'node:fs';
import { extname, posix } from 'node:path';
import type { Container, Volume } from '../../api/types.js';
import { mountsOf, VOLUMES } from './entry.js';
import { resolveInside } from './inside.js';

const HTML = '/usr/share/nginx/html';
/** Larger files are not served: they would be held in memory. */
const MAX_BYTES = 16 * 1024 * 1024;

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css',
  '.gif': 'image/gif',
  '.html': 'text/html',
  '.jpg': 'image/jpeg',
  '.js': 'application/javascript',
  '.json': 'application/json',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain',
};

/** What is at a path: a file, nothing in a volume that is mounted there, or nothing at all. */
export type Found = { type: string; body: Buffer } | 'nothing mounted' | 'nothing';

/**
 * Look for a file.
 *
 * @param root     of the holder, as the agent reaches it
 * @param urlPath  of a request, still percent-encoded
 */
export function findHtml(
  root: string,
  container: Container,
  volumes: readonly Volume[],
  urlPath: string,
): Found {
  // Without `..`, whatever the client wrote.
  const path = posix.normalize(posix.join('/', decode(urlPath)));
  const inside = posix.join(HTML, path.endsWith('/') ? `${path}index.html` : path);
  const mount = mountsOf(container, volumes, {})
    .filter(({ target }) => inside === target || inside.startsWith(`${target.replace(/\/$/, '')}/`))
    .at(-1);
  const place = mount ? posix.join(VOLUMES, mount.source, inside.slice(mount.target.length)) : inside;
  const nothing = mount ? 'nothing mounted' : 'nothing';
  try {
    const file = resolveInside(root, place);
    if (file === undefined || !statSync(file).isFile() || statSync(file).size > MAX_BYTES) return nothing;
    return { type: TYPES[extname(file)] ?? 'application/octet-stream', body: readFileSync(file) };
  } catch {
    return nothing; // it went while we looked
  }
}

const decode = (path: string): string => {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
};
