import t from 'tap';
import { labSpec } from '../../src/api/lab.js';
import { viewOf } from '../../src/explain/view.js';
import { explainName, searchNames } from '../../src/names/explain-name.js';
import { labAuthority } from '../../src/names/lab-names.js';
import type { ResolvConf } from '../../src/names/resolv-conf.js';
import { objectsOf } from '../lib/dns.js';

const SERVER = '10.96.0.10';
const CONF: ResolvConf = {
  nameservers: [SERVER],
  searches: ['default.svc.cluster.local', 'svc.cluster.local', 'cluster.local'],
  options: ['ndots:5'],
};

const view = viewOf(
  objectsOf(`
{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {clusterIP: 10.96.0.7, ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: out}, spec: {type: ExternalName, externalName: www.example.com}}
`),
);
const authority = labAuthority(labSpec(view.lab), { servers: [SERVER] });
authority.cluster.sync(view);
const explain = (name: string, conf = CONF): string[] => {
  const { queries, result } = explainName(name, conf, authority, SERVER);
  return [...queries.map(({ name: full, type, rcode }) => `${full} ${type} ${rcode}`), result];
};

t.test('which names are tried, and in which order', async (t) => {
  const few = { ...CONF, options: ['ndots:1'] };
  t.same(searchNames('a.b', CONF).at(-1), 'a.b', 'fewer dots than ndots: last');
  t.same(searchNames('a.b', few)[0], 'a.b', 'enough dots: first');
  t.same(searchNames('a.b.', CONF), ['a.b'], 'a dot at the end: nothing else');
  t.same(
    searchNames('a', { ...CONF, options: [] })[0],
    'a.default.svc.cluster.local',
    'one dot when nothing is said',
  );
});

t.test('what a name costs, and how it ends', async (t) => {
  t.same(explain('web'), [
    'web.default.svc.cluster.local A NOERROR',
    'web.default.svc.cluster.local AAAA NOERROR',
    'web is 10.96.0.7: 2 queries and as many answers.',
  ]);
  t.equal(explain('www.example.com').length, 9, 'four names, twice, and a sentence');
  t.match(explain('www.example.com').at(-1), /others decide/);
  t.match(explain('out').at(-2), /AAAA forward/);
  t.match(explain('nosuch.default.svc.cluster.local.').at(-1), /is not found: 2 queries/);
  t.match(explain('web', { ...CONF, nameservers: ['1.1.1.1'] })[0], /forward/, 'somebody else is asked');
  t.match(explain('web', { ...CONF, nameservers: [] })[0], /no nameserver/);
});
