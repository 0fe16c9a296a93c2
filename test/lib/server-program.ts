/**
 * `podwire server` as a program of its own, for clients that block the test that calls them.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inRoot } from './root.js';
import type { TestScope } from './scope.js';
import { start } from './spawn.js';
import { until } from './until.js';

/**
 * A server without agents, on a free port and on the path socket `server.sock`.
 *
 * @param more  further flags
 * @returns     a folder with its `kubeconfig`
 */
export async function startServerProgram(t: TestScope, ...more: string[]): Promise<string> {
  const home = mkdtempSync(join(tmpdir(), `pwt-${process.pid}-server-`));
  t.teardown(() => rmSync(home, { recursive: true, force: true }));
  const kubeconfig = join(home, 'kubeconfig');
  const flags = [
    '--listen',
    '127.0.0.1:0',
    '--data',
    join(home, 'data'),
    '--socket',
    join(home, 'server.sock'),
  ];
  start(t, [inRoot('scripts/podwire'), 'server', ...flags, '--write-kubeconfig', kubeconfig, ...more], {
    stdio: 'ignore',
  });
  await until('the server answers', () => existsSync(kubeconfig));
  return home;
}
