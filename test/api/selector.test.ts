import t from 'tap';
import { POD } from '../../src/api/kinds.js';
import { parseFieldSelector, parseLabelSelector } from '../../src/api/selector.js';
import type { Pod } from '../../src/api/types.js';

const pod = (labels: Record<string, string>): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web', namespace: 'shop', labels },
  spec: { nodeName: 'node1', containers: [] },
  status: { phase: 'Running' },
});

t.test('label selectors', async (t) => {
  const labels = { app: 'web', 'example.com/tier': 'front', empty: '' };
  const table: [selector: string, matches: boolean][] = [
    ['', true],
    ['app=web', true],
    ['app==web', true],
    ['app = web , empty=', true],
    ['app!=web', false],
    ['missing!=web', true],
    ['app', true],
    ['!app', false],
    ['!missing', true],
    ['app in (db, web)', true],
    ['app in (db)', false],
    ['app notin (db),example.com/tier=front', true],
    ['missing notin (a)', true],
    ['missing in (a)', false],
    ['constructor', false],
  ];
  for (const [selector, matches] of table)
    t.equal(parseLabelSelector(selector)(pod(labels)), matches, selector);
});

t.test('a label selector that is none is refused', async (t) => {
  for (const text of ['=web', 'app in web', 'app in (a', 'a b', 'app>1', 'app=a b']) {
    t.throws(() => parseLabelSelector(text), { code: 400 }, text);
  }
});

t.test('field selectors', async (t) => {
  const table: [selector: string, matches: boolean][] = [
    ['', true],
    ['spec.nodeName=node1', true],
    ['spec.nodeName!=node1', false],
    ['status.phase!=Failed,status.phase!=Succeeded', true],
    ['metadata.name=web,metadata.namespace=shop', true],
    ['status.podIP=', true],
    ['spec.nodeName=', false],
  ];
  for (const [selector, matches] of table)
    t.equal(parseFieldSelector(selector, POD)(pod({})), matches, selector);
  t.throws(() => parseFieldSelector('spec.containers=x', POD), {
    message: /field label not supported: spec.containers/,
  });
  t.throws(() => parseFieldSelector('nothing', POD), { code: 400 });
});
