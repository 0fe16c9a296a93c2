import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { writeState, type PodState } from '../../../src/agent/pods/state.js';
import { formatView, parseView, withLastView } from '../../../src/agent/source/last-view.js';
import type { ClusterSource } from '../../../src/agent/source/source.js';
import type { ClusterView, Event, Pod } from '../../../src/api/types.js';
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
const OWNER = { lab: 'x', node: 'a', cluster: '/run/x.sock' };
const names = ({ nodes }: ClusterView): string => nodes.map(({ metadata }) => metadata.name).join(' ');

/** A source that tells when the test does, and what an agent hears of it. */
function makeSource(path: string, { patienceMs = 20, problems = [] as string[] } = {}) {
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
    reportEvent: () => void words.push('event'),
    reportLease: () => undefined,
    reportNode: () => undefined,
    problems: () => problems,
    close: async () => void words.push('closed'),
  };
  const log = pino({}, { write: (line: string) => void words.push(line) });
  const kept = withLastView(
    source,
    { owner: OWNER, paths: { view: path, pods: `${path}.pods` }, log },
    { soonMs: 1, restMs: 1, patienceMs },
  );
  const heard: string[] = [];
  const pods: string[][] = [];
  const started = kept.start((next) => {
    heard.push(names(next));
    pods.push(next.pods.map(({ metadata, status }) => `${metadata.name} ${status?.phase}`).sort());
  });
  return { kept, heard, pods, words, started, tell: (next: ClusterView) => tell!(next) };
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
  t.same(
    parseView(OWNER, readFileSync(path, 'utf8')),
    { ...view('a', 'b'), secrets: [] },
    'the newest, at the end at the latest',
  );
  t.equal(first.words.at(-1), 'closed');

  const second = makeSource(path);
  await second.started;
  t.same(second.heard, ['a b']);
  t.match(second.kept.problems(), [/has not answered since the agent started/]);
  second.tell(view('c'));
  t.same(second.heard, ['a b', 'c'], 'what the server says is better');
  t.same(second.kept.problems(), []);
  await second.kept.close();
  t.equal(names(parseView(OWNER, readFileSync(path, 'utf8'))), 'c');
});

t.test('without a last view, or with a broken one, the server is waited for', async (t) => {
  const whole = formatView(OWNER, view('z'));
  const cases: [string | undefined, RegExp][] = [
    [undefined, /^$/],
    [whole.slice(0, -9), /JSON/],
    ['null', /its version is undefined/],
    [whole.replace(/"version":"[^"]*"/, '"version":"0.0.0"'), /its version is .*0\.0\.0/],
    [formatView({ ...OWNER, lab: 'y' }, view('z')), /its lab is .*y.*, ours is .*x/],
    [formatView({ ...OWNER, node: 'b' }, view('z')), /its node is/],
    [formatView({ ...OWNER, cluster: 'f00' }, view('z')), /its cluster is .*f00/],
    [whole.replace('"pods":[]', '"pods":7'), /it has no list of pods/],
  ];
  for (const [text, sentence] of cases) {
    const path = makePath(t);
    if (text !== undefined) writeFileSync(path, text);
    const { heard, started, tell, words } = makeSource(path);
    let isStarted = false;
    void started.then(() => (isStarted = true));
    // One that begins later and is more patient has started: so the first would have.
    const other = makePath(t);
    writeFileSync(other, whole);
    await makeSource(other, { patienceMs: 60 }).started;
    t.notOk(isStarted);
    await until('it is said why', () => sentence.test(words.join('')));
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

t.test('a source that has trouble is not waited for', async (t) => {
  const path = makePath(t);
  writeFileSync(path, formatView(OWNER, view('a')));
  const { heard, started } = makeSource(path, { patienceMs: 1e9, problems: ['refused'] });
  await started;
  t.same(heard, ['a']);
});

const pod = (name: string, nodeName: string, phase: string): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default', uid: `uid-${name}` },
  spec: { nodeName, containers: [] },
  status: { phase } as Pod['status'],
});

t.test('of this host, the pods that are here are taken over, and no others', async (t) => {
  const path = makePath(t);
  const pods = [pod('far', 'b', 'kept'), pod('here', 'a', 'kept'), pod('never-made', 'a', 'kept')];
  writeFileSync(path, formatView(OWNER, { ...view('a'), pods }));
  for (const name of ['here', 'younger']) {
    const left = { uid: `uid-${name}`, pod: pod(name, 'a', 'left') } as PodState;
    writeState(join(`${path}.pods`, left.uid), left);
  }
  mkdirSync(join(`${path}.pods`, 'stray'));
  const { started, pods: heard } = makeSource(path);
  await started;
  t.same(heard, [['far kept', 'here kept', 'younger left']]);
});

t.test('Secrets are not kept, and no event is told of what is old', async (t) => {
  const path = makePath(t);
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' }, data: { key: 'aGlkZGVu' } };
  const text = formatView(OWNER, { ...view('a'), secrets: [secret] });
  t.notMatch(text, 'aGlkZGVu');
  writeFileSync(path, text);
  const { kept, started, tell, words } = makeSource(path);
  await started;
  kept.reportEvent({} as Event);
  t.notOk(words.includes('event'));
  tell(view('a'));
  kept.reportEvent({} as Event);
  t.ok(words.includes('event'));
});
