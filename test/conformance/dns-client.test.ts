/**
 * DNS as a pod sees it: the cases of dns-client.jsonl in a lab. The cases say in words what is made and asked; here stands the same
 * as objects and commands, by the case's id. A case without a check fails.
 */
import { readFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { dnsLab, UPSTREAM_ADDRESS, type DnsLab } from '../lib/dns-lab.js';
import { needsRoot } from '../lib/netns.js';
import { CONFORMANCE } from '../lib/root.js';
import { until } from '../lib/until.js';

t.setTimeout(600_000);

interface Case {
  id: string;
  kind: string;
  desc: string;
  pod?: Record<string, unknown>;
  expect?: unknown;
}

const skip = CONFORMANCE ? needsRoot() : 'the cases are not beside the checkout';
const cases: Case[] = CONFORMANCE
  ? readFileSync(`${CONFORMANCE}dns-spec/dns-client.jsonl`, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Case)
  : [];

const caseOf = (id: string): Case => cases.find((one) => one.id === id)!;

const pod = (name: string, spec: object, labels: object = {}): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels },
    spec: { containers: [{ name: 'main', image: 'alpine' }], ...spec },
  });

const service = (name: string, spec: object): string =>
  JSON.stringify({ apiVersion: 'v1', kind: 'Service', metadata: { name }, spec });

const documents = (...texts: string[]): string => texts.join('\n---\n');

/** Pods that are there from the start; those of a case are called as it is. */
const OBJECTS = (): string =>
  documents(
    pod('client', {}),
    service('cip4', { clusterIP: '10.96.3.1', ports: [{ name: 'https', port: 443 }] }),
    service('dns-test-service-2', {
      clusterIP: 'None',
      selector: { attribute: 'true' },
      ports: [{ name: 'http', port: 80 }],
    }),
    pod('querier-2', { hostname: 'dns-querier-2', subdomain: 'dns-test-service-2' }, { attribute: 'true' }),
    service('default-subdomain', {
      clusterIP: 'None',
      selector: { app: 'busybox' },
      ports: [{ name: 'foo', port: 1234 }],
    }),
    pod('busybox1', { hostname: 'busybox-1', subdomain: 'default-subdomain' }, { app: 'busybox' }),
    pod('busybox2', { hostname: 'busybox-2', subdomain: 'default-subdomain' }, { app: 'busybox' }),
    ...cases
      .filter(
        ({ kind, expect }) =>
          ['resolvconf', 'hostname'].includes(kind) && (expect as { apply?: string }).apply !== 'rejected',
      )
      .map(({ id, pod: spec }) => pod(id, spec!)),
  );

/** What a resolv.conf says. */
const words = (text: string, keyword: string): string[] =>
  text
    .split('\n')
    .filter((line) => line.startsWith(`${keyword} `))
    .flatMap((line) => line.split(' ').slice(1));

type Check = (t: Test, lab: DnsLab, ipOf: (pod: string) => Promise<string>) => Promise<void>;

const dig = async ({ inPod }: DnsLab, ...argv: string[]): Promise<string> =>
  (await inPod('client', 'dig', '+short', ...argv)).trim();

const digBoth = async (t: Test, lab: DnsLab, expected: string, ...argv: string[]): Promise<void> => {
  t.equal(await dig(lab, ...argv), expected, 'over UDP');
  t.equal(await dig(lab, '+tcp', ...argv), expected, 'over TCP');
};

/** resolv.conf is as the case says, and short names are found. */
const resolvConf =
  (id: string): Check =>
  async (t, { inPod }) => {
    const expect = caseOf(id).expect as {
      nameservers?: string[];
      searches?: string[];
      searchCount?: number;
      text?: string;
      lookup?: { name: string }[];
    };
    const text = await inPod(id, 'cat', '/etc/resolv.conf');
    const known = (word: string): string =>
      word.replace('<cluster DNS IP>', '10.96.0.10').replace('<ns>', 'default');
    if (expect.nameservers && !expect.nameservers[0]!.startsWith('<node'))
      t.same(words(text, 'nameserver'), expect.nameservers.map(known));
    if (expect.searches) t.same(words(text, 'search'), expect.searches.map(known));
    if (expect.searchCount !== undefined) t.equal(words(text, 'search').length, expect.searchCount);
    if (expect.text !== undefined) t.equal(text.trimEnd(), expect.text);
    for (const { name } of expect.lookup ?? [])
      t.match(await inPod(id, 'getent', 'ahostsv4', name), /^10\.96\.0\.1 /m, name);
    if (expect.nameservers?.[0] === '<cluster DNS IP>')
      t.match(await inPod(id, 'getent', 'ahostsv4', 'kubernetes.default'), /^10\.96\.0\.1 /m);
  };

