/**
 * The kinds of things that host state is made of, one function each: how a link's attributes, an address, a rule, a
 * route, a neighbour or a kernel setting is made, recognised and taken back. Which of them a host needs is said in
 * `host-items.ts`.
 */
import type { HostSnapshot, RuleJson } from './host-snapshot.js';
import type { HostItem } from './host-state.js';

/** A link's attributes. The link itself belongs to whoever made it, so there is nothing to take back. */
export const link = (dev: string, mac: string, mtu: number): HostItem => ({
  id: `link ${dev} address ${mac} mtu ${mtu} up`,
  make: { ip: `link set dev ${dev} address ${mac} mtu ${mtu} up` },
  undo: () => null,
  isThere: ({ links }) => {
    const found = links.get(dev);
    return found?.address === mac && found.mtu === mtu && found.flags.includes('UP');
  },
});

export const address = (dev: string, ip: string): HostItem => ({
  id: `address ${ip}/32 dev ${dev}`,
  make: { ip: `address replace ${ip}/32 dev ${dev}` },
  undo: () => ({ ip: `address del ${ip}/32 dev ${dev}` }),
  isThere: ({ links }) =>
    links.get(dev)?.addr_info.some((info) => info.local === ip && info.prefixlen === 32) ?? false,
});

/** What a rule asks of a packet, and the table that it leads to. */
export interface RuleWish {
  pref: number;
  iif?: string;
  /** An address or a prefix. */
  to?: string;
  protocol?: 'tcp' | 'udp';
  /** First and last port. */
  ports?: readonly [number, number];
  table: string;
}

/** By number: ip takes names from /etc/protocols, which a small Debian (one without netbase) does not have. */
const PROTOCOL_NUMBERS = { tcp: 6, udp: 17 };

/** What ip calls a protocol, with /etc/protocols or without. */
const isProtocol = (said: string | undefined, wish: RuleWish['protocol']): boolean =>
  said === wish || (wish !== undefined && said === `ipproto-${PROTOCOL_NUMBERS[wish]}`);

const isRule = (rule: RuleJson, { pref, iif, to, protocol, ports, table }: RuleWish): boolean => {
  const [dst, bits] = (to ?? '').split('/');
  const first = rule.dport_start ?? rule.dport;
  return (
    rule.priority === pref &&
    String(rule.table) === table &&
    rule.src === 'all' &&
    rule.iif === iif &&
    rule.fwmark === undefined &&
    (rule.dst ?? '') === dst &&
    (rule.dstlen ?? 32) === Number(bits ?? 32) &&
    isProtocol(rule.ipproto, protocol) &&
    first === ports?.[0] &&
    (rule.dport_end ?? first) === ports?.[1]
  );
};

const ruleWords = ({ pref, iif, to, protocol, ports, table }: RuleWish): string =>
  [
    `pref ${pref}`,
    iif !== undefined && `iif ${iif}`,
    to !== undefined && `to ${to}`,
    protocol !== undefined && `ipproto ${PROTOCOL_NUMBERS[protocol]}`,
    ports !== undefined && `dport ${ports[0] === ports[1] ? ports[0] : ports.join('-')}`,
    `lookup ${table}`,
  ]
    .filter((word) => word !== false)
    .join(' ');

export const rule = (wish: RuleWish): HostItem => {
  const words = ruleWords(wish);
  return {
    id: `rule ${words}`,
    make: { ip: `rule add ${words}` },
    undo: () => ({ ip: `rule del ${words}` }),
    isThere: ({ rules }) => rules.some((found) => isRule(found, wish)),
  };
};

/**
 * Let the table of the host's own addresses be looked up at `pref`, no longer before everything else. Two items: the
 * rule at the new place, and that there is none at the old one. The second leans on the first, when made and when
 * taken back: a host without its local table answers nobody.
 *
 * Both rules are made as the kernel's own (`protocol kernel`): systemd-networkd removes all others when it starts.
 */
