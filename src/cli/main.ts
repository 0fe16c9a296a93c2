/** The program: `scripts/podwire` imports this file, and so the process is podwire. Everything else is in `dispatch.ts`. */

import { dispatch } from './dispatch.js';

// `podwire get pods -A | head -1` closes our output early: that is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

const code = await dispatch(process.argv.slice(2), process);
// Written output is complete here: Node's pipes, files and terminals are synchronous on Linux.
process.exit(code);
