/**
 * `podwire exec` in a pod whose host is not this one: by the server, over a WebSocket as kubectl does it. Our streams are the
 * program's; a terminal is put into raw mode, so that keys reach the program, and its size follows ours.
 */
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { WebSocket } from 'ws';
import { CommandError } from './verb.js';

/** Channels of `v5.channel.k8s.io`; END is followed by the channel that has ended. */
const [STDIN, STDOUT, STDERR, STATUS, RESIZE, END] = [0, 1, 2, 3, 4, 255];

export interface ExecRequest {
  /** The server's path socket. */
  readonly socketPath: string;
  readonly namespace: string;
  readonly name: string;
  readonly container: string | undefined;
  readonly command: readonly string[];
}

interface ExecStatus {
  readonly status?: string;
  readonly message?: string;
  readonly details?: { readonly causes?: readonly { reason?: string; message?: string }[] };
}

/** @returns the program's exit code. @throws CommandError when it could not be run */
export async function execByServer(request: ExecRequest): Promise<number> {
  const { stdin, stdout, stderr } = process;
  const isTerminal = stdin.isTTY && stdout.isTTY;
  const socket = await open(request, isTerminal);
  const send = (channel: number, bytes: Uint8Array, done?: (error?: Error | null) => void): void =>
    socket.send(Buffer.concat([Buffer.of(channel), bytes]), done);
  const resize = (): void =>
    send(RESIZE, Buffer.from(JSON.stringify({ Width: stdout.columns, Height: stdout.rows })));
  let last = '';
  const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.on('error', () => {}); // its close follows
  socket.on('message', (data) => {
    const [channel, bytes] = [(data as Buffer)[0], (data as Buffer).subarray(1)];
    if (channel === STATUS) last += bytes.toString();
    const output = channel === STDOUT ? stdout : channel === STDERR ? stderr : undefined;
    if (!output || output.write(bytes)) return;
    socket.pause();
    output.once('drain', () => socket.resume());
  });
  if (isTerminal) {
    stdin.setRawMode(true);
    stdout.on('resize', resize);
    resize();
  }
  const input = new Writable({
    write: (chunk: Buffer, _encoding, done) => send(STDIN, chunk, done),
    final: (done) => send(END, Buffer.of(STDIN), done),
  });
  pipeline(stdin, input).catch(() => {}); // the program has ended before its input
  try {
    await ended;
  } finally {
    if (isTerminal) stdin.setRawMode(false);
    stdin.destroy();
  }
  return exitCodeOf(last);
}

/** @throws CommandError with what the server says instead */
function open(
  { socketPath, namespace, name, container, command }: ExecRequest,
  isTerminal: boolean,
): Promise<WebSocket> {
  const query = new URLSearchParams({ stdin: 'true', stdout: 'true' });
  query.set(isTerminal ? 'tty' : 'stderr', 'true');
  if (container !== undefined) query.set('container', container);
  for (const word of command) query.append('command', word);
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}/exec?${query}`;
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws+unix:${socketPath}:${path}`, 'v5.channel.k8s.io');
    socket.once('open', () => resolve(socket));
    socket.once('error', ({ message }) => reject(new CommandError(message)));
    socket.once('unexpected-response', (_request, response) => {
      response.setEncoding('utf8');
      let text = '';
      response.on('data', (chunk: string) => (text += chunk));
      response.once('end', () => {
        try {
          reject(new CommandError((JSON.parse(text) as ExecStatus).message ?? text));
        } catch {
          reject(new CommandError(`The server answered ${response.statusCode}: ${text.slice(0, 200)}`));
        }
      });
    });
  });
}

/** @throws CommandError */
function exitCodeOf(text: string): number {
  if (text === '') throw new CommandError('The connection to the pod ended before its program');
  const { status, message, details } = JSON.parse(text) as ExecStatus;
  if (status === 'Success') return 0;
  const code = details?.causes?.find(({ reason }) => reason === 'ExitCode')?.message;
  if (code === undefined) throw new CommandError(message ?? 'The program could not be run');
  return Number(code);
}
