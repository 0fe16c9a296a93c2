/**
 * The openssl program, for tests: it makes what we read, and reads what we make.
 */
import { output, runSync, type Result } from './spawn.js';

/** Why a test that needs it cannot run; false when it can. */
export const needsOpenssl = (): string | false =>
  runSync(['openssl', 'version']).status !== 0 && 'there is no openssl';

/** Run it; it must succeed. What it printed. */
export const openssl = (words: readonly string[], input?: string): string =>
  output(['openssl', ...words], input);

/** Run it, however that ends. */
export const tryOpenssl = (words: readonly string[], input?: string): Result =>
  runSync(['openssl', ...words], { ...(input !== undefined && { input }) });