export const moveLocalTable = (pref: number): HostItem[] => {
  const [first, moved]: RuleWish[] = [0, pref].map((at) => ({ pref: at, table: 'local' }));
  const has = ({ rules }: HostSnapshot, wish: RuleWish): boolean =>
    rules.some((found) => isRule(found, wish));
  const [firstWords, movedWords] = [first!, moved!].map((wish) => `${ruleWords(wish)} protocol kernel`);
  const id = `rule ${ruleWords(moved!)}`;
  return [
    {
      id,
      make: { ip: `rule add ${movedWords}` },
      undo: (before) => (has(before, moved!) ? null : { ip: `rule del ${movedWords}` }),
      isThere: (now) => has(now, moved!),
    },
    {
      id: `no rule ${ruleWords(first!)}`,
      needs: [id],
      make: { ip: `rule del ${ruleWords(first!)}` },
      undo: (before) => (has(before, first!) ? { ip: `rule add ${firstWords}` } : null),
      isThere: (now) => !has(now, first!),
    },
  ];
};

/** Where a route leads. */
export interface RouteWish {
  dst: string;
  hop: string;
  dev: string;
  /** The address that the host's own programs then have. */
  source?: string;
  /** `main` when left out. */
  table?: string;
}

export const route = ({ dst, hop, dev, source, table }: RouteWish): HostItem => {
  const words =
    `${dst} via ${hop} dev ${dev} onlink` +
    (source === undefined ? '' : ` src ${source}`) +
    (table === undefined ? '' : ` table ${table}`);
  return {
    id: `route ${words}`,
    make: { ip: `route replace ${words}` },
    undo: () => ({ ip: `route del ${words}` }),
    isThere: ({ routes }) =>
      routes.some(
        (found) =>
          found.table === table &&
          found.dst === dst &&
          found.gateway === hop &&
          found.dev === dev &&
          found.prefsrc === source &&
          !found.metric,
      ),
  };
};

export const neighbor = (ip: string, mac: string, dev: string): HostItem => {
  const words = `${ip} lladdr ${mac} dev ${dev}`;
  return {
    id: `neigh ${words}`,
    make: { ip: `neigh replace ${words} nud permanent` },
    undo: () => ({ ip: `neigh del ${ip} dev ${dev}` }),
    isThere: ({ neighbors }) =>
      neighbors.some((found) => found.dst === ip && found.lladdr === mac && found.dev === dev),
  };
};

/** `dev` answers ARP for an address that is not the host's. */
export const proxyNeighbor = (ip: string, dev: string): HostItem => ({
  id: `neigh proxy ${ip} dev ${dev}`,
  make: { ip: `neigh add proxy ${ip} dev ${dev}` },
  undo: () => ({ ip: `neigh del proxy ${ip} dev ${dev}` }),
  isThere: ({ proxies }) => proxies.some((found) => found.dst === ip && found.dev === dev),
});

/** A kernel setting, by its path under /proc/sys (a NIC's name may hold dots). */
export const sysctl = (path: string, value: string): HostItem => ({
  id: `sysctl ${path}=${value}`,
  sysctl: path,
  make: { sysctl: path, value },
  undo: (before) => restore(path, before),
  isThere: ({ sysctls }) => sysctls.get(path) === value,
});

/** Port ranges that a setting holds, with what is in it already: `8080,30000-32767`. */
export const portList = (path: string, ranges: readonly (readonly [number, number])[]): HostItem => {
  const text = ranges.map((range) => range.join('-')).join(',');
  return {
    id: `sysctl ${path} has ${text}`,
    sysctl: path,
    make: ({ sysctls }) => ({ sysctl: path, value: [sysctls.get(path), text].filter(Boolean).join(',') }),
    undo: (before) => restore(path, before),
    isThere: ({ sysctls }) => {
      const held = (sysctls.get(path) ?? '').split(',').map((part) => part.split('-').map(Number));
      return ranges.every(([first, last]) =>
        held.some(([from, to]) => from! <= first && (to ?? from!) >= last),
      );
    },
  };
};

const restore = (path: string, { sysctls }: HostSnapshot): { sysctl: string; value: string } | null => {
  const old = sysctls.get(path);
  return old === undefined ? null : { sysctl: path, value: old };
};
