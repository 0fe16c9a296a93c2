import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { createAgentListener, serveAgentApi, type Shown } from '../../../src/agent/api/http.js';
import type { Container, Pod } from '../../../src/api/types.js';
import { uidOf } from '../../../src/agent/pods/state.js';
import { RESIZE, STDIN } from '../../../src/wire/channel-frame.js';
import { callAgent } from '../../lib/agent-client.js';
import { random } from '../../lib/random.js';
import { makeHost, podOf, skip, until, type TestHost } from '../pods/host.js';

/** A pod `web` with a web server, and the API of its host; the path of its streams. */
async function serve(
  t: Test,
  pod?: Pod,
): Promise<{ host: TestHost; call: (query: string) => ReturnType<typeof callAgent> }> {
  const host = makeHost(t);
  const mark = [{ name: 'PWT_LAB', value: host.lab }];
  host.runtime.sync([pod ?? podOf('web', { image: 'nginx', env: mark, workingDir: '/srv' })]);
  await host.ready('web');
  const shown = {
    netns: undefined,
    pod: (_namespace: string, name: string) => {
      const uid = uidOf(podOf(name, {}));
      return { state: host.runtime.state(uid), folder: host.runtime.folder(uid) };
    },
  } as Partial<Shown> as Shown;
  const socketPath = join(host.runDir, 'api.sock');
  const api = await serveAgentApi(socketPath, createAgentListener(shown, pino({ level: 'silent' })));
  t.teardown(() => api.close());
  return { host, call: (query) => callAgent(socketPath, `/pods/default/web/${query}`) };
}

const command = (...words: string[]): string =>
  words.map((word) => `command=${encodeURIComponent(word)}`).join('&');
const shell = (script: string): string => command('sh', '-c', script);

/** Processes whose command line has the word, machine-wide. */
const processesWith = (word: string): number =>
  readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(word);
    } catch {
      return false;
    }
  }).length;

t.test('a program runs in a container, and its end is told', { skip }, async (t) => {
  const { host, call } = await serve(t);
  const mixed = await call(`exec?${shell('echo out; echo err >&2; echo "$PWT_LAB $PWD"; exit 3')}`);
  t.match(await mixed.status, {
    status: 'Failure',
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: '3' }] },
  });
  t.equal(mixed.stdout(), `out\n${host.lab} /srv\n`);
  t.equal(mixed.stderr(), 'err\n');
  t.match(await (await call(`exec?${command('true')}`)).status, { status: 'Success' });
  const killed = await (await call(`exec?${shell('kill -9 $$')}`)).status;
  t.match(killed.details?.causes, [{ message: '137' }]);
  const files = await call(`exec?${shell('echo again >/dev/stdout; echo too >/dev/stderr')}`);
  t.match(await files.status, { status: 'Success' }, 'its streams can be opened by name');
  t.equal(files.stdout() + files.stderr(), 'again\ntoo\n');
  t.match(await (await call(`exec?${command('pwt-no-such')}`)).status, {
    reason: 'InternalError',
    message: /exec: "pwt-no-such": executable file not found in \$PATH/,
  });
  await t.rejects(call('exec'), { code: 400, message: /at least one command/ });
  await t.rejects(call(`exec?container=none&${command('true')}`), {
    code: 404,
    message: /container not found/,
  });
});

t.test('what is typed arrives whole, and so does its end', { skip }, async (t) => {
  const { call } = await serve(t);
  const bytes = Buffer.from(random(5).bytes(3_000_000));
  const sum = await call(`exec?stdin=true&${command('sha256sum')}`);
  await pipeline(Readable.from([bytes]), sum.channels.output(STDIN));
  t.match(await sum.status, { status: 'Success' });
  t.equal(sum.stdout().split(' ')[0], createHash('sha256').update(bytes).digest('hex'));
  const early = await call(`exec?stdin=true&${command('head', '-c', '3')}`);
  pipeline(Readable.from([bytes]), early.channels.output(STDIN)).catch(() => {});
  t.match(await early.status, { status: 'Success' }, 'a program need not read it all');
  t.equal(early.stdout().length > 0, true);
});

t.test('a terminal is the program’s own, and follows the size of the client’s', { skip }, async (t) => {
  const { call } = await serve(t);
  const session = await call(`exec?stdin=true&tty=true&${command('sh')}`);
  const type = session.channels.output(STDIN);
  const resize = session.channels.output(RESIZE);
  const shows = (pattern: RegExp) => until(`it shows ${pattern}`, () => pattern.test(session.stdout()));
  resize.write('{"Width":77,"He');
  resize.write('ight":33}\n{"Width":0,"Height":1}');
  type.write('stty size; tty; ps -o tty= -p $$; echo $TERM\n');
  await shows(/33 77\r\n\/dev\/pts\/\d+\r\npts\/\d+ *\r\nxterm\r\n/);
  resize.write('{"Width":100,"Height":40}');
  await until('it has the new size', async () => {
    type.write('stty size\n');
    return /40 100\r\n/.test(session.stdout());
  });
  const nap = `1000.${process.pid}`; // there is no other one like it
  type.write(`sleep ${nap}; echo "got $?"\n`);
  await until('it sleeps', () => processesWith(`sleep\x00${nap}`) > 0);
  type.write('\x03');
  type.write('exit 4\n');
  t.match((await session.status).details?.causes, [{ message: '4' }]);
  t.equal(session.stderr(), '');
});