const CHECKS: Readonly<Record<string, Check>> = {
  'dns-client-001': async (t, lab) => digBoth(t, lab, '10.96.0.1', 'kubernetes.default.svc.cluster.local'),
  'dns-client-003': async (t, lab) => digBoth(t, lab, 'cip4.default.svc.cluster.local.', '-x', '10.96.3.1'),
  'dns-client-004': async (t, lab, ipOf) => {
    const fqdn = 'dns-querier-2.dns-test-service-2.default.svc.cluster.local';
    const ip = await ipOf('querier-2');
    await digBoth(t, lab, ip, fqdn);
    const hosts = (await lab.inPod('querier-2', 'cat', '/etc/hosts'))
      .split('\n')
      .map((line) => line.split(/\s+/).join(' '));
    t.ok(hosts.includes(`${ip} ${fqdn} dns-querier-2`), 'both names are in the hosts file');
  },
  'dns-client-005': async (t, lab, ipOf) => {
    t.equal(
      await dig(lab, 'dns-querier-2.dns-test-service-2.default.svc.cluster.local', 'A'),
      await ipOf('querier-2'),
    );
  },
  'dns-client-006': async (t, lab) => {
    const name = 'changing.default.svc.cluster.local';
    const becomes = async (spec: object, type: string, pattern: RegExp): Promise<void> => {
      await lab.apply(service('changing', spec));
      t.ok(
        await until(`${name} is ${pattern}`, async () => pattern.test(await dig(lab, name, type))),
        String(pattern),
      );
    };
    await becomes(
      { type: 'ExternalName', externalName: 'foo.example.com' },
      'CNAME',
      /^foo\.example\.com\.$/,
    );
    await becomes(
      { type: 'ExternalName', externalName: 'bar.example.com' },
      'CNAME',
      /^bar\.example\.com\.$/,
    );
    await becomes(
      { type: 'ClusterIP', ports: [{ port: 80, name: 'http', protocol: 'TCP' }] },
      'A',
      /^10\.\d+\.\d+\.\d+$/,
    );
  },
  'dns-client-007': resolvConf('dns-client-007'),
  'dns-client-009': resolvConf('dns-client-009'),
  'dns-client-010': resolvConf('dns-client-010'),
  'dns-client-012': resolvConf('dns-client-012'),
  'dns-client-013': async (t, { inPod }) => {
    t.equal((await inPod('dns-client-013', 'hostname')).trim(), 'dns-querier-1');
  },
  'dns-client-016': resolvConf('dns-client-016'),
  'dns-client-017': async (t, { inPod }) => {
    // A host of a lab has the responder on its gateway address for its resolver.
    const text = await inPod('dns-client-017', 'cat', '/etc/resolv.conf');
    t.match(words(text, 'nameserver').join(), /^10\.244\.[12]\.1$/);
    t.same(words(text, 'search'), []);
    t.match(
      await inPod('dns-client-017', 'getent', 'ahostsv4', 'www.kubernetes.io'),
      new RegExp(`^${UPSTREAM_ADDRESS} `, 'm'),
    );
  },
  'dns-client-018': async (t, { run, name }) => {
    const { status, stderr } = await run(
      ['apply', '--lab', name, '-f', '-'],
      pod('bad', caseOf('dns-client-018').pod!),
    );
    t.equal(status, 1);
    t.match(stderr, /must provide `dnsConfig` when `dnsPolicy` is None/);
  },
  'dns-client-020': async (t, lab) => {
    t.equal(await dig(lab, 'www.kubernetes.io'), UPSTREAM_ADDRESS);
    t.match(await lab.inPod('client', 'dig', 'www.kubernetes.io'), /flags: qr[a-z ]* ra;/);
  },
  'dns-client-022': async (t, lab, ipOf) => {
    for (const [host, name] of [
      ['busybox-1', 'busybox1'],
      ['busybox-2', 'busybox2'],
    ] as const)
      t.equal(await dig(lab, `${host}.default-subdomain.default.svc.cluster.local`), await ipOf(name));
  },
  'dns-client-023': async (t, lab, ipOf) => {
    const unready = {
      hostname: 'h',
      subdomain: 'late',
      containers: [
        { name: 'main', image: 'alpine', readinessProbe: { exec: { command: ['false'] }, periodSeconds: 1 } },
      ],
    };
    const headless = (publishNotReadyAddresses: boolean): string =>
      service('late', {
        clusterIP: 'None',
        selector: { app: 'late' },
        publishNotReadyAddresses,
        ports: [{ name: 'x', port: 80 }],
      });
    await lab.apply(documents(headless(false), pod('late', unready, { app: 'late' })));
    const name = 'h.late.default.svc.cluster.local';
    await until(
      'the pod runs',
      async () => (await lab.run(['exec', '--lab', lab.name, 'late', '--', 'true'])).status === 0,
    );
    t.match(await lab.inPod('client', 'dig', name), /status: NXDOMAIN/);
    await lab.apply(headless(true));
    const ip = await ipOf('late');
    t.ok(await until('its name is there', async () => (await dig(lab, name)) === ip));
  },
};

t.test('dns-client.jsonl', { skip }, async (t) => {
  const lab = await dnsLab(t, OBJECTS());
  const ipOf = async (name: string): Promise<string> =>
    (
      JSON.parse(await lab.must('get', 'pod', name, '-o', 'json', '--lab', lab.name)) as {
        status: { podIP: string };
      }
    ).status.podIP;
  await until('DNS answers', async () => {
    const { status, stdout } = await lab.run([
      'exec',
      '--lab',
      lab.name,
      'client',
      '--',
      'dig',
      '+short',
      '+time=1',
      '+tries=1',
      'busybox-2.default-subdomain.default.svc.cluster.local',
    ]);
    return status === 0 && stdout.startsWith('10.');
  });
  for (const { id, desc } of cases)
    await t.test(`${id} ${desc}`, async (t) => {
      const check = CHECKS[id];
      if (check) await check(t, lab, ipOf);
      else t.fail('there is no check for this case');
    });
});
