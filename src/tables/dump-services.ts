/**
 * Services and what their clients were given, as text: see `dump.ts`.
 */
import { formatAddress, formatIpv4 } from '../wire/address.js';
import type { DumpedTable, Named } from './dump.js';
import { ENDPOINT_READY, FRONTEND_KINDS, FRONTEND_LOCAL, SCHEDULERS } from './services.js';
import { PROTOCOLS, rowsOf, seconds } from './dump-words.js';
import type { Tables } from './tables.js';

export function dumpServices({ services: s, endpoints, backends }: Tables, named: Named): DumpedTable {
  const endpoint = (id: number): string => {
    const address = formatAddress(endpoints.a0[id]!, endpoints.a1[id]!, endpoints.a2[id]!, endpoints.a3[id]!);
    return `${address}:${endpoints.port[id]}${endpoints.state[id] === ENDPOINT_READY ? '' : ' (draining)'}`;
  };
  const run = (first: number, count: number): string =>
    Array.from({ length: count }, (_, i) => endpoint(backends.endpoint[first + i]!)).join(' ') || '-';
  return {
    headings: ['SERVICE', 'KIND', 'ADDRESS', 'PROTO', 'SCHEDULER', 'AFFINITY', 'ENDPOINTS', 'FROM-OUTSIDE'],
    rows: [...rowsOf(s)].map((row) => {
      const address = formatAddress(s.a0[row]!, s.a1[row]!, s.a2[row]!, s.a3[row]!);
      const isLocal = (s.flags[row]! & FRONTEND_LOCAL) !== 0;
      return [
        named('services', row).split(' ')[0]!,
        FRONTEND_KINDS[s.kind[row]!] ?? '?',
        `${address}:${s.portProto[row]! >>> 8}`,
        PROTOCOLS[s.portProto[row]! & 255] ?? '?',
        SCHEDULERS[s.scheduler[row]!] ?? '?',
        s.affinityMs[row] === 0 ? '-' : seconds(s.affinityMs[row]!),
        run(s.first[row]!, s.count[row]!),
        isLocal ? run(s.localFirst[row]!, s.localCount[row]!) : 'same',
      ];
    }),
  };
}

export function dumpAffinity(
  { affinity, services, endpoints }: Tables,
  named: Named,
  nowMs: number,
): DumpedTable {
  const rows: string[][] = [];
  for (let row = 1; row < affinity.capacity; row++) {
    const service = affinity.service[row]!;
    const ageMs = (nowMs - affinity.seenMs[row]!) | 0;
    const leftMs = services.affinityMs[service]! - ageMs;
    const endpoint = affinity.endpoint[row]!;
    if (service === 0 || leftMs <= 0 || endpoints.epoch[endpoint] !== affinity.epoch[row]) continue;
    rows.push([
      formatAddress(affinity.c0[row]!, affinity.c1[row]!, affinity.c2[row]!, affinity.c3[row]!),
      named('services', service).split(' ')[0]!,
      `${formatIpv4(endpoints.a3[endpoint]!)}:${endpoints.port[endpoint]}`,
      seconds(ageMs),
      seconds(leftMs),
    ]);
  }
  return { headings: ['CLIENT', 'SERVICE', 'ENDPOINT', 'AGE', 'TIMEOUT'], rows };
}
