import t from 'tap';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Container, Pod, Volume } from '../../../src/api/types.js';
import { deleted, makeHost, makeLab, podOf, skip, TestObjects, until, type TestHost } from './host.js';

const LOOP = ['sh', '-c', 'trap "exit 0" TERM; sleep 1000 & wait'];

/** A pod with these volumes, all mounted at /NAME. */
const podWith = (name: string, volumes: Volume[], more: Partial<Container> = {}): Pod =>
  podOf(
    name,
    {
      image: 'busybox',
      volumeMounts: volumes.map((volume) => ({ name: volume.name, mountPath: `/${volume.name}` })),
      ...more,
    },
    { volumes },
  );

const textOf = async (host: TestHost, pod: string, path: string): Promise<string> =>
  (await host.exec(pod, 'cat', path)).stdout;

t.test('an emptyDir is shared by a pod’s containers, each at its own place', { skip }, async (t) => {
  const host = makeHost(t);
  const pod = podOf(
    'shared',
    { image: 'nginx', volumeMounts: [{ name: 'data', mountPath: '/in', readOnly: true }] },
    {
      volumes: [
        { name: 'data', emptyDir: {} },
        { name: 'other', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } },
      ],
      initContainers: [
        {
          name: 'fill',
          command: ['sh', '-c', 'echo from init >/srv/deep/file'],
          volumeMounts: [{ name: 'data', mountPath: '/srv/deep', subPath: 'sub' }],
        },
      ],
    },
  );
  pod.spec.containers.push({
    name: 'side',
    command: LOOP,
    volumeMounts: [
      { name: 'other', mountPath: '/in' },
      { name: 'data', mountPath: '/in/below' },
    ],
  });
  host.runtime.sync([pod]);
  await host.ready('shared');
  t.equal(
    await textOf(host, 'shared', '/in/sub/file'),
    'from init\n',
    'also in a container without a process',
  );
  t.match((await host.exec('shared', 'touch', '/in/x')).stderr, 'Read-only file system');
  t.equal((await host.execIn('shared', 'side', 'cat', '/in/below/sub/file')).stdout, 'from init\n');
  const full = await host.execIn('shared', 'side', 'dd', 'if=/dev/zero', 'of=/in/big', 'bs=1M', 'count=2');
  t.match(full.stderr, 'No space left on device', 'a limit is a limit');
  t.equal((await host.exec('shared', 'ls', '-A', '/.volumes')).stdout, '', 'nothing of the others is seen');
  host.runtime.sync([deleted(pod)]);
  await until('it is removed', () => host.removed.length > 0);
  t.same(host.leftovers(), []);
});

