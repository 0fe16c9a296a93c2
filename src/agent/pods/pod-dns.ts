/**
 * What pods of a host are told of DNS: from the Lab and from what the host's own resolver reads.
 *
 * A host that is a namespace of a lab has a resolver of its own, the responder on its gateway address; a real host has its
 * /etc/resolv.conf. Resolvers on a real host's loopback are of no use in a pod's namespace: then those that systemd-resolved
 * itself asks are named, as a kubelet on such a host is told to do.
 */
import { readFileSync } from 'node:fs';
import { labSpec } from '../../api/lab.js';
import type { Lab, Pod } from '../../api/types.js';
import { dnsAddress } from '../../control/dns-service.js';
import { podHostsText, podResolvConfText, type PodDns } from '../../names/pod-files.js';
import { parseResolvConf, type ResolvConf } from '../../names/resolv-conf.js';

/** The two files. */
export interface ResolverFiles {
  readonly resolvConf: string;
  readonly hosts: string;
}

const RESOLV_CONF = '/etc/resolv.conf';
const RESOLVED_UPSTREAMS = '/run/systemd/resolve/resolv.conf';

/**
 * The resolver's files for a pod.
 *
 * @param gateway   the host's gateway address, where its responder listens
 * @param isInLab   whether the host is a namespace
 * @param hostname  as the pod is called
 */
export function resolverFiles(
  pod: Pod,
  hostname: string,
  { lab, gateway, isInLab }: { lab: Lab; gateway: string; isInLab: boolean },
): ResolverFiles {
  const { zone } = labSpec(lab).dns;
  const isOnHost = pod.spec.hostNetwork === true;
  const host = isInLab ? { nameservers: [gateway], searches: [], options: [] } : hostResolvConf(isOnHost);
  const dns: PodDns = { zone, server: dnsAddress(lab) ?? gateway, host };
  return {
    resolvConf: podResolvConfText(pod, dns),
    hosts: podHostsText(pod, hostname, zone, isOnHost ? readIfThere('/etc/hosts') : ''),
  };
}

const isLoopback = (address: string): boolean => /^(127\.|::1$)/.test(address);

function hostResolvConf(isOnHost: boolean): ResolvConf {
  const own = parseResolvConf(readIfThere(RESOLV_CONF));
  if (isOnHost || !own.nameservers.every(isLoopback)) {
    const nameservers = isOnHost
      ? own.nameservers
      : own.nameservers.filter((address) => !isLoopback(address));
    return { ...own, nameservers };
  }
  const { nameservers } = parseResolvConf(readIfThere(RESOLVED_UPSTREAMS));
  return { ...own, nameservers };
}

const readIfThere = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};
