/** `podwire server`: the API on a path socket, until SIGTERM. */

import { createLogger } from '../agent/log.js';
import { createServer } from '../server/server.js';
import { defineVerb, UsageError } from './verb.js';

export const server = defineVerb({
  usage: ['server --socket PATH --data FOLDER'],
  description: 'Serve the API on a path socket that only this user may open. Runs until SIGTERM.',
  options: {
    socket: { type: 'string', value: 'PATH', help: 'the socket to make' },
    data: { type: 'string', value: 'FOLDER', help: 'where the store lives; made if it is missing' },
  },
  example: ['podwire server --socket /run/podwire/api.sock --data /var/lib/podwire'],
  async run({ flags }) {
    const { socket, data } = flags;
    if (socket === undefined || data === undefined)
      throw new UsageError('Both --socket and --data are needed');
    const log = createLogger({ process: 'server' });
    const ended = new Promise<string>((resolve) => {
      for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => resolve(name));
    });
    const api = await createServer({ data, socketPath: socket, log });
    log.info({ socket, data }, 'Server started');
    log.info({ signal: await ended }, 'Server ends');
    await api.close();
    return 0;
  },
});
