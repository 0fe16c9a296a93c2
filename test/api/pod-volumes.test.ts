import t from 'tap';
import { withDefaults } from '../../src/api/defaults.js';
import { payloadOf } from '../../src/api/pod-payload.js';
import type { Container, Pod, Volume } from '../../src/api/types.js';
import { describeProblem, validate } from '../../src/api/validate.js';

const podWith = (volumes: unknown[], container: Partial<Container> = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p' },
  spec: { volumes: volumes as Volume[], containers: [{ name: 'c', image: 'nginx', ...container }] },
});
const problems = (volumes: unknown[], container: Partial<Container> = {}): string[] =>
  validate(podWith(volumes, container)).map(describeProblem);

t.test('what cannot be mounted is refused with a sentence', async (t) => {
  for (const [volume, expected] of [
    [{ name: 'v', emptyDir: {} }, []],
    [{ name: 'v' }, []],
    [
      { name: 'v', nfs: { server: 'x', path: '/' } },
      [
        'spec.volumes[0].nfs: Forbidden: no such volume can be mounted here; use one of emptyDir, configMap, secret, ' +
          'projected, downwardAPI, hostPath',
      ],
    ],
    [
      { name: 'v', emptyDir: {}, configMap: { name: 'c' } },
      ['spec.volumes[0].configMap: Forbidden: may not specify more than 1 volume type'],
    ],
    [{ name: 'v', configMap: {} }, ['spec.volumes[0].configMap.name: Required value']],
    [
      { name: 'v', secret: { secretName: 's', items: [{ key: 'k', path: '../x' }] } },
      ['spec.volumes[0].secret.items[0].path: Invalid value: "../x": must not contain \'..\''],
    ],
    [
      { name: 'v', hostPath: { path: 'here', type: 'Place' } },
      [
        'spec.volumes[0].hostPath.path: Invalid value: "here": must be an absolute path',
        /^spec.volumes\[0\].hostPath.type: Unsupported value: "Place"/,
      ],
    ],
    [
      { name: 'v', downwardAPI: { items: [{ path: 'p', fieldRef: { fieldPath: 'status.podIP' } }] } },
      [/^spec.volumes\[0\].downwardAPI.items\[0\].fieldRef.fieldPath: Unsupported value: "status.podIP"/],
    ],
    [
      { name: 'v', projected: { sources: [{ serviceAccountToken: { path: 't', expirationSeconds: 10 } }] } },
      [
        /serviceAccountToken.expirationSeconds: Invalid value: 10: may not specify a duration less than 10 min/,
      ],
    ],
    [
      { name: 'v', secret: { secretName: 's', defaultMode: 0o1777 } },
      [/^spec.volumes\[0\].secret.defaultMode: Invalid value: 1023: must be a number between 0 and 0777/],
    ],
  ] as [unknown, (string | RegExp)[]][])
    t.match(problems([volume]), expected, JSON.stringify(volume));
  const two = { name: 'v', emptyDir: {} };
  t.match(problems([two, two]), ['spec.volumes[1].name: Duplicate value: "v"']);
});

t.test('a mount names a volume of the pod', async (t) => {
  const volumes = [{ name: 'v', emptyDir: {} }];
  const mounts = (...volumeMounts: Container['volumeMounts'] & object) => problems(volumes, { volumeMounts });
  t.same(mounts({ name: 'v', mountPath: '/data', subPath: 'a/b' }), []);
  t.same(mounts({ name: 'w', mountPath: '/data' }), [
    'spec.containers[0].volumeMounts[0].name: Not found: "w"',
  ]);
  t.match(mounts({ name: 'v', mountPath: 'data' }), [/must be an absolute path/]);
  t.match(mounts({ name: 'v', mountPath: '/d' }, { name: 'v', mountPath: '/d' }), [/"\/d": must be unique/]);
  t.match(mounts({ name: 'v', mountPath: '/d', subPath: '/abs' }), [/must be a relative path/]);
});

t.test('files of a volume have modes and places', async (t) => {
  const volumes = [
    {
      name: 'v',
      projected: {
        sources: [
          { configMap: { name: 'c' } },
          { secret: { name: 's', items: [{ key: 'k', path: 'deep/k', mode: 0o400 }] } },
          { serviceAccountToken: { path: 'token' } },
        ],
      },
    },
  ];
  const pod = withDefaults(podWith(volumes));
  const objects = {
    configMap: () => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'c' },
      data: { a: 'text' },
      binaryData: { b: 'AAE=' },
    }),
    secret: () => ({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 's' },
      data: { k: 'eA==', other: 'eQ==' },
    }),
  };
  t.strictSame(payloadOf(pod.spec.volumes![0]!, { pod, objects, allocatable: {} }), [
    { path: 'a', mode: 0o644, text: 'text' },
    { path: 'b', mode: 0o644, base64: 'AAE=' },
    { path: 'deep/k', mode: 0o400, base64: 'eA==' },
    { path: 'token', mode: 0o600, token: { path: 'token', expirationSeconds: 3600 } },
  ]);
});
