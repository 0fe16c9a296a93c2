/**
 * `POST /pods/NAMESPACE/NAME/exec?container=&command=&command=&stdin=&tty=`: a program in a container.
 *
 * Request and response are channels (wire/channel-frame.ts): STDIN and RESIZE come, STDOUT, STDERR and at last ERROR go,
 * a Status as Kubernetes has it. When the request ends before the program has, the program is ended too.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ApiError } from '../../api/error.js';
import { openChannels, type Channels } from '../../client/channels.js';
import { ERROR, RESIZE, STDERR, STDIN, STDOUT } from '../../wire/channel-frame.js';
import { startExec, type ExecOptions } from '../pods/exec.js';
import { allRecords, type ContainerRecord, type PodState } from '../pods/state.js';
import { exitStatus, failureStatus } from './exit-status.js';

/** The container of that name; of all kinds. @throws ApiError 404 */
export function containerOf(state: PodState, name: string | null): ContainerRecord {
  const all = allRecords(state);
  const record = name === null ? all[0] : all.find((one) => one.name === name);
  if (!record) throw new ApiError(404, 'NotFound', `container not found ("${name}")`);
  return record;
}

/** Answer with channels; from now on errors go by them. */
export function startChannels(
  request: IncomingMessage,
  response: ServerResponse,
  inputs: readonly number[],
): Channels {
  response.writeHead(200, { 'content-type': 'application/vnd.podwire.channels' });
  response.flushHeaders();
  return openChannels(request, response, inputs);
}

/** Send the last word, and end the response. */
export async function endChannels(
  channels: Channels,
  response: ServerResponse,
  status: object,
): Promise<void> {
  const last = channels.output(ERROR);
  await new Promise<void>((resolve) => {
    last.once('error', () => resolve());
    last.end(JSON.stringify(status), () => resolve());
  });
  response.end();
}

/**
 * @param folder  the pod's
 * @throws ApiError before any answer
 */
export async function serveExec(
  folder: string,
  state: PodState,
  container: string | null,
  options: ExecOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const record = containerOf(state, container);
  const exec = startExec(folder, state, record, options);
  const gone = new Promise<void>((resolve) => response.once('close', resolve));
  const channels = startChannels(request, response, [STDIN, RESIZE]);
  followSize(channels.input(RESIZE), (columns, rows) => exec.resize(columns, rows));
  if (exec.stdin) void copy(channels.input(STDIN), exec.stdin);
  else channels.input(STDIN).resume();
  const written = [copy(exec.stdout, channels.output(STDOUT))];
  if (exec.stderr) written.push(copy(exec.stderr, channels.output(STDERR)));
  const finished = Promise.all([exec.end, ...written]).then(([end]) => end);
  const end = await Promise.race([finished, gone]);
  exec.stdin?.destroy();
  if (end === undefined) {
    await exec.kill();
    return;
  }
  const status =
    'exitCode' in end
      ? exitStatus(end.exitCode)
      : failureStatus(`error executing command in container: failed to exec in container: ${end.problem}`);
  await endChannels(channels, response, status);
}

/** Copy to the end; whichever side breaks, the other one is closed, and that is all. */
export const copy = (from: Readable, to: Writable): Promise<void> => pipeline(from, to).catch(() => {});

/** Sizes are small JSON objects one after the other; what is none is left out. */
export function followSize(input: Readable, resize: (columns: number, rows: number) => void): void {
  let text = '';
  input.on('data', (chunk: Buffer) => {
    text += chunk.toString();
    for (const [object] of text.matchAll(/\{[^{}]*\}/g)) {
      const size = sizeOf(object);
      if (size) resize(size.columns, size.rows);
    }
    text = text.slice(text.lastIndexOf('}') + 1).slice(-MAX_SIZE_CHARS);
  });
}

const MAX_SIZE_CHARS = 1024;

function sizeOf(text: string): { columns: number; rows: number } | undefined {
  try {
    const { Width, Height } = JSON.parse(text) as { Width?: unknown; Height?: unknown };
    if (isCount(Width) && isCount(Height)) return { columns: Width, rows: Height };
  } catch {
    // no size
  }
  return undefined;
}

const isCount = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) > 0 && (value as number) < 65_536;
