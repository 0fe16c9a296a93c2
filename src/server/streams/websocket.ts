/**
 * WebSockets as Kubernetes uses them: each message begins with the number of its channel.
 *
 *     0 stdin   1 stdout   2 stderr   3 error (a Status)   4 resize   [255, channel] ends a channel, in v5 alone
 *
 * Port-forward of old has two channels a port, data and error. What the tunnel `SPDY/3.1+portforward.k8s.io` carries
 * has no channels at all: see {@link acceptTunnel}.
 *
 * Source: k8s.io/apimachinery pkg/util/httpstream/wsstream; KEP 4006.
 */
import type { IncomingMessage } from 'node:http';
import { Readable, Writable, type Duplex } from 'node:stream';
import { createWebSocketStream, WebSocketServer, type WebSocket } from 'ws';
import { badRequest } from '../../api/error.js';

export const V5 = 'v5.channel.k8s.io';
export const V4 = 'v4.channel.k8s.io';
export const TUNNEL = 'SPDY/3.1+portforward.k8s.io';

/** A message that says that a channel has ended. */
const END = 255;
/** Clients send pieces of some 32 KB. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

/** Whether a request is for a WebSocket. */
export const isWebSocket = ({ method, headers }: IncomingMessage): boolean =>
  method === 'GET' && headers.upgrade?.toLowerCase() === 'websocket';

/** The subprotocols that a client offers, as it wants them. */
export const offeredProtocols = ({ headers }: IncomingMessage): string[] =>
  (headers['sec-websocket-protocol'] ?? '').split(',').flatMap((name) => name.trim() || []);

/** Channels of a WebSocket. */
export interface SocketChannels {
  input(channel: number): Readable;
  output(channel: number): Writable;
  /** Take no more from a channel, as if the client had ended it. */
  endInput(channel: number): void;
  /** Say goodbye; what was written goes out first. */
  close(): void;
}

/** Answer with 101. @param protocol  the chosen subprotocol; undefined: the client offers none */
function accept(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  protocol: string | undefined,
): Promise<WebSocket> {
  const server = new WebSocketServer({ noServer: true, maxPayload: MAX_MESSAGE_BYTES });
  // ws takes only tokens for subprotocols, and that of the tunnel has a slash: it is answered behind its back.
  delete request.headers['sec-websocket-protocol'];
  server.on('headers', (lines) => {
    if (protocol !== undefined) lines.push(`Sec-WebSocket-Protocol: ${protocol}`);
  });
  return new Promise((resolve) => {
    server.handleUpgrade(request, socket, head, (webSocket) => resolve(webSocket));
  });
}

/**
 * Accept a WebSocket with channels.
 *
 * @param inputs  channels that may come; what comes on others is left out
 * @throws ApiError 400 when the client speaks neither v5 nor v4
 */
export async function acceptChannels(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  inputs: readonly number[],
): Promise<SocketChannels> {
  const offered = offeredProtocols(request);
  const protocol = offered.find((name) => name === V5 || name === V4);
  if (protocol === undefined && offered.length > 0)
    throw badRequest(`Cannot speak ${offered.join(', ')}: need ${V5} or ${V4}`);
  const webSocket = await accept(request, socket, head, protocol);
  return openSocketChannels(webSocket, inputs);
}

/** Accept a WebSocket whose messages carry a connection. */
export async function acceptTunnel(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<Duplex> {
  return createWebSocketStream(await accept(request, socket, head, TUNNEL));
}

function openSocketChannels(webSocket: WebSocket, inputs: readonly number[]): SocketChannels {
  const full = new Set<number>();
  const resume = (channel: number): void => {
    if (full.delete(channel) && full.size === 0) webSocket.resume();
  };
  const readables = new Map(
    inputs.map((channel) => {
      const readable = new Readable({
        read: () => resume(channel),
        destroy(error, done) {
          resume(channel);
          done(error);
        },
      });
      return [channel, readable.on('error', () => {})] as const;
    }),
  );
  const ended = new Set<Readable>();
  const end = (readable: Readable | undefined): void => {
    if (!readable || readable.destroyed || ended.has(readable)) return;
    ended.add(readable);
    readable.push(null);
  };
  webSocket.on('message', (data) => {
    const message = data as Buffer; // ws gives Buffers unless told otherwise
    if (message.length === 0) return;
    const [channel] = message;
    if (channel === END) return end(readables.get(message[1]));
    const readable = readables.get(channel);
    if (!readable || readable.destroyed || ended.has(readable) || message.length === 1) return;
    if (readable.push(message.subarray(1))) return;
    full.add(channel);
    webSocket.pause();
  });
  webSocket.on('error', () => {}); // its close follows
  webSocket.once('close', () => {
    for (const readable of readables.values()) end(readable);
  });
  return {
    input: (channel) => readables.get(channel)!,
    output: (channel) =>
      new Writable({
        write(chunk: Buffer, _encoding, done) {
          webSocket.send(Buffer.concat([Buffer.of(channel), chunk]), done);
        },
      }).on('error', () => {}),
    endInput: (channel) => end(readables.get(channel)),
    close: () => webSocket.close(1000),
  };
}
