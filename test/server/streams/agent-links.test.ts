import { mkdtempSync, rmSync } from 'node:fs';
import { createServer as createHttp, request as httpRequest, type RequestListener } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { dialServer } from '../../../src/agent/api/dial.js';
import type { Pod } from '../../../src/api/types.js';
import { startServer, type TestServer } from '../../lib/server.js';
import { until } from '../../lib/until.js';

const log = pino({ level: 'silent' });
const LOG = '/api/v1/namespaces/default/pods/web/log';

const pod = (name: string, spec: Partial<Pod['spec']> = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: { containers: [{ name: 'main', image: 'nginx' }], ...spec },
});

/** An agent that is nothing but its line. */
function dial(t: Test, { socketPath }: TestServer, listener: RequestListener, node = 'n1') {
  const line = dialServer({ server: { socketPath }, node, listener, log });
  t.teardown(() => line.close());
  return line;
}

t.test('a log comes from the agent of the pod’s node, with what was asked', async (t) => {
  const server = await startServer(t);
  await server.client.create(pod('web', { nodeName: 'n1' }));
  const asked: string[] = [];
  dial(t, server, (request, response) => {
    asked.push(`${request.method} ${request.url}`);
    response.writeHead(200).end('hello\n');
  });
  const query = '?follow=True&tailLines=5&previous=false&limitBytes=99&timestamps=1&sinceSeconds=9&pretty=x';
  t.match(await server.call('GET', LOG + query), {
    code: 200,
    headers: { 'content-type': 'text/plain' },
    body: 'hello\n',
  });
  t.strictSame(asked, [
    'GET /pods/default/web/log?container=main&follow=true&timestamps=true&tailLines=5&limitBytes=99&sinceSeconds=9',
  ]);
  t.match(await server.call('POST', LOG), { code: 405 });
});

t.test('what cannot be had is said in Kubernetes’ words', async (t) => {
  const server = await startServer(t);
  await server.client.create(pod('web', { nodeName: 'n1' }));
  const containers = ['a', 'b'].map((name) => ({ name, image: 'nginx' }));
  await server.client.create(pod('two', { nodeName: 'n1', containers }));
  await server.client.create(pod('lost'));
  for (const [path, code, message] of [
    ['none/log', 404, 'pods "none" not found'],
    ['web/log?container=x', 400, 'container x is not valid for pod web'],
    ['two/log', 400, 'a container name must be specified for pod two, choose one of: [a b]'],
    ['lost/log', 400, 'pod lost does not have a host assigned'],
    ['web/log?tailLines=x', 400, 'tailLines must be a number, not "x"'],
    [
      'web/log?tailLines=-1',
      422,
      'PodLogOptions "web" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0',
    ],
    ['web/log?limitBytes=0', 422, /limitBytes: Invalid value: 0: must be greater than 0/],
    ['web/log?sinceSeconds=0', 422, /sinceSeconds: Invalid value: 0: must be greater than 0/],
    ['web/log?sinceTime=monday', 400, /parsing time "monday"/],
    [
      'web/log?sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z',
      422,
      /Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified/,
    ],
    ['web/exec?command=ls', 400, 'Upgrade request required'],
    ['web/log', 503, 'Cannot reach the agent of node "n1": it has no connection to the server'],
  ] as const)
    t.match((await server.call('GET', `/api/v1/namespaces/default/pods/${path}`)).body, { code, message });
  dial(t, server, (_request, response) => {
    const status = { kind: 'Status', status: 'Failure', reason: 'BadRequest', message: 'not so', code: 400 };
    response.writeHead(400).end(JSON.stringify(status));
  });
  t.match((await server.call('GET', LOG)).body, { code: 400, reason: 'BadRequest', message: 'not so' });
});

t.test('an agent dials again when the server has been restarted, and a newer link takes over', async (t) => {
  const server = await startServer(t);
  await server.client.create(pod('web', { nodeName: 'n1' }));
  const answers = (word: string) => (_: unknown, response: Parameters<RequestListener>[1]) =>
    void response.writeHead(200).end(word);
  dial(t, server, answers('old'));
  const body = async (): Promise<string> => {
    try {
      return (await server.call('GET', LOG)).body as string;
    } catch {
      return ''; // by a connection from before the restart
    }
  };
  t.equal(await body(), 'old');
  await server.restart();
  await until('the request waits for the agent', async () => (await body()) === 'old');
  dial(t, server, answers('new'));
  await until('the newer link is used', async () => (await body()) === 'new');
});

t.test('an agent that goes away ends what it was sending', async (t) => {
  const server = await startServer(t);
  await server.client.create(pod('web', { nodeName: 'n1' }));
  const line = dial(t, server, (_request, response) => {
    response.writeHead(200);
    response.write('first\n');
  });
  const ended = new Promise<string>((resolve, reject) => {
    let text = '';
    httpRequest({ socketPath: server.socketPath, path: `${LOG}?follow=true` }, (response) => {
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
        if (text === 'first\n') line.close();
      });
      response.on('error', () => resolve(text));
      response.on('end', () => reject(new Error('it looked whole')));
    }).end();
  });
  t.equal(await ended, 'first\n');
});

t.test('a client that goes away ends its request to the agent', async (t) => {
  const server = await startServer(t);
  await server.client.create(pod('web', { nodeName: 'n1' }));
  let closed = false;
  let isAsked = false;
  dial(t, server, (_request, response) => {
    isAsked = true;
    response.writeHead(200);
    response.write('x');
    response.once('close', () => (closed = true));
  });
  const socket = connect(server.socketPath);
  t.teardown(() => socket.destroy());
  socket.write(`GET ${LOG}?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n`);
  await until('the agent is asked', () => isAsked);
  socket.destroy();
  await until('the agent is told', () => closed);
});

t.test('an agent says once why it has no link, and closes while it waits', async (t) => {
  const server = createHttp((_request, response) => void response.writeHead(403).end());
  const folder = mkdtempSync(join(tmpdir(), `pwt-${process.pid}-link-`)); // a test's own has too long a name for a socket
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const socketPath = join(folder, 'server.sock');
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  t.teardown(() => server.close());
  const lines: string[] = [];
  const words = pino({}, { write: (line: string) => void lines.push(line) });
  let dialled = 0;
  server.on('connection', () => dialled++);
  const line = dialServer({
    server: { socketPath },
    node: 'n1',
    listener: () => {},
    log: words,
  });
  await until('it has dialled twice', () => dialled >= 2);
  line.close();
  t.equal(lines.length, 1);
  t.match(lines[0], 'the server answered 403');
});
