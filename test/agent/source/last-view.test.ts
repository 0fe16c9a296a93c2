import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { withLastView } from '../../../src/agent/source/last-view.js';
import type { ClusterSource } from '../../../src/agent/source/source.js';
import type { ClusterView } from '../../../src/api/types.js';
import { until } from '../../lib/until.js';

const view = (...nodes: string[]): ClusterView => ({
  lab: { apiVersion: 'podwire.dev/v1alpha1', kind: 'Lab', metadata: { name: 'x' } },
  namespaces: [],
  nodes: nodes.map((name) => ({ apiVersion: 'v1', kind: 'Node', metadata: { name } })),
  pods: [],
  services: [],
  endpointSlices: [],
  endpoints: [],
});
const names = ({ nodes }: ClusterView): string => nodes.map(({ metadata }) => metadata.name).join(' ');

/** A source that tells when the test does, and what an agent hears of it. */
function makeSource(path: string) {
  let tell: ((view: ClusterView) => void) | undefined;
  const words: string[] = [];
  const source: ClusterSource = {
    name: 'a fake',
    saysAddresses: false,
    start: (changed) =>
      new Promise((resolve) => {
        tell = (next) => {
          changed(next);
          resolve();
        };
      }),
    reportPod: () => undefined,
    podRemoved: () => undefined,
    reportEvent: () => undefined,
    reportLease: () => undefined,
    reportNode: () => undefined,
    problems: () => ['away'],
    close: async () => void words.push('closed'),
  };
  const log = pino({}, { write: (line: string) => void words.push(line) });
  const kept = withLastView(source, path, log, { soonMs: 1, restMs: 1, patienceMs: 20 });
  const heard: string[] = [];
  const started = kept.start((next) => heard.push(names(next)));
  return { kept, heard, words, started, tell: (next: ClusterView) => tell!(next) };
}

function makePath(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), `pwt-${process.pid}-view-`));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'view.json');
}

t.test('what comes is kept, and is the view of a start without a server', async (t) => {
  const path = makePath(t);
  const first = makeSource(path);
  first.tell(view('a'));
  await first.started;
  await until('it is kept', () => {
    try {
      return statSync(path).mode;
    } catch {
      return undefined;
    }
  });
  t.equal(statSync(path).mode & 0o777, 0o600);
  first.tell(view('a', 'b'));
  await first.kept.close();
  t.same(JSON.parse(readFileSync(path, 'utf8')), view('a', 'b'), 'the newest, at the end at the latest');
  t.equal(first.words.at(-1), 'closed');

  const second = makeSource(path);
  await second.started;
  t.same(second.heard, ['a b']);
  t.match(second.kept.problems(), [/has not answered since the agent started/, 'away']);
  second.tell(view('c'));
  t.same(second.heard, ['a b', 'c'], 'what the server says is better');
  t.same(second.kept.problems(), ['away']);
  await second.kept.close();
  t.same(JSON.parse(readFileSync(path, 'utf8')), view('c'));
});

t.test('without a last view, or with a broken one, the server is waited for', async (t) => {
  for (const text of [undefined, '{"lab":']) {
    const path = makePath(t);
    if (text !== undefined) writeFileSync(path, text);
    const { heard, started, tell } = makeSource(path);
    let isStarted = false;
    void started.then(() => (isStarted = true));
    // One that begins later and is as patient has started: so the first would have.
    const other = makePath(t);
    writeFileSync(other, JSON.stringify(view('z')));
    await makeSource(other).started;
    t.notOk(isStarted);
    tell(view('a'));
    await started;
    t.same(heard, ['a']);
  }
});

t.test('a view that cannot be kept is said once, and costs nothing else', async (t) => {
  const source = makeSource('/nowhere/view.json');
  source.tell(view('a'));
  await source.started;
  await until('it is said', () => source.words.length === 1);
  source.tell(view('b'));
  await source.kept.close();
  t.same(source.heard, ['a', 'b']);
  t.match(source.words, [/Cannot keep what is known in \/nowhere\/view\.json: ENOENT/, 'closed']);
});
