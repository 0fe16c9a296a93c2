/** The cases as they stand in the file, and what drives one. */
import { existsSync, readFileSync } from 'node:fs';
import type { Test } from 'tap';
import { hex } from '../../lib/hex.js';
import { CONFORMANCE } from '../../lib/root.js';
import type { Stage } from './stage.js';

export interface Case {
  readonly id: string;
  readonly level: string;
  readonly requirement: string;
  readonly send?: { readonly vxlanHeaderHex?: string };
}

/** Hold the product against one case: assertions on `t`. */
export type Driver = (t: Test, stage: Stage, item: Case) => void | Promise<void>;

export const CASE_FILE = 'rfc/vxlan.jsonl';

/** All cases, or undefined where they are not beside the checkout. */
export function readCases(): Case[] | undefined {
  if (CONFORMANCE === undefined || !existsSync(CONFORMANCE + CASE_FILE)) return undefined;
  return readFileSync(CONFORMANCE + CASE_FILE, 'utf8')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as Case);
}

/** The VXLAN header that a case wants to be sent. */
export function headerOf(item: Case): Uint8Array {
  const text = item.send?.vxlanHeaderHex;
  if (text === undefined) throw new Error(`Case ${item.id} says no header to send`);
  return hex(text);
}
