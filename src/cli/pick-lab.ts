/** Which lab a verb is about: `--lab NAME`, or the only one there is. */

import { NODE } from '../api/kinds.js';
import { isExternalNode } from '../api/node.js';
import type { Node } from '../api/types.js';
import { createClient } from '../client/client.js';
import { labPaths, listLabs, listPlaces, readLab, readPlace } from '../lab/record.js';
import type { KnownLab, LabRecord, Place } from '../lab/record.js';
import { CommandError } from './verb.js';

export const LAB_FLAG = {
  type: 'string',
  value: 'NAME',
  help: 'the lab; default: the only one running',
} as const;

export interface RunningLab extends KnownLab {
  readonly record: LabRecord;
  readonly supervisorPid: number;
}

const isRunning = (lab: KnownLab): lab is RunningLab =>
  lab.supervisorPid !== undefined && lab.record !== undefined;

/** A lab that runs. */
export function pickLab(name: string | undefined): RunningLab {
  if (name !== undefined) {
    const lab = readLab(name);
    if (lab && isRunning(lab)) return lab;
    throw new CommandError(
      lab
        ? `Lab "${name}" is not running, its supervisor ended; podwire down --lab ${name} clears it away`
        : `There is no lab "${name}"; ${listing()}`,
    );
  }
  const running = listLabs().filter(isRunning);
  if (running.length === 1) return running[0]!;
  if (running.length === 0) throw new CommandError(noLab());
  throw new CommandError(`${running.length} labs are running; choose one with --lab: ${names(running)}`);
}

/** Where hosts are: a lab, running or not, or the agents of a real host. For what needs no server. */
export function pickPlace(name: string | undefined): Place {
  if (name !== undefined) {
    const place = readPlace(name);
    if (place) return place;
    throw new CommandError(`There is no lab "${name}"; ${listing()}`);
  }
  const places = listPlaces();
  if (places.length === 1) return places[0]!;
  return readPlace(pickLab(undefined).name)!;
}

/** One host of a place. */
export function pickNode(place: Place, name: string): Place['nodes'][number] {
  const node = place.nodes.find((one) => one.name === name);
  if (node) return node;
  throw new CommandError(
    `Lab "${place.name}" has no host "${name}"; it has ${place.nodes.map((one) => one.name).join(', ')}`,
  );
}

/**
 * The hosts whose agents are asked: the one that is named, or all. The server also knows such as are on other machines.
 *
 * @throws CommandError when there is none of this name
 */
export async function pickAgents(place: Place, name: string | undefined): Promise<string[]> {
  const here = place.nodes.map((node) => node.name);
  if (name !== undefined && here.includes(name)) return [name];
  const client = createClient({ socketPath: labPaths(place.name).serverSocket });
  const known = await client.list<Node>(NODE).catch(() => ({ items: [] }));
  client.close();
  const elsewhere = known.items.flatMap((node) =>
    isExternalNode(node) || here.includes(node.metadata.name) ? [] : node.metadata.name,
  );
  if (name === undefined) return [...here, ...elsewhere];
  return elsewhere.includes(name) ? [name] : [pickNode(place, name).name];
}

/** The server's socket of the lab that is meant. */
export const serverSocketOf = (lab: RunningLab): string => labPaths(lab.name).serverSocket;

const names = (labs: readonly KnownLab[]): string => labs.map((lab) => lab.name).join(', ');

function listing(): string {
  const running = listLabs().filter(isRunning);
  return running.length === 0 ? 'none is running' : `running: ${names(running)}`;
}

function noLab(): string {
  return process.geteuid?.() === 0
    ? 'No lab is running; podwire up starts one'
    : 'No lab can be seen by this user; run podwire as root, for example with sudo';
}
