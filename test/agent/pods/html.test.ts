import t from 'tap';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { resolveInside } from '../../../src/agent/pods/inside.js';
import { makeHost, podOf, skip, TestObjects, until, type TestHost } from './host.js';

t.test('links are followed inside the other root', async (t) => {
  const root = t.testdir({ a: { file: '' }, etc: {} });
  symlinkSync('/a/file', join(root, 'absolute'));
  symlinkSync('../../../a/file', join(root, 'etc', 'relative'));
  symlinkSync('loop', join(root, 'loop'));
  t.equal(resolveInside(root, '/absolute'), `${root}/a/file`);
  t.equal(resolveInside(root, '/etc/relative'), `${root}/a/file`);
  t.equal(resolveInside(root, '/../a/./file'), `${root}/a/file`);
  t.equal(resolveInside(root, '/loop'), undefined);
  t.equal(resolveInside(root, '/etc/passwd'), undefined, 'not the machine’s');
});

const get = async (host: TestHost, pod: string, path: string): Promise<string> => {
  const format = ['-w', '\\n%{http_code} %{content_type}'];
  return (await host.exec(pod, 'curl', '-s', '--path-as-is', ...format, `http://127.0.0.1${path}`)).stdout;
};

t.test('a built-in nginx serves what lies in its folder', { skip }, async (t) => {
  const objects = new TestObjects();
  objects.setConfigMap('pages', { 'index.html': 'from a ConfigMap', 'a.css': 'body {}' });
  const host = makeHost(t, undefined, { objects: objects.lookup });
  const volumeMounts = [{ name: 'html', mountPath: '/usr/share/nginx/html' }];
  const mounted = podOf(
    'mounted',
    { image: 'nginx', volumeMounts },
    { volumes: [{ name: 'html', configMap: { name: 'pages' } }] },
  );
  const one = podOf(
    'one',
    {
      image: 'nginx',
      volumeMounts: [{ name: 'f', mountPath: '/usr/share/nginx/html/index.html', subPath: 'index.html' }],
    },
    { volumes: [{ name: 'f', configMap: { name: 'pages' } }] },
  );
  const empty = podOf(
    'empty',
    { image: 'nginx', volumeMounts },
    { volumes: [{ name: 'html', emptyDir: {} }] },
  );
  const plain = podOf('plain', { image: 'docker.io/library/nginx:1.27' });
  host.runtime.sync([mounted, plain, empty, one]);
  for (const name of ['mounted', 'plain', 'empty', 'one']) await host.ready(name);

  t.equal(await get(host, 'mounted', '/'), 'from a ConfigMap\n200 text/html');
  t.equal(await get(host, 'mounted', '/a.css?x=1'), 'body {}\n200 text/css');
  t.equal(await get(host, 'one', '/'), 'from a ConfigMap\n200 text/html', 'one file by subPath');
  t.match(await get(host, 'mounted', '/../../../../etc/passwd'), /404 text\/plain$/);
  objects.setConfigMap('pages', { 'index.html': 'changed' });
  host.runtime.sync([mounted, plain, empty, one]);
  await until('it serves the new one', async () => (await get(host, 'mounted', '/')).startsWith('changed'));

  t.match(await get(host, 'empty', '/'), /403 text\/plain$/, 'as nginx answers for an empty folder');

  t.match(await get(host, 'plain', '/'), 'This is pod plain.');
  const write = 'mkdir -p /usr/share/nginx/html && echo by hand >/usr/share/nginx/html/index.html';
  await host.exec('plain', 'sh', '-c', write);
  t.equal(await get(host, 'plain', '/'), 'by hand\n\n200 text/html');
});
