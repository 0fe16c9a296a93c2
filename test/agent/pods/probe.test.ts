import { execFileSync } from 'node:child_process';
import { createServer as createHttp, type RequestListener } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Server } from 'node:net';
import t from 'tap';
import type { Test } from 'tap';
import { look, type ProbeTarget } from '../../../src/agent/pods/probe.js';
import { bindTcp } from '../../../src/sys/listen.js';
import { makeNetns } from '../../lib/netns.js';
import { skip } from './host.js';

const LIMIT = 30;

/** Put a server into a namespace for as long as the test runs. */
async function serve(t: Test, netns: string, port: number, server: Server): Promise<void> {
  server.listen({ fd: bindTcp(netns, port) });
  await once(server, 'listening');
  t.teardown(() => void server.close());
}

const targetIn = (netns: string, rest: Partial<ProbeTarget> = {}): ProbeTarget => ({
  podIP: '127.0.0.1',
  netns,
  hostNetns: undefined,
  ports: [{ name: 'web', containerPort: 80 }],
  enter: () => {
    throw new Error('nobody is there');
  },
  ...rest,
});

t.test('httpGet: 200 to 399 is success', { skip }, async (t) => {
  const netns = makeNetns(t);
  const seen: string[] = [];
  const answer: RequestListener = (request, response) => {
    const { url = '', headers } = request;
    seen.push(`${url} ${headers.host} ${headers['user-agent']} ${headers['x-who'] ?? '-'}`);
    const to = new URL(url, 'http://x').searchParams.get('to');
    response.writeHead(Number(/\d+/.exec(url)?.[0] ?? 200), to === null ? {} : { Location: to });
    response.end(url.startsWith('/long') ? 'x'.repeat(1_000_000) : 'words');
  };
  await serve(t, netns, 80, createHttp(answer));
  const target = targetIn(netns);
  const get = (path: string, rest = {}) => look({ httpGet: { path, port: 'web', ...rest } }, target, LIMIT);

  t.match(await get('/'), { outcome: 'success' });
  t.match(await get('/399'), { outcome: 'success' });
  t.match(await get('/long'), { outcome: 'success' }, 'no more is read than needed');
  t.match(await get('/400?a=b'), {
    outcome: 'failure',
    message: 'HTTP probe failed with statuscode: 400',
  });
  t.match(await get('no-slash', { httpHeaders: [{ name: 'X-Who', value: 'me' }] }), { outcome: 'success' });
  t.match(await get('/', { httpHeaders: [{ name: 'host', value: 'shop.example' }] }), { outcome: 'success' });
  t.strictSame(
    [seen[0], seen.at(-3), seen.at(-2), seen.at(-1)],
    [
      '/ 127.0.0.1:80 kube-probe/podwire -',
      '/400?a=b 127.0.0.1:80 kube-probe/podwire -',
      '/no-slash 127.0.0.1:80 kube-probe/podwire me',
      '/ shop.example kube-probe/podwire -',
    ],
  );

  await t.test('redirects are followed on the same host', async (t) => {
    t.match(await get('/302?to=/503'), { message: 'HTTP probe failed with statuscode: 503' });
    t.match(await get('/301?to=http://elsewhere.example/503'), {
      outcome: 'success',
      message: /^Probe terminated redirects/,
    });
    t.match(await get('/302?to=/302%3Fto%3D/200'), { outcome: 'success' });
    t.match(await get('/302?to=http://['), { outcome: 'failure', message: /Invalid URL/ });
    t.match(await get('/307?to='), { outcome: 'success' });
  });
});

t.test('httpGet: a redirect without end is a failure', { skip }, async (t) => {
  const netns = makeNetns(t);
  const loop: RequestListener = (_, response) => void response.writeHead(302, { Location: '/' }).end();
  await serve(t, netns, 80, createHttp(loop));
  t.match(await look({ httpGet: { port: 80 } }, targetIn(netns), LIMIT), {
    outcome: 'failure',
    message: 'Get "http://127.0.0.1:80/": stopped after 10 redirects',
  });
});

