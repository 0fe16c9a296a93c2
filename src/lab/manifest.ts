/**
 * Kubernetes objects from YAML text, each knowing the file and the line it came from, so that whatever is wrong with one
 * can be said as `FILE:LINE: field: what was expected`.
 *
 * Several documents in a file, JSON (which is YAML), `kind: List`, anchors and merge keys all work. Nothing here knows
 * what a Pod is: `api/validate.ts` does.
 */

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isCollection, isMap, isNode, isPair, isScalar, LineCounter, parseAllDocuments } from 'yaml';
import type { Node as YamlNode, Pair, Scalar, YAMLMap } from 'yaml';
import { DEFAULT_NAMESPACE } from '../api/defaults.js';
import type { ApiObject } from '../api/types.js';
import { validate } from '../api/validate.js';

/** An object and where it stands. */
export interface Located<T extends ApiObject = ApiObject> {
  readonly object: T;
  readonly file: string;
  /** The line of the object's first key, from 1. */
  readonly line: number;
  /** The line of a field such as `spec.containers[0].name`, or of the nearest one around it that exists. */
  lineOf(field: string): number;
}

/** What is wrong with manifests: one line a problem, each with its file and line. */
export class ManifestError extends Error {
  override readonly name = 'ManifestError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.length === 1 ? problems[0] : `${problems.length} problems:\n  ${problems.join('\n  ')}`);
    this.problems = problems;
  }
}

/**
 * Parse one file's text.
 *
 * @param file  the name for messages
 * @throws {ManifestError} with all problems of the text when it is no YAML, or a document is no object
 */
export function parseManifest(text: string, file: string): Located[] {
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, merge: true });
  const problems: string[] = [];
  const found: Located[] = [];
  const lineAt = (offset: number | undefined): number =>
    offset === undefined ? 1 : lines.linePos(offset).line;
  for (const document of Array.isArray(documents) ? documents : []) {
    if (document.errors.length > 0) {
      problems.push(
        ...document.errors.map((error) => `${file}:${lineAt(error.pos[0])}: ${firstLine(error.message)}`),
      );
      continue;
    }
    const root = document.contents;
    if (root === null || (isScalar(root) && root.value === null)) continue; // nothing between two ---
    const line = lineAt(root.range?.[0]);
    if (!isMap(root)) {
      problems.push(`${file}:${line}: Expected an object with apiVersion, kind and metadata`);
      continue;
    }
    let value: ApiObject & { items?: ApiObject[] };
    try {
      value = document.toJS({ maxAliasCount: 100 }) as typeof value;
    } catch (error) {
      problems.push(`${file}:${line}: ${firstLine((error as Error).message)}`);
      continue;
    }
    if (value.kind === 'List' && Array.isArray(value.items)) {
      const items = root.get('items');
      value.items.forEach((item, i) => {
        const node = isCollection(items) ? items.get(i, true) : undefined;
        if (isMap(node)) found.push(locate(item, node, file, lineAt));
        else
          problems.push(
            `${file}:${line}: items[${i}]: Expected an object with apiVersion, kind and metadata`,
          );
      });
    } else found.push(locate(value, root, file, lineAt));
  }
  if (problems.length > 0) throw new ManifestError(problems);
  return found;
}

/**
 * Read files, folders (their .yaml, .yml and .json files in order of name) and `-`.
 *
 * @param stdin  reads the whole standard input; called for `-`
 */
export async function readManifests(
  paths: readonly string[],
  stdin: () => Promise<string>,
): Promise<Located[]> {
  const found: Located[] = [];
  for (const path of paths)
    found.push(...(path === '-' ? parseManifest(await stdin(), '<stdin>') : readManifest(path)));
  return found;
}

/** Read one file, or the files of one folder. */
export const readManifest = (path: string): Located[] =>
  filesAt(path).flatMap((file) => parseManifest(readFileSync(file, 'utf8'), file));

/**
 * Everything wrong with the objects themselves: unknown kinds, fields that do not validate, the same object twice.
 *
 * @returns one line a problem; empty when all may be applied
 */
export function checkObjects(objects: readonly Located[]): string[] {
  const problems: string[] = [];
  const seen = new Map<string, Located>();
  for (const located of objects) {
    const { object, file } = located;
    const say = (field: string, message: string): void => {
      problems.push(`${file}:${located.lineOf(field)}: ${field === '' ? '' : `${field}: `}${message}`);
    };
    for (const { field, message } of validate(object)) say(field, message);
    const { kind, metadata } = object;
    if (typeof metadata?.name !== 'string') continue;
    const key = `${kind} ${metadata.namespace ?? DEFAULT_NAMESPACE}/${metadata.name}`;
    const first = seen.get(key);
    if (first)
      say('metadata.name', `The same ${kind} stands at ${first.file}:${first.line}; give one another name`);
    else seen.set(key, located);
  }
  return problems;
}

function filesAt(path: string): string[] {
  try {
    if (!statSync(path).isDirectory()) return [path];
    const files = readdirSync(path).filter((name) => /\.(ya?ml|json)$/.test(name));
    if (files.length === 0) throw new ManifestError([`${path}: No .yaml, .yml or .json file in this folder`]);
    return files.sort().map((name) => join(path, name));
  } catch (error) {
    if (error instanceof ManifestError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    throw new ManifestError([
      code === 'ENOENT'
        ? `${path}: There is no such file; name a YAML file, a folder, or - for standard input`
        : message,
    ]);
  }
}

function locate(
  object: ApiObject,
  root: YAMLMap,
  file: string,
  lineAt: (offset: number | undefined) => number,
): Located {
  return {
    object,
    file,
    line: lineAt(root.range?.[0]),
    lineOf: (field) => lineAt(offsetOf(root, field)),
  };
}

/** Offset of the key of `field`, or of the deepest key on the way to it. */
function offsetOf(root: YAMLMap, field: string): number | undefined {
  let node: YamlNode = root;
  let offset = root.range?.[0];
  let left = field;
  while (left !== '') {
    if (isMap(node)) {
      left = left.replace(/^\[([^\]]*)\]/, '$1'); // an entry of a map: labels[app]
      // Keys of labels and annotations contain dots: the longest key that fits is meant.
      const path = left;
      const pair: Pair | undefined = node.items
        .filter((item) => isScalar(item.key) && begins(path, String(item.key.value)))
        .sort((a, b) => keyLength(b.key) - keyLength(a.key))[0];
      if (!pair) return offset;
      offset = (pair.key as Scalar).range?.[0] ?? offset;
      left = left.slice(keyLength(pair.key)).replace(/^\./, '');
      if (!isNode(pair.value)) return offset;
      node = pair.value;
    } else {
      const index = /^\[(\d+)\]\.?/.exec(left);
      const item: unknown = index && isCollection(node) ? node.items[Number(index[1])] : undefined;
      if (!index || !isNode(item) || isPair(item)) return offset;
      node = item;
      offset = item.range?.[0] ?? offset;
      left = left.slice(index[0].length);
    }
  }
  return offset;
}

/** Whether the dotted path `path` begins with the key `key`. */
const begins = (path: string, key: string): boolean =>
  path.startsWith(key) && ['', '.', '['].includes(path.slice(key.length, key.length + 1));

const keyLength = (key: unknown): number => String((key as Scalar).value).length;

const firstLine = (text: string): string => text.split('\n')[0]!.replace(/\.$/, '');
