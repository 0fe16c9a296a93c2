import t from 'tap';
import type { ApiObject } from '../../src/api/types.js';
import { parseManifest } from '../../src/client/manifest.js';
import { answer } from '../../src/names/answer.js';
import { reverseZones } from '../../src/names/address-names.js';
import { ClusterNames, type NamesOptions } from '../../src/names/cluster-names.js';
import type { DnsRecord } from '../../src/names/records.js';
import { TYPE } from '../../src/wire/dns.js';
import { random } from '../lib/random.js';

const OBJECTS = `
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: empty}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  clusterIPs: [10.96.0.7, "fd00::7"]
  ports: [{name: http, port: 80}, {port: 81}, {name: quic, port: 443, protocol: UDP}]
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: None, ports: [{name: sql, port: 3306}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-a, namespace: shop, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
endpoints:
- {addresses: [10.244.1.5], hostname: db-0, conditions: {ready: true}}
- {addresses: [10.244.2.6], targetRef: {kind: Pod, name: db-one}}
- {addresses: [10.244.2.7], hostname: db-2, conditions: {ready: false}}
ports: [{name: sql, port: 13306}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-b, namespace: shop, labels: {kubernetes.io/service-name: db}}
addressType: IPv6
endpoints: [{addresses: ["FD00:0::1:5"], hostname: db-0}]
ports: [{name: sql, port: 13306}]
---
apiVersion: v1
kind: Service
metadata: {name: early, namespace: shop}
spec: {clusterIP: None, publishNotReadyAddresses: true}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: early-a, namespace: shop, labels: {kubernetes.io/service-name: early}}
addressType: IPv4
endpoints: [{addresses: [10.244.2.7], conditions: {ready: false}}]
---
{apiVersion: v1, kind: Service, metadata: {name: nobody, namespace: shop}, spec: {clusterIP: None}}
---
{apiVersion: v1, kind: Service, metadata: {name: out, namespace: shop}, spec: {type: ExternalName, externalName: WWW.example.com.}}
---
{apiVersion: v1, kind: Service, metadata: {name: in, namespace: shop}, spec: {type: ExternalName, externalName: web.shop.svc.cluster.local}}
---
{apiVersion: v1, kind: Service, metadata: {name: ping, namespace: shop}, spec: {type: ExternalName, externalName: pong.shop.svc.cluster.local}}
---
{apiVersion: v1, kind: Service, metadata: {name: pong, namespace: shop}, spec: {type: ExternalName, externalName: ping.shop.svc.cluster.local}}
---
apiVersion: v1
kind: Pod
metadata: {name: db-one, namespace: shop}
spec: {containers: []}
status: {podIP: 10.244.2.6}
`;

const OPTIONS: NamesOptions = {
  zone: 'cluster.local',
  pods: 'insecure',
  endpointNames: 'address',
  reverseZones: ['10.244.0.0/16', '10.96.0.0/12', 'fd00::/64'].flatMap((cidr) => reverseZones(cidr)!),
  servers: ['10.96.0.10'],
};

const viewOf = (objects: readonly ApiObject[]): Parameters<ClusterNames['sync']>[0] => {
  const of = (kind: string): never[] => objects.filter((object) => object.kind === kind) as never[];
  return {
    namespaces: of('Namespace'),
    services: of('Service'),
    endpointSlices: of('EndpointSlice'),
    pods: of('Pod'),
  };
};

const objects = parseManifest(OBJECTS, 'objects').map(({ object }) => object);

function namesOf(options: Partial<NamesOptions> = {}, from: readonly ApiObject[] = objects): ClusterNames {
  const names = new ClusterNames({ ...OPTIONS, ...options });
  names.sync(viewOf(from));
  return names;
}

