import t from 'tap';
import { parseTarget } from '../../src/server/http/target.js';

const show = (path: string): string => {
  const target = parseTarget(path);
  return target
    ? [target.kind.kind, target.namespace, target.name, target.subresource].join(' ').trim()
    : '-';
};

t.test('paths', async (t) => {
  const table: [path: string, target: string][] = [
    ['/api/v1/pods', 'Pod'],
    ['/api/v1/pods/', 'Pod'],
    ['/api/v1/namespaces/shop/pods', 'Pod shop'],
    ['/api/v1/namespaces/shop/pods/web', 'Pod shop web'],
    ['/api/v1/namespaces/shop/pods/web/status', 'Pod shop web status'],
    ['/api/v1/namespaces/shop', 'Namespace  shop'],
    ['/api/v1/namespaces/shop/status', 'Namespace  shop status'],
    ['/api/v1/nodes/node1', 'Node  node1'],
    ['/apis/podwire.dev/v1alpha1/labs/demo', 'Lab  demo'],
    ['/api/v1/namespaces/pods/pods', 'Pod pods'],
    ['/apis/podwire.dev/v1alpha1/labs/demo/status', '-'],
    ['/apis/podwire.dev/v1/labs', '-'],
    ['/api/v1/labs', '-'],
    ['/api/v1/pods/web', '-'],
    ['/api/v1/namespaces/shop/nodes', '-'],
    ['/api/v1/namespaces/shop/pods/web/status/more', '-'],
    ['/api/v1/namespaces//pods', '-'],
    ['/api/v1', '-'],
    ['/', '-'],
    ['', '-'],
  ];
  for (const [path, target] of table) t.equal(show(path), target, path);
});

t.test('a name that would reach another key is refused', async (t) => {
  for (const path of [
    '/api/v1/nodes/a%2Fb',
    '/api/v1/nodes/a%00',
    '/api/v1/nodes/%ff',
    '/api/v1/nodes/%EF%BF%BF',
  ]) {
    t.throws(() => parseTarget(path), { code: 400 }, path);
  }
});
