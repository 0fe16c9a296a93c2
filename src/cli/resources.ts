/** Kinds and names as one types them: `pods`, `po web-1`, `node/node1`, `pods,nodes`. */

import { findPlural, KINDS, type Kind } from '../api/kinds.js';
import { UsageError } from './verb.js';

export interface Wanted {
  readonly kind: Kind;
  /** Absent: all of the kind. */
  readonly name?: string;
}

export const NAMESPACE_FLAG = {
  type: 'string',
  short: 'n',
  value: 'NAMESPACE',
  help: 'the namespace; default: default',
} as const;

/** `KIND[,KIND…] [NAME…]` or `KIND/NAME…`. */
export function parseResources(words: readonly string[]): Wanted[] {
  if (words.some((word) => word.includes('/')))
    return words.map((word) => {
      const [kind, name, more] = word.split('/');
      if (!kind || !name || more !== undefined)
        throw new UsageError(`Cannot read "${word}"; write KIND/NAME, and all of them so, or KIND NAME…`);
      return { kind: kindNamed(kind), name };
    });
  const [kinds, ...names] = words;
  const found = (kinds ?? '').split(',').map(kindNamed);
  if (names.length === 0) return found.map((kind) => ({ kind }));
  if (found.length > 1) throw new UsageError('Names fit one kind only; write KIND/NAME for several');
  return names.map((name) => ({ kind: found[0]!, name }));
}

function kindNamed(word: string): Kind {
  const kind = findPlural(word);
  if (kind) return kind;
  const known = KINDS.map((row) => [row.plural, ...row.shortNames].join(' or ')).join(', ');
  throw new UsageError(`There is no kind "${word}"; there are ${known}`);
}