t.test('httpGet: HTTPS takes any certificate', { skip }, async (t) => {
  const netns = makeNetns(t);
  const dir = t.testdir();
  const [key, cert] = [join(dir, 'key'), join(dir, 'cert')];
  // prettier-ignore
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=nobody', '-keyout', key, '-out', cert], { stdio: 'ignore' });
  const server = createHttps({ key: readFileSync(key), cert: readFileSync(cert) }, (_, response) =>
    response.end(),
  );
  await serve(t, netns, 443, server);
  const action = { port: 443, scheme: 'HTTPS' as const };
  t.match(await look({ httpGet: action }, targetIn(netns), LIMIT), { outcome: 'success', message: '' });
});

t.test('httpGet: what does not answer is a failure, in the kubelet’s words', { skip }, async (t) => {
  const netns = makeNetns(t);
  const get = { httpGet: { port: 80 } };
  t.strictSame(await look(get, targetIn(netns), LIMIT), {
    outcome: 'failure',
    message: 'Get "http://127.0.0.1:80/": dial tcp 127.0.0.1:80: connect: connection refused',
  });
  t.match(await look(get, targetIn(netns, { podIP: '192.0.2.9' }), LIMIT), {
    message: /connect: network is unreachable$/,
  });
  await serve(
    t,
    netns,
    80,
    createHttp(() => {}),
  );
  t.strictSame(await look(get, targetIn(netns), 0.5), {
    outcome: 'failure',
    message:
      'Get "http://127.0.0.1:80/": context deadline exceeded (Client.Timeout exceeded while awaiting headers)',
  });
});

t.test('tcpSocket: a connection is enough', { skip }, async (t) => {
  const netns = makeNetns(t);
  await serve(t, netns, 80, createHttp());
  const target = targetIn(netns);
  t.match(await look({ tcpSocket: { port: 'web' } }, target, LIMIT), { outcome: 'success' });
  t.match(await look({ tcpSocket: { port: '80' } }, target, LIMIT), { outcome: 'success' });
  t.strictSame(await look({ tcpSocket: { port: 81 } }, target, LIMIT), {
    outcome: 'failure',
    message: 'dial tcp 127.0.0.1:81: connect: connection refused',
  });
  t.match(await look({ tcpSocket: { port: 'no' } }, target, LIMIT), {
    outcome: 'unknown',
    message: 'Cannot probe port "no": the container has no port of that name',
  });
  const host = makeNetns(t);
  const fromHost = { ...target, netns: 'pwt-none', hostNetns: host };
  t.match(
    await look({ tcpSocket: { port: 80, host: '127.0.0.1' } }, fromHost, LIMIT),
    { outcome: 'failure' },
    'with a host it leaves from the host',
  );
  t.match(await look({ tcpSocket: { port: 80, host: 'name.example' } }, target, LIMIT), {
    outcome: 'unknown',
    message: /need an IPv4 address/,
  });
});

t.test('exec: the exit code counts, and the time', async (t) => {
  const here = targetIn('none', {
    enter: (argv, limit) => ['timeout', '-s', 'KILL', String(limit), 'env', ...argv],
  });
  const sh = (script: string, limit = LIMIT) =>
    look({ exec: { command: ['sh', '-c', script] } }, here, limit);
  t.match(await sh('true'), { outcome: 'success' });
  t.strictSame(await sh('echo why; echo not >&2; exit 3'), { outcome: 'failure', message: 'why\nnot' });
  t.match(await sh('exit 3'), { outcome: 'failure', message: 'command "sh -c exit 3" exited with 3' });
  t.strictSame(await sh('sleep 100', 0.1), {
    outcome: 'failure',
    message: 'command timed out: "sh -c sleep 100" timed out after 0.1s',
  });
  t.match(await sh('sleep 3 & echo done; exit 1'), { message: 'done' }, 'a child with the pipe in hand');
  t.match(await sh('yes | head -c 50000; exit 1'), { outcome: 'failure' });
  t.match(await look({ exec: { command: ['pwt-no-such'] } }, here, LIMIT), {
    outcome: 'unknown',
    message: /^env: .*pwt-no-such/,
  });
  t.match(await look({ exec: { command: ['true'] } }, targetIn('none'), LIMIT), {
    outcome: 'unknown',
    message: 'nobody is there',
  });
});

t.test('a look can be stopped', async (t) => {
  const stop = new AbortController();
  const here = targetIn('none', { enter: (argv) => [...argv] });
  const looking = look({ exec: { command: ['sleep', '100'] } }, here, 100, stop.signal);
  setImmediate(() => stop.abort());
  t.match(await looking, { outcome: 'unknown' });
});
