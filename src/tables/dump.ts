/**
 * Tables as text that people read and golden tests compare: one line a row, aligned columns, ids with their names.
 *
 * Reads nothing but the typed arrays, so it also works on a second set of tables over the same memory in another thread;
 * a row that changes at that moment may be torn, which a dump can live with.
 *
 * Not here: names of objects; they come from the caller, who compiled the tables.
 */
import { formatAddress, formatIpv4, formatMac } from '../wire/address.js';
import {
  FLAG_REPLIED,
  FLAGS,
  FROM_INI,
  FROM_TGT,
  packetsAt,
  ROW_WORDS,
  SEEN_MS,
  SERVICE,
  STATE,
  STATE_NAMES,
  TIMEOUT_MS,
  TUPLE_WORDS,
} from './conntrack.js';
import { EVENTS } from './counters.js';
import { AGEING_MS } from './fdb.js';
import { FRAGMENT_MS } from './fragments.js';
import {
  OFFLOAD_CSUM,
  OFFLOAD_TSO,
  OFFLOAD_USO,
  PORT_CAPTURED,
  PORT_GUARDED,
  PORT_KINDS,
  PORT_TUNNEL,
} from './ports.js';
import { ROUTE_HOST, ROUTE_KINDS, ROUTE_VTEP } from './routes.js';
import { SEGMENT_ROUTED } from './segments.js';
import { dumpAffinity, dumpServices } from './dump-services.js';
import { PROTOCOLS, rowsOf, seconds } from './dump-words.js';
import type { StaticName, Tables } from './tables.js';

/** Tables that can be dumped, in the order in which a packet meets them. */
export const DUMPABLE = [
  'ports',
  'segments',
  'fdb',
  'conntrack',
  'services',
  'affinity',
  'fragments',
  'routes',
  'neighbors',
  'vteps',
  'counters',
] as const;
export type DumpName = (typeof DUMPABLE)[number];

/** The name of a row of a static table, if the caller knows it. */
export type NameOf = (table: StaticName, id: number) => string | undefined;

/** What stands in a column: a number where it is one, `-` where there is nothing. */
export type Cell = string | number;

/** Headings and cells of a table, for text and for {@link rowObjects}. */
export interface DumpedTable {
  readonly headings: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}

/**
 * A table as aligned text, its headings first.
 *
 * @param reasons  names of the drop reasons, by place
 * @param nowMs    the worker's clock, for ages
 */
export function dumpTable(
  tables: Tables,
  name: DumpName,
  nameOf: NameOf,
  reasons: readonly string[],
  nowMs: number,
): string {
  const { headings, rows: cells } = dumpRows(tables, name, nameOf, reasons, nowMs);
  const rows = cells.map((row) => row.map(String));
  const widths = headings.map((heading, i) => Math.max(heading.length, ...rows.map((row) => row[i]!.length)));
  return [headings, ...rows]
    .map(
      (row) =>
        row
          .map((cell, i) => cell.padEnd(widths[i]!))
          .join('  ')
          .trimEnd() + '\n',
    )
    .join('');
}

/** A table as headings and cells. */
export function dumpRows(
  tables: Tables,
  name: DumpName,
  nameOf: NameOf,
  reasons: readonly string[],
  nowMs: number,
): DumpedTable {
  const named = (table: StaticName, id: number): string => nameOf(table, id) ?? (id === 0 ? '-' : `#${id}`);
  switch (name) {
    case 'ports':
      return dumpPorts(tables, named);
    case 'segments':
      return dumpSegments(tables, named);
    case 'fdb':
      return dumpFdb(tables, named, nowMs);
    case 'conntrack':
      return dumpConntrack(tables, named, nowMs);
    case 'services':
      return dumpServices(tables, named);
    case 'affinity':
      return dumpAffinity(tables, named, nowMs);
    case 'fragments':
      return dumpFragments(tables, named, nowMs);
    case 'routes':
      return dumpRoutes(tables, named);
    case 'neighbors':
      return dumpNeighbors(tables, named);
    case 'vteps':
      return dumpVteps(tables, named);
    case 'counters':
      return dumpCounters(tables, reasons);
  }
}

/** The name of a row, its number when it has none, `-` for no row. */
export type Named = (table: StaticName, id: number) => string;

const bits = (value: number, names: readonly (readonly [number, string])[]): string =>
  names
    .filter(([bit]) => (value & bit) !== 0)
    .map(([, name]) => name)
    .join(',') || '-';

