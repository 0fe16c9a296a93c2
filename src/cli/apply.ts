/** `podwire apply -f`: make objects be as files say. */

import { DEFAULT_NAMESPACE } from '../api/defaults.js';
import { kindOf } from '../api/kinds.js';
import { createClient } from '../client/client.js';
import { applyLocated } from '../lab/bring-up.js';
import { checkObjects, ManifestError, readManifests } from '../client/manifest.js';
import { qualified } from './get.js';
import { readStdin } from './output.js';
import { LAB_FLAG, pickLab, serverSocketOf } from './pick-lab.js';
import { NAMESPACE_FLAG } from './resources.js';
import { CommandError, defineVerb, UsageError } from './verb.js';

export const FILE_FLAG = {
  type: 'string',
  short: 'f',
  multiple: true,
  value: 'FILE',
  help: 'a YAML or JSON file, a folder, or - for standard input; may be repeated',
} as const;

export const apply = defineVerb({
  usage: ['apply -f FILE…'],
  description:
    'Create the objects of a file, or change those that exist. All are checked before the first is applied.',
  options: { filename: FILE_FLAG, namespace: NAMESPACE_FLAG, lab: LAB_FLAG },
  example: ['podwire apply -f examples/web.yaml', 'podwire get pod web-1 -o yaml | podwire apply -f -'],
  async run({ flags, io }) {
    if (!flags.filename) throw new UsageError('Which file? Name it with -f');
    const objects = await readManifests(flags.filename, () => readStdin(io));
    const problems = checkObjects(objects);
    if (problems.length > 0) throw new ManifestError(problems);
    if (objects.length === 0) throw new CommandError(`There is no object in ${flags.filename.join(', ')}`);
    const client = createClient({ socketPath: serverSocketOf(pickLab(flags.lab)) });
    for (const located of objects) {
      const kind = kindOf(located.object)!;
      if (kind.namespaced) located.object.metadata.namespace ??= flags.namespace ?? DEFAULT_NAMESPACE;
      const { object, result } = await applyLocated(client, located);
      io.stdout.write(`${qualified(kind)}/${object.metadata.name} ${result}\n`);
    }
    return 0;
  },
});
