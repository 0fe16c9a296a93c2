/** Services as a user meets them: the demo lab, real programs in pods, on hosts and outside. */
import { readdirSync, readFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import type { Explanation } from '../../src/explain/explain.js';
import { formatMac, parseIpv4 } from '../../src/wire/address.js';
import * as arp from '../../src/wire/arp.js';
import * as ethernet from '../../src/wire/ethernet.js';
import { capture } from '../lib/capture.js';
import { DNS_ANSWERER } from '../lib/dns-answerer.js';
import { bringUp, type TestLab } from '../lib/lab.js';
import { needsRoot } from '../lib/netns.js';
import { inRoot } from '../lib/root.js';
import { printed, runSync, start } from '../lib/spawn.js';
import { until } from '../lib/until.js';

t.setTimeout(600_000); // a whole lab, on a machine that has more to do

const OBJECTS = `
apiVersion: v1
kind: Service
metadata: { name: web-all }
spec:
  type: LoadBalancer
  clusterIP: 10.96.1.1
  selector: { app: web }
  ports: [{ name: http, port: 80, nodePort: 31080 }]
---
apiVersion: v1
kind: Service
metadata: { name: peer }
spec:
  clusterIP: 10.96.1.2
  selector: { app: peer }
  ports:
    - { name: dns, port: 53, protocol: UDP, targetPort: 5353 }
    - { name: iperf, port: 5201 }
    - { name: iperf-udp, port: 5201, protocol: UDP }
`;
const WEB = '10.96.1.1';
const PEER = '10.96.1.2';
const FOUND = '192.0.2.53';
/**
 * From the death of a load balancer's owner to the third announcement of the next one, where a second is usual: a broken
 * connection tells of it, long before the Lease runs out after 40 s.
 */
const FAILOVER_MS = 20_000;

interface Balanced {
  readonly metadata: { readonly annotations?: Record<string, string> };
  readonly status: { readonly loadBalancer?: { readonly ingress?: readonly { readonly ip: string }[] } };
}

const balanced = (lab: TestLab): Balanced =>
  JSON.parse(lab.must('get', 'service', 'web-all', '-o', 'json')) as Balanced;
const addressOf = (service: Balanced): string | undefined => service.status.loadBalancer?.ingress?.[0]?.ip;
const ownerOf = ({ metadata }: Balanced): string | undefined => metadata.annotations?.['podwire.dev/owner'];

t.test('Services in a lab', { skip: needsRoot() }, async (t) => {
  const lab = bringUp(t, readFileSync(inRoot('examples/demo.yaml'), 'utf8'));
  lab.apply(OBJECTS);
  await lab.ready();
  await until('the load balancer has an address and an owner', () => {
    const service = balanced(lab);
    return addressOf(service) !== undefined && ownerOf(service) !== undefined;
  });
  const [node1, node2] = lab.status().nodes.map(({ address }) => address) as [string, string];
  const balancer = addressOf(balanced(lab))!;

  const curl = ['curl', '-s', '-m', '5'];
  const fromPod = (url: string): string => lab.podwire('exec', 'client', '--', ...curl, url).stdout;
  const fromHost =
    (node: string) =>
    (url: string): string =>
      lab.podwire('exec', '--node', node, '--', ...curl, url).stdout;
  const fromOutside = (url: string): string => runSync([...curl, url]).stdout;
  const bothAnswer = (t: Test, ask: (url: string) => string, url: string, where: string) =>
    until(`both pods have answered ${where}`, () => {
      const [, pod] = /This is pod (web-\d)/.exec(ask(url)) ?? [];
      if (pod !== undefined) seen.add(`${where} ${pod}`);
      return ['web-1', 'web-2'].every((name) => seen.has(`${where} ${name}`));
    }).then(() => t.pass(`${where}: ${url}`));
  const seen = new Set<string>();

  await t.test('curl reaches both endpoints, from everywhere', async (t) => {
    await bothAnswer(t, fromPod, `http://${WEB}/`, 'ClusterIP from a pod');
    await bothAnswer(t, fromHost('node2'), `http://${WEB}/`, 'ClusterIP from a host');
    for (const node of [node1, node2]) {
      await bothAnswer(t, fromPod, `http://${node}:31080/`, `NodePort of ${node} from a pod`);
      await bothAnswer(t, fromHost('node1'), `http://${node}:31080/`, `NodePort of ${node} from a host`);
      await bothAnswer(t, fromOutside, `http://${node}:31080/`, `NodePort of ${node} from outside`);
    }
    await bothAnswer(t, fromHost('node1'), 'http://127.0.0.1:31080/', 'NodePort on loopback');
    await bothAnswer(t, fromPod, `http://${balancer}/`, 'load balancer from a pod');
    await bothAnswer(t, fromOutside, `http://${balancer}/`, 'load balancer from outside');
  });

  await t.test('dig gets its answer from the Service that it asked', async (t) => {
    const server = start(t, lab.argv('exec', 'peer', '--', process.execPath, DNS_ANSWERER, '5353', FOUND), {
      env: lab.env,
    });
    await printed(server, /ready/);
    const text = lab.must('exec', 'client', '--', 'dig', '+tries=3', `@${PEER}`, 'any.example', 'A');
    t.match(text, FOUND);
    t.match(text, `SERVER: ${PEER}#53`);
    // Each time by another port, and by one port again and again.
    for (let i = 0; i < 3; i++)
      t.match(
        lab.must('exec', 'client', '--', 'dig', '+short', '-b', '0.0.0.0#40053', `@${PEER}`, 'x.y'),
        FOUND,
      );
  });

  await t.test('iperf3 moves TCP and UDP through a ClusterIP', async (t) => {
    const server = start(t, lab.argv('exec', 'peer', '--', 'iperf3', '-s', '--forceflush'), { env: lab.env });
    await printed(server, /listening on/);
    const run = (...args: string[]): { bytes: number; lost_percent?: number } => {
      const text = lab.must('exec', 'client', '--', 'iperf3', '-J', '-c', PEER, ...args);
      const { end } = JSON.parse(text) as { end: Record<string, { bytes: number; lost_percent?: number }> };
      return end.sum_received ?? end.sum!;
    };
    // The receiver does not count what still lies in the sender's buffer (up to 4 MiB) and its own (up to 6) at the end.
    const MOST = 28 * 2 ** 20;
    t.ok(run('-n', '40M').bytes > MOST, 'TCP arrives');
    t.ok(run('-n', '40M', '-R').bytes > MOST, 'the other way too');
    t.ok(run('-u', '-b', '5M', '-t', '1').bytes > 0, 'UDP arrives');
  });

  await t.test('explain answers from the objects of the running lab', async (t) => {
    const from = lab.status().pods.find(({ name }) => name === 'client')!.podIP!;
    const words = ['explain', '--lab', lab.name, '--node', 'node1', '--from', from, '--to', `${WEB}:80`];
    const { verdict, backends } = JSON.parse(
      lab.must(...words, '--tries', '64', '-o', 'json'),
    ) as Explanation;
    t.equal(verdict, 'forward');
    t.strictSame(
      backends.map(({ ip }) => ip).sort(),
      lab
        .status()
        .pods.filter(({ name }) => name.startsWith('web-'))
        .map(({ podIP }) => podIP)
        .sort(),
    );
    t.match(lab.must(...words), /^ {2}dnat +10\.96\.1\.1:80 becomes /m);
    const outside = [
      'explain',
      '--node',
      'node2',
      '--from',
      '203.0.113.7',
      '--to',
      `${node2}:31080`,
      '-o',
      'json',
    ];
    t.match(JSON.parse(lab.must(...outside)), { verdict: 'forward', sourceRewritten: true });
  });

  await t.test('every command of the examples works as typed', async (t) => {
    const folder = inRoot('examples/services/');
    for (const file of readdirSync(folder).filter((name) => name.endsWith('.yaml'))) {
      const lines = readFileSync(folder + file, 'utf8').split('\n');
      const commands = lines.flatMap(
        (line) => /^# {3}((?:podwire|curl) .*?)(?: {2,}#.*)?$/.exec(line)?.[1] ?? [],
      );
      t.ok(commands.length > 1, `${file} says what to type`);
      for (const command of commands) {
        // The demo's underlay is the first that is free: another lab may have been first.
        const typed = command
          .replaceAll('podwire ', `${inRoot('scripts/podwire')} `)
          .replaceAll('192.168.50.', node1.replace(/\d+$/, ''))
          .replaceAll('examples/', inRoot('examples/'));
        const ended = await until(`${command} has succeeded`, () => {
          const { status, stdout } = runSync(['sh', '-c', typed], { env: lab.env });
          return status === 0 && { stdout };
        });
        t.ok(ended, `${file}: ${command}`);
      }
      lab.podwire('delete', '-f', folder + file);
    }
  });

  await t.test('a load balancer’s address moves when its owner dies, and the new one says so', async (t) => {
    const owner = ownerOf(balanced(lab))!;
    const { nodes, labs } = lab.status();
    const [old, next] = owner === 'node1' ? nodes : [...nodes].reverse();
    const frames = await capture(t, `${lab.name}.net`, 'underlay', 'in');
    const from = frames.frames.length;
    // Or the agent is started again before it is missed.
    process.kill(labs[0]!.supervisorPid!, 'SIGSTOP');
    t.teardown(() => process.kill(labs[0]!.supervisorPid!, 'SIGCONT'));
    const began = performance.now();
    process.kill(old!.agentPid!, 'SIGKILL');
    const word = parseIpv4(balancer)!;
    let count = 0;
    let mac = '';
    const isAnnouncement = (frame: Uint8Array): boolean => {
      const v = new DataView(frame.buffer);
      if (ethernet.type(v, 0) !== ethernet.TYPE_ARP) return false;
      const l3 = ethernet.HEADER_LEN;
      if (arp.senderIp(v, l3) !== word || arp.targetIp(v, l3) !== word) return false;
      mac = formatMac(arp.senderMacHi(v, l3), arp.senderMacLo(v, l3));
      return ++count === 3;
    };
    await frames.until('three announcements', isAnnouncement, from);
    const took = performance.now() - began;
    t.comment(`three announcements after ${Math.round(took)} ms`);
    t.ok(took < FAILOVER_MS, 'without waiting for the Lease');
    t.equal(ownerOf(balanced(lab)), next!.name);
    const [, own] = /link\/ether (\S+)/.exec(
      runSync(['ip', '-n', `${lab.name}.${next!.name}`, 'link', 'show', 'eth0']).stdout,
    )!;
    t.equal(mac, own, 'from the NIC of the new owner');
    await until('the address answers again', () =>
      fromOutside(`http://${balancer}/`).includes('This is pod'),
    );
  });
});
