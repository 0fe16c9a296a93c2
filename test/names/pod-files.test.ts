import t from 'tap';
import type { Pod, PodSpec } from '../../src/api/types.js';
import { podHostsText, podResolvConfText, type PodDns } from '../../src/names/pod-files.js';
import { parseResolvConf } from '../../src/names/resolv-conf.js';

const DNS: PodDns = {
  zone: 'cluster.local',
  server: '10.96.0.10',
  host: parseResolvConf(
    '# from DHCP\nsearch corp.example\nnameserver 192.0.2.53\noptions timeout:1 rotate\n',
  ),
};

const pod = (spec: Partial<PodSpec>, namespace = 'shop'): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web', namespace },
  spec: { containers: [], ...spec },
  status: { podIP: '10.244.1.2' },
});

const CLUSTER = 'search shop.svc.cluster.local svc.cluster.local cluster.local corp.example';

t.test('resolv.conf by dnsPolicy and dnsConfig', async (t) => {
  const table: [what: string, spec: Partial<PodSpec>, lines: string[]][] = [
    ['nothing said', {}, ['nameserver 10.96.0.10', CLUSTER, 'options ndots:5']],
    ['ClusterFirst', { dnsPolicy: 'ClusterFirst' }, ['nameserver 10.96.0.10', CLUSTER, 'options ndots:5']],
    [
      'ClusterFirst on the host’s network is Default',
      { dnsPolicy: 'ClusterFirst', hostNetwork: true },
      ['nameserver 192.0.2.53', 'search corp.example', 'options timeout:1 rotate'],
    ],
    [
      'ClusterFirstWithHostNet',
      { dnsPolicy: 'ClusterFirstWithHostNet', hostNetwork: true },
      ['nameserver 10.96.0.10', CLUSTER, 'options ndots:5'],
    ],
    [
      'Default',
      { dnsPolicy: 'Default' },
      ['nameserver 192.0.2.53', 'search corp.example', 'options timeout:1 rotate'],
    ],
    [
      'None',
      {
        dnsPolicy: 'None',
        dnsConfig: {
          nameservers: ['1.2.3.4'],
          searches: ['ns1.svc.example', 'my.suffix'],
          options: [{ name: 'ndots', value: '2' }, { name: 'edns0' }],
        },
      },
      ['nameserver 1.2.3.4', 'search ns1.svc.example my.suffix', 'options ndots:2 edns0'],
    ],
    [
      'dnsConfig is added, and its options win',
      {
        dnsConfig: {
          nameservers: ['10.96.0.10', '8.8.8.8', '9.9.9.9', '1.1.1.1'],
          searches: ['more.example', 'svc.cluster.local'],
          options: [
            { name: 'ndots', value: '1' },
            { name: 'timeout', value: '3' },
          ],
        },
      },
      [
        'nameserver 10.96.0.10',
        'nameserver 8.8.8.8',
        'nameserver 9.9.9.9',
        `${CLUSTER} more.example`,
        'options ndots:1 timeout:3',
      ],
    ],
  ];
  for (const [what, spec, lines] of table)
    t.equal(podResolvConfText(pod(spec), DNS), lines.map((line) => `${line}\n`).join(''), what);
});

t.test('no more searches than a resolver reads', async (t) => {
  const many = Array.from({ length: 40 }, (_, i) => `${'x'.repeat(60)}${i}.example`);
  const searches = parseResolvConf(podResolvConfText(pod({ dnsConfig: { searches: many } }), DNS)).searches;
  t.ok(searches.length <= 32);
  t.ok(searches.join(' ').length <= 2048);
  t.equal(searches[0], 'shop.svc.cluster.local');
});

t.test('the hosts file', async (t) => {
  const text = podHostsText(pod({}), 'web', 'cluster.local', '');
  t.match(text, /^# Kubernetes-managed hosts file\.\n127\.0\.0\.1\tlocalhost\n/);
  t.ok(text.endsWith('\n10.244.1.2\tweb\n'));
  const full = podHostsText(
    pod({
      hostname: 'db-0',
      subdomain: 'db',
      hostAliases: [{ ip: '192.0.2.7', hostnames: ['a.example', 'b'] }],
    }),
    'db-0',
    'cluster.local',
    '',
  );
  t.ok(
    full.endsWith(
      '\n10.244.1.2\tdb-0.db.shop.svc.cluster.local\tdb-0\n\n# Entries added by HostAliases.\n192.0.2.7\ta.example\tb\n',
    ),
  );
  const onHost = podHostsText(pod({ hostNetwork: true }), 'node1', 'cluster.local', '127.0.0.1 localhost');
  t.equal(
    onHost,
    '# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost\n10.244.1.2\tnode1\n',
  );
});
