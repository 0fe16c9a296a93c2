/**
 * Objects in, table dump out. `NAME.yaml` holds the objects, before them a document that says whose tables are wanted and how
 * the ports were opened; `NAME.txt` is what the tables look like then.
 *
 * PODWIRE_GOLDEN=write writes the dumps anew; look at the difference before you commit it.
 */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import t from 'tap';
import { parseAllDocuments } from 'yaml';
import type { ApiObject, EndpointSlice, Lab, Node, Pod, Service } from '../../src/api/types.js';
import type { OpenPort } from '../../src/compile/compile.js';
import { Compiler } from '../../src/compile/compiler.js';
import { MasterCopy } from '../../src/compile/master-copy.js';
import { DUMPABLE, dumpTable } from '../../src/tables/dump.js';
import { OFFLOAD_CSUM, OFFLOAD_TSO, OFFLOAD_USO } from '../../src/tables/ports.js';
import { CAPACITIES, STATIC_NAMES, createTables } from '../../src/tables/tables.js';
import { inRoot } from '../lib/root.js';

interface Settings {
  node: string;
  offload?: ('csum' | 'tso' | 'uso')[];
  captured?: string[];
}

const OFFLOADS = { csum: OFFLOAD_CSUM, tso: OFFLOAD_TSO, uso: OFFLOAD_USO };
const STATICS = DUMPABLE.filter((name) => (STATIC_NAMES as readonly string[]).includes(name));

/** What the tables of a host look like with these objects. */
function dumpOf(text: string): string {
  const [settings, ...objects] = parseAllDocuments(text).map((document) => document.toJS() as unknown) as [
    Settings,
    ...ApiObject[],
  ];
  const ofKind = <T>(kind: string): T[] => objects.filter((object) => object.kind === kind) as unknown as T[];
  const pods = ofKind<Pod>('Pod');
  const offload = (settings.offload ?? ['csum', 'tso', 'uso']).reduce((all, name) => all | OFFLOADS[name], 0);
  const open = (name: string, handle: number): OpenPort => ({
    handle,
    offload,
    isCaptured: settings.captured?.includes(name) ?? false,
  });
  const master = new MasterCopy(CAPACITIES);
  const { parts, problems } = new Compiler(master.ids).update({
    view: {
      lab: ofKind<Lab>('Lab')[0]!,
      namespaces: [],
      services: ofKind<Service>('Service'),
      endpointSlices: ofKind<EndpointSlice>('EndpointSlice'),
      endpoints: [],
      nodes: ofKind<Node>('Node'),
      pods,
    },
    node: settings.node,
    host: open('pw0', 1),
    tunnel: { ...open('vxlan', 2), offload: 0 },
    pods: new Map(
      pods.map(({ metadata }, i) => {
        const name = `${metadata.namespace}/${metadata.name}`;
        return [name, open(name, 3 + i)];
      }),
    ),
  });
  const tables = createTables((bytes) => new ArrayBuffer(bytes), 1, 1);
  for (const { table, row, words } of master.plan(parts).changes)
    tables.statics[table]!.setRow(row, words, 0);
  const dump = STATICS.map(
    (name) => `## ${name}\n${dumpTable(tables, name, (of, id) => master.ids.keyOf(of, id), [''], 0)}`,
  );
  if (problems.length > 0) dump.push(`## problems\n${problems.join('\n')}\n`);
  return dump.join('\n');
}

const folder = inRoot('test/golden/');
const cases = readdirSync(folder).filter((file) => file.endsWith('.yaml'));

for (const file of cases)
  t.test(file.replace('.yaml', '').replaceAll('-', ' '), async (t) => {
    const dump = dumpOf(readFileSync(folder + file, 'utf8'));
    const golden = folder + file.replace('.yaml', '.txt');
    if (process.env.PODWIRE_GOLDEN === 'write') writeFileSync(golden, dump);
    t.equal(dump, readFileSync(golden, 'utf8'));
  });

t.test('there are golden cases', async (t) => t.ok(cases.length >= 4));
