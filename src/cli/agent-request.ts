/** Requests to an agent's own API, on its path socket: what the server does not know. */

import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { labPaths } from '../lab/record.js';
import { CommandError } from './verb.js';

/** GET `path` from the agent of `node`. @throws with the agent's own words, or that it does not answer */
export async function getFromAgent(lab: string, node: string, path: string): Promise<IncomingMessage> {
  const socketPath = labPaths(lab).nodeSocket(node);
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request({ socketPath, path, agent: false }, resolve)
      .on('error', (error: NodeJS.ErrnoException) => {
        reject(
          new CommandError(
            `The agent of ${node} does not answer at ${socketPath} (${error.code ?? error.message}); see ${labPaths(lab).log(node)}`,
          ),
        );
      })
      .end();
  });
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
