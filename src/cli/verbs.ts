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

// prettier-ignore
export const VERBS: readonly VerbRow[] = [
  { name: 'up', summary: 'bring a lab up', load: async () => (await import('./up.js')).up },
  { name: 'down', summary: 'remove all of it', load: async () => (await import('./down.js')).down },
  { name: 'status', summary: 'labs, nodes, pods, problems', load: async () => (await import('./status.js')).status },
  { name: 'apply', summary: 'make objects be as a file says', load: async () => (await import('./apply.js')).apply },
  { name: 'get', summary: 'show objects', load: async () => (await import('./get.js')).get },
  { name: 'delete', summary: 'delete objects', load: async () => (await import('./delete.js')).deleteVerb },
  { name: 'exec', summary: 'run a program in a pod or in a host', load: async () => (await import('./exec.js')).exec },
  { name: 'logs', summary: 'what a container wrote', load: async () => (await import('./logs.js')).logs },
  { name: 'kubeconfig', summary: 'let kubectl in', load: async () => (await import('./kubeconfig.js')).kubeconfig },
  { name: 'explain', summary: 'what would happen to a packet, and why', load: async () => (await import('./explain.js')).explain },
  { name: 'dns', summary: 'the cluster’s DNS by itself, from files', load: async () => (await import('./dns.js')).dns },
  { name: 'tables', summary: 'what the data plane really knows', load: async () => (await import('./tables.js')).tables },
  { name: 'top', summary: 'what the packet workers do right now', load: async () => (await import('./top.js')).top },
  { name: 'agent', summary: 'run one host', load: async () => (await import('./agent.js')).agent },
  { name: 'bench', summary: 'how fast it is here, beside the kernel', load: async () => (await import('./bench.js')).bench },
  { name: 'doctor', summary: 'what on this machine will bite you', load: async () => (await import('./doctor.js')).doctor },
  { name: 'server', summary: 'the API of a cluster', load: async () => (await import('./server.js')).server },
  { name: 'token', summary: 'let other hosts join', load: async () => (await import('./token.js')).token },
  { name: 'user', summary: 'let people in', load: async () => (await import('./user.js')).user },
  { name: 'supervise', summary: 'keep a lab running', hidden: true, load: async () => (await import('./supervise.js')).supervise },
];
