/** `podwire top`: what the packet workers of a lab do right now, again and again. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Readings } from '../agent/packet/readings.js';
import { getFromAgent, textOf } from './agent-request.js';
import { OUTPUT, outputFormat } from './output.js';
import { LAB_FLAG, pickAgents, pickPlace } from './pick-lab.js';
import { formatRates, ratesOf } from './top-view.js';
import { defineVerb, UsageError } from './verb.js';

const CLEAR = '\x1b[H\x1b[2J';

export const top = defineVerb({
  usage: ['top [--node NODE] [--interval SECONDS] [--once]'],
  description:
    'Show what the packet worker of each host does: packets and bits a second by port, drops by name, batch sizes, system ' +
    'calls a packet, and its time in user and kernel mode. A terminal is redrawn until Ctrl-C; in a pipe one block follows ' +
    'the other; with -o json each is a line.',
  options: {
    node: { type: 'string', value: 'NODE', help: 'of this host only' },
    interval: { type: 'string', value: 'SECONDS', help: 'time between two looks, 0.1 to 3600 (default: 1)' },
    once: { type: 'boolean', help: 'one block, then end' },
    output: OUTPUT,
    lab: LAB_FLAG,
  },
  example: ['podwire top', 'podwire top --node node1 --once -o json'],
  async run({ flags, io }) {
    const format = outputFormat(flags.output, ['json']);
    const intervalMs = readInterval(flags.interval ?? '1');
    const place = pickPlace(flags.lab);
    const nodes = await pickAgents(place, flags.node);
    const look = (): Promise<Readings[]> =>
      Promise.all(
        nodes.map(
          async (node) =>
            JSON.parse(await textOf(await getFromAgent(place.name, node, '/readings'))) as Readings,
        ),
      );
    for (let before = await look(); ;) {
      await sleep(intervalMs);
      const after = await look();
      const rates = nodes.map((node, i) => ratesOf(node, before[i]!, after[i]!));
      if (format === 'json') io.stdout.write(`${JSON.stringify(rates)}\n`);
      else {
        const clear = io.stdout.isTTY === true && flags.once !== true ? CLEAR : '';
        io.stdout.write(`${clear}${rates.map(formatRates).join('\n')}\n`);
      }
      if (flags.once === true) return 0;
      before = after;
    }
  },
});

function readInterval(word: string): number {
  const seconds = /^\d{1,4}(\.\d{1,3})?$/.test(word) ? Number(word) : NaN;
  if (seconds >= 0.1 && seconds <= 3600) return seconds * 1000;
  throw new UsageError(`Cannot read --interval "${word}"; need seconds, 0.1 to 3600`);
}
