/**
 * What an image name means. There is no image store: a name maps to behaviour that is built in. An image that is
 * not in the table serves the ports that its container declares, so that any manifest brings up something that
 * answers.
 *
 * To add an image: one row in `IMAGES`.
 */
import { expand } from '../../api/container-environment.js';
import type { Container } from '../../api/types.js';

/** What a built-in server says. */
export type Behaviour =
  /** A welcome page at `/`, as a fresh nginx shows one. */
  | 'welcome'
  /** `Hostname : NAME` at /hostname, `[App Version] : Version TAG` at /version. */
  | 'app'
  /** The pod's name: on every path over HTTP, as the answer to every datagram over UDP. */
  | 'name';

/** One socket of a built-in image. */
export interface Listener {
  protocol: 'TCP' | 'UDP';
  port: number;
  behaviour: Behaviour;
}

/** A row of the table. */
interface ImageRow {
  listeners: readonly Listener[];
  /** What `args` without `command` does: a program to run, or words for a server that is built in. */
  args: 'run' | 'ignore';
  /** What runs in a container with an input and nothing else to do; as the image itself has it. */
  shell?: string;
}

const IDLE: ImageRow = { listeners: [], args: 'run', shell: 'sh' };

/** By repository name, without registry, `library/`, tag and digest. */
const IMAGES: Readonly<Record<string, ImageRow>> = {
  nginx: { listeners: [{ protocol: 'TCP', port: 80, behaviour: 'welcome' }], args: 'run' },
  'kubetm/app': { listeners: [{ protocol: 'TCP', port: 8080, behaviour: 'app' }], args: 'ignore' },
  'kubetm/init': IDLE,
  alpine: IDLE,
  busybox: IDLE,
  debian: { ...IDLE, shell: 'bash' },
  ubuntu: { ...IDLE, shell: 'bash' },
  pause: { listeners: [], args: 'ignore' },
};

/**
 * Take an image reference apart.
 *
 * @param image  such as `docker.io/library/nginx:1.25` or `localhost:5000/team/app@sha256:…`
 * @returns      the repository without registry and `library/`, and the tag (`latest` when there is none)
 */
export function parseImage(image: string): { repository: string; tag: string } {
  const [name] = image.split('@');
  const colon = name.indexOf(':', name.lastIndexOf('/') + 1);
  const path = (colon < 0 ? name : name.slice(0, colon)).split('/');
  if (path.length > 1 && (/[.:]/.test(path[0]) || path[0] === 'localhost')) path.shift();
  if (path.length > 1 && path[0] === 'library') path.shift();
  return { repository: path.join('/'), tag: colon < 0 ? 'latest' : name.slice(colon + 1) };
}

/** What a container does: run a program, or be played by our servers (with no listener: idle). */
export type Plan = { kind: 'command'; argv: string[] } | { kind: 'builtin'; listeners: readonly Listener[] };

/**
 * Decide what a container does. As in Kubernetes, `command` replaces the image's own program and `args` follow it;
 * `args` alone are the program where the image would run them.
 *
 * @param env  the container's environment, for `$(NAME)` in command and args
 */
export function planOf(container: Container, env: Readonly<Record<string, string>> = {}): Plan {
  const argv = [...(container.command ?? []), ...(container.args ?? [])].map((word) => expand(word, env));
  if (container.command?.length) return { kind: 'command', argv };
  const { repository } = parseImage(container.image ?? '');
  const row: ImageRow | undefined = Object.hasOwn(IMAGES, repository) ? IMAGES[repository] : undefined;
  if (argv.length > 0 && row?.args === 'run') return { kind: 'command', argv };
  if (container.stdin && row?.shell !== undefined) return { kind: 'command', argv: [row.shell] };
  return { kind: 'builtin', listeners: row ? row.listeners : declaredListeners(container) };
}

const declaredListeners = ({ ports = [] }: Container): Listener[] =>
  ports.flatMap(({ containerPort, protocol = 'TCP' }) =>
    protocol === 'SCTP' ? [] : [{ protocol, port: containerPort, behaviour: 'name' }],
  );
