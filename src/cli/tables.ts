/** `podwire tables`: what the data plane of a host really knows. */

import { getFromAgent, textOf } from './agent-request.js';
import { OUTPUT, outputFormat, printJson } from './output.js';
import { LAB_FLAG, pickAgents, pickPlace } from './pick-lab.js';
import { CommandError, defineVerb } from './verb.js';

export const tables = defineVerb({
  usage: ['tables [TABLE] [--node NODE]'],
  description:
    'Show the tables that packets read, as the packet worker holds them: ports, segments, fdb, neighbors, routes, vteps, ' +
    'conntrack, fragments, counters. All of them without a name; of all hosts without --node.',
  options: {
    node: { type: 'string', value: 'NODE', help: 'of this host only' },
    output: OUTPUT,
    lab: LAB_FLAG,
  },
  args: { min: 0, max: 1 },
  example: ['podwire tables fdb --node node1', 'podwire tables counters', 'podwire tables ports -o json'],
  async run({ flags, args, io }) {
    const format = outputFormat(flags.output, ['json']);
    const place = pickPlace(flags.lab);
    const nodes = await pickAgents(place, flags.node);
    const path = `/tables${args[0] === undefined ? '' : `/${encodeURIComponent(args[0])}`}`;
    const texts: [node: string, text: string][] = [];
    for (const node of nodes) {
      const query = format === 'json' ? '?output=json' : '';
      texts.push([node, await textOf(await getFromAgent(place.name, node, path + query))]);
    }
    if (format === 'json')
      printJson(io, Object.fromEntries(texts.map(([node, text]) => [node, parsed(node, text)])));
    else
      texts.forEach(([node, text], i) => {
        if (texts.length > 1) io.stdout.write(`${i > 0 ? '\n' : ''}# ${node}\n`);
        io.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
      });
    return 0;
  },
});

/** Rows as objects. @throws CommandError when an agent of another age sends text */
function parsed(node: string, text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new CommandError(
      `The agent of ${node} gives its tables as text only: start it again with this version of podwire`,
    );
  }
}
