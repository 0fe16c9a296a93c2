/** What the measurements of Services rest on. */
import t from 'tap';
import { summarize } from '../../src/bench/connections.js';
import { natTable } from '../../src/bench/iptables.js';

t.test('a connection that waited for a lost packet to be sent again is told from a slow one', async (t) => {
  t.same(summarize([0.2, 0.1, 0.3, 40], 2000), { perSecond: 2, medianUs: 250, hung: 0 });
  t.equal(summarize([0.2, 1028, 0.3, 3072], 4000).hung, 2);
});

t.test('iptables: what is masqueraded has lost its mark before it goes into the tunnel', async (t) => {
  const table = natTable([
    { vip: '10.96.0.1', endpoint: '10.244.2.2', ports: [{ port: 80, nodePort: 30_001 }] },
  ]);
  const chain = table.split('\n').filter((line) => line.startsWith('-A KUBE-POSTROUTING '));
  const place = (word: string): number => chain.findIndex((line) => line.includes(word));
  const [unmarked, cleared, masqueraded] = ['-j RETURN', '-j MARK --xor-mark', '-j MASQUERADE'].map(place);
  t.ok(unmarked! >= 0 && unmarked! < cleared! && cleared! < masqueraded!, chain.join('\n'));
});