/** A record as `dig +short` shows it, the owner in front where it is not the question's. */
function text(record: DnsRecord, name: string): string {
  const owner = record.name === name ? '' : `${record.name} `;
  if (record.type === 'SRV') return `${owner}SRV ${record.data.port} ${record.data.target}`;
  if (record.type === 'SOA') return `${owner}SOA`;
  if (record.type === 'HINFO') return `${owner}HINFO ${record.data.cpu}`;
  return `${owner}${record.type} ${record.data}`;
}

function ask(names: ClusterNames, name: string, type: number): string {
  const found = answer(names, name, type, 5);
  if (!found) return 'not ours';
  const { rcode, answers, authority, chase } = found;
  const list = [...answers, ...authority].map((record) => text(record, name));
  return [rcode, ...list, ...(chase === undefined ? [] : [`chase ${chase}`])].join(' | ');
}

t.test('names of a cluster', async (t) => {
  const table: [name: string, type: keyof typeof TYPE, expected: string][] = [
    ['web.shop.svc.cluster.local', 'A', 'NOERROR | A 10.96.0.7'],
    ['web.shop.svc.cluster.local', 'AAAA', 'NOERROR | AAAA fd00::7'],
    ['web.shop.svc.cluster.local', 'TXT', 'NOERROR | cluster.local SOA'],
    ['web.shop.svc.cluster.local', 'ANY', 'NOERROR | HINFO RFC8482'],
    ['web.shop.svc.cluster.local', 'CNAME', 'NOERROR | cluster.local SOA'],
    [
      'web.shop.svc.cluster.local',
      'SRV',
      'NOERROR | SRV 80 web.shop.svc.cluster.local | SRV 443 web.shop.svc.cluster.local',
    ],
    ['_http._tcp.web.shop.svc.cluster.local', 'SRV', 'NOERROR | SRV 80 web.shop.svc.cluster.local'],
    ['_http._tcp.web.shop.svc.cluster.local', 'A', 'NOERROR | cluster.local SOA'],
    ['_http._udp.web.shop.svc.cluster.local', 'SRV', 'NXDOMAIN | cluster.local SOA'],
    ['_._tcp.web.shop.svc.cluster.local', 'SRV', 'NXDOMAIN | cluster.local SOA'],
    ['_tcp.web.shop.svc.cluster.local', 'SRV', 'NOERROR | cluster.local SOA'],
    ['_sctp.web.shop.svc.cluster.local', 'SRV', 'NXDOMAIN | cluster.local SOA'],
    ['db.shop.svc.cluster.local', 'A', 'NOERROR | A 10.244.1.5 | A 10.244.2.6'],
    ['db.shop.svc.cluster.local', 'AAAA', 'NOERROR | AAAA fd00::1:5'],
    ['db-0.db.shop.svc.cluster.local', 'A', 'NOERROR | A 10.244.1.5'],
    ['db-0.db.shop.svc.cluster.local', 'AAAA', 'NOERROR | AAAA fd00::1:5'],
    ['db-2.db.shop.svc.cluster.local', 'A', 'NXDOMAIN | cluster.local SOA'],
    ['10-244-2-6.db.shop.svc.cluster.local', 'A', 'NOERROR | A 10.244.2.6'],
    [
      '_sql._tcp.db.shop.svc.cluster.local',
      'SRV',
      'NOERROR | SRV 13306 db-0.db.shop.svc.cluster.local | SRV 13306 10-244-2-6.db.shop.svc.cluster.local',
    ],
    ['early.shop.svc.cluster.local', 'A', 'NOERROR | A 10.244.2.7'],
    ['nobody.shop.svc.cluster.local', 'A', 'NXDOMAIN | cluster.local SOA'],
    ['out.shop.svc.cluster.local', 'A', 'NOERROR | CNAME WWW.example.com | chase www.example.com'],
    ['out.shop.svc.cluster.local', 'CNAME', 'NOERROR | CNAME WWW.example.com'],
    ['x.out.shop.svc.cluster.local', 'A', 'NXDOMAIN | cluster.local SOA'],
    [
      'in.shop.svc.cluster.local',
      'A',
      'NOERROR | CNAME web.shop.svc.cluster.local | web.shop.svc.cluster.local A 10.96.0.7',
    ],
    ['in.shop.svc.cluster.local', 'TXT', 'NOERROR | CNAME web.shop.svc.cluster.local | cluster.local SOA'],
    [
      'ping.shop.svc.cluster.local',
      'A',
      'NOERROR | CNAME pong.shop.svc.cluster.local | pong.shop.svc.cluster.local CNAME ping.shop.svc.cluster.local',
    ],
    ['dns-version.cluster.local', 'TXT', 'NOERROR | TXT 1.1.0'],
    ['cluster.local', 'SOA', 'NOERROR | SOA'],
    ['cluster.local', 'NS', 'NOERROR | NS ns.dns.cluster.local'],
    ['ns.dns.cluster.local', 'A', 'NOERROR | A 10.96.0.10'],
    ['dns.cluster.local', 'A', 'NOERROR | cluster.local SOA'],
    ['svc.cluster.local', 'A', 'NOERROR | cluster.local SOA'],
    ['empty.svc.cluster.local', 'A', 'NOERROR | cluster.local SOA'],
    ['empty.pod.cluster.local', 'A', 'NOERROR | cluster.local SOA'],
    ['nowhere.svc.cluster.local', 'A', 'NXDOMAIN | cluster.local SOA'],
    ['nowhere.pod.cluster.local', 'A', 'NXDOMAIN | cluster.local SOA'],
    ['*.shop.svc.cluster.local', 'A', 'NXDOMAIN | cluster.local SOA'],
    ['shop.cluster.local', 'A', 'NXDOMAIN | cluster.local SOA'],
    ['1-2-3-4.shop.pod.cluster.local', 'A', 'NOERROR | A 1.2.3.4'],
    ['fd00--9.shop.pod.cluster.local', 'AAAA', 'NOERROR | AAAA fd00::9'],
    ['1-2-3-444.shop.pod.cluster.local', 'A', 'NXDOMAIN | cluster.local SOA'],
    ['1-2-3-4.nowhere.pod.cluster.local', 'A', 'NXDOMAIN | cluster.local SOA'],
    ['7.0.96.10.in-addr.arpa', 'PTR', 'NOERROR | PTR web.shop.svc.cluster.local'],
    ['5.1.244.10.in-addr.arpa', 'PTR', 'NOERROR | PTR db-0.db.shop.svc.cluster.local'],
    ['6.2.244.10.in-addr.arpa', 'PTR', 'NOERROR | PTR 10-244-2-6.db.shop.svc.cluster.local'],
    ['7.2.244.10.in-addr.arpa', 'PTR', 'NOERROR | PTR 10-244-2-7.early.shop.svc.cluster.local'],
    ['8.2.244.10.in-addr.arpa', 'PTR', 'NXDOMAIN | 244.10.in-addr.arpa SOA'],
    ['2.244.10.in-addr.arpa', 'PTR', 'NOERROR | 244.10.in-addr.arpa SOA'],
    ['x.244.10.in-addr.arpa', 'PTR', 'NXDOMAIN | 244.10.in-addr.arpa SOA'],
    ['111.10.in-addr.arpa', 'SOA', 'NOERROR | SOA'],
    ['112.10.in-addr.arpa', 'SOA', 'not ours'],
    ['8.8.8.8.in-addr.arpa', 'PTR', 'not ours'],
    ['example.com', 'A', 'not ours'],
    ['local', 'A', 'not ours'],
    ['xcluster.local', 'A', 'not ours'],
    ['', 'NS', 'not ours'],
  ];
  const names = namesOf();
  for (const [name, type, expected] of table)
    t.equal(ask(names, name, TYPE[type]), expected, `${name} ${type}`);
});

