/** `podwire delete`: end objects, and wait until they are gone. */

import { DEFAULT_NAMESPACE } from '../api/defaults.js';
import { kindOf, type Kind } from '../api/kinds.js';
import type { ApiObject } from '../api/types.js';
import { createClient, type Client } from '../client/client.js';
import { readManifests } from '../client/manifest.js';
import { FILE_FLAG } from './apply.js';
import { qualified } from './get.js';
import { readStdin } from './output.js';
import { LAB_FLAG, pickLab, serverSocketOf } from './pick-lab.js';
import { NAMESPACE_FLAG, parseResources } from './resources.js';
import { CommandError, defineVerb, UsageError } from './verb.js';

interface Target {
  readonly kind: Kind;
  readonly name: string;
  readonly namespace?: string;
}

const POLL_MS = 50;

export const deleteVerb = defineVerb({
  usage: ['delete KIND NAME…', 'delete KIND/NAME…', 'delete KIND --all', 'delete -f FILE…'],
  description: 'Delete objects, and return when they are gone. A pod gets its grace period to end first.',
  options: {
    filename: { ...FILE_FLAG, help: 'delete the objects of this file' },
    all: { type: 'boolean', help: 'all of the kind in the namespace' },
    namespace: NAMESPACE_FLAG,
    'grace-period': {
      type: 'string',
      value: 'SECONDS',
      help: 'how long a pod may take to end; default: its own',
    },
    'no-wait': { type: 'boolean', help: 'return at once' },
    'ignore-not-found': { type: 'boolean', help: 'what does not exist is no error' },
    lab: LAB_FLAG,
  },
  args: { min: 0, max: 1000 },
  example: ['podwire delete pod web-1', 'podwire delete -f examples/web.yaml'],
  async run({ flags, args, io }) {
    const seconds = flags['grace-period'] === undefined ? undefined : Number(flags['grace-period']);
    if (seconds !== undefined && !(Number.isInteger(seconds) && seconds >= 0))
      throw new UsageError(`Cannot read --grace-period "${flags['grace-period']}"; need whole seconds`);
    if (args.length === 0 && !flags.filename) throw new UsageError('What? Name KIND NAME, or a file with -f');
    const namespace = flags.namespace ?? DEFAULT_NAMESPACE;
    const located = flags.filename ? await readManifests(flags.filename, () => readStdin(io)) : [];
    const wanted = args.length > 0 ? parseResources(args) : [];
    const client = createClient({ socketPath: serverSocketOf(pickLab(flags.lab)) });
    const targets: Target[] = located.map(({ object, file, line }) => {
      const kind = kindOf(object);
      if (!kind) throw new CommandError(`${file}:${line}: kind: There is no kind "${object.kind}" here`);
      return target(kind, object.metadata.name, object.metadata.namespace ?? namespace);
    });
    for (const { kind, name } of wanted) {
      if (name !== undefined) targets.push(target(kind, name, namespace));
      else if (flags.all) {
        const { items } = await client.list<ApiObject>(kind, kind.namespaced ? { namespace } : {});
        targets.push(...items.map(({ metadata }) => target(kind, metadata.name, metadata.namespace)));
      } else throw new UsageError(`Which ${kind.plural}? Name them, or say --all`);
    }
    let failed = false;
    const ending: (Target & { uid: string | undefined })[] = [];
    for (const one of targets) {
      const object = await client.get<ApiObject>(one.kind, one.name, one.namespace);
      if (!object) {
        if (!flags['ignore-not-found']) {
          io.stderr.write(`podwire delete: ${one.kind.plural} "${one.name}" not found\n`);
          failed = true;
        }
        continue;
      }
      await client.remove(
        one.kind,
        one.name,
        one.namespace,
        seconds === undefined ? {} : { gracePeriodSeconds: seconds },
      );
      io.stdout.write(`${qualified(one.kind)} "${one.name}" deleted\n`);
      ending.push({ ...one, uid: object.metadata.uid });
    }
    if (!flags['no-wait']) for (const one of ending) await waitUntilGone(client, one, one.uid);
    return failed ? 1 : 0;
  },
});

const target = (kind: Kind, name: string, namespace: string | undefined): Target => ({
  kind,
  name,
  ...(kind.namespaced && namespace !== undefined && { namespace }),
});

async function waitUntilGone(
  client: Client,
  { kind, name, namespace }: Target,
  uid: string | undefined,
): Promise<void> {
  for (;;) {
    const object = await client.get<ApiObject>(kind, name, namespace);
    if (!object || object.metadata.uid !== uid) return;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
