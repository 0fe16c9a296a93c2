/**
 * Requests to an agent's own API: what the server does not know. On its path socket, where there is one; to an agent on
 * another host by the server, which it has dialled.
 */

import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { labPaths } from '../lab/record.js';
import { CommandError } from './verb.js';

/** What a path socket says that nobody listens on. */
const NOBODY = ['ENOENT', 'ECONNREFUSED'];

/** GET `path` from the agent of `node`. @throws with the agent's own words, or that it does not answer */
export async function getFromAgent(lab: string, node: string, path: string): Promise<IncomingMessage> {
  const { nodeSocket, serverSocket, log } = labPaths(lab);
  const socketPath = nodeSocket(node);
  try {
    return await answered(await get(socketPath, path), node);
  } catch (cause) {
    const { code = '', message } = cause as NodeJS.ErrnoException;
    if (cause instanceof CommandError) throw cause;
    const unheard = `The agent of ${node} does not answer at ${socketPath} (${code || message}); see ${log(node)}`;
    if (!NOBODY.includes(code)) throw new CommandError(unheard);
    const proxied = `/api/v1/nodes/${encodeURIComponent(node)}/proxy${path}`;
    const response = await get(serverSocket, proxied).catch(() => {
      throw new CommandError(unheard);
    });
    return answered(response, node);
  }
}

const get = (socketPath: string, path: string): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    request({ socketPath, path, agent: false }, resolve).on('error', reject).end();
  });

/** @throws CommandError when the answer is no success */
async function answered(response: IncomingMessage, node: string): Promise<IncomingMessage> {
  if (response.statusCode === 200) return response;
  const text = await textOf(response);
  let message: string;
  try {
    message = (JSON.parse(text) as { message?: string }).message ?? text;
  } catch {
    message = text;
  }
  throw new CommandError(message.trim() || `The agent of ${node} answered ${response.statusCode}`);
}

/** The whole body. */
export async function textOf(response: IncomingMessage): Promise<string> {
  response.setEncoding('utf8');
  let text = '';
  for await (const chunk of response) text += chunk as string;
  return text;
}

/** Copy the body as it comes; the output stays open. */
export const copyTo = (response: IncomingMessage, output: Writable): Promise<void> =>
  pipeline(response, output, { end: false });
