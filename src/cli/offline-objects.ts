/**
 * Objects for verbs that answer questions: from files, each checked for its shape only, or from a running lab.
 */
import { DEFAULT_NAMESPACE } from '../api/defaults.js';
import { kindOf } from '../api/kinds.js';
import { checkSchema } from '../api/schema.js';
import type { ApiObject } from '../api/types.js';
import { createClient } from '../client/client.js';
import { ManifestError, type Located } from '../client/manifest.js';
import { PACKET_KINDS } from '../explain/view.js';
import { pickLab, serverSocketOf } from './pick-lab.js';
import type { Io } from './verb.js';

/**
 * All objects that packets care about, each checked for its shape: not for its place in a cluster of ours, which need not be where it
 * comes from. Fields that we do not know are left alone.
 */
export function takeObjects(located: readonly Located[], io: Io): ApiObject[] {
  const problems: string[] = [];
  const taken: ApiObject[] = [];
  for (const one of located) {
    const kind = kindOf(one.object);
    if (!kind || !PACKET_KINDS.includes(kind)) {
      io.stderr.write(`note: ${one.file}:${one.line}: ${one.object.kind} has no say in this, left out\n`);
      continue;
    }
    const wrong = checkSchema(one.object, kind.schema).filter(({ reason }) => reason !== 'UnknownField');
    for (const { field, message } of wrong)
      problems.push(`${one.file}:${one.lineOf(field)}: ${field === '' ? '' : `${field}: `}${message}`);
    if (wrong.length > 0) continue;
    if (kind.namespaced) one.object.metadata.namespace ??= DEFAULT_NAMESPACE;
    taken.push(one.object);
  }
  if (problems.length > 0) throw new ManifestError(problems);
  return taken;
}

/** The same of a running lab. */
export async function objectsOfLab(lab: string | undefined): Promise<ApiObject[]> {
  const client = createClient({ socketPath: serverSocketOf(pickLab(lab)) });
  const lists = await Promise.all(PACKET_KINDS.map((kind) => client.list<ApiObject>(kind)));
  return lists.flatMap(({ items }) => items);
}
