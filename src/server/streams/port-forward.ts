/**
 * Port-forward: TCP connections of a client, each joined to one that the agent makes in the pod.
 *
 * Over SPDY, plain or in a WebSocket, the client opens two streams a connection, `data` and `error`, which belong
 * together by their header `requestid` and name the `port`; any number of them at a time. Over the older WebSocket form
 * there is one connection for each `?ports=`, on channels 2i (data) and 2i + 1 (error), which both begin with the port
 * (16 bits, little endian).
 *
 * Source: k8s.io/kubelet pkg/cri/streaming/portforward.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex, Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { badRequest, statusOf, type Status } from '../../api/error.js';
import { openChannels } from '../../client/channels.js';
import { ERROR, STDIN, STDOUT } from '../../wire/channel-frame.js';
import { toApiError } from '../http/handler.js';
import { readAll, statusOfAnswer, type AgentLinks } from './agent-links.js';
import { acceptSpdy } from './command-spdy.js';
import { agentPath, type PodPlace } from './options.js';
import { openSpdy, type SpdyStream } from './spdy-connection.js';
import { acceptChannels, acceptTunnel, isWebSocket, offeredProtocols, TUNNEL } from './websocket.js';

const PROTOCOL = 'portforward.k8s.io';
const MAX_PORTS = 100;
/** A stream whose other half does not come. */
const PAIR_LIMIT_MS = 30_000;

/** @throws ApiError before the client was answered */
export async function servePortForward(
  links: AgentLinks,
  place: PodPlace,
  query: URLSearchParams,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  const { phase } = place.pod.status ?? {};
  if (phase !== 'Running')
    throw badRequest(
      `unable to forward port because pod is not running. Current status=${phase ?? 'Pending'}`,
    );
  await links.require(place.node);
  const gone = new AbortController();
  socket.once('close', () => gone.abort());
  const forward = (port: string, data: Ends, error: Writable): Promise<void> =>
    join(links, place, port, data, error, gone.signal);

  if (!isWebSocket(request)) {
    acceptSpdy(request, socket, [PROTOCOL]);
    if (head.length > 0) socket.unshift(head);
    pairStreams(socket, forward);
  } else if (offeredProtocols(request).includes(TUNNEL)) {
    pairStreams(await acceptTunnel(request, socket, head), forward);
  } else await forwardChannels(portsOf(query), { request, socket, head }, forward);
}

/** Both directions of a connection of the client. */
interface Ends {
  readonly from: Readable;
  readonly to: Writable;
}

type Forward = (port: string, data: Ends, error: Writable) => Promise<void>;

function pairStreams(socket: Duplex, forward: Forward): void {
  const halves = new Map<string, SpdyStream>();
  openSpdy(socket, (stream) => {
    const type = stream.headers.get('streamtype');
    const port = stream.headers.get('port') ?? '';
    if ((type !== 'data' && type !== 'error') || port === '') return void stream.duplex.destroy();
    // Clients of long ago name no request, and open the error stream right before the data stream.
    const request = stream.headers.get('requestid') ?? String(type === 'error' ? stream.id : stream.id - 2);
    const other = halves.get(request);
    if (!other) {
      halves.set(request, stream);
      const timer = setTimeout(() => {
        if (halves.delete(request)) stream.duplex.destroy();
      }, PAIR_LIMIT_MS);
      stream.duplex.once('close', () => {
        clearTimeout(timer);
        if (halves.get(request) === stream) halves.delete(request);
      });
      return;
    }
    halves.delete(request);
    const [data, error] = type === 'data' ? [stream, other] : [other, stream];
    error.duplex.resume(); // the client sends nothing but its end
    void forward(port, { from: data.duplex, to: data.duplex }, error.duplex).finally(() =>
      data.duplex.destroy(),
    );
  });
}

/** @throws ApiError 400 */
function portsOf(query: URLSearchParams): number[] {
  const ports = query.getAll('ports').flatMap((text) => text.split(','));
  if (ports.length === 0) throw badRequest('you must specify at least 1 port');
  if (ports.length > MAX_PORTS)
    throw badRequest(`Cannot forward ${ports.length} ports at once: at most ${MAX_PORTS}`);
  return ports.map((text) => {
    const port = Number(text);
    if (!/^\d{1,5}$/.test(text) || port < 1 || port > 65_535)
      throw badRequest(`unable to parse "${text}" as a port`);
    return port;
  });
}

async function forwardChannels(
  ports: readonly number[],
  { request, socket, head }: { request: IncomingMessage; socket: Duplex; head: Buffer },
  forward: Forward,
): Promise<void> {
  const inputs = ports.map((_port, i) => 2 * i);
  const channels = await acceptChannels(request, socket, head, inputs);
  const ends = ports.map((port, i) => {
    const data = { from: channels.input(2 * i), to: channels.output(2 * i) };
    const error = channels.output(2 * i + 1);
    const number = Buffer.alloc(2);
    number.writeUInt16LE(port);
    data.to.write(number);
    error.write(number);
    // A client of this form cannot end its half: the pod's end is the end of both, and of the WebSocket at last.
    data.to.once('finish', () => channels.endInput(2 * i));
    return forward(String(port), data, error);
  });
  await Promise.all(ends);
  channels.close();
}

/** Join one connection; what is wrong with it goes to the client by the error stream. Never rejects. */
async function join(
  links: AgentLinks,
  place: PodPlace,
  port: string,
  { from, to }: Ends,
  error: Writable,
  gone: AbortSignal,
): Promise<void> {
  try {
    const path = agentPath(place, 'portforward', new URLSearchParams({ port }).toString());
    const answer = await links.request(place.node, 'POST', path, gone);
    if (answer.code !== 200) throw await statusOfAnswer(answer);
    const { stream } = answer;
    const agent = openChannels(stream, stream, [STDOUT, ERROR]);
    const last = readAll(agent.input(ERROR));
    void pipeline(from, agent.output(STDIN)).catch(() => {});
    const given = pipeline(agent.input(STDOUT), to).catch(() => {});
    const status = JSON.parse(await last) as Status;
    await given;
    stream.end();
    error.end(status.status === 'Success' ? undefined : status.message);
  } catch (cause) {
    to.end();
    error.end(statusOf(toApiError(cause)).message);
  }
}
