/**
 * What can be asked of `explain`, and what it answers.
 */
import { SCTP, ICMP, TCP, UDP } from '../wire/ipv4.js';

/** One made-up packet, or `tries` of them that differ in their source port. */
export interface Query {
  /** Whose host: the name of a Node. */
  readonly node?: string;
  /** Source address: a pod's, a host's, or anybody else's. */
  readonly from: string;
  readonly to: string;
  /** Destination port; none for ICMP. */
  readonly port?: number;
  /** TCP unless said otherwise, in capitals or not. */
  readonly protocol?: string;
  /** How many connections; 1 when left out. */
  readonly tries?: number;
  /** Source port of the first connection. */
  readonly fromPort?: number;
  /** `underlay`: the packet came in by the host's NIC, whoever its source address belongs to. */
  readonly inInterface?: string;
}

/**
 * - `forward`: reached an endpoint of the Service, or without a Service its destination
 * - `reject`: refused at once, by a TCP reset or an ICMP error
 * - `drop`: silence
 * - `local`: delivered to the host itself, or answered by its router
 * - `no-service`: meant for a Service's address, but no Service matched, and the packet goes on as if there were none
 */
export type Verdict = 'forward' | 'reject' | 'drop' | 'local' | 'no-service';

/** What `count` of the connections chose. */
export interface Backend {
  readonly ip: string;
  readonly port: number;
  readonly count: number;
}

/** One stage of the path, in words. */
export interface Step {
  readonly stage: string;
  readonly text: string;
  /** The row of a table that decided, by the key it was compiled under. */
  readonly rule?: string;
}

export interface Answer {
  readonly verdict: Verdict;
  readonly backends: readonly Backend[];
  /** Whether who received it saw another source address than `from`. */
  readonly sourceRewritten: boolean;
  readonly reason: string;
  /** Of the first connection. */
  readonly path: readonly Step[];
}

export const PROTOCOLS: Readonly<Record<string, number>> = { TCP, UDP, SCTP, ICMP };
export const MAX_TRIES = 10_000;

/**
 * Check a query as it was parsed from JSON. Fields that are not ours are left alone.
 *
 * @throws TypeError or RangeError that names the field
 */
export function checkQuery(value: unknown): Query {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new TypeError('Cannot read the query: need an object with from, to and port');
  const query = value as Record<string, unknown>;
  for (const field of ['from', 'to'])
    if (typeof query[field] !== 'string') throw new TypeError(`Cannot read "${field}": need an address`);
  for (const field of ['node', 'protocol', 'inInterface'])
    if (query[field] !== undefined && typeof query[field] !== 'string')
      throw new TypeError(`Cannot read "${field}": need a string`);
  const checked = value as Query;
  const protocol = (checked.protocol ?? 'TCP').toUpperCase();
  if (PROTOCOLS[protocol] === undefined)
    throw new RangeError(`Cannot read "protocol" "${checked.protocol}": choose TCP, UDP, ICMP or SCTP`);
  checkNumber(query, 'port', 65535, protocol !== 'ICMP');
  checkNumber(query, 'fromPort', 65535, false);
  checkNumber(query, 'tries', MAX_TRIES, false);
  if (checked.inInterface !== undefined && checked.inInterface !== 'underlay')
    throw new RangeError(`Cannot read "inInterface" "${checked.inInterface}": only "underlay" can be said`);
  return checked;
}

function checkNumber(query: Record<string, unknown>, field: string, max: number, isNeeded: boolean): void {
  const value = query[field];
  if (value === undefined && !isNeeded) return;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > max)
    throw new RangeError(`Cannot read "${field}" ${JSON.stringify(value)}: need a whole number, 1 to ${max}`);
}
