/** What a check of `podwire doctor` asks of the machine, and how it answers. */
import type { Cidr } from '../wire/address.js';

export type Level = 'ok' | 'warn' | 'fail';

export interface Finding {
  readonly check: string;
  readonly level: Level;
  readonly text: string;
}

/** What checks may ask. */
export interface Probe {
  /** Problems that keep agents from running: root, TAP driver, `ip`. */
  preflight(): string[];
  nodeVersion: string;
  /** `6.1.0-18-amd64` */
  kernel: string;
  hasProgram(name: string): boolean;
  /** A file's text, or undefined. */
  read(path: string): string | undefined;
  /** The names in a folder; none when it is not there. */
  list(path: string): string[];
  /** Prefixes of the machine's routes with their words: `10.0.0.0/8 dev eth0`, `local 10.0.0.1 dev eth0`. */
  routes(): { cidr: Cidr; words: string }[];
  labs(): { name: string; running: boolean }[];
  freeUnderlays(): number;
  /** The agents that run here, and what each has to say against its host and its peers. */
  agents(): { node: string; problems: readonly string[] }[];
  /** Whether npm's raw-socket loads. */
  hasRawSocket: boolean;
  /** The rules of iptables' FORWARD chain, as `iptables -S FORWARD` prints them; undefined where they cannot be had. */
  forwardRules(): string | undefined;
}

export type Check = (probe: Probe) => Finding | Finding[];

export const finding = (check: string, level: Level, text: string): Finding => ({ check, level, text });
