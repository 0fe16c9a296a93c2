/** Names as pods see them: real resolvers in real pods, by way of the Service's address. */
import { readdirSync, readFileSync } from 'node:fs';
import t from 'tap';
import { dnsLab, UPSTREAM_ADDRESS } from '../lib/dns-lab.js';
import { needsRoot } from '../lib/netns.js';
import { inRoot } from '../lib/root.js';
import { until } from '../lib/until.js';

t.setTimeout(600_000); // whole labs, on a machine that has more to do

/** What the lines to type in the heads of examples/dns print. A line that is not here must only succeed. */
const PRINTED: readonly [line: RegExp, output: RegExp][] = [
  [
    /nslookup headless1/,
    /headless1\.default\.svc\.cluster\.local\nAddress: 10\.244\.\d\.\d+\n.*\nAddress: 10\.244/,
  ],
  [/curl -s pod-a\.headless1/, /^Hostname : pod-a$/m],
  [/SRV _http/, /^0 100 8080 pod-[ab]\.headless1\.default\.svc\.cluster\.local\.\n0 100 8080 pod-/],
  [/answer shop/, /^shop\.\S+\s+5\s+IN\s+CNAME\s+web\.\S+\nweb\.\S+\s+5\s+IN\s+A\s+10\.96\.0\.100$/m],
  [/curl -s http:\/\/shop/, /Welcome to nginx/],
  [/CNAME outside/, /CNAME\s+www\.example\.com\.$/m],
  [/few-dots -- cat/, /^options ndots:1$/m],
  [
    /own-way -- cat/,
    /^nameserver 10\.96\.0\.10\nsearch kube-system\.svc\.cluster\.local\noptions ndots:2\n$/,
  ],
  [/getent hosts db/, /^192\.0\.2\.10\s+db\.example$/m],
  [/victim -- getent/, /^192\.0\.2\.66\s+www\.example\.com$/m],
  [/victim -- dig .*kubernetes/, /\s30\s+IN\s+A\s+192\.0\.2\.66$/m],
  [/victim -- dig .*example\.org/, /status: SERVFAIL/],
];

/** A resolver as musl has it: A and AAAA from one socket at once, and both are waited for. */
const MUSL = `
import { createSocket } from 'node:dgram';
const name = Buffer.from('\\x03web\\x07default\\x03svc\\x07cluster\\x05local\\0', 'latin1');
const query = (id, type) => Buffer.concat([Buffer.from([id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]), name, Buffer.from([0, type, 0, 1])]);
const TRIES = 10_000;
let begun = 0, lost = 0, wrong = 0;
const once = () => new Promise((done) => {
  const socket = createSocket('udp4');
  const id = (begun * 2) & 0xfffe;
  const missing = new Set([id, id + 1]);
  const end = () => { clearTimeout(timer); socket.close(done); };
  const timer = setTimeout(() => { lost += missing.size; end(); }, 30_000);
  socket.on('message', (m) => {
    if (m.length < 12 || (m[3] & 15) !== 0) wrong++;
    missing.delete(m.readUInt16BE(0));
    if (missing.size === 0) end();
  });
  socket.connect(53, '10.96.0.10', () => { socket.send(query(id, 1)); socket.send(query(id + 1, 28)); });
});
await Promise.all(Array.from({ length: 16 }, async () => { while (begun < TRIES) { begun++; await once(); } }));
console.log(JSON.stringify({ begun, lost, wrong }));
`;

