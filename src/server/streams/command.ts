/**
 * Exec and attach: a client's standard streams, joined to those that the agent has. What the client speaks, WebSocket
 * or SPDY, ends here.
 *
 * Order matters to clients: stdout and stderr end first, then the Status goes by the error stream, then the connection
 * ends.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex, Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ApiError, badRequest, statusOf } from '../../api/error.js';
import { openChannels } from '../../client/channels.js';
import { ERROR, RESIZE, STDERR, STDIN, STDOUT } from '../../wire/channel-frame.js';
import { readAll, statusOfAnswer, type AgentLinks } from './agent-links.js';
import { acceptCommandStreams } from './command-spdy.js';
import { flag, type PodPlace } from './options.js';
import { acceptChannels, isWebSocket } from './websocket.js';

/** Which streams a client wants. */
export interface Wanted {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
}

/** A client's side of a command. */
export interface CommandStreams {
  readonly stdin?: Readable;
  readonly stdout?: Writable;
  readonly stderr?: Writable;
  /** Sizes of its terminal, as JSON. */
  readonly resize?: Readable;
  /** Say how it ended, and end the connection. */
  finish(status: object): void;
}

/** @throws ApiError 400 when no stream is wanted */
export function wantedStreams(query: URLSearchParams): Wanted {
  const [stdin, stdout, stderr, tty] = ['stdin', 'stdout', 'stderr', 'tty'].map((name) => flag(query, name));
  if (!stdin && !stdout && !stderr) throw badRequest('you must specify at least 1 of stdin, stdout, stderr');
  return { stdin: stdin!, stdout: stdout!, stderr: stderr! && !tty, tty: tty! };
}

/**
 * Serve exec or attach.
 *
 * @param path  of the agent's API, with all that it asks for
 * @throws ApiError before the client was answered
 */
export async function serveCommand(
  links: AgentLinks,
  place: PodPlace,
  path: string,
  wanted: Wanted,
  connection: { request: IncomingMessage; socket: Duplex; head: Buffer },
): Promise<void> {
  const { request, socket, head } = connection;
  const gone = new AbortController();
  socket.once('close', () => gone.abort());
  await links.require(place.node);
  const client = isWebSocket(request)
    ? await overWebSocket(request, socket, head, wanted)
    : await acceptCommandStreams(request, socket, head, wanted);
  try {
    client.finish(await run(links, place, path, client, gone.signal));
  } catch (error) {
    if (gone.signal.aborted) return;
    client.finish(statusOf(toStatusError(error, place)));
  }
}

function toStatusError(error: unknown, { node }: PodPlace): ApiError {
  if (error instanceof ApiError) return error;
  const why = error instanceof Error ? error.message : String(error);
  return new ApiError(
    500,
    'InternalError',
    `Internal error occurred: the stream from the agent of node "${node}" broke: ${why}`,
  );
}

/** Join both sides until the agent has said how it ended. */
async function run(
  links: AgentLinks,
  { node }: PodPlace,
  path: string,
  client: CommandStreams,
  gone: AbortSignal,
): Promise<object> {
  const answer = await links.request(node, 'POST', path, gone);
  if (answer.code !== 200) throw await statusOfAnswer(answer);
  const { stream } = answer;
  const agent = openChannels(stream, stream, [STDOUT, STDERR, ERROR]);
  const copy = (from: Readable, to: Writable): void => void pipeline(from, to).catch(() => {});
  if (client.stdin) copy(client.stdin, agent.output(STDIN));
  if (client.resize) copy(client.resize, agent.output(RESIZE));
  const give = async (from: Readable, to: Writable | undefined): Promise<void> => {
    if (!to) return void from.resume();
    // A client that has closed one of its streams may still want the others.
    to.once('error', () => from.resume());
    await pipeline(from, to).catch(() => {});
  };
  const status = readAll(agent.input(ERROR));
  status.catch(() => {}); // awaited below
  await Promise.all([give(agent.input(STDOUT), client.stdout), give(agent.input(STDERR), client.stderr)]);
  const text = await status;
  stream.end();
  return JSON.parse(text) as object;
}

async function overWebSocket(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  wanted: Wanted,
): Promise<CommandStreams> {
  const channels = await acceptChannels(request, socket, head, [STDIN, RESIZE]);
  if (!wanted.stdin) channels.input(STDIN).resume();
  if (!wanted.tty) channels.input(RESIZE).resume();
  return {
    stdin: wanted.stdin ? channels.input(STDIN) : undefined,
    stdout: wanted.stdout ? channels.output(STDOUT) : undefined,
    stderr: wanted.stderr ? channels.output(STDERR) : undefined,
    resize: wanted.tty ? channels.input(RESIZE) : undefined,
    finish(status) {
      channels.output(ERROR).end(JSON.stringify(status), () => channels.close());
    },
  };
}
