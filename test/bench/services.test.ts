/** What the measurements of Services rest on. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { synsSentAgain } from '../../src/bench/connections.js';
import { natTable } from '../../src/bench/iptables.js';

t.test('SYNs that were sent again are read from the kernel’s figures', async (t) => {
  const text = (count: number): string =>
    `TcpExt: SyncookiesSent TCPSynRetrans TCPOrigDataSent\nTcpExt: 7 ${count} 9\nIpExt: InNoRoutes\nIpExt: 4\n`;
  t.equal(synsSentAgain(text(0)), 0);
  t.equal(synsSentAgain(text(31)), 31);
  t.ok(synsSentAgain(readFileSync('/proc/self/net/netstat', 'utf8')) >= 0, 'those of this machine');
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
