/**
 * A server on a path socket of its own, for tests.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve as resolvePath } from 'node:path';
import { pino } from 'pino';
import { createClient, type Client } from '../../src/client/client.js';
import { createServer, type Server } from '../../src/server/server.js';

export interface TestServer {
  /** What is in it goes with the server. */
  readonly folder: string;
  /** For clients that come over TLS. */
  readonly kubeconfig: string;
  readonly socketPath: string;
  readonly client: Client;
  /** End the server and start it again on the same store, or on a new one. */
  restart(options?: { data?: string }): Promise<void>;
  stop(): Promise<void>;
  /** One raw request. */
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
}

export interface Answer {
  readonly code: number;
  readonly headers: Record<string, string | string[] | undefined>;
  // eslint-disable-next-line -- tests look at whatever came
  readonly body: any;
}

const log = pino({ level: 'silent' });

/** @param data  folder of the store; default: one of its own */
export async function startServer(
  t: { teardown(fn: () => Promise<void>): void },
  data = 'store',
): Promise<TestServer> {
  const folder = mkdtempSync(join(tmpdir(), `pwt-${process.pid}-server-`));
  const kubeconfig = join(folder, 'kubeconfig');
  const socketPath = join(folder, 'server.sock');
  const client = createClient({ socketPath });
  const start = (path = data): Promise<Server> =>
    createServer({
      data: resolvePath(folder, path),
      socketPath,
      listen: { host: '127.0.0.1', port: 0 },
      kubeconfig: { path: kubeconfig, name: 'pwt' },
      log,
      fatal: (error) => {
        throw error;
      },
    });
  let server: Server | undefined = await start();
  const stop = async (): Promise<void> => {
    await server?.close();
    server = undefined;
  };
  t.teardown(async () => {
    client.close();
    await stop();
    rmSync(folder, { recursive: true, force: true });
  });
  return {
    folder,
    kubeconfig,
    socketPath,
    client,
    stop,
    async restart(options) {
      await stop();
      server = await start(options?.data);
    },
    call: (method, path, body, headers = {}) => call(socketPath, method, path, body, headers),
  };
}

function call(
  socketPath: string,
  method: string,
  path: string,
  body: unknown,
  headers: Record<string, string>,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const text = typeof body === 'string' || body === undefined ? (body ?? '') : JSON.stringify(body);
    const all = { 'content-length': String(Buffer.byteLength(text)), ...headers };
    const request = httpRequest({ socketPath, method, path, headers: all }, (response) => {
      let received = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (received += chunk));
      response.on('end', () => {
        const isJson = response.headers['content-type'] === 'application/json';
        const value: unknown = isJson && !path.includes('watch=') ? JSON.parse(received) : received;
        resolve({ code: response.statusCode!, headers: response.headers, body: value });
      });
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(text);
  });
}
