/**
 * What becomes of a name that a program in a pod looks up: each name the resolver tries, each question on the wire, and why the
 * answer is what it is. The resolver is glibc's: resolv.conf(5).
 *
 * What upstreams would say is not known here; a name of others ends the explanation.
 */
import { TYPE } from '../wire/dns.js';
import type { Authority } from './authority.js';
import type { Answer, DnsRecord } from './records.js';
import type { ResolvConf } from './resolv-conf.js';

export interface ExplainedQuery {
  readonly name: string;
  readonly type: 'A' | 'AAAA';
  /** `forward` for a name of others. */
  readonly rcode: Answer['rcode'] | 'forward';
  readonly records: readonly string[];
  readonly why: string;
}

export interface ExplainedName {
  readonly queries: readonly ExplainedQuery[];
  /** How it ends, in a sentence. */
  readonly result: string;
}

const DEFAULT_NDOTS = 1;
const MAX_NDOTS = 15;

/** The names that a resolver tries, in order. */
export function searchNames(name: string, { searches, options }: ResolvConf): string[] {
  if (name.endsWith('.')) return [name.slice(0, -1)];
  const said = options.flatMap((option) => /^ndots:(\d+)$/.exec(option)?.[1] ?? []).at(-1);
  const ndots = Math.min(Number(said ?? DEFAULT_NDOTS), MAX_NDOTS);
  const dots = name.split('.').length - 1;
  const longer = searches
    .filter((search) => search !== '.')
    .map((search) => `${name}.${search.replace(/\.$/, '')}`);
  return dots >= ndots ? [name, ...longer] : [...longer, name];
}

/** @param server  where this cluster's DNS is asked: a pod may ask somebody else */
export function explainName(
  name: string,
  conf: ResolvConf,
  authority: Authority,
  server: string,
): ExplainedName {
  const [asked] = conf.nameservers;
  if (asked === undefined) return { queries: [], result: 'The pod has no nameserver: nothing is sent.' };
  const queries: ExplainedQuery[] = [];
  for (const full of searchNames(name.toLowerCase(), conf)) {
    const both = (['A', 'AAAA'] as const).map((type) =>
      explainQuery(full, type, authority, asked === server),
    );
    queries.push(...both);
    const found = both.flatMap(({ records }) => records);
    if (both.some(({ rcode }) => rcode === 'forward'))
      return {
        queries,
        result: `What ${full} is, others decide; when they deny it, the next name is tried.`,
      };
    if (both.some(({ rcode }) => rcode === 'SERVFAIL'))
      return { queries, result: 'The server cannot say yet; the resolver tries again.' };
    if (found.length > 0)
      return { queries, result: `${name} is ${found.at(-1)!.split(' ').at(-1)!}: ${count(queries.length)}.` };
  }
  return { queries, result: `${name} is not found: ${count(queries.length)}.` };
}

const count = (queries: number): string => `${queries} queries and as many answers`;

function explainQuery(
  name: string,
  type: 'A' | 'AAAA',
  authority: Authority,
  isOurs: boolean,
): ExplainedQuery {
  const found = isOurs ? authority.answer(name, TYPE[type]) : undefined;
  if (!found)
    return {
      name,
      type,
      rcode: 'forward',
      records: [],
      why: isOurs ? 'no name of the cluster: upstreams are asked' : 'the pod does not ask the cluster’s DNS',
    };
  const records = found.answers.map(recordText);
  if (found.chase !== undefined) {
    const why = `${WORDS[found.meaning](found)}; upstreams are asked for ${found.chase}`;
    return { name, type, rcode: 'forward', records, why };
  }
  const why = WORDS[found.meaning](found);
  const isNoData = found.rcode === 'NOERROR' && !found.answers.some((record) => record.type === type);
  return {
    name,
    type,
    rcode: found.rcode,
    records,
    why: isNoData ? `${why}; it has no ${type} record` : why,
  };
}

const recordText = ({ type, data }: DnsRecord): string => `${type} ${String(data)}`;

const WORDS: Readonly<Record<Answer['meaning'], (answer: Answer) => string>> = {
  apex: () => 'the zone itself',
  nameserver: () => 'the server itself',
  version: () => 'the version of the DNS specification',
  branch: () => 'names below it exist',
  'cluster-ip': ({ object }) => `the cluster address of Service ${object}`,
  headless: ({ object }) => `the ready endpoints of headless Service ${object}`,
  'external-name': ({ object }) => `Service ${object} is another name`,
  endpoint: ({ object }) => `an endpoint of Service ${object}`,
  port: ({ object }) => `a port of Service ${object}, which has SRV records only`,
  pod: () => 'an address written as a name of a pod',
  reverse: ({ object }) => `the reverse name of an address of Service ${object}`,
  'host-entry': () => 'a fixed entry of the lab',
  nothing: ({ rcode }) =>
    rcode === 'SERVFAIL' ? 'the objects are not here yet' : 'nothing in the cluster is called so',
};