t.test('ConfigMaps, Secrets and fields become files, and follow their objects', { skip }, async (t) => {
  const objects = new TestObjects();
  objects.setConfigMap('settings', { 'a.conf': 'one\n', other: 'x' });
  objects.setSecret('key', { password: 's3cret' });
  const host = makeHost(t, undefined, { objects: objects.lookup });
  const pod = podWith(
    'reader',
    [
      { name: 'cfg', configMap: { name: 'settings' } },
      { name: 'sec', secret: { secretName: 'key', defaultMode: 0o400 } },
      {
        name: 'all',
        projected: {
          sources: [
            {
              configMap: { name: 'settings', items: [{ key: 'a.conf', path: 'deep/er.conf', mode: 0o600 }] },
            },
            { secret: { name: 'key' } },
            { configMap: { name: 'not-there', optional: true } },
            { downwardAPI: { items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }] } },
          ],
        },
      },
    ],
    { command: LOOP },
  );
  pod.metadata.labels = { tier: 'web', app: 'x' };
  pod.spec.containers[0]!.volumeMounts!.push({ name: 'cfg', mountPath: '/etc/one.conf', subPath: 'a.conf' });
  host.runtime.sync([pod]);
  await host.ready('reader');
  t.equal(await textOf(host, 'reader', '/cfg/a.conf'), 'one\n');
  t.equal(await textOf(host, 'reader', '/etc/one.conf'), 'one\n', 'one file by subPath');
  t.equal((await host.exec('reader', 'stat', '-L', '-c', '%a %U', '/sec/password')).stdout, '400 root\n');
  t.equal(await textOf(host, 'reader', '/all/password'), 's3cret');
  t.equal(await textOf(host, 'reader', '/all/deep/er.conf'), 'one\n');
  t.equal(await textOf(host, 'reader', '/all/labels'), 'app="x"\ntier="web"');
  t.match((await host.exec('reader', 'touch', '/cfg/new')).stderr, 'Read-only');

  await t.test('a change arrives whole', async (t) => {
    const before = (await host.exec('reader', 'readlink', '/cfg/..data')).stdout;
    objects.setConfigMap('settings', { 'a.conf': 'two\n', fresh: 'y' });
    host.runtime.sync([pod]);
    await until('it is there', async () => (await textOf(host, 'reader', '/cfg/a.conf')) === 'two\n');
    t.equal((await host.exec('reader', 'ls', '/cfg')).stdout, 'a.conf\nfresh\n');
    t.not((await host.exec('reader', 'readlink', '/cfg/..data')).stdout, before);
    t.equal(
      (await host.exec('reader', 'ls', '-A', '/cfg')).stdout.split('\n').length,
      5,
      'no old moment is left',
    );
    t.equal(
      await textOf(host, 'reader', '/etc/one.conf'),
      'two\n',
      'a program that starts now sees the new one',
    );
    t.equal(await textOf(host, 'reader', '/all/deep/er.conf'), 'two\n');
    host.runtime.sync([{ ...pod, metadata: { ...pod.metadata, labels: { app: 'z' } } }]);
    await until('its labels too', async () => (await textOf(host, 'reader', '/all/labels')) === 'app="z"');
  });

  await t.test('no Secret is in the pod’s state or in an argument list', async (t) => {
    const state = readFileSync(join(host.dir, 'uid-reader', 'state.json'), 'utf8');
    t.notMatch(state, /s3cret|czNjcmV0/);
  });
});

t.test('a pod waits for what it mounts', { skip }, async (t) => {
  const objects = new TestObjects();
  const host = makeHost(t, undefined, { objects: objects.lookup });
  const pod = podWith('waits', [
    { name: 'cfg', configMap: { name: 'late', items: [{ key: 'k', path: 'k' }] } },
  ]);
  host.runtime.sync([pod]);
  const message = (): string | undefined =>
    host.status('waits')?.containerStatuses?.[0]?.state?.waiting?.message;
  await until('it says for what', () => message());
  t.equal(message(), 'MountVolume.SetUp failed for volume "cfg" : configmap "late" not found');
  t.match(host.status('waits')?.containerStatuses?.[0]?.state?.waiting?.reason, 'ContainerCreating');
  objects.setConfigMap('late', { other: '' });
  host.runtime.sync([pod]);
  await until('it looked again', () => message()?.includes('references non-existent config key: k'));
  objects.setConfigMap('late', { k: 'v' });
  host.runtime.sync([pod]);
  await host.ready('waits');
  t.equal(await textOf(host, 'waits', '/cfg/k'), 'v');
});

t.test('a hostPath is the machine’s own', { skip }, async (t) => {
  const host = makeHost(t);
  const dir = t.testdir({ file: 'of the machine' });
  const hostPath = (path: string, type: string) => ({ path: join(dir, path), type });
  host.runtime.sync([
    podWith('host', [
      { name: 'dir', hostPath: hostPath('made/here', 'DirectoryOrCreate') },
      { name: 'file', hostPath: hostPath('file', 'File') },
    ]),
    podWith('wrong', [{ name: 'dir', hostPath: hostPath('file', 'Directory') }]),
  ]);
  await host.ready('host');
  t.equal(await textOf(host, 'host', '/file'), 'of the machine');
  await host.exec('host', 'touch', '/dir/by-pod');
  t.ok(existsSync(join(dir, 'made/here/by-pod')));
  const why = await until(
    'it says why',
    () => host.status('wrong')?.containerStatuses?.[0]?.state?.waiting?.message,
  );
  t.match(why, `hostPath type check failed: ${join(dir, 'file')} is not a directory`);
});

