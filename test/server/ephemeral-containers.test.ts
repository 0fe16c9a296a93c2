/** What `kubectl debug` asks the API for. */
import t from 'tap';
import { startServer } from '../lib/server.js';

const PODS = '/api/v1/namespaces/default/pods';
const WEB = `${PODS}/web`;
const EPHEMERAL = `${WEB}/ephemeralcontainers`;
const TYPE = { 'content-type': 'application/strategic-merge-patch+json' };

const pod = (spec: object = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web' },
  spec: { containers: [{ name: 'main', image: 'nginx' }], ...spec },
});
const adding = (container: object) => ({ spec: { ephemeralContainers: [container] } });
const SHELL = { name: 'sh', image: 'busybox', stdin: true, tty: true, targetContainerName: 'main' };

t.test('a container is added to a pod, with defaults, and nothing else changes', async (t) => {
  const { call } = await startServer(t);
  await call('POST', PODS, pod());
  const change = { ...adding(SHELL), metadata: { labels: { a: 'b' } } };
  const { code, body } = await call('PATCH', EPHEMERAL, change, TYPE);
  t.equal(code, 200);
  t.match(body, {
    kind: 'Pod',
    metadata: { generation: 2 },
    spec: {
      containers: [{ name: 'main' }],
      ephemeralContainers: [{ ...SHELL, imagePullPolicy: 'Always', terminationMessagePolicy: 'File' }],
    },
  });
  t.notOk(body.metadata.labels, 'labels are no part of it');
  const second = await call('PATCH', EPHEMERAL, adding({ name: 'two', image: 'alpine' }), TYPE);
  t.same(second.body.spec.ephemeralContainers.map((one: { name: string }) => one.name).sort(), ['sh', 'two']);
  t.strictSame((await call('GET', EPHEMERAL)).body, (await call('GET', WEB)).body, 'it is the pod');
  const third = { name: 'three', image: 'alpine' };
  const put = {
    ...second.body,
    spec: { ...second.body.spec, ephemeralContainers: [...second.body.spec.ephemeralContainers, third] },
  };
  t.match(await call('PUT', EPHEMERAL, put), { code: 200 });
  t.match(await call('PUT', EPHEMERAL, put), { code: 409 }, 'not from an old version');
  const listed = (await call('GET', '/api/v1')).body.resources.find(
    ({ name }: { name: string }) => name === 'pods/ephemeralcontainers',
  );
  t.match(listed, { kind: 'Pod', verbs: ['get', 'patch', 'update'] });
});

t.test('what may not be is said as Kubernetes says it', async (t) => {
  const { call } = await startServer(t);
  await call('POST', PODS, pod({ volumes: [{ name: 'v', emptyDir: {} }] }));
  const at = 'spec.ephemeralContainers[0]';
  const cannot = 'Forbidden: cannot be set for an Ephemeral Container';
  for (const [container, sentence] of [
    [{ name: 'x' }, `${at}.image: Required value`],
    [{ name: 'X', image: 'a' }, `${at}.name: Invalid value: "X"`],
    [{ name: 'main', image: 'a' }, `${at}.name: Duplicate value: "main"`],
    [{ ...SHELL, targetContainerName: 'no' }, `${at}.targetContainerName: Not found: "no"`],
    [{ ...SHELL, ports: [{ containerPort: 80 }] }, `${at}.ports: ${cannot}`],
    [{ ...SHELL, resources: { limits: { cpu: 1 } } }, `${at}.resources: ${cannot}`],
    [{ ...SHELL, livenessProbe: { tcpSocket: { port: 1 } } }, `${at}.livenessProbe: ${cannot}`],
    [{ ...SHELL, lifecycle: { preStop: { sleep: { seconds: 1 } } } }, `${at}.lifecycle: ${cannot}`],
    [
      { ...SHELL, volumeMounts: [{ name: 'v', mountPath: '/v', subPath: 'a' }] },
      `${at}.volumeMounts[0].subPath: ${cannot}`,
    ],
    [
      { ...SHELL, volumeMounts: [{ name: 'w', mountPath: '/v' }] },
      `${at}.volumeMounts[0].name: Not found: "w"`,
    ],
  ] as const) {
    const { code, body } = await call('PATCH', EPHEMERAL, adding(container), TYPE);
    t.equal(code, 422);
    t.ok(body.message.includes(sentence), `${sentence}: ${body.message}`);
  }
  t.equal((await call('GET', WEB)).body.spec.ephemeralContainers, undefined, 'nothing was changed');

  const mount = { ...SHELL, volumeMounts: [{ name: 'v', mountPath: '/v' }] };
  t.match(await call('PATCH', EPHEMERAL, adding(mount), TYPE), { code: 200 });
  const changed = 'Forbidden: existing ephemeral containers "sh" may not be changed';
  t.match((await call('PATCH', EPHEMERAL, adding({ name: 'sh', image: 'other' }), TYPE)).body, {
    code: 422,
    message: new RegExp(changed),
  });
  const { body: now } = await call('GET', WEB);
  delete now.spec.ephemeralContainers;
  t.match((await call('PUT', EPHEMERAL, now)).body.message, /"sh" may not be removed/);
  t.match((await call('PUT', WEB, now)).body.message, /pod updates may not change fields other than/);
  t.match(await call('PATCH', `${PODS}/no/ephemeralcontainers`, adding(SHELL), TYPE), { code: 404 });
  t.match((await call('POST', PODS, { ...pod(adding(SHELL).spec), metadata: { name: 'new' } })).body, {
    code: 422,
    message: /spec\.ephemeralContainers: Forbidden: cannot be set on create/,
  });
  const template = { metadata: { labels: { a: 'b' } }, spec: pod(adding(SHELL).spec).spec };
  const set = {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: { name: 'r' },
    spec: { selector: { matchLabels: { a: 'b' } }, template },
  };
  t.match((await call('POST', '/apis/apps/v1/namespaces/default/replicasets', set)).body, {
    code: 422,
    message: /ephemeral containers not allowed in pod template/,
  });
});
