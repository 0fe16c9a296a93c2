import t from 'tap';
import { checkPodDns } from '../../src/api/pod-dns.js';
import { describeProblem } from '../../src/api/problem.js';
import type { PodSpec } from '../../src/api/types.js';

const problems = (spec: Partial<PodSpec>): string[] =>
  checkPodDns({ containers: [], ...spec }, 'spec').map(describeProblem);

t.test('what a pod may say of its resolver', async (t) => {
  for (const spec of [
    {},
    { dnsPolicy: 'None', dnsConfig: { nameservers: ['1.1.1.1'] } },
    {
      dnsConfig: {
        searches: ['.', 'corp.example.', '_sip._tcp.abc_d.example.com'],
        options: [{ name: 'edns0' }],
      },
    },
    { hostAliases: [{ ip: '192.0.2.1', hostnames: ['a', 'b.example'] }], subdomain: 'db' },
  ] satisfies Partial<PodSpec>[])
    t.same(problems(spec), [], JSON.stringify(spec));
});

t.test('what it may not', async (t) => {
  const table: [spec: Partial<PodSpec>, problem: RegExp][] = [
    [{ dnsPolicy: 'None' }, /^spec\.dnsConfig: Required value: must provide `dnsConfig` when/],
    [
      { dnsPolicy: 'None', dnsConfig: {} },
      /^spec\.dnsConfig\.nameservers: Required value: must provide at least one/,
    ],
    [
      { dnsConfig: { nameservers: ['dns'] } },
      /^spec\.dnsConfig\.nameservers\[0\]: Invalid value: "dns": must be a valid IP/,
    ],
    [
      { dnsConfig: { nameservers: ['1.1.1.1', '1.1.1.2', '1.1.1.3', '1.1.1.4'] } },
      /must not have more than 3 nameservers/,
    ],
    [{ dnsConfig: { searches: ['a b'] } }, /^spec\.dnsConfig\.searches\[0\]: Invalid value/],
    [{ dnsConfig: { searches: Array.from({ length: 33 }, (_, i) => `s${i}`) } }, /more than 32 search paths/],
    [
      { dnsConfig: { searches: Array.from({ length: 20 }, () => 'x'.repeat(110)) } },
      /more than 2048 characters/,
    ],
    [{ dnsConfig: { options: [{}] } }, /^spec\.dnsConfig\.options\[0\]: Required value/],
    [{ hostAliases: [{ ip: 'x' }] }, /^spec\.hostAliases\[0\]\.ip: Invalid value/],
    [
      { hostAliases: [{ ip: '192.0.2.1', hostnames: ['A'] }] },
      /^spec\.hostAliases\[0\]\.hostnames\[0\]: Invalid value/,
    ],
    [{ subdomain: 'a.b' }, /^spec\.subdomain: Invalid value/],
  ];
  for (const [spec, problem] of table) t.match(problems(spec)[0], problem, JSON.stringify(spec));
});
