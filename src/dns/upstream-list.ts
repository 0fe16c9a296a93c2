/**
 * From words to upstreams: addresses, or the machine's own resolvers.
 */
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { DNS_PORT, parseEndpoint } from '../api/lab.js';
import { parseResolvConf } from '../names/resolv-conf.js';
import type { UpstreamAddress } from './upstream.js';

/** The resolvers that a resolv.conf names; none when there is no such file. */
export function machineUpstreams(path = '/etc/resolv.conf'): string[] {
  try {
    return [...parseResolvConf(readFileSync(path, 'utf8')).nameservers];
  } catch {
    return [];
  }
}

/**
 * Upstreams from `ADDRESS` or `ADDRESS:PORT`, without those that are ourselves: to ask them would be a loop.
 *
 * @param own  where we listen ourselves
 * @returns    the rest, and a sentence for each that was left out
 */
export function upstreamAddresses(
  words: readonly string[],
  own: readonly UpstreamAddress[],
): { addresses: UpstreamAddress[]; problems: string[] } {
  const problems: string[] = [];
  const addresses = [...new Set(words)].flatMap((word) => {
    const upstream = parseEndpoint(word.replace(/%.*/, ''), DNS_PORT);
    if (!upstream) {
      problems.push(`Cannot ask upstream "${word}": expected ADDRESS or ADDRESS:PORT`);
      return [];
    }
    if (own.some((one) => isSame(one, upstream))) {
      problems.push(`Upstream ${word} is this server itself, and is not asked`);
      return [];
    }
    return [upstream];
  });
  return { addresses, problems };
}

function isSame(own: UpstreamAddress, upstream: UpstreamAddress): boolean {
  if (own.port !== upstream.port) return false;
  if (own.address === upstream.address) return true;
  if (own.address !== '0.0.0.0' && own.address !== '::') return false;
  return (
    /^(127\.|::1$)/.test(upstream.address) ||
    Object.values(networkInterfaces()).some((list) =>
      list?.some(({ address }) => address === upstream.address),
    )
  );
}
