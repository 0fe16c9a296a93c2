import t, { type Test } from 'tap';
import { findUnderlay, type UnderlayWish } from '../../src/agent/underlay.js';
import { watchUnderlay } from '../../src/agent/underlay-watch.js';
import { makeNetns, needsRoot } from '../lib/netns.js';
import { output } from '../lib/spawn.js';
import { until } from '../lib/until.js';

/** A host with two NICs, of which eth1 is the underlay; what the watch over it has told. */
async function makeHost(t: Test, wish: UnderlayWish = { iface: 'eth1' }) {
  const netns = makeNetns(t);
  const ip = (commands: string): void => void output(['ip', '-n', netns, '-batch', '-'], `${commands}\n`);
  ip(`link add eth0 type veth peer name peer0
      link add eth1 type veth peer name peer1
      link set eth0 up
      link set peer0 up
      link set eth1 up
      link set peer1 up
      address add 192.0.2.130/25 dev eth0
      address add 192.0.2.7/25 dev eth1`);
  const told: string[] = [];
  let next: UnderlayWish | undefined;
  const watch = watchUnderlay({
    underlay: await findUnderlay(wish, netns),
    wish,
    netns,
    moved(why, how) {
      told.push(`moved: ${why}`);
      next = how;
    },
    mtuChanged: (mtu) => told.push(`mtu ${mtu}`),
    away: (problem) => told.push(problem === undefined ? 'back' : `away: ${problem}`),
    lookMs: 5,
    graceMs: 50,
  });
  t.teardown(() => watch.close());
  return { netns, ip, told, next: () => next };
}

t.test('watching the NIC of the underlay', { skip: needsRoot() }, async (t) => {
  t.test('another address of it is told at once, and that is the last word', async (t) => {
    const { ip, told } = await makeHost(t);
    // One batch, but two changes: what is seen between them is that the address is away.
    ip('address del 192.0.2.7/25 dev eth1\naddress add 192.0.2.8/25 dev eth1');
    await until('it is told', () => told.some((text) => text.startsWith('moved')));
    t.equal(told.at(-1), 'moved: The address of eth1 was 192.0.2.7 and is now 192.0.2.8');
    const words = told.length;
    ip('address add 192.0.2.9/25 dev eth1\naddress del 192.0.2.8/25 dev eth1');
    t.equal(told.length, words);
  });

  t.test('a new name is told, and the wish for the old one with it', async (t) => {
    const { ip, told, next } = await makeHost(t);
    ip('link set eth1 down\nlink set eth1 name nic7\nlink set nic7 up');
    await until('it is told', () => told.some((text) => text.startsWith('moved')));
    t.equal(
      told.at(-1),
      'moved: The NIC eth1 is now called nic7, which --iface must say before the next start',
    );
    t.same(next(), { iface: 'nic7' });
  });

  t.test('a NIC that is down and up again has not moved', async (t) => {
    const { ip, told } = await makeHost(t);
    ip('link set eth1 down');
    await until('it is told', () => told.length === 1);
    t.match(told[0], /^away: The NIC eth1 is down: no packet reaches other hosts/);
    ip('link set eth1 up');
    await until('it is back', () => told.length === 2);
    t.equal(told[1], 'back');
  });

  t.test('one that is gone leaves its place to another only when the wish leads there', async (t) => {
    const named = await makeHost(t);
    named.ip('link del eth1');
    await until('it is told', () => named.told.length === 1);
    t.match(named.told[0], /^away: The NIC eth1 is gone/);

    const free = await makeHost(t, { canReach: '192.0.2.9' });
    free.ip('link del eth1\nroute add 192.0.2.9 dev eth0');
    await until('it is told', () => free.told.some((text) => text.startsWith('moved')));
    t.match(free.told.at(-1), 'and eth0 with 192.0.2.130 takes its place: it reaches 192.0.2.9');
    t.equal(named.told.length, 1, 'a name is waited for');
  });

  t.test('another MTU is told, and is no move', async (t) => {
    const { ip, told } = await makeHost(t);
    ip('link set eth1 mtu 1400');
    await until('it is told', () => told.length === 1);
    t.same(told, ['mtu 1400']);
  });
});
