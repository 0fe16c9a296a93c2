/**
 * All verbs, in the order of `podwire --help`. A verb's module is loaded when it is called, so that `podwire get` does
 * not wait for the packet engine.
 */

import type { Verb } from './verb.js';

export interface VerbRow {
  readonly name: string;
  /** One line for the list of verbs. */
  readonly summary: string;
  /** Not listed: podwire calls it itself. */
  readonly hidden?: boolean;
  load(): Promise<Verb>;
}

// A line here: { name: 'agent', summary: 'run one host …', load: async () => (await import('./agent.js')).agent }
export const VERBS: readonly VerbRow[] = [];