t.test('names of pods by address, three ways', async (t) => {
  const known = '10-244-2-6.shop.pod.cluster.local';
  const unknown = '10-244-9-9.shop.pod.cluster.local';
  const rcode = (pods: NamesOptions['pods'], name: string): string =>
    ask(namesOf({ pods }), name, TYPE.A).split(' ')[0]!;
  t.equal(rcode('insecure', unknown), 'NOERROR');
  t.equal(rcode('verified', known), 'NOERROR');
  t.equal(rcode('verified', unknown), 'NXDOMAIN');
  t.equal(rcode('disabled', known), 'NXDOMAIN');
});

t.test('an endpoint without a hostname may be called as its pod', async (t) => {
  const names = namesOf({ endpointNames: 'pod' });
  t.equal(ask(names, 'db-one.db.shop.svc.cluster.local', TYPE.A), 'NOERROR | A 10.244.2.6');
});

t.test('before the objects are here nothing is denied', async (t) => {
  t.equal(ask(new ClusterNames(OPTIONS), 'web.shop.svc.cluster.local', TYPE.A), 'SERVFAIL');
});

t.test('an index kept in step is the index made afresh', async (t) => {
  const { int, pick, shuffle } = random(4);
  const kept = namesOf({ pods: 'verified' }, []);
  let now: ApiObject[] = [];
  const questions = [
    'web.shop.svc.cluster.local',
    'db.shop.svc.cluster.local',
    'db-0.db.shop.svc.cluster.local',
    '_sql._tcp.db.shop.svc.cluster.local',
    'out.shop.svc.cluster.local',
    'shop.svc.cluster.local',
    '10-244-2-6.shop.pod.cluster.local',
    '7.0.96.10.in-addr.arpa',
    '5.1.244.10.in-addr.arpa',
    '7.2.244.10.in-addr.arpa',
  ];
  for (let round = 0; round < 300; round++) {
    const changed = pick(objects);
    now = now.filter(
      (object) => object.kind !== changed.kind || object.metadata.name !== changed.metadata.name,
    );
    // Gone, as it was, or another of the same name.
    if (int(3) > 0) now.push(int(2) > 0 ? changed : twist(changed));
    now = shuffle(now);
    kept.sync(viewOf(now));
    const fresh = namesOf({ pods: 'verified' }, now);
    for (const name of questions)
      for (const type of [TYPE.A, TYPE.SRV, TYPE.PTR])
        t.equal(sorted(ask(kept, name, type)), sorted(ask(fresh, name, type)), `${round} ${name} ${type}`);
  }
});

