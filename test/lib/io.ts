/** A terminal or pipe made of strings, for verbs under test. */

import { PassThrough, Readable } from 'node:stream';
import type { Io } from '../../src/cli/verb.js';

export interface TestIo extends Io {
  /** What was written to standard output so far. */
  out(): string;
  /** What was written to standard error so far. */
  err(): string;
}

export function testIo(options: { input?: string; env?: NodeJS.ProcessEnv; isTty?: boolean } = {}): TestIo {
  const written = { out: '', err: '' };
  const sink = (name: 'out' | 'err'): PassThrough => {
    const stream = new PassThrough();
    stream.on('data', (chunk: Buffer) => (written[name] += chunk.toString()));
    return Object.assign(stream, { isTTY: options.isTty ?? false });
  };
  return {
    stdin: Object.assign(Readable.from([options.input ?? '']), { isTTY: false }) as Io['stdin'],
    stdout: sink('out'),
    stderr: sink('err'),
    env: options.env ?? {},
    out: () => written.out,
    err: () => written.err,
  };
}
