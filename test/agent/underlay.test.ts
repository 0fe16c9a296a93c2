import t from 'tap';
import { findUnderlay, refuseTakenAddress } from '../../src/agent/underlay.js';
import type { Node } from '../../src/api/types.js';
import { makeNetns, needsRoot } from '../lib/netns.js';
import { output } from '../lib/spawn.js';

/** Two NICs: eth0 as Vagrant's NAT with the default route, eth1 between the hosts; one without an address. */
const makeHost = (t: Parameters<typeof makeNetns>[0]): string => {
  const netns = makeNetns(t);
  output(
    ['ip', '-n', netns, '-batch', '-'],
    `link add eth0 type veth peer name peer0
     link add eth1 type veth peer name peer1
     link add eth2 type veth peer name peer2
     link set eth0 up
     link set peer0 up
     link set eth1 mtu 1400 up
     link set peer1 up
     address add 10.0.2.15/24 dev eth0
     address add 192.0.2.7/24 dev eth1
     address add 192.0.2.8/24 dev eth1
     route add default via 10.0.2.2
     `,
  );
  return netns;
};

t.test('choosing the NIC of the underlay', { skip: needsRoot() }, async (t) => {
  const netns = makeHost(t);
  const find = (wish: Parameters<typeof findUnderlay>[0]) => findUnderlay(wish, netns);

  t.test('without a wish it is the one with the default route', async (t) => {
    const why = 'it has the default route';
    t.same(await find({}), { nic: 'eth0', address: '10.0.2.15', mtu: 1500, why });
  });

  t.test(
    'the way to a server is better than the default route, and this host itself is no way',
    async (t) => {
      const server = '192.0.2.99';
      t.match(await find({ server }), { nic: 'eth1', why: 'it is on the way to the server at 192.0.2.99' });
      t.match(
        await find({ server: '192.0.2.8' }),
        { nic: 'eth1', address: '192.0.2.8' },
        'it is on this host',
      );
      t.match(await find({ server: '127.0.0.1' }), { nic: 'eth0', why: 'it has the default route' });
      t.match(await find({ server, iface: 'eth0' }), { nic: 'eth0' }, 'a name is better still');
    },
  );

  t.test('a name wins', async (t) => {
    t.same(await find({ iface: 'eth1' }), {
      nic: 'eth1',
      address: '192.0.2.7',
      mtu: 1400,
      why: 'it was named by --iface',
    });
  });

  t.test('the way to an address is asked of the kernel', async (t) => {
    t.match(await find({ canReach: '192.0.2.99' }), { nic: 'eth1', why: 'it reaches 192.0.2.99' });
    t.match(await find({ canReach: '203.0.113.1' }), { nic: 'eth0', address: '10.0.2.15' });
  });

  t.test('the address that peers know finds its NIC, also when it is the second one there', async (t) => {
    t.match(await find({ address: '192.0.2.8' }), { nic: 'eth1', address: '192.0.2.8' });
    t.match(await find({ address: '192.0.2.8', iface: 'eth1' }), { address: '192.0.2.8' });
  });

  t.test('a wish that cannot be is refused with the NICs that there are', async (t) => {
    const there = 'there are eth0 \\(10.0.2.15\\), eth1 \\(192.0.2.7\\), eth1 \\(192.0.2.8\\)';
    await t.rejects(find({ iface: 'eth9' }), { message: new RegExp(`NIC "eth9" .*no such NIC; ${there}`) });
    await t.rejects(find({ iface: 'eth2' }), {
      message: new RegExp(`NIC "eth2" .*no IPv4 address; ${there}`),
    });
    await t.rejects(find({ address: '192.0.2.99' }), {
      message: new RegExp(`192.0.2.99: no NIC has it; ${there}`),
    });
    await t.rejects(find({ iface: 'eth0', address: '192.0.2.8' }), {
      message: /peers know this node by 192.0.2.8/,
    });
    output(['ip', '-n', netns, 'route', 'del', 'default']);
    await t.rejects(find({}), { message: new RegExp(`no default route; name one with --iface, ${there}`) });
    await t.rejects(find({ canReach: '203.0.113.1' }), {
      message: /Cannot find the NIC that reaches 203.0.113.1/,
    });
  });
});

t.test('an address that another live node has is refused', async (t) => {
  const node = (name: string, address: string, ready?: 'True' | 'False', reason?: string): Node => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name },
    status: {
      addresses: [{ type: 'InternalIP', address }],
      conditions: ready && [{ type: 'Ready', status: ready, reason }],
    },
  });
  const underlay = { nic: 'eth0', address: '10.0.2.15', mtu: 1500, why: 'it has the default route' };
  t.throws(() => refuseTakenAddress('b', underlay, [node('a', '10.0.2.15', 'True')]), {
    message:
      /Cannot join as node "b" with the address 10.0.2.15 of eth0 .*live node "a" has the same; .*--iface-can-reach/,
  });
  t.throws(
    () => refuseTakenAddress('b', underlay, [node('a', '10.0.2.15')]),
    'one that never said how it is',
  );
  refuseTakenAddress('b', underlay, [node('a', '10.0.2.15', 'False')]);
  t.throws(
    () => refuseTakenAddress('b', underlay, [node('a', '10.0.2.15', 'False', 'AgentStarting')]),
    'one that starts together with us',
  );
  refuseTakenAddress('a', underlay, [node('b', '10.0.2.15', 'False', 'AgentStarting')]);
  refuseTakenAddress('b', underlay, [node('a', '10.0.2.16', 'True'), node('b', '10.0.2.15', 'True')]);
});
