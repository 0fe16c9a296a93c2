import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { dispatch } from '../../src/cli/dispatch.js';
import { TYPE } from '../../src/wire/dns.js';
import { askOnce, decode, query, recordsOf, recordText } from '../lib/dns.js';
import { knowsNoKernel } from '../lib/import-graph.js';
import { testIo } from '../lib/io.js';
import { inRoot } from '../lib/root.js';
import { output, printed, start } from '../lib/spawn.js';
import { until } from '../lib/until.js';

const service = (name: string, ip: string): string =>
  `---\n{apiVersion: v1, kind: Service, metadata: {name: ${name}}, spec: {clusterIP: ${ip}, ports: [{port: 80, name: http}]}}\n`;

t.test('it loads nothing that knows the kernel', async (t) => knowsNoKernel(t, 'cli/dns.js'));

t.test('bad usage', async (t) => {
  for (const [words, message] of [
    [[], /Give files of objects with -f/],
    [['-f', 'x', '--listen', '5300'], /Cannot read --listen "5300"/],
    [['-f', 'x', '--listen', 'localhost:53'], /need ADDRESS:PORT/],
    [['-f', 'x', '--pods', 'some'], /choose disabled, insecure, verified/],
    [['-f', 'x', '--endpoint-names', 'y'], /choose address, pod/],
    [['-f', 'x', '--reverse', '10.0.0.0'], /Cannot read --reverse/],
  ] as const) {
    const io = testIo();
    const isOfFile = words.includes('--pods' as never);
    const file = join(t.testdir({ 'x.yaml': service('a', '10.96.0.2') }), 'x.yaml');
    const code = await dispatch(
      ['dns', ...words.map((word) => (isOfFile && word === 'x' ? file : word))],
      io,
    );
    t.equal(code, 2, words.join(' '));
    t.match(io.err(), message);
  }
});

t.test('it serves what files say, sees them change, and says what is wrong with them', async (t) => {
  const file = join(t.testdir({ 'objects.yaml': service('web', '10.96.0.7') }), 'objects.yaml');
  const child = start(t, [
    inRoot('scripts/podwire'),
    'dns',
    '-f',
    file,
    '--listen',
    '127.0.0.1:0',
    '--metrics',
    '127.0.0.1:0',
  ]);
  const said = await printed(child, /Metrics on http:\S+\n/);
  const port = Number(/on 127\.0\.0\.1:(\d+)/.exec(said)![1]);
  const metrics = /Metrics on (\S+)/.exec(said)![1]!;
  const ask = async (name: string): Promise<string[]> => {
    const packet = decode(await askOnce(port, query({ name, type: TYPE.A })));
    return [packet.rcode, ...recordsOf(packet.answers).map(recordText)];
  };
  t.same(await ask('web.default.svc.cluster.local'), [
    'NOERROR',
    'web.default.svc.cluster.local. A 10.96.0.7',
  ]);
  // As editors do: nobody reads half of it.
  const write = (text: string): void => {
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
  };
  write(service('web', '10.96.0.8') + service('new', '10.96.0.9'));
  await until(
    'the new name is there',
    async () => (await ask('new.default.svc.cluster.local'))[0] === 'NOERROR',
  );
  t.same(await ask('web.default.svc.cluster.local'), [
    'NOERROR',
    'web.default.svc.cluster.local. A 10.96.0.8',
  ]);
  const wrong = printed(child, /The names stay as they were/);
  write('kind: [\n');
  t.match(await wrong, /objects\.yaml:\d+: /);
  t.equal((await ask('new.default.svc.cluster.local'))[0], 'NOERROR');
  const text = await (await fetch(metrics)).text();
  t.match(
    text,
    /coredns_dns_requests_total\{family="1",proto="udp",server="dns:.*",type="A",view="",zone="\."\} \d+/,
  );
  t.match(text, /coredns_dns_responses_total\{.*plugin="kubernetes",rcode="NOERROR"\} \d+/);
  t.match(text, /coredns_dns_request_duration_seconds_bucket\{.*le="0.00025"\} \d+/);

  // As dig says it.
  const dig = output([
    'dig',
    '@127.0.0.1',
    '-p',
    String(port),
    '+short',
    'SRV',
    '_http._tcp.new.default.svc.cluster.local',
  ]);
  t.equal(dig, '0 100 80 new.default.svc.cluster.local.\n');

  const second = start(t, [inRoot('scripts/podwire'), 'dns', '-f', file, '--listen', `127.0.0.1:${port}`]);
  t.match(await printed(second, /\n/), /objects\.yaml/, 'a file that is wrong from the start is an error');
  child.kill('SIGTERM');
  const [code] = await new Promise<[number | null]>((resolve) =>
    child.once('exit', (status) => resolve([status])),
  );
  t.equal(code, 0);
});

t.test('a port that is taken is an error with a way out', async (t) => {
  const file = join(t.testdir({ 'objects.yaml': service('web', '10.96.0.7') }), 'objects.yaml');
  const first = start(t, [inRoot('scripts/podwire'), 'dns', '-f', file, '--listen', '127.0.0.1:0']);
  const port = Number(/:(\d+)/.exec(await printed(first, /TCP\n/))![1]);
  const io = testIo();
  t.equal(await dispatch(['dns', '-f', file, '--listen', `127.0.0.1:${port}`], io), 1);
  t.match(io.err(), /another program listens there; choose another port/);
});
