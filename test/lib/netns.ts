/**
 * Network namespaces of tests, named `pwt-PID-…` and removed when the test ends, also when it fails. Tests that need them
 * skip, with the reason, where they cannot be made.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import process from 'node:process';
import type { TestScope } from './scope.js';
import { output } from './spawn.js';

let made = 0;

/** A name of this process for something it makes on the machine; at most 15 characters for a link is the caller's task. */
export const testName = (what: string | number): string => `pwt-${process.pid}-${what}`;

/** For `t.test(name, { skip: needsRoot() }, …)`: why namespaces and TAPs cannot be made here, or false. */
export function needsRoot(): string | false {
  if (process.getuid?.() !== 0) return 'needs root';
  if (!existsSync('/dev/net/tun')) return 'needs /dev/net/tun';
  if (spawnSync('ip', ['-V']).error !== undefined) return 'needs the program ip (iproute2)';
  return false;
}

/** Make a network namespace with `lo` up that lives as long as the test. Its name. */
export function makeNetns(t: TestScope): string {
  const name = testName((made += 1));
  output(['ip', 'netns', 'add', name]);
  t.teardown(() => void output(['ip', 'netns', 'del', name]));
  output(['ip', '-n', name, 'link', 'set', 'lo', 'up']);
  return name;
}

/** Two namespaces joined by a veth pair: `eth0` in each, with 192.0.2.1/24 and 192.0.2.2/24, up. */
export function makePair(t: TestScope): [string, string] {
  const a = makeNetns(t);
  const b = makeNetns(t);
  output(['ip', '-batch', '-'], `link add eth0 netns ${a} type veth peer name eth0 netns ${b}\n`);
  [a, b].forEach((netns, i) =>
    output(['ip', '-n', netns, '-batch', '-'], `addr add 192.0.2.${i + 1}/24 dev eth0\nlink set eth0 up\n`),
  );
  return [a, b];
}
