/**
 * ConfigMap, Secret, ServiceAccount, Event, Lease: defaults, rules, columns.
 */
import t from 'tap';
import { base64Fault, base64Length, encodeBase64 } from '../../src/api/base64.js';
import { withDefaults } from '../../src/api/defaults.js';
import { kindOf } from '../../src/api/kinds.js';
import type { ApiObject, ConfigMap, Event, Secret } from '../../src/api/types.js';
import { describeProblem, validate } from '../../src/api/validate.js';

const wrong = (object: unknown): string[] => validate(object).map(describeProblem);
const cells = (object: ApiObject, now = 0): unknown[] =>
  kindOf(object)!.columns.map((column) => column.value(object, now));
const secret = (parts: Partial<Secret>): Secret => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 's', namespace: 'default' },
  ...parts,
});
const configMap = (parts: Partial<ConfigMap>): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'c', namespace: 'default' },
  ...parts,
});

t.test('base64 is what Buffer makes of the same text', async (t) => {
  for (const text of ['', 'a', 'ab', 'abc', 'grüße', '€uro', '🐳 whale', 'x\ud800y', 'long '.repeat(50)]) {
    const expected = Buffer.from(text).toString('base64');
    t.equal(encodeBase64(text), expected, JSON.stringify(text.slice(0, 10)));
    t.equal(base64Fault(expected), -1);
    t.equal(base64Length(expected), Buffer.byteLength(text));
  }
});

t.test('faults in base64 are found where they are', async (t) => {
  for (const [text, index] of [
    ['YWJj', -1],
    ['YW\nJj\r\n', -1],
    ['YQ==', -1],
    ['YWI=', -1],
    ['not base64', 3],
    ['YQ=', 3],
    ['YQ', 2],
    ['Y===', 1],
    ['YQ==YQ==', 4],
    ['YWI==', 4],
    ['=', 0],
  ] as const)
    t.equal(base64Fault(text), index, JSON.stringify(text));
});

t.test('stringData of a Secret goes to data', async (t) => {
  const stored = withDefaults(
    secret({ data: { a: 'YQ==', b: 'Yg==' }, stringData: { b: 'new', ['__proto__']: 'x' } }),
  );
  t.equal(stored.stringData, undefined);
  t.equal(stored.type, 'Opaque');
  t.strictSame(Object.entries(stored.data!), [
    ['a', 'YQ=='],
    ['b', 'bmV3'],
    ['__proto__', 'eA=='],
  ]);
  t.strictSame(withDefaults(stored), stored);
});

t.test('what a Secret may not be', async (t) => {
  t.strictSame(wrong(secret({ data: { a: '%%' } })), ['data[a]: illegal base64 data at input byte 0']);
  t.strictSame(wrong(secret({ type: 'kubernetes.io/tls', data: { 'tls.crt': '' } })), [
    'data[tls.key]: Required value',
  ]);
  t.strictSame(wrong(secret({ type: 'kubernetes.io/basic-auth' })), [
    'data[username]: Required value',
    'data[password]: Required value',
  ]);
  t.strictSame(wrong(secret({ type: 'kubernetes.io/service-account-token' })), [
    'metadata.annotations[kubernetes.io/service-account.name]: Required value',
  ]);
  t.match(wrong(secret({ data: { a: 'A'.repeat(1_400_000) } })), [
    'data: Too long: may not be more than 1048576 bytes',
  ]);
  const row = kindOf(secret({}))!;
  const old = withDefaults(secret({ immutable: true, data: { a: 'YQ==' } }));
  t.strictSame(
    row.validateUpdate!(withDefaults(secret({ type: 'mine', data: { a: 'Yg==' } })), old).map(
      describeProblem,
    ),
    [
      'type: Invalid value: "mine": field is immutable',
      'immutable: Forbidden: field is immutable when `immutable` is set',
      'data: Forbidden: field is immutable when `immutable` is set',
    ],
  );
});

t.test('what a ConfigMap may not be', async (t) => {
  t.strictSame(wrong(configMap({ data: { 'a.b_c-D': 'x' }, binaryData: { e: 'YQ==' } })), []);
  t.strictSame(wrong(configMap({ data: { a: '1' }, binaryData: { a: 'YQ==' } })), [
    'data[a]: Invalid value: "a": duplicate of key present in binaryData',
  ]);
  t.match(wrong(configMap({ data: { 'a b': '1', '..': '', '..x': '' } })), [
    /^data\[a b\]: Invalid value: "a b": a valid config key must consist of/,
    /must not be '\.\.'$/,
    /must not start with '\.\.'$/,
  ]);
  t.strictSame(cells(configMap({ data: { a: '1' }, binaryData: { b: '' } })).slice(0, 2), ['c', 2]);
});

t.test('an Event belongs to the namespace of its object, and is shown as kubectl shows it', async (t) => {
  const event: Event = {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: 'web.1', namespace: 'default' },
    involvedObject: { kind: 'Pod', name: 'web', namespace: 'default', fieldPath: 'spec.containers{web}' },
    type: 'Normal',
    reason: 'Started',
    message: 'Started container web\n',
    count: 3,
    firstTimestamp: '1970-01-01T00:00:00Z',
    lastTimestamp: '1970-01-01T00:01:00Z',
    source: { component: 'kubelet', host: 'node1' },
  };
  t.strictSame(wrong(event), []);
  t.strictSame(cells(event, 90_000), [
    '30s',
    'Normal',
    'Started',
    'pod/web',
    'spec.containers{web}',
    'kubelet, node1',
    'Started container web',
    '90s',
    3,
    'web.1',
  ]);
  t.strictSame(wrong({ ...event, involvedObject: { kind: 'Pod', namespace: 'shop' } }), [
    'involvedObject.namespace: Invalid value: "shop": does not match event.namespace',
  ]);
  t.strictSame(wrong({ ...event, involvedObject: { kind: 'Node', name: 'node1' } }), []);
  const modern = { ...event, eventTime: '1970-01-01T00:00:00.000000Z', action: 'Start', type: 'Odd' };
  t.strictSame(wrong(modern), ['type: Invalid value: "Odd": has invalid value: ']);
});

t.test('a Lease lasts', async (t) => {
  const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: 'n' } };
  t.strictSame(wrong({ ...lease, spec: { leaseDurationSeconds: 0, leaseTransitions: -1 } }), [
    'spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0',
    'spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0',
  ]);
  t.equal(cells({ ...lease, spec: { holderIdentity: 'node1' } } as ApiObject)[1], 'node1');
});
