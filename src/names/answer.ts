/**
 * From a question to the sections of its answer. RFC 1034 §4.3.2, RFC 2308 §2, RFC 8482 §4.2.
 *
 * An alias that leads to a name of ours is followed here; one that leads out is left for whoever can ask others.
 */
import { TYPE } from '../wire/dns.js';
import type { ClusterNames, Found } from './cluster-names.js';
import { addressRecord, type Answer, type DnsRecord } from './records.js';

/** Aliases of ours that are followed, one after the other. */
const MAX_ALIASES = 8;
const SRV_WEIGHT = 100;

/** Seconds for secondaries, of which there are none; what CoreDNS says. */
const SOA_TIMES = { refresh: 7200, retry: 1800, expire: 86400 } as const;

/**
 * Answer a question of class IN.
 *
 * @param name  lower case, without the last dot
 * @param type  a number, any
 * @param ttl   seconds, for every record
 * @returns     undefined when the name lies in no zone of ours
 */
export function answer(names: ClusterNames, name: string, type: number, ttl: number): Answer | undefined {
  let zone = names.zoneOf(name);
  if (zone === undefined) return undefined;
  const none = { answers: [], authority: [], additional: [] };
  if (!names.isSynced) return { rcode: 'SERVFAIL', ...none, meaning: 'nothing' };
  const answers: DnsRecord[] = [];
  const seen = new Set<string>();
  let current = name;
  for (;;) {
    const found = names.find(current);
    if (!found)
      return {
        rcode: 'NXDOMAIN',
        answers,
        authority: [soaRecord(names, zone, ttl)],
        additional: [],
        meaning: 'nothing',
      };
    const { meaning, object, alias } = found;
    if (alias !== undefined && type !== TYPE.CNAME && type !== TYPE.ANY) {
      answers.push({ type: 'CNAME', name: current, ttl, data: alias });
      seen.add(current);
      const target = alias.toLowerCase();
      const targetZone = names.zoneOf(target);
      if (targetZone === undefined || seen.has(target) || seen.size === MAX_ALIASES)
        return {
          rcode: 'NOERROR',
          answers,
          authority: [],
          additional: [],
          ...(targetZone === undefined && { chase: target }),
          meaning,
          object,
        };
      current = target;
      zone = targetZone;
      continue;
    }
    const records = recordsOf(names, found, current, zone, type, ttl);
    answers.push(...records);
    return {
      rcode: 'NOERROR',
      answers,
      authority: records.length === 0 ? [soaRecord(names, zone, ttl)] : [],
      additional: records.length > 0 ? glue(names, found, type, ttl) : [],
      meaning,
      object,
    };
  }
}

function recordsOf(
  names: ClusterNames,
  found: Found,
  name: string,
  zone: string,
  type: number,
  ttl: number,
): DnsRecord[] {
  const { addresses = [], ports = [], pointers = [], alias, text } = found;
  switch (type) {
    case TYPE.A:
    case TYPE.AAAA:
      return addresses
        .filter((address) => address.includes(':') === (type === TYPE.AAAA))
        .map((address) => addressRecord(name, ttl, address));
    case TYPE.SRV:
      return ports.map(({ port, target }) => ({
        type: 'SRV',
        name,
        ttl,
        data: { priority: 0, weight: SRV_WEIGHT, port, target },
      }));
    case TYPE.PTR:
      return pointers.map((data) => ({ type: 'PTR', name, ttl, data }));
    case TYPE.CNAME:
      return alias === undefined ? [] : [{ type: 'CNAME', name, ttl, data: alias }];
    case TYPE.TXT:
      return text === undefined ? [] : [{ type: 'TXT', name, ttl, data: text }];
    case TYPE.SOA:
      return found.meaning === 'apex' ? [soaRecord(names, zone, ttl)] : [];
    case TYPE.NS:
      return found.meaning === 'apex' ? [{ type: 'NS', name, ttl, data: serverName(names) }] : [];
    case TYPE.ANY:
      // RFC 8482 §4.2: one small record instead of all that there is.
      return [{ type: 'HINFO', name, ttl, data: { cpu: 'RFC8482', os: '' } }];
    default:
      return [];
  }
}

/** Addresses of the names that the records lead to. */
function glue(names: ClusterNames, { ports = [], meaning }: Found, type: number, ttl: number): DnsRecord[] {
  if (type === TYPE.NS && meaning === 'apex')
    return names.options.servers.map((address) => addressRecord(serverName(names), ttl, address));
  if (type !== TYPE.SRV) return [];
  const records = new Map<string, DnsRecord>();
  for (const { target, addresses } of ports)
    for (const address of addresses) records.set(`${target} ${address}`, addressRecord(target, ttl, address));
  return [...records.values()];
}

const serverName = ({ options }: ClusterNames): string => `ns.dns.${options.zone}`;

function soaRecord(names: ClusterNames, zone: string, ttl: number): DnsRecord {
  return {
    type: 'SOA',
    name: zone,
    ttl,
    data: {
      mname: serverName(names),
      rname: `hostmaster.${names.options.zone}`,
      serial: names.generation >>> 0,
      ...SOA_TIMES,
      minimum: ttl,
    },
  };
}
