import t, { type Test } from 'tap';
import { isBad, underlayConditions, underlayEvent } from '../../../src/agent/peers/peer-news.js';
import { peersOf, watchPeers, type Peer, type Way } from '../../../src/agent/peers/peer-watch.js';
import { AGENT_ANNOTATION, FLANNEL_PUBLIC_IP, type Node } from '../../../src/api/types.js';
import { validate } from '../../../src/api/validate.js';
import { until } from '../../lib/until.js';

const PEER: Peer = { name: 'node2', address: 0xc0000202 | 0, router: 0x0af402fe };
const FACTS = { nic: 'eth0', mtu: 1500, away: undefined, expected: 1500, lab: 'host' };

/** A network that answers as `rules` say now: the largest packet to the router, and to the host itself. */
function makeWatch(t: Test, rules: { tunnel: number; host: number; code?: number }) {
  const rounds: ReadonlyMap<string, Way>[] = [];
  const asked: string[] = [];
  let isClosed = false;
  const watch = watchPeers({
    echoes: {
      ask: (to, bytes) => {
        asked.push(`${to === PEER.router ? 'tunnel' : 'host'} ${bytes}`);
        return Promise.resolve(bytes <= (to === PEER.router ? rules.tunnel : rules.host));
      },
      refusal: () => rules.code,
      close: () => (isClosed = true),
    },
    port: 8472,
    podMtu: 1450,
    overhead: 50,
    peers: () => [PEER],
    told: (ways) => rounds.push(ways),
    roundMs: 1,
  });
  t.teardown(() => watch.close());
  return {
    asked,
    rounds,
    close: () => {
      watch.close();
      return isClosed;
    },
    next: async (isSo: (way: Way) => boolean): Promise<Way> => {
      const from = rounds.length;
      return until('a round tells it', () =>
        rounds
          .slice(from)
          .map((ways) => ways.get('node2')!)
          .find(isSo),
      );
    },
  };
}

t.test('a peer that answers is asked once a round', async (t) => {
  const watch = makeWatch(t, { tunnel: 1450, host: 1500 });
  t.same(await watch.next(() => true), { state: 'good' });
  t.equal(watch.asked[0], 'tunnel 1450');
  t.ok(watch.asked.length <= watch.rounds.length + 1);
  t.ok(watch.close(), 'and its socket is closed with the watch');
});

t.test('a narrow way is measured to the byte, and good again when it is', async (t) => {
  const rules = { tunnel: 1350, host: 1500 };
  const watch = makeWatch(t, rules);
  const way = await watch.next(({ state }) => state === 'narrow');
  t.same(way, { state: 'narrow', mtu: 1400 });
  rules.tunnel = 1450;
  t.same(await watch.next(({ state }) => state !== 'narrow'), { state: 'good' });
});

t.test('a silent peer is doubted first, and then told with where to look', async (t) => {
  const rules: { tunnel: number; host: number; code?: number } = { tunnel: 0, host: 1500 };
  const watch = makeWatch(t, rules);
  await watch.next(({ state }) => state === 'silent');
  t.same(watch.rounds[0]!.get('node2'), { state: 'doubtful' });
  const why = async (): Promise<string> => {
    const way = await watch.next(() => true);
    return way.state === 'silent' ? way.why : way.state;
  };
  t.match(await why(), /its host 192\.0\.2\.2 answers, the tunnel does not: let UDP port 8472 through/);
  rules.host = 0;
  await watch.next(() => true);
  t.match(await why(), /its host 192\.0\.2\.2 does not answer either/);
  rules.code = 3;
  await watch.next(() => true);
  t.match(await why(), /nothing listens on UDP port 8472 of 192\.0\.2\.2/);
  rules.code = 13;
  await watch.next(() => true);
  t.match(await why(), /a firewall on the way to 192\.0\.2\.2 refuses UDP port 8472/);
});

t.test('only ready nodes of ours are asked', async (t) => {
  const node = (
    name: string,
    more: { agent?: boolean; ready?: 'True' | 'False'; podCIDR?: string } = {},
  ): Node => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name,
      annotations: {
        [FLANNEL_PUBLIC_IP]: '192.0.2.2',
        ...(more.agent !== false && { [AGENT_ANNOTATION]: '0.1.0' }),
      },
    },
    spec: { podCIDR: more.podCIDR ?? '10.244.2.0/24' },
    status: { conditions: [{ type: 'Ready', status: more.ready ?? 'True' }] },
  });
  t.same(peersOf('node1', [node('node1'), node('node2')]), [PEER]);
  t.same(peersOf('node1', [node('a', { agent: false })]), [], 'a foreign host has no router');
  t.same(peersOf('node1', [node('a', { ready: 'False' })]), [], 'one that is away is known to be');
  t.same(peersOf('node1', [node('a', { podCIDR: '' })]), []);
});

t.test('conditions say the number to configure and whom to look at', async (t) => {
  const told = (ways: [string, Way][], facts = {}) =>
    underlayConditions({ ...FACTS, ...facts }, new Map(ways)).filter(isBad);
  t.same(told([['a', { state: 'good' }]]), []);
  t.same(told([['a', { state: 'doubtful' }]]), [], 'a doubt is no news');
  t.match(
    told([
      ['a', { state: 'narrow', mtu: 1404 }],
      ['b', { state: 'narrow', mtu: 1400 }],
    ]),
    [
      {
        type: 'UnderlayMTU',
        status: 'False',
        message:
          'The way to a, b carries packets of 1400 bytes, the cluster counts on 1500: large packets of pods are lost; ' +
          'set spec.underlay.mtu of Lab "host" to 1400 and restart the agents',
      },
    ],
  );
  t.match(told([], { mtu: 1280 }), [
    { message: /^NIC eth0 carries packets of 1280 bytes, the cluster counts on 1500/ },
  ]);
  t.match(told([['a', { state: 'silent', why: 'it sleeps' }]]), [
    { type: 'PeersReachable', message: 'a does not answer through the tunnel: it sleeps' },
  ]);
  const many = Array.from({ length: 8 }, (_, i): [string, Way] => [`n${i}`, { state: 'silent', why: 'x' }]);
  t.match(told(many)[0]!.message, / and 3 more$/);
  t.match(told([], { away: 'eth0 is gone' }), [{ type: 'NetworkUnavailable', status: 'True' }]);
});

t.test('an event about a node is a valid one', async (t) => {
  const [bad] = underlayConditions({ ...FACTS, away: 'The NIC eth0 is gone' }, new Map());
  const event = underlayEvent('node1', bad!, Date.UTC(2026, 0, 1));
  t.same(validate(event), []);
  t.match(event, { type: 'Warning', reason: 'UnderlayAway', involvedObject: { kind: 'Node', uid: 'node1' } });
});