t.test('a client that goes away leaves no process', { skip }, async (t) => {
  const { call } = await serve(t);
  for (const kind of ['', 'tty=true&', 'stdin=true&']) {
    const word = `pwt-${process.pid}-${kind.length}`;
    const session = await call(
      `exec?${kind}${shell(`trap "" HUP; sh -c "sleep 1000; : ${word}" & echo up; wait`)}`,
    );
    await until('it runs', () => session.stdout().includes('up') && processesWith(word) >= 2);
    session.cut();
    await until(`all of it is gone (${kind})`, () => processesWith(word) === 0);
  }
});

t.test('a connection to a port of a pod', { skip }, async (t) => {
  const { host, call } = await serve(t);
  const page = await call('portforward?port=80');
  page.channels.output(STDIN).end('GET / HTTP/1.0\r\n\r\n');
  t.match(await page.status, { status: 'Success' });
  t.match(page.stdout(), /200 OK[^]*pod web/);
  t.match(await (await call('portforward?port=9')).status, {
    message:
      /^error forwarding port 9 to pod default\/web: failed to connect to localhost:9 .*connection refused$/,
  });
  for (const port of ['', '0', '65536', 'x'])
    await t.rejects(call(`portforward?port=${port}`), {
      code: 400,
      message: /need a number from 1 to 65535/,
    });

  // Each direction ends by itself: what comes after the end of the request is part of the answer.
  const script = `
    use IO::Socket;
    my $server = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 7, Listen => 1) or die;
    print "listening\\n"; STDOUT->flush;
    my $client = $server->accept;
    my $text = join "", <$client>;
    print $client length $text;
  `;
  const server = await call(`exec?${command('perl', '-e', script)}`);
  await until('it listens', () => server.stdout() + server.stderr() !== '');
  t.equal(server.stderr(), '');
  const half = await call('portforward?port=7');
  half.channels.output(STDIN).end('x'.repeat(1_000_000));
  t.strictSame((await half.status).message, undefined);
  t.equal(half.stdout(), '1000000');
  t.match(await server.status, { status: 'Success' });
  await host.runtime.removeAll();
  t.same(host.leftovers(), []);
});

/** A pod whose container is there to be attached to. */
const attachable = (container: Partial<Container>): Pod =>
  podOf('web', { stdin: true, stdinOnce: true, ...container }, { restartPolicy: 'Never' });

t.test('who attaches first reads all, and his end is the end of the input', { skip }, async (t) => {
  const { host, call } = await serve(t, attachable({ command: ['sh', '-c', 'echo begin; cat; echo end'] }));
  const first = await call('attach?stdin=true');
  await until('what was written before is there', () => first.stdout().includes('begin'));
  const second = await call('attach');
  first.channels.output(STDIN).write('typed\n');
  await until('both see it', () => [first, second].every((call) => call.stdout().includes('typed')));
  first.channels.output(STDIN).end();
  t.match(await first.status, { status: 'Success' });
  t.match(await second.status, { status: 'Success' });
  t.equal(first.stdout(), 'begin\ntyped\nend\n');
  t.equal(second.stdout(), 'typed\nend\n', 'the second one reads from when he came');
  await until('the pod has ended', () => host.status('web')?.phase === 'Succeeded');
  await t.rejects(call('attach'), { code: 404, message: 'container not found ("main")' });
  await host.runtime.removeAll();
  t.same(host.leftovers(), [], 'no keeper of the input is left');
});

t.test('a container on a terminal is attached to, left and attached to again', { skip }, async (t) => {
  const { host, call } = await serve(t, attachable({ image: 'busybox', tty: true, stdinOnce: false }));
  const first = await call('attach?stdin=true&tty=true');
  first.channels.output(RESIZE).write('{"Width":77,"Height":33}');
  await until('the shell answers', async () => {
    first.channels.output(STDIN).write('stty size\n');
    return /33 77\r\n/.test(first.stdout());
  });
  first.cut();
  const second = await call('attach?stdin=true&tty=true');
  second.channels.output(STDIN).write('tty; echo $((40 + 2)); exit 5\n');
  t.match(await second.status, { status: 'Success' });
  t.match(second.stdout(), /\/dev\/pts\/\d+\r\n42\r\n/);
  const state = await until(
    'the pod has ended',
    () => host.status('web')?.containerStatuses?.[0].state?.terminated,
  );
  t.equal(state.exitCode, 5);
  await host.runtime.removeAll();
  t.same(host.leftovers(), []);
});
