/** A client of an agent's own API on its path socket, as the server is one: requests whose bodies are channels. */
import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { openChannels, type Channels } from '../../src/client/channels.js';
import { ERROR, STDERR, STDOUT } from '../../src/wire/channel-frame.js';
import type { Status } from '../../src/api/error.js';

export interface Call {
  readonly channels: Channels;
  /** What was written to stdout so far. */
  stdout(): string;
  stderr(): string;
  /** How it ended. */
  readonly status: Promise<Status>;
  /** Go away without a word. */
  cut(): void;
}

/** `POST` to a path, and what comes of it. @throws the Status of a refusal */
export async function callAgent(socketPath: string, path: string): Promise<Call> {
  const { request, response } = await new Promise<{ request: ClientRequest; response: IncomingMessage }>(
    (resolve, reject) => {
      const asked = httpRequest({ socketPath, path, method: 'POST', agent: false });
      asked.once('response', (answer) => resolve({ request: asked, response: answer }));
      asked.once('error', reject);
      asked.flushHeaders();
    },
  );
  if (response.statusCode !== 200) {
    const text = Buffer.concat((await response.toArray()) as Buffer[]).toString();
    request.destroy();
    throw JSON.parse(text) as Status;
  }
  const channels = openChannels(response, request, [STDOUT, STDERR, ERROR]);
  const texts = new Map<number, string>();
  for (const channel of [STDOUT, STDERR])
    channels.input(channel).on('data', (chunk: Buffer) => {
      texts.set(channel, (texts.get(channel) ?? '') + chunk.toString());
    });
  const status = channels
    .input(ERROR)
    .toArray()
    .then((chunks) => {
      request.end();
      return JSON.parse(Buffer.concat(chunks as Buffer[]).toString()) as Status;
    });
  status.catch(() => {});
  return {
    channels,
    stdout: () => texts.get(STDOUT) ?? '',
    stderr: () => texts.get(STDERR) ?? '',
    status,
    cut: () => request.destroy(),
  };
}
