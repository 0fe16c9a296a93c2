/**
 * What people type, with real kubectls of several versions, against a server of its own. The oldest and the newest that are
 * found run the whole list, the others a short one; exit codes count for all. What is printed is compared with the golden file
 * of that version, where there is one: test/e2e/kubectl/1.MINOR.txt.
 *
 * PODWIRE_GOLDEN=write writes the golden files of the versions that are found anew; look at the difference.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { findKubectls, type Kubectl } from '../lib/kubectl.js';
import { inRoot } from '../lib/root.js';
import type { TestScope } from '../lib/scope.js';
import { startServerProgram } from '../lib/server-program.js';
import { CALLS, type Call } from './kubectl/calls.js';

t.setTimeout(600_000);

const kubectls = findKubectls();
const skip = kubectls.length === 0 && 'there is no kubectl: set KUBECTL_BIN, or install kubernetes-client';
const goldenFile = (minor: number): string => inRoot(`test/e2e/kubectl/1.${minor}.txt`);

/** Words as a shell without quotes would have them. */
const wordsOf = ({ line }: Call): string[] => line.split(' ');

/** Text without what differs from run to run; columns as far apart as two blanks. */
const normal = (text: string, home: string): string =>
  text
    .replaceAll(home, 'HOME')
    // Kinds get their effect one after the other.
    .replace(/^Warning: \S+ are stored, and have no effect yet\n/gm, '')
    .replace(/https:\/\/127\.0\.0\.1:\d+/g, 'https://SERVER')
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, 'TIME')
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'UID')
    .replace(/\b10\.\d+\.\d+\.\d+\b/g, (ip) => (ip === '10.96.7.7' ? ip : 'IP'))
    .replace(/ {2,}(\d+[smhd])+(?=\s)/g, '  AGE')
    .replace(/[ \t]{2,}/g, '  ')
    .replace(/[ \t]+$/gm, '');

function runCalls(t: TestScope & Tap, kubectl: Kubectl, home: string, calls: readonly Call[]): string {
  const parts: string[] = [];
  for (const call of calls) {
    if (call.since !== undefined && kubectl.minor < call.since) continue;
    const { status, stdout, stderr } = kubectl.run(home, wordsOf(call), call.input);
    const said = `${stdout}${stderr}`;
    t.equal(
      status,
      call.code ?? 0,
      `1.${kubectl.minor} ${call.line}${status === (call.code ?? 0) ? '' : `: ${said}`}`,
    );
    if (!call.isLoose) parts.push(`$ kubectl ${call.line}\n${normal(said, home).trimEnd()}\n`);
  }
  return parts.join('\n');
}

/** One call and its output each. */
const blocks = (text: string): string[] => text.split(/^(?=\$ kubectl )/m);

interface Tap {
  equal(found: unknown, wanted: unknown, what: string): boolean;
}

for (const [i, kubectl] of kubectls.entries()) {
  const isWhole = i === 0 || i === kubectls.length - 1;
  const calls = CALLS.filter((call) => isWhole || call.isShort);
  t.test(`kubectl 1.${kubectl.minor}: ${calls.length} calls`, async (t) => {
    const home = await startServerProgram(t);
    const said = runCalls(t, kubectl, home, calls);
    if (!isWhole) return;
    const file = goldenFile(kubectl.minor);
    if (process.env['PODWIRE_GOLDEN'] === 'write') writeFileSync(file, said);
    if (!existsSync(file))
      return void t.comment(`there is no golden file for 1.${kubectl.minor}: exit codes only`);
    const golden = blocks(readFileSync(file, 'utf8'));
    blocks(said).forEach((block, i) => t.equal(block, golden[i], `1.${kubectl.minor} prints`));
  });
}

t.test('at least a hundred calls', { skip }, async (t) => {
  t.ok(CALLS.length >= 100, String(CALLS.length));
});
