/**
 * kube-proxy's iptables rules for many Services, as its mode `iptables` writes them into the table nat.
 *
 * Source: k8s.io/kubernetes, pkg/proxy/iptables/proxier.go, syncProxyRules.
 */
import { runSync } from '../lib/spawn.js';

/** A Service's address and its one endpoint. */
export interface Pair {
  readonly vip: string;
  readonly endpoint: string;
}

export const hasIptables = (): boolean => runSync(['iptables-restore', '--version']).status === 0;

const POD_CIDR = '10.244.0.0/16';

const chainsOf = (i: number): string => `:KUBE-SVC-${i} - [0:0]\n:KUBE-SEP-${i} - [0:0]\n`;
const serviceRules = ({ vip, endpoint }: Pair, i: number, port: number): string =>
  `-A KUBE-SVC-${i} ! -s ${POD_CIDR} -d ${vip}/32 -p tcp -m tcp --dport ${port} -j KUBE-MARK-MASQ\n` +
  `-A KUBE-SVC-${i} -m comment --comment "default/s${i} -> ${endpoint}" -j KUBE-SEP-${i}\n` +
  `-A KUBE-SEP-${i} -s ${endpoint}/32 -j KUBE-MARK-MASQ\n` +
  `-A KUBE-SEP-${i} -p tcp -m tcp -j DNAT --to-destination ${endpoint}:${port}\n`;
const dispatchRule = ({ vip }: Pair, i: number, port: number): string =>
  `-A KUBE-SERVICES -d ${vip}/32 -p tcp -m tcp --dport ${port} -j KUBE-SVC-${i}\n`;

/** All rules anew. @returns false when they could not be loaded in a minute */
export function loadServices(netns: string, pairs: readonly Pair[], port: number): boolean {
  const text = [
    '*nat\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n',
    ':KUBE-SERVICES - [0:0]\n:KUBE-MARK-MASQ - [0:0]\n:KUBE-POSTROUTING - [0:0]\n',
    ...pairs.map((_, i) => chainsOf(i)),
    '-A PREROUTING -j KUBE-SERVICES\n-A OUTPUT -j KUBE-SERVICES\n-A POSTROUTING -j KUBE-POSTROUTING\n',
    '-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000\n',
    '-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN\n',
    '-A KUBE-POSTROUTING -j MASQUERADE --random-fully\n',
    ...pairs.map((pair, i) => dispatchRule(pair, i, port)),
    ...pairs.map((pair, i) => serviceRules(pair, i, port)),
    'COMMIT\n',
  ].join('');
  return restore(netns, text);
}

/** One Service's endpoint is another: its own chains are written anew, as kube-proxy does since 1.28. */
export function changeEndpoint(netns: string, pair: Pair, i: number, port: number): boolean {
  return restore(netns, `*nat\n${chainsOf(i)}${serviceRules(pair, i, port)}COMMIT\n`);
}

function restore(netns: string, input: string): boolean {
  const argv = ['ip', 'netns', 'exec', netns, 'iptables-restore', '--noflush', '-w', '5'];
  return runSync(argv, { input }).status === 0;
}
