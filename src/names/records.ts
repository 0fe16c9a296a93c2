/**
 * Records and answers, as objects. What they look like as bytes is for dns/.
 */
import type { RcodeName } from '../wire/dns.js';

interface Owned {
  /** Lower case, without the last dot. */
  readonly name: string;
  /** Seconds. */
  readonly ttl: number;
}

export interface Srv {
  readonly priority: number;
  readonly weight: number;
  readonly port: number;
  readonly target: string;
}

export interface Soa {
  readonly mname: string;
  readonly rname: string;
  readonly serial: number;
  readonly refresh: number;
  readonly retry: number;
  readonly expire: number;
  readonly minimum: number;
}

/** The records that a cluster has. */
export type DnsRecord = Owned &
  (
    | { readonly type: 'A' | 'AAAA' | 'CNAME' | 'NS' | 'PTR' | 'TXT'; readonly data: string }
    | { readonly type: 'SRV'; readonly data: Srv }
    | { readonly type: 'SOA'; readonly data: Soa }
    | { readonly type: 'HINFO'; readonly data: { readonly cpu: string; readonly os: string } }
  );

/** What a name is, in a word; explanations are made from it. */
export type Meaning =
  | 'apex'
  | 'nameserver'
  | 'version'
  /** Names below it exist, it has no records of its own. */
  | 'branch'
  | 'cluster-ip'
  | 'headless'
  | 'external-name'
  | 'endpoint'
  | 'port'
  | 'pod'
  | 'reverse'
  | 'host-entry'
  | 'nothing';

/** An answer by the sections of a message. */
export interface Answer {
  readonly rcode: RcodeName;
  readonly answers: readonly DnsRecord[];
  readonly authority: readonly DnsRecord[];
  readonly additional: readonly DnsRecord[];
  /** The answers end in an alias for this name, which is none of ours: whoever asked wants its records too. */
  readonly chase?: string;
  readonly meaning: Meaning;
  /** The object behind it: `namespace/name`. */
  readonly object?: string;
}

export const addressRecord = (name: string, ttl: number, address: string): DnsRecord => ({
  type: address.includes(':') ? 'AAAA' : 'A',
  name,
  ttl,
  data: address,
});
