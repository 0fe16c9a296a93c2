/** The cases as they stand in the file, and what drives one. */
import { existsSync, readFileSync } from 'node:fs';
import type { Test } from 'tap';
import { CONFORMANCE } from '../../lib/root.js';
import type { Cluster } from './cluster.js';

export interface Case {
  readonly id: string;
  readonly name: string;
  readonly area: string;
  readonly layer: string;
  readonly upstreamConformance: boolean;
  readonly needs: {
    readonly nodes: number;
    readonly zones?: number;
    readonly dualStack?: boolean;
    readonly sctp?: boolean;
  };
  readonly steps: readonly { readonly do: string; readonly expect: string }[];
}

/** Do the steps of one case and hold the product against what is expected. */
export type Driver = (t: Test, cluster: Cluster) => void | Promise<void>;

const CASE_FILE = 'service/service.jsonl';

/** All cases, those with upstream's conformance mark first; or undefined where they are not beside the checkout. */
export function readCases(): Case[] | undefined {
  if (CONFORMANCE === undefined || !existsSync(CONFORMANCE + CASE_FILE)) return undefined;
  const cases = readFileSync(CONFORMANCE + CASE_FILE, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Case);
  return cases.sort((a, b) => Number(b.upstreamConformance) - Number(a.upstreamConformance));
}
