/**
 * Request bodies in, JSON out.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { parse as parseYaml } from 'yaml';
import { ApiError, badRequest } from '../../api/error.js';
import { decodeProtobuf, PROTOBUF } from './protobuf.js';

/** As in Kubernetes: a little more than etcd's limit for one object. */
const MAX_BODY_BYTES = 3 * 1024 * 1024;

/** Readers of whole objects, by content type; the first is meant when a request names none. */
const OBJECT_READERS: ReadonlyMap<string, (bytes: Buffer) => unknown> = new Map([
  ['application/json', readJson],
  ['application/yaml', readYaml],
  [PROTOBUF, decodeProtobuf],
]);

/** A body, and what it says it is. */
export interface Body {
  /** Content type without parameters, in lower case; '' when the request names none. */
  readonly type: string;
  readonly bytes: Buffer;
}

/** @throws ApiError 413 */
export async function readBody(request: IncomingMessage): Promise<Body> {
  const type = (request.headers['content-type'] ?? '').split(';')[0]!.trim().toLowerCase();
  const tooLarge = (): ApiError =>
    new ApiError(413, 'RequestEntityTooLarge', `Request entity too large: limit is ${MAX_BODY_BYTES}`);
  if (Number(request.headers['content-length'] ?? 0) > MAX_BODY_BYTES) throw tooLarge();
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) throw tooLarge();
    chunks.push(chunk);
  }
  return { type, bytes: Buffer.concat(chunks) };
}

/**
 * A body that is an object: JSON, YAML or protobuf.
 *
 * @returns undefined when it is empty
 * @throws ApiError 400, 413, 415
 */
export async function readObject(request: IncomingMessage): Promise<unknown> {
  const { type, bytes } = await readBody(request);
  if (bytes.length === 0) return undefined;
  const read = OBJECT_READERS.get(type || 'application/json');
  if (!read) throw unsupported([...OBJECT_READERS.keys()]);
  return read(bytes);
}

export const unsupported = (types: readonly string[]): ApiError =>
  new ApiError(
    415,
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - accepted media types include: ${types.join(', ')}`,
  );

/** @throws ApiError 400 */
export function readJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown;
  } catch (error) {
    throw badRequest(`Cannot parse the body as JSON: ${(error as Error).message}`);
  }
}

/** YAML, of which JSON is a part. @throws ApiError 400 */
export function readYaml(bytes: Buffer): unknown {
  try {
    return parseYaml(bytes.toString('utf8'), { maxAliasCount: 100 }) as unknown;
  } catch (error) {
    throw badRequest(`Cannot parse the body as YAML: ${(error as Error).message}`);
  }
}

/** Answer with JSON. */
export function sendJson(
  response: ServerResponse,
  code: number,
  value: unknown,
  type = 'application/json',
): void {
  const text = JSON.stringify(value);
  response.writeHead(code, {
    'content-type': type,
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-cache, private',
  });
  response.end(text);
}
