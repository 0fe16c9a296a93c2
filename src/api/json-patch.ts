/**
 * JSON Patch: a list of operations on a JSON value. RFC 6902; paths are JSON Pointers, RFC 6901.
 */
import { clone, equal, isMap, setKey } from './json.js';

/** An operation that cannot be carried out; nothing of the patch is. */
export class JsonPatchError extends Error {}

interface Operation {
  readonly op: unknown;
  readonly path: unknown;
  readonly from?: unknown;
  readonly value?: unknown;
}

/**
 * Apply a patch.
 *
 * @returns the patched value; `target` is unchanged
 * @throws JsonPatchError when it is no patch, a path leads nowhere, or a test fails
 */
export function applyJsonPatch(target: unknown, patch: unknown): unknown {
  if (!Array.isArray(patch)) throw new JsonPatchError('a JSON patch is a list of operations');
  // The value below a key of its own, so that the root can be replaced like any other.
  const holder = { root: clone(target) as unknown };
  patch.forEach((operation: unknown, i) => {
    if (!isMap(operation)) throw new JsonPatchError(`operation ${i} is no object`);
    try {
      run(holder, operation as unknown as Operation);
    } catch (error) {
      if (!(error instanceof JsonPatchError)) throw error;
      const { op, path } = operation;
      throw new JsonPatchError(`operation ${i} (${String(op)} ${String(path)}): ${error.message}`);
    }
  });
  return holder.root;
}

function run(holder: object, { op, path, from, value }: Operation): void {
  const to = pointer(path);
  const needsValue = op === 'add' || op === 'replace' || op === 'test';
  if (needsValue && value === undefined) throw new JsonPatchError('it has no value');
  switch (op) {
    case 'add':
      return add(holder, to, clone(value));
    case 'remove':
      return remove(holder, to);
    case 'replace':
      find(holder, to);
      if (to.length > 1) remove(holder, to);
      return add(holder, to, clone(value));
    case 'test':
      if (!equal(find(holder, to), value)) throw new JsonPatchError('the value there is another');
      return;
    case 'copy':
      return add(holder, to, clone(find(holder, pointer(from))));
    case 'move': {
      const source = pointer(from);
      if (to.length > source.length && source.every((token, i) => token === to[i]))
        throw new JsonPatchError('nothing can be moved into itself');
      const moved = find(holder, source);
      remove(holder, source);
      return add(holder, to, moved);
    }
    default:
      throw new JsonPatchError(`there is no operation "${String(op)}"`);
  }
}

/** The keys from the holder to a value. */
function pointer(text: unknown): string[] {
  if (typeof text !== 'string' || (text !== '' && !text.startsWith('/')))
    throw new JsonPatchError(`"${String(text)}" is no JSON pointer`);
  const tokens = text.split('/').slice(1);
  return ['root', ...tokens.map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'))];
}

function find(holder: unknown, path: readonly string[]): unknown {
  let value = holder;
  for (const key of path) value = child(value, key);
  return value;
}

function child(value: unknown, key: string): unknown {
  if (Array.isArray(value) && index(value, key) < value.length) return value[index(value, key)];
  if (isMap(value) && Object.hasOwn(value, key)) return value[key];
  throw new JsonPatchError(`there is nothing at "${key}"`);
}

/** An index as RFC 6901 §4 has it; `-` is the place behind the last item. */
function index(list: readonly unknown[], key: string): number {
  if (key === '-') return list.length;
  if (!/^(0|[1-9][0-9]*)$/.test(key)) throw new JsonPatchError(`"${key}" is no index of a list`);
  return Number(key);
}

function add(holder: unknown, path: readonly string[], value: unknown): void {
  const parent = find(holder, path.slice(0, -1));
  const key = path.at(-1)!;
  if (Array.isArray(parent)) {
    const at = index(parent, key);
    if (at > parent.length) throw new JsonPatchError(`the list has ${parent.length} items only`);
    parent.splice(at, 0, value);
  } else if (isMap(parent)) setKey(parent, key, value);
  else throw new JsonPatchError(`there is nothing that could have a "${key}"`);
}

function remove(holder: unknown, path: readonly string[]): void {
  const parent = find(holder, path.slice(0, -1));
  const key = path.at(-1)!;
  child(parent, key);
  if (Array.isArray(parent)) parent.splice(index(parent, key), 1);
  else delete (parent as Record<string, unknown>)[key];
}
