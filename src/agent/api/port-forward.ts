/**
 * `POST /pods/NAMESPACE/NAME/portforward?port=`: one TCP connection to a port of a pod.
 *
 * The connection is made inside the pod's network namespace, to 127.0.0.1, as containerd does it; to the pod's own
 * address when nothing listens there. Channels STDIN and STDOUT carry it, each ended by itself (half-close); ERROR says
 * at last why it failed, or `Success`.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { badRequest } from '../../api/error.js';
import { STDIN, STDOUT } from '../../wire/channel-frame.js';
import { openTcp } from '../../sys/connect.js';
import type { PodState } from '../pods/state.js';
import { copy, endChannels, startChannels } from './exec.js';
import { exitStatus, failureStatus } from './exit-status.js';

const LOCAL = '127.0.0.1';
const CONNECT_LIMIT_MS = 10_000;

/** @throws ApiError 400 before any answer */
export async function servePortForward(
  state: PodState,
  hostNetns: string | undefined,
  text: string | null,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const port = Number(text);
  if (text === null || !/^\d{1,5}$/.test(text) || port < 1 || port > 65_535)
    throw badRequest(`Cannot forward port "${text ?? ''}": need a number from 1 to 65535`);
  const channels = startChannels(request, response, [STDIN]);
  const gone = new Promise<void>((resolve) => response.once('close', resolve));
  let socket: Socket;
  try {
    socket = await connect(state, state.netns ?? hostNetns, port);
  } catch (error) {
    channels.input(STDIN).resume();
    channels.output(STDOUT).end();
    const message = `error forwarding port ${port} to pod ${state.namespace}/${state.name}: ${(error as Error).message}`;
    return endChannels(channels, response, { ...failureStatus(message), message });
  }
  void gone.then(() => socket.destroy());
  let problem: Error | undefined;
  socket.once('error', (error) => (problem = error));
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  await Promise.all([copy(channels.input(STDIN), socket), copy(socket, channels.output(STDOUT))]);
  socket.destroy();
  await closed;
  await endChannels(channels, response, problem ? failureStatus(problem.message) : exitStatus(0));
}

async function connect(state: PodState, netns: string | undefined, port: number): Promise<Socket> {
  const { podIP } = state.pod.status ?? {};
  try {
    return await connectTo(netns, LOCAL, port);
  } catch (error) {
    if (podIP === undefined) throw error;
    return connectTo(netns, podIP, port).catch(() => {
      throw error;
    });
  }
}

function connectTo(netns: string | undefined, host: string, port: number): Promise<Socket> {
  const socket = new Socket({ fd: openTcp(netns), readable: true, writable: true, allowHalfOpen: true });
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => {
      socket.destroy();
      reject(new Error(`failed to connect to localhost:${port} inside the pod's network namespace: ${why}`));
    };
    const failed = (error: NodeJS.ErrnoException): void =>
      fail(error.code === 'ECONNREFUSED' ? 'connection refused' : error.message);
    socket.once('error', failed);
    socket.setTimeout(CONNECT_LIMIT_MS, () => fail('no answer'));
    socket.connect({ host, port }, () => {
      socket.off('error', failed);
      socket.setTimeout(0);
      socket.setNoDelay(true);
      resolve(socket);
    });
  });
}
