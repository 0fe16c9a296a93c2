/**
 * Deployment, ReplicaSet, StatefulSet, DaemonSet: defaults, rules, columns.
 */
import t from 'tap';
import { withDefaults } from '../../src/api/defaults.js';
import { kindOf } from '../../src/api/kinds.js';
import { matchesLabels, selectorText } from '../../src/api/label-selector.js';
import type { ApiObject, DaemonSet, Deployment, StatefulSet } from '../../src/api/types.js';
import { describeProblem, validate } from '../../src/api/validate.js';

const workload = <T extends ApiObject>(kind: string, spec: object = {}): T =>
  ({
    apiVersion: 'apps/v1',
    kind,
    metadata: { name: 'web', namespace: 'default' },
    spec: {
      selector: { matchLabels: { app: 'web' } },
      template: {
        metadata: { labels: { app: 'web' } },
        spec: { containers: [{ name: 'web', image: 'nginx:1.25' }] },
      },
      ...spec,
    },
  }) as unknown as T;
const wrong = (object: unknown): string[] => validate(object).map(describeProblem);
const cells = (object: ApiObject): unknown[] =>
  kindOf(object)!.columns.map((column) => column.value(object, 0));

t.test('what a workload leaves out', async (t) => {
  t.match(withDefaults(workload<Deployment>('Deployment')).spec, {
    replicas: 1,
    strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } },
    revisionHistoryLimit: 10,
    progressDeadlineSeconds: 600,
    template: { spec: { restartPolicy: 'Always', securityContext: {} } },
  });
  t.strictSame(
    withDefaults(workload<Deployment>('Deployment', { strategy: { type: 'Recreate' } })).spec.strategy,
    {
      type: 'Recreate',
    },
  );
  t.match(withDefaults(workload<StatefulSet>('StatefulSet')).spec, {
    podManagementPolicy: 'OrderedReady',
    updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 0 } },
  });
  t.match(withDefaults(workload<DaemonSet>('DaemonSet')).spec, {
    updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } },
  });
  for (const kind of ['Deployment', 'ReplicaSet', 'StatefulSet', 'DaemonSet']) {
    const full = withDefaults(workload(kind));
    t.strictSame(withDefaults(full), full, `${kind}: once`);
    t.strictSame(wrong(workload(kind)), [], kind);
  }
});

t.test('what a workload may not be', async (t) => {
  t.strictSame(wrong(workload('Deployment', { selector: {} })), [
    'spec.selector: Invalid value: {}: empty selector is invalid for deployment',
  ]);
  t.strictSame(wrong(workload('ReplicaSet', { selector: { matchLabels: { app: 'db' } } })), [
    'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`',
  ]);
  t.strictSame(wrong(workload('Deployment', { selector: undefined })), ['spec.selector: Required value']);
  t.strictSame(
    wrong(workload('Deployment', { replicas: -1, minReadySeconds: 10, progressDeadlineSeconds: 10 })),
    [
      'spec.replicas: Invalid value: -1: must be greater than or equal to 0',
      'spec.progressDeadlineSeconds: Invalid value: 10: must be greater than minReadySeconds',
    ],
  );
  const rolling = (rollingUpdate: object): string[] =>
    wrong(workload('Deployment', { strategy: { type: 'RollingUpdate', rollingUpdate } }));
  t.strictSame(rolling({ maxSurge: 0, maxUnavailable: '0%' }), [
    'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "0%": may not be 0 when `maxSurge` is 0',
  ]);
  t.match(rolling({ maxSurge: 'two' }), [/maxSurge: Invalid value: "two": a valid percent string must be/]);
  t.match(rolling({ maxUnavailable: '101%' }), [/must not be greater than 100%$/]);
  t.strictSame(wrong(workload('Deployment', { strategy: { type: 'Recreate', rollingUpdate: {} } })), [
    "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
  ]);
  t.match(wrong(workload('DaemonSet', { updateStrategy: { rollingUpdate: { maxSurge: 1 } } })), [
    /maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero$/,
  ]);
  const once = workload<Deployment>('Deployment');
  once.spec.template.spec.restartPolicy = 'Never';
  t.strictSame(wrong(once), [
    'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
  ]);
});

t.test('what an update may not change', async (t) => {
  const update = (kind: string, spec: object): string[] => {
    const old = withDefaults(workload(kind));
    const next = withDefaults(workload(kind, spec));
    return kindOf(old)!.validateUpdate!(next, old).map(describeProblem);
  };
  for (const kind of ['Deployment', 'ReplicaSet', 'DaemonSet'])
    t.match(update(kind, { selector: { matchLabels: { app: 'x' } } }), [
      /^spec.selector: .*field is immutable$/,
    ]);
  t.match(update('StatefulSet', { serviceName: 'other' }), [/^spec: Forbidden: updates to statefulset spec/]);
  t.strictSame(update('StatefulSet', { replicas: 5, ordinals: { start: 2 } }), []);
});

t.test('what is stored and has no effect is said', async (t) => {
  const set = withDefaults(
    workload<StatefulSet>('StatefulSet', {
      volumeClaimTemplates: [{ metadata: { name: 'data' } }],
      updateStrategy: { rollingUpdate: { maxUnavailable: 2 } },
    }),
  );
  t.match(kindOf(set)!.warnings!(set), [/no volumes to claim$/, /one at a time$/]);
  t.strictSame(kindOf(set)!.warnings!(withDefaults(workload<StatefulSet>('StatefulSet'))), []);
});

t.test('columns are those of kubectl', async (t) => {
  const deployment = withDefaults(workload<Deployment>('Deployment', { replicas: 3 }));
  deployment.status = { readyReplicas: 2, updatedReplicas: 3, availableReplicas: 1 };
  t.strictSame(cells(deployment), ['web', '2/3', 3, 1, '<unknown>', 'web', 'nginx:1.25', 'app=web']);
  t.strictSame(cells(withDefaults(workload('ReplicaSet'))).slice(0, 4), ['web', 1, 0, 0]);
  t.strictSame(cells(withDefaults(workload('StatefulSet'))), [
    'web',
    '0/1',
    '<unknown>',
    'web',
    'nginx:1.25',
  ]);
  t.strictSame(cells(withDefaults(workload('DaemonSet'))).slice(0, 8), [
    'web',
    0,
    0,
    0,
    0,
    0,
    '<none>',
    '<unknown>',
  ]);
});

t.test('selectors match labels, and can be written', async (t) => {
  const selector = {
    matchLabels: { app: 'web' },
    matchExpressions: [
      { key: 'tier', operator: 'In', values: ['front', 'edge'] },
      { key: 'old', operator: 'DoesNotExist' },
      { key: 'env', operator: 'NotIn', values: ['test'] },
    ],
  };
  t.equal(selectorText(selector), 'app=web,env notin (test),!old,tier in (edge,front)');
  t.ok(matchesLabels(selector, { app: 'web', tier: 'edge' }));
  t.notOk(matchesLabels(selector, { app: 'web', tier: 'edge', old: '' }));
  t.notOk(matchesLabels(selector, { app: 'web', tier: 'edge', env: 'test' }));
  t.notOk(matchesLabels(selector, { app: 'web' }));
  t.ok(matchesLabels({}, {}), 'an empty one matches everything');
  t.notOk(matchesLabels(undefined, {}), 'an absent one nothing');
});
