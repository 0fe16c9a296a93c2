/** `podwire supervise`: what `up` leaves running. Nobody types it. */

import { runSupervisor } from '../lab/run-supervisor.js';
import { selfArgv } from './self.js';
import { defineVerb, UsageError } from './verb.js';

export const supervise = defineVerb({
  usage: ['supervise --lab NAME'],
  description: 'Run the server and the agents of a lab, and start again what dies. Started by podwire up.',
  options: { lab: { type: 'string', value: 'NAME', help: 'the lab, whose record is in its run directory' } },
  example: ['podwire supervise --lab demo'],
  async run({ flags }) {
    if (flags.lab === undefined) throw new UsageError('Which lab? Name it with --lab');
    await runSupervisor(flags.lab, selfArgv());
    return 0;
  },
});
