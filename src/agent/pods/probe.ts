/**
 * One look at a container: an HTTP request, a TCP connection or a program in it. What follows from the result is the
 * {@link Prober}'s business.
 *
 * Requests leave from the pod's own network namespace towards its address, so that no way through the network can hide
 * or fake what the container answers, and no policy can stop them. With `host` they leave from the host, as the
 * kubelet's do. The words of a failure are the kubelet's.
 *
 * Source: k8s.io/kubernetes, pkg/probe/{http,tcp,exec}; pkg/kubelet/prober/prober.go
 */
import { spawn } from 'node:child_process';
import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIPv4, Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { getSystemErrorMap } from 'node:util';
import type {
  ContainerPort,
  ExecAction,
  HttpGetAction,
  LifecycleHandler,
  TcpSocketAction,
} from '../../api/types.js';
import { openTcp } from '../../sys/connect.js';

/** What came of a look. `unknown`: it could not be done, which says nothing about the container. */
export interface ProbeResult {
  outcome: 'success' | 'failure' | 'unknown';
  /** Why, in words. */
  message: string;
}

/** Whom to look at, and from where. */
export interface ProbeTarget {
  podIP: string | undefined;
  /** The pod's network namespace; undefined: the machine's own. */
  netns: string | undefined;
  /** The host's. */
  hostNetns: string | undefined;
  /** The container's, for ports that are given by name. */
  ports: readonly ContainerPort[];
  /**
   * The command line that runs a program in the container and kills it after a while.
   *
   * @throws {Error} when the container cannot be entered
   */
  enter(argv: readonly string[], limitSeconds: number): string[];
}

const success = (message = ''): ProbeResult => ({ outcome: 'success', message });
const failure = (message: string): ProbeResult => ({ outcome: 'failure', message });

/** Look once. Takes little longer than `timeoutSeconds`; never rejects. An aborted look is unknown. */
export async function look(
  { httpGet, tcpSocket, exec }: LifecycleHandler,
  target: ProbeTarget,
  timeoutSeconds: number,
  signal?: AbortSignal,
): Promise<ProbeResult> {
  const limit = new AbortController();
  const end = (): void => limit.abort();
  const timer = setTimeout(end, timeoutSeconds * 1000);
  signal?.addEventListener('abort', end, { once: true });
  try {
    if (httpGet) return await lookHttp(httpGet, target, limit.signal);
    if (tcpSocket) return await lookTcp(tcpSocket, target, limit.signal);
    if (exec) return await lookExec(exec, target, timeoutSeconds, signal);
    return { outcome: 'unknown', message: 'Cannot probe: need httpGet, tcpSocket or exec' };
  } catch (error) {
    return { outcome: 'unknown', message: (error as Error).message };
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', end);
  }
}

/** The address, port and namespace that an action means. */
function placeOf({ host, port }: TcpSocketAction, target: ProbeTarget) {
  const address = host || target.podIP;
  if (address === undefined) throw new Error('Cannot probe: the pod has no address yet');
  // A name would be looked up by the machine, not by the host that shall look.
  if (!isIPv4(address)) throw new Error(`Cannot probe host "${address}": need an IPv4 address`);
  const named = target.ports.find(({ name }) => name === port)?.containerPort;
  const number = named ?? Number(port);
  if (!Number.isInteger(number) || number < 1 || number > 65535)
    throw new Error(`Cannot probe port "${port}": the container has no port of that name`);
  return { host: address, port: number, netns: host ? target.hostNetns : target.netns };
}

function openSocket({ host, port, netns }: ReturnType<typeof placeOf>): Socket {
  return new Socket({ fd: openTcp(netns), readable: true, writable: true }).connect({ host, port });
}

async function lookTcp(action: TcpSocketAction, target: ProbeTarget, limit: AbortSignal) {
  const place = placeOf(action, target);
  const socket = openSocket(place);
  const dial = `dial tcp ${place.host}:${place.port}`;
  try {
    return await new Promise<ProbeResult>((resolve) => {
      socket.once('connect', () => resolve(success()));
      socket.once('error', (error) => resolve(failure(`${dial}: connect: ${wordsOf(error)}`)));
      limit.addEventListener('abort', () => resolve(failure(`${dial}: i/o timeout`)), { once: true });
    });
  } finally {
    socket.on('error', () => {}).destroy();
  }
}

const REDIRECTS = [301, 302, 303, 307, 308];
const MAX_REDIRECTS = 10;
/** As much of an answer is read, and of a program's words kept. */
const MAX_BYTES = 10 * 1024;

