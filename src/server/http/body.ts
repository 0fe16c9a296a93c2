/**
 * Request bodies in, JSON out.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ApiError, badRequest } from '../../api/error.js';

/** As in Kubernetes: a little more than etcd's limit for one object. */
const MAX_BODY_BYTES = 3 * 1024 * 1024;

/**
 * Read a body as JSON.
 *
 * @param types  accepted content types; a request without one is taken as the first
 * @returns      the value, or undefined when there is no body
 * @throws ApiError 400, 413 or 415
 */
export async function readJson(request: IncomingMessage, types: readonly string[]): Promise<unknown> {
  const type = (request.headers['content-type'] ?? types[0]!).split(';')[0]!.trim().toLowerCase();
  const tooLarge = (): ApiError =>
    new ApiError(413, 'RequestEntityTooLarge', `Request entity too large: limit is ${MAX_BODY_BYTES}`);
  if (Number(request.headers['content-length'] ?? 0) > MAX_BODY_BYTES) throw tooLarge();
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) throw tooLarge();
    chunks.push(chunk);
  }
  if (bytes === 0) return undefined;
  if (!types.includes(type)) {
    throw new ApiError(
      415,
      'UnsupportedMediaType',
      `the body of the request was in an unknown format - accepted media types include: ${types.join(', ')}`,
    );
  }
  const text = Buffer.concat(chunks).toString('utf8');
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw badRequest(`Cannot parse the body as JSON: ${(error as Error).message}`);
  }
}

/** Answer with JSON. */
export function sendJson(response: ServerResponse, code: number, value: unknown): void {
  const text = JSON.stringify(value);
  response.writeHead(code, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-cache, private',
  });
  response.end(text);
}