function dumpPorts({ ports, counters }: Tables, named: Named): DumpedTable {
  return {
    headings: [
      'PORT',
      'KIND',
      'SEGMENT',
      'MAC',
      'IP',
      'MTU',
      'OFFLOAD',
      'FLAGS',
      'VNI',
      'RX-PACKETS',
      'RX-BYTES',
      'TX-PACKETS',
      'TX-BYTES',
      'DROPS',
    ],
    rows: [...rowsOf(ports)].map((row) => [
      named('ports', row),
      PORT_KINDS[ports.kind[row]!] ?? '?',
      named('segments', ports.segment[row]!),
      formatMac(ports.macHi[row]!, ports.macLo[row]!),
      ports.ip[row] === 0 ? '-' : formatIpv4(ports.ip[row]!),
      ports.mtu[row]!,
      bits(ports.offload[row]!, [
        [OFFLOAD_CSUM, 'csum'],
        [OFFLOAD_TSO, 'tso'],
        [OFFLOAD_USO, 'uso'],
      ]),
      bits(ports.flags[row]!, [
        [PORT_GUARDED, 'guarded'],
        [PORT_CAPTURED, 'captured'],
      ]),
      ports.kind[row] === PORT_TUNNEL ? ports.vni[row]! : '-',
      counters.rxPackets[row]!,
      counters.rxBytes[row]!,
      counters.txPackets[row]!,
      counters.txBytes[row]!,
      counters.portDrops[row]!,
    ]),
  };
}

function dumpSegments({ segments }: Tables, named: Named): DumpedTable {
  return {
    headings: ['SEGMENT', 'KIND', 'GATEWAY', 'ROUTER-IP', 'ROUTER-MAC', 'TUNNEL'],
    rows: [...rowsOf(segments)].map((row) => {
      const isRouted = segments.kind[row] === SEGMENT_ROUTED;
      return [
        named('segments', row),
        isRouted ? 'routed' : 'bridged',
        isRouted ? formatIpv4(segments.gatewayIp[row]!) : '-',
        isRouted ? formatIpv4(segments.routerIp[row]!) : '-',
        isRouted ? formatMac(segments.routerMacHi[row]!, segments.routerMacLo[row]!) : '-',
        named('ports', segments.tunnelPort[row]!),
      ];
    }),
  };
}

