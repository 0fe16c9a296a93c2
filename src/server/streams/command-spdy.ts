/**
 * Exec and attach over SPDY: the client opens a stream for each of stdin, stdout, stderr, error and resize, and names it
 * by the header `streamtype`. Nothing starts before all that it wants are there.
 *
 * Source: k8s.io/kubelet pkg/cri/streaming/remotecommand/httpstream.go.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { ApiError, badRequest } from '../../api/error.js';
import type { CommandStreams, Wanted } from './command.js';
import { openSpdy, type SpdyConnection } from './spdy-connection.js';

/** From the newest on; the older ones have no exit codes. */
const PROTOCOLS = ['v5.channel.k8s.io', 'v4.channel.k8s.io'];
const STREAMS_LIMIT_MS = 30_000;

/**
 * Whether a request is for SPDY. @throws ApiError 400 when it is for nothing that we know
 */
function requireSpdy({ headers }: IncomingMessage): void {
  if (headers.upgrade?.toLowerCase() !== 'spdy/3.1')
    throw badRequest(`unable to upgrade: missing upgrade headers in request: ${headers.upgrade ?? ''}`);
}

/**
 * Answer with 101.
 *
 * @param accepted  protocols that are spoken, the best one first
 * @throws ApiError 400 or 403 when the client speaks something else
 */
export function acceptSpdy(request: IncomingMessage, socket: Duplex, accepted: readonly string[]): string {
  requireSpdy(request);
  const offered = [request.headers['x-stream-protocol-version'] ?? []]
    .flat()
    .flatMap((text) => text.split(','))
    .map((name) => name.trim());
  const protocol = accepted.find((name) => offered.includes(name));
  if (protocol === undefined)
    throw new ApiError(
      403,
      'Forbidden',
      `unable to upgrade: unable to negotiate protocol: client supports [${offered.join(' ')}], server accepts [${accepted.join(' ')}]`,
    );
  socket.write(
    'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n' +
      `X-Stream-Protocol-Version: ${protocol}\r\n\r\n`,
  );
  return protocol;
}

/** @throws ApiError before any answer; afterwards an Error when the client opens the wrong streams, or none in time */
export async function acceptCommandStreams(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  wanted: Wanted,
): Promise<CommandStreams> {
  acceptSpdy(request, socket, PROTOCOLS);
  if (head.length > 0) socket.unshift(head);
  const names = ['error'];
  for (const name of ['stdin', 'stdout', 'stderr'] as const) if (wanted[name]) names.push(name);
  if (wanted.tty) names.push('resize');
  const streams = new Map<string, Duplex>();
  const connection: SpdyConnection = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error('the client did not open its streams in time'));
    }, STREAMS_LIMIT_MS);
    socket.once('close', () => {
      clearTimeout(timer);
      reject(new Error('the client has ended the connection'));
    });
    const spdy = openSpdy(socket, ({ headers, duplex }) => {
      const name = headers.get('streamtype') ?? '';
      if (!names.includes(name) || streams.has(name)) return void duplex.destroy();
      streams.set(name, duplex);
      // We only write to these: what the client sends on them, an end, is nothing to us.
      if (name !== 'stdin' && name !== 'resize') duplex.resume();
      if (streams.size < names.length) return;
      clearTimeout(timer);
      resolve(spdy);
    });
  });
  return {
    stdin: streams.get('stdin'),
    stdout: streams.get('stdout'),
    stderr: streams.get('stderr'),
    resize: streams.get('resize'),
    finish(status) {
      for (const name of ['stdin', 'resize']) streams.get(name)?.resume().end();
      for (const name of ['stdout', 'stderr']) streams.get(name)?.end();
      streams.get('error')!.end(JSON.stringify(status), () => connection.end());
    },
  };
}
