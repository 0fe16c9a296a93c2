/** `podwire logs`: what a container wrote, from the agent of its host. */

import { runRoot } from '../agent/paths.js';
import { findPod } from '../agent/pods/enter.js';
import { DEFAULT_NAMESPACE } from '../api/defaults.js';
import { POD } from '../api/kinds.js';
import type { Pod } from '../api/types.js';
import { createClient } from '../client/client.js';
import { labPaths } from '../lab/record.js';
import { copyTo, getFromAgent } from './agent-request.js';
import { LAB_FLAG, pickPlace } from './pick-lab.js';
import { NAMESPACE_FLAG } from './resources.js';
import { CommandError, defineVerb, UsageError } from './verb.js';

export const logs = defineVerb({
  usage: ['logs POD [-f] [-c CONTAINER]'],
  description: 'Show what a container of a pod wrote to its output.',
  options: {
    follow: { type: 'boolean', short: 'f', help: 'go on until interrupted' },
    container: { type: 'string', short: 'c', value: 'CONTAINER', help: 'default: the first' },
    previous: { type: 'boolean', short: 'p', help: 'of the run before the last restart' },
    tail: { type: 'string', value: 'LINES', help: 'only the last lines' },
    namespace: NAMESPACE_FLAG,
    lab: LAB_FLAG,
  },
  args: { min: 1, max: 1 },
  example: ['podwire logs web-1', 'podwire logs -f web-1 --tail 10'],
  async run({ flags, args, io }) {
    if (flags.tail !== undefined && !/^\d+$/.test(flags.tail))
      throw new UsageError(`Cannot read --tail "${flags.tail}"; need a number of lines`);
    const place = pickPlace(flags.lab);
    const name = args[0]!.replace(/^pods?\//, '');
    const namespace = flags.namespace ?? DEFAULT_NAMESPACE;
    const node =
      findPod(runRoot(), place.name, namespace, name)?.node ?? (await nodeOf(place.name, namespace, name));
    const query = new URLSearchParams({
      ...(flags.follow && { follow: 'true' }),
      ...(flags.previous && { previous: 'true' }),
      ...(flags.tail !== undefined && { tail: flags.tail }),
      ...(flags.container !== undefined && { container: flags.container }),
    });
    const path = `/pods/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}/log?${query}`;
    await copyTo(await getFromAgent(place.name, node, path), io.stdout);
    return 0;
  },
});

/** The host of a pod that does not run now, from the server. */
async function nodeOf(lab: string, namespace: string, name: string): Promise<string> {
  const client = createClient({ socketPath: labPaths(lab).serverSocket });
  const pod = await client.get<Pod>(POD, name, namespace);
  if (!pod) throw new CommandError(`pods "${name}" not found in namespace ${namespace}`);
  if (!pod.spec.nodeName) throw new CommandError(`Pod "${name}" has no host yet; podwire status says why`);
  return pod.spec.nodeName;
}