function dumpFdb({ fdb }: Tables, named: Named, nowMs: number): DumpedTable {
  const rows: string[][] = [];
  for (let row = 1; row < fdb.capacity; row++) {
    const ageMs = (nowMs - fdb.seenMs[row]!) | 0;
    if (fdb.segment[row] === 0 || ageMs >= AGEING_MS) continue;
    rows.push([
      formatMac(fdb.macHi[row]!, fdb.macLo[row]!),
      named('segments', fdb.segment[row]!),
      named('ports', fdb.port[row]!),
      seconds(ageMs),
    ]);
  }
  return { headings: ['MAC', 'SEGMENT', 'PORT', 'AGE'], rows: rows.sort((a, b) => compare(a[0]!, b[0]!)) };
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function dumpConntrack({ conntrack }: Tables, named: Named, nowMs: number): DumpedTable {
  const { words, doubles } = conntrack;
  const found: { ageMs: number; cells: string[] }[] = [];
  for (let row = 1; row < conntrack.capacity; row++) {
    const at = row * ROW_WORDS;
    const ageMs = (nowMs - words[at + SEEN_MS]!) | 0;
    if (words[at + STATE] === 0 || ageMs >= words[at + TIMEOUT_MS]!) continue;
    const proto = words[at + TUPLE_WORDS - 1]! & 255;
    const side = (tuple: number, isSource: boolean): string => {
      const a = tuple + (isSource ? 0 : 4);
      const ports = words[tuple + 8]!;
      const port = isSource ? ports >>> 16 : ports & 0xffff;
      const address = formatAddress(words[a]!, words[a + 1]!, words[a + 2]!, words[a + 3]!);
      return proto === 6 || proto === 17 ? `${address}:${port}` : address;
    };
    const reply = at + TUPLE_WORDS;
    const isDnat =
      words[reply + 3] !== words[at + 7] || words[reply + 8]! >>> 16 !== (words[at + 8]! & 0xffff);
    const isSnat =
      words[reply + 7] !== words[at + 3] || (words[reply + 8]! & 0xffff) !== words[at + 8]! >>> 16;
    const count = (direction: number): string =>
      `${doubles[packetsAt(row, direction)]}/${doubles[packetsAt(row, direction) + 1]}`;
    found.push({
      ageMs,
      cells: [
        PROTOCOLS[proto] ?? String(proto),
        side(at, true),
        side(at, false),
        isDnat ? side(reply, true) : '-',
        isSnat ? side(reply, false) : '-',
        words[at + SERVICE] === 0 ? '-' : named('services', words[at + SERVICE]!).split(' ')[0]!,
        STATE_NAMES[words[at + STATE]!] ?? '?',
        (words[at + FLAGS]! & FLAG_REPLIED) === 0 ? 'no' : 'yes',
        seconds(ageMs),
        seconds(words[at + TIMEOUT_MS]! - ageMs),
        named('segments', words[at + TUPLE_WORDS - 1]! >>> 8),
        count(FROM_INI),
        count(FROM_TGT),
      ],
    });
  }
  found.sort((a, b) => a.ageMs - b.ageMs || compare(a.cells.join(), b.cells.join()));
  return {
    headings: [
      'PROTO',
      'INI',
      'TGT',
      'ENDPOINT',
      'SOURCE-AS',
      'SERVICE',
      'STATE',
      'REPLIED',
      'AGE',
      'TIMEOUT',
      'SEGMENT',
      'INI-PACKETS/BYTES',
      'TGT-PACKETS/BYTES',
    ],
    rows: found.map((one) => one.cells),
  };
}

function dumpFragments({ fragments }: Tables, named: Named, nowMs: number): DumpedTable {
  const rows: Cell[][] = [];
  for (let row = 1; row < fragments.capacity; row++) {
    const ageMs = (nowMs - fragments.sinceMs[row]!) | 0;
    if (fragments.segment[row] === 0 || ageMs >= FRAGMENT_MS) continue;
    const idProto = fragments.idProto[row]!;
    rows.push([
      named('segments', fragments.segment[row]!),
      formatIpv4(fragments.src[row]!),
      formatIpv4(fragments.dst[row]!),
      idProto >>> 8,
      PROTOCOLS[idProto & 255] ?? String(idProto & 255),
      seconds(ageMs),
    ]);
  }
  return { headings: ['SEGMENT', 'SOURCE', 'DESTINATION', 'ID', 'PROTO', 'AGE'], rows };
}

function dumpRoutes({ routes }: Tables, named: Named): DumpedTable {
  const prefix = (row: number): string => {
    const address = formatAddress(routes.a0[row]!, routes.a1[row]!, routes.a2[row]!, routes.a3[row]!);
    return `${address}/${address.includes(':') ? routes.bits[row]! : routes.bits[row]! - 96}`;
  };
  const target = (row: number): string =>
    routes.kind[row] === ROUTE_VTEP
      ? named('vteps', routes.target[row]!)
      : routes.kind[row] === ROUTE_HOST
        ? named('ports', routes.target[row]!)
        : '-';
  const rows = [...rowsOf(routes)].sort(
    (a, b) => routes.bits[b]! - routes.bits[a]! || (routes.a3[a]! >>> 0) - (routes.a3[b]! >>> 0),
  );
  return {
    headings: ['DESTINATION', 'KIND', 'TARGET', 'FOR', 'SEGMENT'],
    rows: rows.map((row) => [
      prefix(row),
      ROUTE_KINDS[routes.kind[row]!] ?? '?',
      target(row),
      named('routes', row),
      named('segments', routes.segment[row]!),
    ]),
  };
}

function dumpNeighbors({ neighbors: n }: Tables, named: Named): DumpedTable {
  return {
    headings: ['ADDRESS', 'MAC', 'PORT', 'SEGMENT'],
    rows: [...rowsOf(n)].map((row) => [
      formatAddress(n.a0[row]!, n.a1[row]!, n.a2[row]!, n.a3[row]!),
      formatMac(n.macHi[row]!, n.macLo[row]!),
      named('ports', n.port[row]!),
      named('segments', n.segment[row]!),
    ]),
  };
}

function dumpVteps({ vteps }: Tables, named: Named): DumpedTable {
  return {
    headings: ['NODE', 'ADDRESS', 'MAC', 'PORT'],
    rows: [...rowsOf(vteps)].map((row) => [
      named('vteps', row),
      formatAddress(vteps.a0[row]!, vteps.a1[row]!, vteps.a2[row]!, vteps.a3[row]!),
      formatMac(vteps.macHi[row]!, vteps.macLo[row]!),
      named('ports', vteps.port[row]!),
    ]),
  };
}

function dumpCounters({ counters }: Tables, reasons: readonly string[]): DumpedTable {
  const rows: Cell[][] = EVENTS.map((name, i) => ['event', name, counters.events[i]!]);
  for (const [i, name] of reasons.entries())
    if (counters.drops[i] !== 0) rows.push(['drop', name, counters.drops[i]!]);
  return { headings: ['KIND', 'NAME', 'COUNT'], rows };
}