async function lookHttp(action: HttpGetAction, target: ProbeTarget, limit: AbortSignal) {
  const place = placeOf(action, target);
  const [path, query] = (action.path ?? '/').split(/\?(.*)/s);
  let url = new URL(`${(action.scheme ?? 'HTTP').toLowerCase()}://${place.host}:${place.port}`);
  url.pathname = path;
  url.search = query ?? '';
  const first = url;
  for (let redirects = 0; ; redirects++) {
    let status: number;
    let next: URL | undefined;
    try {
      const answer = await get(url, place, action, limit);
      status = answer.status;
      if (answer.location && REDIRECTS.includes(status)) next = new URL(answer.location, url);
    } catch (error) {
      const words = limit.aborted
        ? 'context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
        : wordsOf(error as Error, place);
      return failure(`Get "${textOf(url)}": ${words}`);
    }
    if (!next) {
      return status >= 200 && status < 400
        ? success()
        : failure(`HTTP probe failed with statuscode: ${status}`);
    }
    if (next.hostname !== url.hostname || !/^https?:$/.test(next.protocol))
      return success(`Probe terminated redirects, Response: ${status} to ${next.href}`);
    if (redirects === MAX_REDIRECTS)
      return failure(`Get "${textOf(first)}": stopped after ${MAX_REDIRECTS} redirects`);
    url = next;
  }
}

const portOf = ({ port, protocol }: URL): number => Number(port) || (protocol === 'https:' ? 443 : 80);

/** With the port, also where it goes without saying. */
const textOf = (url: URL): string =>
  `${url.protocol}//${url.hostname}:${portOf(url)}${url.pathname}${url.search}`;

/** A GET of which the status counts. Rejects when there is none, or when `limit` ends it. */
function get(
  url: URL,
  place: ReturnType<typeof placeOf>,
  { httpHeaders = [] }: HttpGetAction,
  limit: AbortSignal,
): Promise<{ status: number; location?: string }> {
  const isTls = url.protocol === 'https:';
  const port = portOf(url);
  const headers: Record<string, string> = {
    Host: `${url.hostname}:${port}`,
    'User-Agent': 'kube-probe/podwire',
    Accept: '*/*',
  };
  for (const { name, value = '' } of httpHeaders) {
    for (const other of Object.keys(headers))
      if (other.toLowerCase() === name.toLowerCase()) delete headers[other];
    headers[name] = value;
  }
  headers['Connection'] = 'close';
  return new Promise((resolve, reject) => {
    const socket = openSocket({ ...place, port });
    const options: RequestOptions = {
      host: url.hostname,
      port,
      path: url.pathname + url.search,
      headers,
      // A certificate is not looked at, as the kubelet does.
      createConnection: () => (isTls ? connectTls({ socket, rejectUnauthorized: false }) : socket),
    };
    const end = (): void => void request.destroy();
    const done = (act: () => void): void => {
      limit.removeEventListener('abort', end);
      act();
      request.destroy();
      socket.destroy();
    };
    const answer = (response: IncomingMessage): void => {
      const { statusCode = 0 } = response;
      const settle = (): void =>
        done(() => resolve({ status: statusCode, location: response.headers.location }));
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes >= MAX_BYTES) settle();
      });
      response.on('end', settle);
      response.on('error', (error) => done(() => reject(error)));
    };
    socket.on('error', () => {}); // the request's error says the same, and TLS may have taken the socket
    const request = (isTls ? httpsRequest : httpRequest)(options, answer);
    request.on('error', (error) => done(() => reject(error)));
    limit.addEventListener('abort', end, { once: true });
    request.end();
  });
}

/** After a program has ended, how long its words may take to arrive when a child of it keeps the pipe open. */
const LAST_WORDS_MS = 100;

async function lookExec(
  { command = [] }: ExecAction,
  target: ProbeTarget,
  timeoutSeconds: number,
  signal: AbortSignal | undefined,
): Promise<ProbeResult> {
  const [program, ...args] = target.enter(command, timeoutSeconds);
  const since = performance.now();
  const child = spawn(program, args, { cwd: '/', stdio: ['ignore', 'pipe', 'pipe'] });
  const kill = (): void => void child.kill('SIGKILL');
  signal?.addEventListener('abort', kill, { once: true });
  let words = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      words = (words + text).slice(0, MAX_BYTES);
    });
  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.on('error', reject);
      child.on('exit', (exitCode) => {
        const end = (): void => resolve(exitCode ?? 137);
        child.on('close', end);
        setTimeout(end, LAST_WORDS_MS);
      });
    });
    if (signal?.aborted) return { outcome: 'unknown', message: 'the probe was stopped' };
    if (code === 0) return success(words);
    if (code === 137 && performance.now() - since >= timeoutSeconds * 1000)
      return failure(`command timed out: "${command.join(' ')}" timed out after ${timeoutSeconds}s`);
    // `env` could not find the program, or may not run it: the kubelet draws no conclusion from that.
    if ((code === 126 || code === 127) && words.startsWith('env: '))
      return { outcome: 'unknown', message: words.trim() };
    return failure(words.trim() || `command "${command.join(' ')}" exited with ${code}`);
  } finally {
    signal?.removeEventListener('abort', kill);
    child.stdout.destroy();
    child.stderr.destroy();
  }
}

/** An error of a socket as Go words it. */
function wordsOf(error: Error, place?: { host: string; port: number }): string {
  const { errno, syscall, message } = error as NodeJS.ErrnoException;
  if (message === 'socket hang up') return 'EOF';
  const words = errno === undefined ? undefined : getSystemErrorMap().get(errno)?.[1];
  if (words === undefined) return message;
  return place && syscall === 'connect'
    ? `dial tcp ${place.host}:${place.port}: connect: ${words}`
    : place
      ? `${syscall ?? 'read'}: ${words}`
      : words;
}
