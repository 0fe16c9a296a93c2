/**
 * What a host's kernel holds at one moment of the things that host state is made of, as `ip -j` and /proc/sys tell.
 */
import { ENOENT, SysError } from '../sys/errno.js';
import { ipJsonAsync, ipJsonBatchAsync, readSysctl } from '../sys/iproute2.js';

/** A link with its addresses, as `ip -j address show` prints it. */
export interface LinkJson {
  ifindex: number;
  ifname: string;
  address?: string;
  mtu: number;
  flags: string[];
  addr_info: { family: string; local: string; prefixlen: number; scope: string }[];
}
export interface RuleJson {
  priority: number;
  src?: string;
  dst?: string;
  /** 32 when left out. */
  dstlen?: number;
  iif?: string;
  fwmark?: string;
  ipproto?: string;
  /** One port, or else the first and the last. */
  dport?: number;
  dport_start?: number;
  dport_end?: number;
  table?: string | number;
}
export interface RouteJson {
  dst: string;
  gateway?: string;
  dev?: string;
  prefsrc?: string;
  metric?: number;
  /** Left out for table main. */
  table?: string;
}
export interface NeighborJson {
  dst: string;
  dev: string;
  lladdr?: string;
}

/** What the kernel holds at one moment. */
export interface HostSnapshot {
  readonly links: ReadonlyMap<string, LinkJson>;
  readonly rules: readonly RuleJson[];
  /** Of table main, and of table 100, which is ours. */
  readonly routes: readonly RouteJson[];
  /** The permanent ones. */
  readonly neighbors: readonly NeighborJson[];
  /** Addresses for which a link answers ARP although they are not the host's. */
  readonly proxies: readonly NeighborJson[];
  /** The settings that the desired list names; one whose device is missing is missing too. */
  readonly sysctls: ReadonlyMap<string, string>;
}

/** The routing table that is ours alone. */
export const OUR_TABLE = '100';

const NO_TABLE = /FIB table does not exist/;

/** A setting's value, or undefined where there is none: its device is missing. */
const sysctlValue = (path: string, netns: string | undefined): string | undefined => {
  try {
    return readSysctl(path, netns);
  } catch (error) {
    if (error instanceof SysError && error.errno === ENOENT) return undefined;
    throw error;
  }
};

/**
 * Look.
 *
 * @param settings  the paths under /proc/sys to read
 */
export const takeSnapshot = async (
  netns: string | undefined,
  settings: Iterable<string>,
): Promise<HostSnapshot> => {
  const ours = ipJsonAsync<RouteJson[]>(['-4', 'route', 'show', 'table', OUR_TABLE], { netns }).catch(
    (error: unknown): RouteJson[] => {
      if (error instanceof Error && NO_TABLE.test(error.message)) return []; // nobody has put a route in it yet
      throw error;
    },
  );
  const rest = ipJsonBatchAsync<[LinkJson[], RuleJson[], RouteJson[], NeighborJson[], NeighborJson[]]>(
    // Rules, and routes of one table, are IPv4's unless ip is told otherwise.
    ['address show', 'rule show', 'route show table main', 'neigh show nud permanent', 'neigh show proxy'],
    { netns },
  );
  const [ourRoutes, [links, rules, main, neighbors, proxies]] = await Promise.all([ours, rest]);
  const routes = [...main, ...ourRoutes.map((route) => ({ ...route, table: OUR_TABLE }))];
  const sysctls = new Map<string, string>();
  for (const path of settings) {
    const value = sysctlValue(path, netns);
    if (value !== undefined) sysctls.set(path, value);
  }
  const byName = new Map(links.map((link) => [link.ifname, link]));
  return { links: byName, rules, routes, neighbors, proxies, sysctls };
};
