/**
 * kube-proxy's iptables rules for many Services, as its mode `iptables` writes them into the table nat.
 *
 * Source: k8s.io/kubernetes, pkg/proxy/iptables/proxier.go, syncProxyRules.
 */
import { LAB_DEFAULTS } from '../api/lab.js';
import { inside, run } from './programs.js';

/** A Service's address, its one endpoint, and the ports that both have. */
export interface Pair {
  readonly vip: string;
  readonly endpoint: string;
  readonly ports: readonly { readonly port: number; readonly nodePort?: number }[];
}

/** Rules that take longer to load are not borne. */
export const LOAD_SECONDS = 30;

const POD_CIDR = LAB_DEFAULTS.podCIDR;

/** What each port of each Service needs. */
const chains = (
  pairs: readonly Pair[],
  write: (pair: Pair, port: Pair['ports'][number], id: string) => string,
): string[] => pairs.flatMap((pair, i) => pair.ports.map((port) => write(pair, port, `${i}-${port.port}`)));

const declare = (_: Pair, port: Pair['ports'][number], id: string): string =>
  `:KUBE-SVC-${id} - [0:0]\n:KUBE-SEP-${id} - [0:0]\n` +
  (port.nodePort === undefined ? '' : `:KUBE-EXT-${id} - [0:0]\n`);

const rules = ({ vip, endpoint }: Pair, { port, nodePort }: Pair['ports'][number], id: string): string =>
  `-A KUBE-SVC-${id} ! -s ${POD_CIDR} -d ${vip}/32 -p tcp -m tcp --dport ${port} -j KUBE-MARK-MASQ\n` +
  `-A KUBE-SVC-${id} -m comment --comment "default/s${id} -> ${endpoint}" -j KUBE-SEP-${id}\n` +
  `-A KUBE-SEP-${id} -s ${endpoint}/32 -j KUBE-MARK-MASQ\n` +
  `-A KUBE-SEP-${id} -p tcp -m tcp -j DNAT --to-destination ${endpoint}:${port}\n` +
  (nodePort === undefined
    ? ''
    : `-A KUBE-EXT-${id} -j KUBE-MARK-MASQ\n-A KUBE-EXT-${id} -j KUBE-SVC-${id}\n`);

const dispatch = ({ vip }: Pair, { port }: Pair['ports'][number], id: string): string =>
  `-A KUBE-SERVICES -d ${vip}/32 -p tcp -m tcp --dport ${port} -j KUBE-SVC-${id}\n`;

const nodePorts = (_: Pair, { nodePort }: Pair['ports'][number], id: string): string =>
  nodePort === undefined ? '' : `-A KUBE-NODEPORTS -p tcp -m tcp --dport ${nodePort} -j KUBE-EXT-${id}\n`;

/** All rules, for iptables-restore. */
export const natTable = (pairs: readonly Pair[]): string =>
  [
    '*nat\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n',
    ':KUBE-SERVICES - [0:0]\n:KUBE-NODEPORTS - [0:0]\n:KUBE-MARK-MASQ - [0:0]\n:KUBE-POSTROUTING - [0:0]\n',
    ...chains(pairs, declare),
    '-A PREROUTING -j KUBE-SERVICES\n-A OUTPUT -j KUBE-SERVICES\n-A POSTROUTING -j KUBE-POSTROUTING\n',
    '-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000\n',
    '-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN\n',
    // The VXLAN packet around it inherits the mark: its port would be changed too, and its checksum made wrong.
    '-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000\n',
    '-A KUBE-POSTROUTING -j MASQUERADE --random-fully\n',
    ...chains(pairs, dispatch),
    // The last rule of its chain, as kube-proxy has it.
    '-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS\n',
    ...chains(pairs, nodePorts),
    ...chains(pairs, rules),
    'COMMIT\n',
  ].join('');

/** All rules anew. @returns false when they could not be loaded within {@link LOAD_SECONDS} */
export async function loadServices(netns: string, pairs: readonly Pair[]): Promise<boolean> {
  await clear(netns);
  return restore(netns, natTable(pairs));
}

/** One Service's endpoint is another: its own chains are written anew, as kube-proxy does since 1.28. */
export function changeEndpoint(
  netns: string,
  pairs: readonly Pair[],
  i: number,
  endpoint: string,
): Promise<boolean> {
  const pair = { ...pairs[i]!, endpoint };
  const write = (what: typeof rules): string =>
    pair.ports.map((port) => what(pair, port, `${i}-${port.port}`)).join('');
  return restore(netns, `*nat\n${write(declare)}${write(rules)}COMMIT\n`);
}

async function clear(netns: string): Promise<void> {
  for (const what of ['-F', '-X']) await run(inside(netns, 'iptables', '-w', '-t', 'nat', what));
}

async function restore(netns: string, input: string): Promise<boolean> {
  const argv = inside(netns, 'iptables-restore', '--noflush', '-w', '5');
  return (await run(argv, input, LOAD_SECONDS * 1000)).status === 0;
}