/** The order of records carries no meaning. */
const sorted = (text: string): string => text.split(' | ').sort().join(' | ');

/** The same object with other addresses. */
const twist = (object: ApiObject): ApiObject =>
  JSON.parse(
    JSON.stringify(object).replaceAll('10.244.1.5', '10.244.2.7').replaceAll('10.96.0.7', 'None'),
  ) as ApiObject;

t.test('sync counts only what has changed', async (t) => {
  const names = namesOf();
  const before = names.generation;
  names.sync(viewOf(objects));
  t.equal(names.generation, before);
  names.sync(viewOf(objects.slice(1)));
  t.equal(names.generation, before + 1);
});

t.test('zones of reverse names', async (t) => {
  t.same(reverseZones('10.244.0.0/16'), ['244.10.in-addr.arpa']);
  t.same(reverseZones('10.0.0.0/7'), ['10.in-addr.arpa', '11.in-addr.arpa']);
  t.equal(reverseZones('10.96.0.0/12')!.length, 16);
  t.same(reverseZones('192.0.2.1/32'), ['1.2.0.192.in-addr.arpa']);
  t.same(reverseZones('fd00::/8'), ['d.f.ip6.arpa']);
  t.same(reverseZones('fd00::/7'), ['c.f.ip6.arpa', 'd.f.ip6.arpa']);
  t.equal(reverseZones('10.0.0.0'), undefined);
  t.equal(reverseZones('10.0.0.0/33'), undefined);
  t.equal(reverseZones('fd00::/129'), undefined);
});
