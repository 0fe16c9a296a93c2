/**
 * What is answered without asking anybody: fixed entries of hosts first, then the cluster's names. An entry may take the
 * place of a cluster's name, too: so a hijacked answer is played.
 */
import type { HostAlias } from '../api/types.js';
import { TYPE } from '../wire/dns.js';
import { canonical } from './address-names.js';
import { answer } from './answer.js';
import type { ClusterNames } from './cluster-names.js';
import { addressRecord, type Answer } from './records.js';

export interface Authority {
  readonly cluster: ClusterNames;
  /** Another number when an answer may have become another. */
  readonly generation: number;
  /** Aliases are followed as far as we know; undefined: a name of others. */
  answer(name: string, type: number): Answer | undefined;
}

/** @param ttl  seconds, for every record */
export function createAuthority(
  cluster: ClusterNames,
  ttl: number,
  hosts: readonly HostAlias[] = [],
): Authority {
  const fixed = new Map<string, string[]>();
  for (const { ip, hostnames = [] } of hosts) {
    const address = canonical(ip);
    if (address === undefined) continue;
    for (const hostname of hostnames) {
      const name = hostname.toLowerCase().replace(/\.$/, '');
      fixed.set(name, [...(fixed.get(name) ?? []), address]);
    }
  }
  return {
    cluster,
    get generation() {
      return cluster.generation;
    },
    answer(name, type) {
      const addresses = fixed.get(name);
      if (!addresses) return answer(cluster, name, type, ttl);
      const isAsked = (address: string): boolean => type === (address.includes(':') ? TYPE.AAAA : TYPE.A);
      return {
        rcode: 'NOERROR',
        answers: addresses.filter(isAsked).map((address) => addressRecord(name, ttl, address)),
        authority: [],
        additional: [],
        meaning: 'host-entry',
      };
    },
  };
}
