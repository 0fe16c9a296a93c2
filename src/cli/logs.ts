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
    timestamps: { type: 'boolean', help: 'with the time of each line' },
    since: { type: 'string', value: 'DURATION', help: 'only what is not older, as 90s, 5m or 1h30m' },
    'since-time': { type: 'string', value: 'TIME', help: 'only what was written then or later, RFC 3339' },
    namespace: NAMESPACE_FLAG,
    lab: LAB_FLAG,
  },
  args: { min: 1, max: 1 },
  example: ['podwire logs web-1', 'podwire logs -f web-1 --tail 10'],
  async run({ flags, args, io }) {
    if (flags.tail !== undefined && !/^\d+$/.test(flags.tail))
      throw new UsageError(`Cannot read --tail "${flags.tail}"; need a number of lines`);
    const since = sinceQuery(flags.since, flags['since-time']);
    const place = pickPlace(flags.lab);
    const name = args[0]!.replace(/^pods?\//, '');
    const namespace = flags.namespace ?? DEFAULT_NAMESPACE;
    const node =
      findPod(runRoot(), place.name, namespace, name)?.node ?? (await nodeOf(place.name, namespace, name));
    const query = new URLSearchParams({
      ...(flags.follow && { follow: 'true' }),
      ...(flags.previous && { previous: 'true' }),
      ...(flags.tail !== undefined && { tail: flags.tail }),
      ...(flags.timestamps && { timestamps: 'true' }),
      ...since,
      ...(flags.container !== undefined && { container: flags.container }),
    });
    const path = `/pods/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}/log?${query}`;
    await copyTo(await getFromAgent(place.name, node, path), io.stdout);
    return 0;
  },
});

/** @throws {UsageError} */
function sinceQuery(since: string | undefined, time: string | undefined): Record<string, string> {
  if (since !== undefined && time !== undefined)
    throw new UsageError('Cannot use --since together with --since-time; give one of them');
  if (time !== undefined) {
    if (!/^\d{4}-\d\d-\d\dT/.test(time) || Number.isNaN(Date.parse(time)))
      throw new UsageError(`Cannot read --since-time "${time}"; need a time as 2006-01-02T15:04:05Z`);
    return { sinceTime: time };
  }
  if (since === undefined) return {};
  const [, hours, minutes, seconds] = /^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/.exec(since) ?? [];
  const all = Number(hours ?? 0) * 3600 + Number(minutes ?? 0) * 60 + Number(seconds ?? 0);
  if (!(all > 0)) throw new UsageError(`Cannot read --since "${since}"; need a duration as 90s, 5m or 1h30m`);
  return { sinceSeconds: String(all) };
}

/** The host of a pod that does not run now, from the server. */
async function nodeOf(lab: string, namespace: string, name: string): Promise<string> {
  const client = createClient({ socketPath: labPaths(lab).serverSocket });
  const pod = await client.get<Pod>(POD, name, namespace);
  if (!pod) throw new CommandError(`pods "${name}" not found in namespace ${namespace}`);
  if (!pod.spec.nodeName) throw new CommandError(`Pod "${name}" has no host yet; podwire status says why`);
  return pod.spec.nodeName;
}
