/**
 * The `hostPort`s of this host's pods, as far as the host's kernel must lead them to the router: those on the host's own
 * address and on its loopback. IPv4 only.
 */
import { hostPorts, isEveryAddress } from '../api/pod.js';
import type { ClusterView } from '../api/types.js';
import { isSteeredAnyway } from './service-addresses.js';

/** A port of an address, or of a prefix, of the host that is the router's. */
export interface SteeredPort {
  readonly to: string;
  readonly protocol: 'tcp' | 'udp';
  readonly port: number;
}

const LOOPBACK = '127.0.0.0/8';

/** What is to be steered, each port once, in a stable order. */
export const steeredHostPorts = (
  { pods }: Pick<ClusterView, 'pods'>,
  node: string,
  nodeIp: string,
): SteeredPort[] => {
  const steered = new Map<string, SteeredPort>();
  for (const pod of pods) {
    if (pod.spec.nodeName !== node) continue;
    for (const { hostIP, hostPort: port, protocol: name } of hostPorts(pod)) {
      if (name === 'SCTP' || isSteeredAnyway(port)) continue;
      const protocol = name === 'UDP' ? 'udp' : 'tcp';
      const places = isEveryAddress(hostIP)
        ? [nodeIp, LOOPBACK]
        : [hostIP!.startsWith('127.') ? LOOPBACK : hostIP!];
      for (const to of places)
        if (to === nodeIp || to === LOOPBACK)
          steered.set(`${to} ${protocol} ${port}`, { to, protocol, port });
    }
  }
  return [...steered.keys()].sort().map((key) => steered.get(key)!);
};
