/** `podwire get`: objects as tables, JSON or YAML, in kubectl's words. */

import { DEFAULT_NAMESPACE } from '../api/defaults.js';
import type { Kind } from '../api/kinds.js';
import type { ApiObject } from '../api/types.js';
import { createClient, type Client } from '../client/client.js';
import { formatTable, outputFormat, printJson, printYaml } from './output.js';
import { LAB_FLAG, pickLab, serverSocketOf } from './pick-lab.js';
import { NAMESPACE_FLAG, parseResources, type Wanted } from './resources.js';
import { CommandError, defineVerb, type Io } from './verb.js';

const FORMATS = ['json', 'yaml', 'wide', 'name'] as const;

interface Found {
  readonly kind: Kind;
  readonly items: readonly ApiObject[];
}

export const get = defineVerb({
  usage: ['get KIND [NAME…]', 'get KIND/NAME…'],
  description: 'Show objects of the lab. Several kinds: pods,nodes.',
  options: {
    'all-namespaces': { type: 'boolean', short: 'A', help: 'of all namespaces' },
    namespace: NAMESPACE_FLAG,
    selector: { type: 'string', short: 'l', value: 'LABELS', help: 'those with these labels: app=web' },
    output: {
      type: 'string',
      short: 'o',
      value: 'FORMAT',
      help: 'json, yaml, wide or name instead of a table',
    },
    'no-headers': { type: 'boolean', help: 'leave the heading out' },
    lab: LAB_FLAG,
  },
  args: { min: 1, max: 1000 },
  example: ['podwire get pods -A -o wide', 'podwire get pod web-1 -o yaml'],
  async run({ flags, args, io }) {
    const format = outputFormat(flags.output, FORMATS);
    const wanted = parseResources(args);
    const client = createClient({ socketPath: serverSocketOf(pickLab(flags.lab)) });
    const namespace = flags['all-namespaces'] ? undefined : (flags.namespace ?? DEFAULT_NAMESPACE);
    const found = await fetchAll(client, wanted, namespace, flags.selector);
    const items = found.flatMap((part) => part.items);
    if (format === 'json' || format === 'yaml') {
      const single = wanted.length === 1 && wanted[0]!.name !== undefined;
      const value = single ? items[0] : { apiVersion: 'v1', kind: 'List', metadata: {}, items };
      if (format === 'json') printJson(io, value);
      else await printYaml(io, value);
      return 0;
    }
    if (items.length === 0) {
      io.stderr.write(
        `No resources found${found.some(({ kind }) => kind.namespaced) && namespace ? ` in ${namespace} namespace` : ''}.\n`,
      );
      return 0;
    }
    if (format === 'name')
      for (const { kind, items } of found)
        for (const { metadata } of items) io.stdout.write(`${qualified(kind)}/${metadata.name}\n`);
    else
      printTables(io, found, {
        isWide: format === 'wide',
        hasNamespace: namespace === undefined,
        hasHeading: !flags['no-headers'],
      });
    return 0;
  },
});

/** Same kinds together, in the order of the words. */
async function fetchAll(
  client: Client,
  wanted: readonly Wanted[],
  namespace: string | undefined,
  labelSelector: string | undefined,
): Promise<Found[]> {
  const found: { kind: Kind; items: ApiObject[] }[] = [];
  for (const { kind, name } of wanted) {
    const where = kind.namespaced ? namespace : undefined;
    let items: ApiObject[];
    if (name === undefined)
      items = (
        await client.list<ApiObject>(kind, {
          ...(where && { namespace: where }),
          ...(labelSelector && { labelSelector }),
        })
      ).items;
    else {
      if (kind.namespaced && namespace === undefined)
        throw new CommandError(`Cannot look for "${name}" in all namespaces; name one with -n`);
      const object = await client.get<ApiObject>(kind, name, where);
      if (!object)
        throw new CommandError(`${kind.plural} "${name}" not found${where ? ` in namespace ${where}` : ''}`);
      items = [object];
    }
    const last = found.at(-1);
    if (last?.kind === kind) last.items.push(...items);
    else found.push({ kind, items });
  }
  return found;
}

/** What the API's own table of these objects would show. */
export function tableRows(
  { kind, items }: Found,
  options: { isWide: boolean; hasNamespace: boolean; now: number },
): (string | number)[][] {
  const columns = kind.columns.filter((column) => column.priority === 0 || options.isWide);
  const withNamespace = options.hasNamespace && kind.namespaced;
  return [
    [...(withNamespace ? ['NAMESPACE'] : []), ...columns.map((column) => column.name.toUpperCase())],
    ...items.map((object) => [
      ...(withNamespace ? [object.metadata.namespace ?? ''] : []),
      ...columns.map((column) => column.value(object, options.now)),
    ]),
  ];
}

function printTables(
  io: Io,
  found: readonly Found[],
  options: { isWide: boolean; hasNamespace: boolean; hasHeading: boolean },
): void {
  const filled = found.filter(({ items }) => items.length > 0);
  filled.forEach((part, i) => {
    const rows = tableRows(part, { ...options, now: Date.now() });
    if (i > 0) io.stdout.write('\n');
    io.stdout.write(formatTable(options.hasHeading ? rows : rows.slice(1)));
  });
}

/** `pod`, `lab.podwire.dev`. */
export const qualified = (kind: Kind): string =>
  kind.group ? `${kind.singular}.${kind.group}` : kind.singular;
