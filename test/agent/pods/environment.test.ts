import t from 'tap';
import { allProcesses } from '../../../src/agent/pods/procfs.js';
import { readFileSync } from 'node:fs';
import { makeHost, podOf, skip, TestObjects, until } from './host.js';

t.test('a container’s variables come from objects and from the pod itself', { skip }, async (t) => {
  const objects = new TestObjects();
  objects.setConfigMap('settings', { LEVEL: 'debug', 'odd.name': "it's" });
  objects.setSecret('key', { password: `pwt-secret-${process.pid}` });
  const host = makeHost(t, undefined, { objects: objects.lookup });
  const field = (fieldPath: string) => ({ valueFrom: { fieldRef: { fieldPath } } });
  const pod = podOf('app', {
    command: ['sh', '-c', 'echo "$CMD_$PASSWORD"; sleep 1000'],
    envFrom: [{ prefix: 'CFG_', configMapRef: { name: 'settings' } }],
    env: [
      { name: 'NODE', ...field('spec.nodeName') },
      { name: 'IP', ...field('status.podIP') },
      { name: 'HOST_IP', ...field('status.hostIP') },
      { name: 'TIER', ...field("metadata.labels['tier']") },
      { name: 'PASSWORD', valueFrom: { secretKeyRef: { name: 'key', key: 'password' } } },
      { name: 'CPUS', valueFrom: { resourceFieldRef: { resource: 'limits.cpu' } } },
      { name: 'URL', value: 'http://$(IP)/$(CFG_LEVEL)' },
    ],
  });
  pod.metadata.labels = { tier: 'web' };
  host.runtime.sync([pod]);
  await host.ready('app');
  const env = (await host.exec('app', 'env')).stdout;
  for (const line of [
    'CFG_LEVEL=debug',
    "CFG_odd.name=it's",
    'NODE=n1',
    'IP=10.244.1.2',
    'HOST_IP=192.168.50.1',
    'TIER=web',
    'CPUS=2',
    'URL=http://10.244.1.2/debug',
  ])
    t.ok(env.split('\n').includes(line), line);
  await until('it wrote', async () => (await host.log('app')) !== '');
  t.equal(await host.log('app'), `pwt-secret-${process.pid}\n`);
  const arguments_ = allProcesses().map(({ pid }) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    } catch {
      return '';
    }
  });
  t.notOk(
    arguments_.some((line) => line.includes(`pwt-secret-${process.pid}`)),
    'no process shows the Secret in its arguments',
  );
});

t.test('a variable that cannot be had keeps the container from starting', { skip }, async (t) => {
  const objects = new TestObjects();
  const host = makeHost(t, undefined, { objects: objects.lookup });
  const from = (name: string, key: string, optional?: boolean) => ({
    name: key.toUpperCase(),
    valueFrom: { configMapKeyRef: { name, key, optional } },
  });
  const pod = podOf('late', { image: 'nginx', env: [from('settings', 'a'), from('none', 'b', true)] });
  host.runtime.sync([pod]);
  const waiting = () => host.status('late')?.containerStatuses?.[0]?.state?.waiting;
  await until('it says why', () => waiting()?.reason === 'CreateContainerConfigError');
  t.equal(waiting()?.message, 'configmap "settings" not found');
  objects.setConfigMap('settings', { b: '' });
  host.runtime.sync([pod]);
  await until('it looked again', () =>
    waiting()?.message?.startsWith("couldn't find key a in ConfigMap default/"),
  );
  objects.setConfigMap('settings', { a: 'here' });
  host.runtime.sync([pod]);
  const status = await host.ready('late');
  t.equal(status.containerStatuses?.[0]?.restartCount, 0);
  t.match((await host.exec('late', 'env')).stdout, /^A=here$/m);
});
