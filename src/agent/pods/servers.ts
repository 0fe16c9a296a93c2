/**
 * The servers of built-in images. They all run in the agent's process, on sockets made inside each pod's namespace:
 * a process for each would be 48 MB a pod. When the agent dies they stop answering; the next agent opens them again.
 */
import { createSocket, type Socket } from 'node:dgram';
import { createServer, type RequestListener, type Server } from 'node:http';
import { bindTcp } from '../../sys/listen.js';
import { openUdp } from '../../sys/udp.js';
import type { Found } from './html.js';
import { parseImage, type Behaviour, type Listener } from './images.js';

/** Whom a server speaks for. */
export interface Identity {
  podName: string;
  image: string;
  /** undefined: the machine's own namespace. */
  netns: string | undefined;
  /** What lies in the container at a path of its pages. */
  find?(path: string): Found;
}

/** The listening servers of one container. */
export interface Servers {
  close(): Promise<void>;
}

/**
 * Open all sockets of a container, or none.
 *
 * @param write  takes a line for the container's log
 * @throws {Error} when a port cannot be had, with all of the container's sockets closed again
 */
export async function startServers(
  identity: Identity,
  listeners: readonly Listener[],
  write: (line: string) => void,
): Promise<Servers> {
  const open: Servers[] = [];
  const close = async () => {
    await Promise.all(open.map((server) => server.close()));
  };
  try {
    for (const listener of listeners)
      open.push(
        listener.protocol === 'TCP'
          ? await serveHttp(identity, listener, write)
          : await serveUdp(identity, listener, write),
      );
  } catch (error) {
    await close();
    throw error;
  }
  return { close };
}

async function serveHttp(
  identity: Identity,
  { port, behaviour }: Listener,
  write: (line: string) => void,
): Promise<Servers> {
  const page = PAGES[behaviour];
  const handle: RequestListener = (request, response) => {
    const path = (request.url ?? '/').split('?')[0];
    const [status, type, body] = page(path, identity) ?? [404, 'text/plain', '404 Not Found\n'];
    response.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) }).end(body);
    // nginx's combined format, so that people's habits and tools fit.
    const agent = request.headers['user-agent'] ?? '-';
    const what = `${request.method} ${request.url} HTTP/${request.httpVersion}`;
    write(
      `${request.socket.remoteAddress ?? '-'} - - [${commonLogTime()}] "${what}" ${status} ` +
        `${Buffer.byteLength(body)} "${request.headers.referer ?? '-'}" "${agent}"`,
    );
    request.resume();
  };
  const server = createServer(handle);
  await listening(server, bindTcp(identity.netns, port));
  write(`listening on 0.0.0.0:${port}/TCP`);
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        // An open connection would hold the pod's namespace.
        server.closeAllConnections();
      }),
  };
}

async function serveUdp(
  identity: Identity,
  { port }: Listener,
  write: (line: string) => void,
): Promise<Servers> {
  const { fd } = openUdp({ netns: identity.netns, address: '0.0.0.0', port, gro: false, gso: false });
  const socket = createSocket('udp4');
  socket.on('message', (_message, { address, port: from }) => {
    // A client that is gone is no business of ours.
    socket.send(`${identity.podName}\n`, from, address, () => {});
  });
  await listening(socket, fd);
  write(`listening on 0.0.0.0:${port}/UDP`);
  return { close: () => new Promise((resolve) => socket.close(() => resolve())) };
}

/** Put a server on a bound fd, which is the server's from then on. */
function listening(server: Server | Socket, fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.once('listening', () => {
      server.off('error', reject);
      // Later errors (out of file descriptors, an ICMP error on a UDP socket) concern one client.
      server.on('error', () => {});
      resolve();
    });
    if ('bind' in server) server.bind({ fd });
    else server.listen({ fd });
  });
}

/** Status, content type and body of a path; undefined: not found. */
type Page = (path: string, identity: Identity) => [number, string, string | Buffer] | undefined;

const text = (body: string): [number, string, string] => [200, 'text/plain', body];

const PAGES: Readonly<Record<Behaviour, Page>> = {
  welcome: (path, { podName, find }) => {
    const found = find?.(path) ?? 'nothing';
    if (typeof found === 'object') return [200, found.type, found.body];
    if (found === 'nothing mounted')
      return path.endsWith('/') ? [403, 'text/plain', '403 Forbidden\n'] : undefined;
    return path === '/' || path === '/index.html' ? [200, 'text/html', welcomePage(podName)] : undefined;
  },
  app: (path, { podName, image }) => {
    if (path === '/hostname') return text(`Hostname : ${podName}\n`);
    if (path === '/version') return text(`[App Version] : Version ${parseImage(image).tag}\n`);
    return path === '/' || path === '/health' ? text(`${podName} is running\n`) : undefined;
  },
  name: (_path, { podName }) => text(`${podName}\n`),
};

const welcomePage = (podName: string): string => `<!DOCTYPE html>
<html>
<head><title>Welcome to ${podName}</title></head>
<body>
<h1>Welcome to nginx!</h1>
<p>This is pod ${podName}.</p>
</body>
</html>
`;

/** `20/Nov/2025:11:14:05 +0000` */
function commonLogTime(): string {
  const [, day, month, year, time] = new Date().toUTCString().split(' ');
  return `${day}/${month}/${year}:${time} +0000`;
}
