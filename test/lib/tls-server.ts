/**
 * A server on a TCP port of its own, and requests to it over TLS, for tests.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { createServer, type Server, type ServerOptions } from '../../src/server/server.js';
import type { TestScope } from './scope.js';

const log = pino({ level: 'silent' });

export interface Answer {
  code: number;
  body: string;
}

/** One request over TLS. Certificate and key: of the client. */
export function ask(
  url: string,
  options: {
    ca?: string;
    cert?: string;
    key?: string;
    token?: string;
    headers?: Record<string, string>;
    path?: string;
    method?: string;
    body?: object;
  },
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = {
      ...(options.token && { authorization: `Bearer ${options.token}` }),
      ...options.headers,
    };
    const request = httpsRequest(
      `${url}${options.path ?? '/version'}`,
      // With a foreign Host header Node would look for that name in the certificate.
      {
        headers,
        servername: 'localhost',
        ...(options.ca && { ca: options.ca }),
        ...(options.cert && { cert: options.cert, key: options.key }),
        agent: false,
        method: options.method ?? 'GET',
      },
      (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (body += chunk));
        response.on('end', () => resolve({ code: response.statusCode!, body }));
      },
    );
    request.on('error', reject);
    request.end(options.body && JSON.stringify(options.body));
  });
}

/** What a server on a TCP port of its own needs; `start` starts it. */
export async function startTls(
  t: TestScope,
  more: Partial<ServerOptions> = {},
): Promise<{
  folder: string;
  options: ServerOptions;
  start(): Promise<Server>;
  ca(): string;
  token(): string;
}> {
  const folder = mkdtempSync(join(tmpdir(), `pwt-${process.pid}-tls-`));
  const options: ServerOptions = {
    data: join(folder, 'data'),
    socketPath: join(folder, 'server.sock'),
    listen: { host: '127.0.0.1', port: 0 },
    kubeconfig: { path: join(folder, 'kubeconfig'), name: 'pwt' },
    log,
    ...more,
  };
  const servers: Server[] = [];
  t.teardown(async () => {
    for (const server of servers) await server.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const word = (name: string): string =>
    new RegExp(`${name}: (.*)`).exec(readFileSync(join(folder, 'kubeconfig'), 'utf8'))![1]!;
  return {
    folder,
    options,
    async start() {
      const server = await createServer(options);
      const { close } = server;
      let isClosed = false;
      server.close = async () => {
        if (!isClosed) await close();
        isClosed = true;
      };
      servers.push(server);
      return server;
    },
    ca: () => Buffer.from(word('certificate-authority-data'), 'base64').toString(),
    token: () => word('token'),
  };
}
