/**
 * Whether the peers can be reached through the tunnel, and with packets of full size.
 *
 * Theory of operation. Every {@link ROUND_MS} each peer is asked by one echo to its router, as large as a pod's packet may be.
 *
 *     GOOD ── no answer, nor to a small one ──► DOUBTFUL ── the same again ──► SILENT
 *       │                                                                        │ an answer: GOOD
 *       └── no answer, but to a small one: the largest that gets through is looked for ──► NARROW
 *
 * A peer that is silent is asked beside the tunnel too: whether its host answers at all says where to look. Only nodes of
 * ours that say they are ready are asked, a few at a time, and one echo each as long as all is well; a foreign VXLAN host
 * has no router that would answer.
 */
import { isReady, nodeAddress } from '../../api/node.js';
import { AGENT_ANNOTATION, type Node } from '../../api/types.js';
import { nodeAddresses } from '../../compile/node-addresses.js';
import { formatIpv4, parseIpv4 } from '../../wire/address.js';
import * as icmp from '../../wire/icmp.js';
import type { Echoes } from './echo.js';
import { largestThrough } from './path-mtu.js';

export interface Peer {
  readonly name: string;
  /** Its address on the underlay, and that of its router. */
  readonly address: number;
  readonly router: number;
}

/** What is known of the way to a peer. */
export type Way =
  | { readonly state: 'good' | 'doubtful' }
  /** The largest packet that the underlay carries to it and back. */
  | { readonly state: 'narrow'; readonly mtu: number }
  | { readonly state: 'silent'; readonly why: string };

export interface PeerWatchOptions {
  readonly echoes: Echoes;
  /** UDP port of the tunnels. */
  readonly port: number;
  /** The largest packet of a pod. */
  readonly podMtu: number;
  /** What the tunnel adds to it. */
  readonly overhead: number;
  /** The peers to be asked now. */
  peers(): readonly Peer[];
  /** After each round. */
  told(ways: ReadonlyMap<string, Way>): void;
  /** Replaced by tests: waiting for an answer, and between rounds. */
  readonly waitMs?: number;
  readonly roundMs?: number;
}

const ROUND_MS = 20_000;
/** After a doubt. */
const SOON_MS = 3_000;
const WAIT_MS = 1_000;
const TRIES = 3;
const MOST_AT_ONCE = 16;
/** An IP packet that every link carries. RFC 791 §3.1: 576, less what the tunnel adds. */
const SMALL = 500;

/** The peers of a node: nodes of ours that say they forward packets. */
export const peersOf = (node: string, nodes: readonly Node[]): Peer[] =>
  nodes.flatMap((other) => {
    const address = parseIpv4(nodeAddress(other) ?? '');
    const router = nodeAddresses(other.spec?.podCIDR ?? '')?.router;
    const isAsked =
      other.metadata.name !== node &&
      isReady(other) &&
      other.metadata.annotations?.[AGENT_ANNOTATION] !== undefined;
    return isAsked && address !== undefined && router !== undefined
      ? [{ name: other.metadata.name, address, router }]
      : [];
  });

/** Begin; the first round comes soon. */
export function watchPeers(options: PeerWatchOptions): { close(): void } {
  const { echoes, port, podMtu, overhead, waitMs = WAIT_MS, roundMs = ROUND_MS } = options;
  let ways = new Map<string, Way>();
  let timer: NodeJS.Timeout | undefined;
  let isClosed = false;

  const answers = async (to: number, bytes: number, tries: number): Promise<boolean> => {
    for (let i = 0; i < tries && !isClosed; i++) if (await echoes.ask(to, bytes, waitMs)) return true;
    return false;
  };

  const examine = async ({ name, address, router }: Peer): Promise<Way> => {
    // One lost packet is no news.
    if (await answers(router, podMtu, 2)) return { state: 'good' };
    if (await answers(router, SMALL, TRIES)) {
      // The way may have come up just now.
      if (await answers(router, podMtu, 1)) return { state: 'good' };
      const through = await largestThrough(SMALL, podMtu, (bytes) => answers(router, bytes, 2));
      return { state: 'narrow', mtu: through + overhead };
    }
    const before = ways.get(name);
    if (before?.state !== 'doubtful' && before?.state !== 'silent') return { state: 'doubtful' };
    return { state: 'silent', why: await reasonOf(address) };
  };

  const reasonOf = async (address: number): Promise<string> => {
    const text = formatIpv4(address);
    const answersItself = await answers(address, SMALL, 2);
    const code = echoes.refusal(address, port);
    if (code === icmp.PORT_UNREACHABLE) return `nothing listens on UDP port ${port} of ${text}`;
    if (code !== undefined && FIREWALL_CODES.includes(code))
      return `a firewall on the way to ${text} refuses UDP port ${port}; allow it, both ways`;
    return answersItself
      ? `its host ${text} answers, the tunnel does not: let UDP port ${port} through, both ways, on both hosts and between`
      : `its host ${text} does not answer either: is it up, and is there a route to it?`;
  };

  const round = async (): Promise<void> => {
    const peers = options.peers();
    const next = new Map<string, Way>();
    for (let i = 0; i < peers.length; i += MOST_AT_ONCE)
      await Promise.all(
        peers.slice(i, i + MOST_AT_ONCE).map(async (peer) => next.set(peer.name, await examine(peer))),
      );
    if (isClosed) return;
    ways = next;
    options.told(ways);
    const isDoubtful = [...ways.values()].some(({ state }) => state === 'doubtful');
    timer = setTimeout(run, isDoubtful ? Math.min(SOON_MS, roundMs) : roundMs);
  };
  const run = (): void => void round();
  timer = setTimeout(run, Math.min(SOON_MS, roundMs));

  return {
    close() {
      isClosed = true;
      clearTimeout(timer);
      echoes.close();
    },
  };
}

/** Network, host and communication administratively prohibited. RFC 1812 §5.2.7.1. */
const FIREWALL_CODES: readonly number[] = [9, 10, icmp.ADMINISTRATIVELY_PROHIBITED];
