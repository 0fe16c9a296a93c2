import { existsSync, readFileSync } from 'node:fs';
import t from 'tap';
import type { LabPlan } from '../../src/lab/plan.js';
import { makeUnderlay, portName, underlayUndo, type UnderlayPlan } from '../../src/lab/underlay.js';
import { ethtool, ip, ipJson } from '../../src/sys/iproute2.js';
import { needsRoot } from '../lib/netns.js';
import { output } from '../lib/spawn.js';

const name = `pwt-${process.pid}`;
const plan: UnderlayPlan = {
  underlay: {
    netns: `${name}-net`,
    cidr: '198.51.100.0/24',
    bits: 24,
    mtu: 1400,
    access: { link: name, address: '198.51.100.254' },
  },
  nodes: [1, 2].map((i) => ({ name: `node${i}`, netns: `${name}-node${i}`, address: `198.51.100.${i}` })),
};
const undo = (of: UnderlayPlan): string[] => underlayUndo(of).map((entry) => entry.undo.ip);

const skip = needsRoot();

t.test(
  'an underlay connects its hosts, lets the machine in, and goes without a trace',
  { skip },
  async (t) => {
    t.teardown(() => ip(undo(plan), { force: true }));
    await makeUnderlay(plan);

    const [node1] = plan.nodes;
    output(['ip', 'netns', 'exec', node1!.netns, 'ping', '-c1', '-w20', '198.51.100.2']);
    output(['ping', '-c1', '-w20', '198.51.100.2']);
    const [eth0] = ipJson<{ mtu: number }[]>(['link', 'show', 'dev', 'eth0'], { netns: node1!.netns });
    t.equal(eth0!.mtu, 1400);
    const [route] = ipJson<{ gateway: string }[]>(['route', 'show', 'default'], { netns: node1!.netns });
    t.equal(route!.gateway, '198.51.100.254');

    ip(undo(plan));
    for (const netns of [plan.underlay.netns, ...plan.nodes.map((node) => node.netns)])
      t.notOk(existsSync(`/run/netns/${netns}`), netns);
    t.notMatch(readFileSync('/proc/net/dev', 'utf8'), `${name}:`);
  },
);

t.test('the underlay is wire-true: no end towards a host leaves work to a NIC', { skip }, async (t) => {
  const quiet: UnderlayPlan = { ...plan, underlay: { ...plan.underlay } };
  delete (quiet.underlay as { access?: LabPlan['underlay']['access'] }).access;
  t.teardown(() => ip(undo(quiet), { force: true }));
  await makeUnderlay(quiet);
  const features = ethtool(['-k', 'node1'], { netns: quiet.underlay.netns });
  for (const feature of [
    'tx-checksumming',
    'tcp-segmentation-offload',
    'generic-segmentation-offload',
    'tx-udp-segmentation',
    'tx-udp_tnl-segmentation',
    'tx-udp_tnl-csum-segmentation',
  ])
    t.match(features, new RegExp(`^\\s*${feature}: off`, 'm'));
  t.match(ethtool(['-k', 'eth0'], { netns: quiet.nodes[0]!.netns }), /^generic-receive-offload: on/m);
  const routes = ipJson<unknown[]>(['route', 'show', 'default'], { netns: quiet.nodes[0]!.netns });
  t.strictSame(routes, [], 'without access there is nowhere else to go');
});

t.test('everything that will be made is known before, the last first to undo', async (t) => {
  t.strictSame(undo(plan), [
    `netns del ${name}-net`,
    `netns del ${name}-node1`,
    `netns del ${name}-node2`,
    `link del ${name}`,
  ]);
});

t.test('a bridge port is called like its node, where a link may be called that', async (t) => {
  const nodes = ['node1', 'underlay', 'a-very-long-name-of-a-node'].map((node) => ({
    name: node,
    netns: '',
    address: '',
  }));
  t.strictSame(
    nodes.map((_, i) => portName(nodes, i)),
    ['node1', 'port-2', 'port-3'],
  );
});