t.test('names in a lab', { skip: needsRoot() }, async (t) => {
  const lab = await dnsLab(
    t,
    readFileSync(inRoot('examples/demo.yaml'), 'utf8').split('\n---\n').slice(1).join('\n---\n'),
  );
  const { inPod, must, run, name } = lab;
  await lab.apply(readFileSync(inRoot('examples/services/clusterip.yaml'), 'utf8'));
  await until('kube-dns leads to both hosts', async () =>
    / 10\.244\.1\.1:53 *\S*$|dns\/udp.*10\.244\.1\.1:53/m.test(
      await must('tables', 'services', '--lab', name, '--node', 'node1'),
    ),
  );
  await until(
    'the Service has its name',
    async () => (await inPod('client', 'dig', '+search', '+short', 'web')) !== '',
  );

  await t.test('dig, nslookup and glibc find a Service by its short name', async (t) => {
    t.equal(await inPod('client', 'dig', '+search', '+short', 'web'), '10.96.0.100\n');
    t.equal(await inPod('client', 'dig', '+tcp', '+short', 'web.default.svc.cluster.local'), '10.96.0.100\n');
    t.match(
      await inPod('client', 'nslookup', 'web'),
      /Name:\tweb\.default\.svc\.cluster\.local\nAddress: 10\.96\.0\.100/,
    );
    t.match(await inPod('client', 'getent', 'ahostsv4', 'web'), /^10\.96\.0\.100 +STREAM web/m);
    t.match(await inPod('client', 'curl', '-s', 'http://web/'), /Welcome to nginx/);
    t.equal(await inPod('client', 'dig', '+short', '-x', '10.96.0.100'), 'web.default.svc.cluster.local.\n');
  });

  await t.test('a host, and a name outside', async (t) => {
    const fromHost = (...argv: string[]): Promise<string> =>
      must('exec', '--lab', name, '--node', 'node2', '--', ...argv);
    t.equal(await fromHost('dig', '@10.96.0.10', '+short', 'web.default.svc.cluster.local'), '10.96.0.100\n');
    t.equal(await fromHost('dig', '@10.244.2.1', '+short', 'web.default.svc.cluster.local'), '10.96.0.100\n');
    t.match(
      await inPod('client', 'getent', 'ahostsv4', 'www.example.org'),
      new RegExp(`^${UPSTREAM_ADDRESS}`, 'm'),
    );
    t.match(await inPod('client', 'dig', 'x.missing'), /status: NXDOMAIN/);
  });

  await t.test('metrics at the Service’s address', async (t) => {
    const text = await inPod('client', 'curl', '-s', 'http://kube-dns.kube-system:9153/metrics');
    t.match(
      text,
      /^coredns_dns_requests_total\{.*proto="udp",server="dns:\/\/10\.244\.1\.1:53"/m,
      'of the own host',
    );
    t.match(text, /^coredns_forward_requests_total\{to="unix:.*"\} \d+$/m);
  });

  await t.test('A and AAAA from one socket at once: no answer is lost', async (t) => {
    const { status, stdout, stderr } = await run(
      ['exec', '--lab', name, 'client', '--', 'node', '--input-type=module', '-'],
      MUSL,
    );
    t.equal(status, 0, stderr);
    t.same(JSON.parse(stdout), { begun: 10_000, lost: 0, wrong: 0 });
  });

  await t.test('the examples work as typed', async (t) => {
    const dir = inRoot('examples/dns/');
    const hijacked = `${name}h`;
    t.teardown(() => run(['down', '--lab', hijacked]));
    for (const file of readdirSync(dir).sort()) {
      const lines = [...readFileSync(dir + file, 'utf8').matchAll(/^# +podwire (.*)$/gm)].map(
        ([, line]) => line!,
      );
      t.ok(lines.length > 1, `${file} says what to type`);
      for (const line of lines) {
        // Their labs get names of this test's own.
        const words = line.split(' ').map((word) => {
          if (word === 'hijacked') return hijacked;
          return word.startsWith('examples/') ? inRoot(word) : word;
        });
        if (!words.includes('--lab')) words.splice(1, 0, '--lab', words[0] === 'up' ? hijacked : name);
        const wanted = PRINTED.find(([pattern]) => pattern.test(line))?.[1];
        const last = await until(`"${line}" prints what it should`, async () => {
          const { status, stdout } = await run(words);
          return status === 0 && (wanted?.test(stdout) ?? true) && { stdout };
        });
        t.ok(last, line);
      }
    }
  });
});
