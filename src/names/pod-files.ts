/**
 * What a pod's resolver reads: the text of its /etc/resolv.conf and /etc/hosts, as the kubelet writes them.
 *
 * Source: k8s.io/kubernetes, pkg/kubelet/network/dns/dns.go and pkg/kubelet/kubelet_pods.go.
 */
import type { HostAlias, Pod } from '../api/types.js';
import { formatResolvConf, type ResolvConf } from './resolv-conf.js';

/** What of its cluster and host a pod's resolver is told. */
export interface PodDns {
  /** The cluster's zone. */
  readonly zone: string;
  /** Where the cluster's DNS is asked. */
  readonly server: string;
  /** What the host itself reads. */
  readonly host: ResolvConf;
}

/** More than these a C library does not read, or the kubelet does not write. */
const MAX_NAMESERVERS = 3;
const MAX_SEARCHES = 32;
const MAX_SEARCH_CHARS = 2048;

/** A pod's resolv.conf by its `dnsPolicy` and `dnsConfig`. */
export function podResolvConf(pod: Pod, dns: PodDns): ResolvConf {
  const { dnsPolicy = 'ClusterFirst', dnsConfig = {}, hostNetwork } = pod.spec;
  const base = baseOf(pod.metadata.namespace ?? 'default', dnsPolicy, hostNetwork === true, dns);
  const options = new Map([...base.options].map((option) => [option.split(':')[0]!, option]));
  for (const { name, value } of dnsConfig.options ?? [])
    if (name !== undefined) options.set(name, value === undefined ? name : `${name}:${value}`);
  return {
    nameservers: unique([...base.nameservers, ...(dnsConfig.nameservers ?? [])]).slice(0, MAX_NAMESERVERS),
    searches: fitting(unique([...base.searches, ...(dnsConfig.searches ?? [])])),
    options: [...options.values()],
  };
}

function baseOf(
  namespace: string,
  policy: string,
  isOnHost: boolean,
  { zone, server, host }: PodDns,
): ResolvConf {
  if (policy === 'None') return { nameservers: [], searches: [], options: [] };
  if (policy === 'Default' || (policy === 'ClusterFirst' && isOnHost)) return host;
  return {
    nameservers: [server],
    searches: [`${namespace}.svc.${zone}`, `svc.${zone}`, zone, ...host.searches],
    options: ['ndots:5'],
  };
}

const unique = (items: readonly string[]): string[] => [...new Set(items)];

/** As many as fit, counted with the blanks between them. */
function fitting(searches: readonly string[]): string[] {
  let chars = -1;
  return searches.slice(0, MAX_SEARCHES).filter((search) => (chars += search.length + 1) <= MAX_SEARCH_CHARS);
}

export const podResolvConfText = (pod: Pod, dns: PodDns): string => formatResolvConf(podResolvConf(pod, dns));

/** A pod's name in the cluster's zone, when it has a hostname below a subdomain. */
export function podFqdn({ metadata, spec }: Pod, hostname: string, zone: string): string | undefined {
  return spec.subdomain && !spec.hostNetwork
    ? `${hostname}.${spec.subdomain}.${metadata.namespace ?? 'default'}.svc.${zone}`
    : undefined;
}

/**
 * The text of a pod's hosts file.
 *
 * @param hostname   as the pod itself is called
 * @param hostsFile  of the host, for a pod on its network
 */
export function podHostsText(pod: Pod, hostname: string, zone: string, hostsFile: string): string {
  const { hostNetwork, hostAliases = [] } = pod.spec;
  const address = pod.status?.podIP;
  const own = [podFqdn(pod, hostname, zone), hostname].filter((name) => name !== undefined);
  const head = hostNetwork
    ? `# Kubernetes-managed hosts file (host network).\n${hostsFile.replace(/\n?$/, '\n')}`
    : HEAD;
  return head + (address ? line(address, own) : '') + aliases(hostAliases);
}

const HEAD =
  '# Kubernetes-managed hosts file.\n' +
  '127.0.0.1\tlocalhost\n' +
  '::1\tlocalhost ip6-localhost ip6-loopback\n' +
  'fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n';

const line = (ip: string, names: readonly string[]): string => `${[ip, ...names].join('\t')}\n`;

const aliases = (list: readonly HostAlias[]): string =>
  list.length === 0
    ? ''
    : `\n# Entries added by HostAliases.\n${list.map(({ ip, hostnames = [] }) => line(ip, hostnames)).join('')}`;