t.test('a token comes from the server, and is held', { skip }, async (t) => {
  const asked: unknown[] = [];
  const requestToken = async (pod: Pod, source: object): Promise<string> => {
    asked.push([pod.metadata.name, source]);
    return `token-${asked.length}`;
  };
  const host = makeHost(t, undefined, { requestToken });
  const source = { path: 'token', expirationSeconds: 3607 };
  const pod = podWith('caller', [{ name: 'api', projected: { sources: [{ serviceAccountToken: source }] } }]);
  host.runtime.sync([pod]);
  await host.ready('caller');
  t.equal(await textOf(host, 'caller', '/api/token'), 'token-1');
  host.runtime.sync([{ ...pod, metadata: { ...pod.metadata } }]);
  t.same(asked, [['caller', source]]);
});

t.test('after a restart of the agent volumes are as they were, and up to date', { skip }, async (t) => {
  const objects = new TestObjects();
  objects.setConfigMap('settings', { k: '1' });
  const where = makeLab(t);
  const first = makeHost(t, where, { objects: objects.lookup });
  const pod = podWith(
    'stays',
    [
      { name: 'cfg', configMap: { name: 'settings' } },
      { name: 'data', emptyDir: {} },
    ],
    { command: LOOP },
  );
  first.runtime.sync([pod]);
  await first.ready('stays');
  await first.exec('stays', 'touch', '/data/mine');
  await first.runtime.close();
  objects.setConfigMap('settings', { k: '2' });
  const second = makeHost(t, where, { objects: objects.lookup });
  second.runtime.sync([pod]);
  const status = await second.ready('stays');
  t.equal(status.containerStatuses?.[0]?.restartCount, 0);
  t.equal(await textOf(second, 'stays', '/cfg/k'), '2');
  t.equal((await second.exec('stays', 'ls', '/data')).stdout, 'mine\n');
});

t.test(
  'a pod that is taken over goes on with what is mounted while nothing can be asked',
  { skip },
  async (t) => {
    const objects = new TestObjects();
    objects.setConfigMap('settings', { k: '1' });
    const where = makeLab(t);
    const first = makeHost(t, where, { objects: objects.lookup });
    const pod = podWith('kept', [{ name: 'cfg', configMap: { name: 'settings' } }], { command: LOOP });
    first.runtime.sync([pod]);
    await first.ready('kept');
    await first.runtime.close();
    const second = makeHost(t, where, { objects: new TestObjects().lookup });
    second.runtime.sync([pod]);
    const status = await second.ready('kept');
    t.equal(status.containerStatuses?.[0]?.restartCount, 0);
    t.equal(await textOf(second, 'kept', '/cfg/k'), '1');
  },
);

t.test('a container’s last words are its own, or the end of its log', { skip }, async (t) => {
  const host = makeHost(t);
  const pod = podOf(
    'talks',
    { command: ['sh', '-c', 'echo mine >/dev/termination-log; exit 3'] },
    { restartPolicy: 'Never' },
  );
  pod.spec.containers.push(
    { name: 'custom', command: ['sh', '-c', 'echo custom >/tmp/why'], terminationMessagePath: '/tmp/why' },
    {
      name: 'log',
      command: ['sh', '-c', 'echo in the log; exit 1'],
      terminationMessagePolicy: 'FallbackToLogsOnError',
    },
    { name: 'silent', command: ['true'], terminationMessagePolicy: 'FallbackToLogsOnError' },
  );
  host.runtime.sync([pod]);
  const status = await until('all have ended', () => {
    const now = host.status('talks');
    return now?.phase === 'Failed' && now;
  });
  t.strictSame(
    status.containerStatuses?.map(({ state }) => state?.terminated?.message),
    ['mine\n', 'custom\n', 'in the log\n', undefined],
  );
});
