/** Server-side apply over HTTP: who owns what, conflicts, and what goes when it is no longer mentioned. */
import t from 'tap';
import { startServer, type TestServer } from '../lib/server.js';

const MAPS = '/api/v1/namespaces/default/configmaps';
const SERVICES = '/api/v1/namespaces/default/services';
const APPLY = { 'content-type': 'application/apply-patch+yaml' };
const MERGE = { 'content-type': 'application/merge-patch+json' };

const apply = ({ call }: TestServer, path: string, manager: string, config: object, query = '') =>
  call('PATCH', `${path}?fieldManager=${manager}${query}`, config, APPLY);
const map = (data: object, metadata: object = {}): object => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'm', ...metadata },
  data,
});

t.test('an applied configuration is made, changed, and taken back field by field', async (t) => {
  const server = await startServer(t);
  const path = `${MAPS}/m`;
  t.match(await apply(server, path, 'one', map({ a: '1', b: '2' }, { labels: { l: 'x' } })), {
    code: 201,
    body: {
      data: { a: '1', b: '2' },
      metadata: {
        managedFields: [
          {
            manager: 'one',
            operation: 'Apply',
            apiVersion: 'v1',
            fieldsType: 'FieldsV1',
            fieldsV1: { 'f:data': { 'f:a': {}, 'f:b': {} }, 'f:metadata': { 'f:labels': { 'f:l': {} } } },
          },
        ],
      },
    },
  });
  const same = await apply(server, path, 'one', map({ a: '1', b: '2' }, { labels: { l: 'x' } }));
  t.equal(same.code, 200);
  const again = await apply(server, path, 'one', map({ a: '1', b: '2' }, { labels: { l: 'x' } }));
  t.equal(again.body.metadata.resourceVersion, same.body.metadata.resourceVersion, 'nothing to write');
  const other = await apply(server, path, 'two', map({ c: '3', b: '2' }));
  t.match(other, { code: 200, body: { data: { a: '1', b: '2', c: '3' } } });
  const less = await apply(server, path, 'one', map({ a: '1' }));
  t.strictSame(less.body.data, { a: '1', b: '2', c: '3' }, 'b is still two’s');
  t.equal(less.body.metadata.labels, undefined, 'labels were one’s alone');
  const none = await apply(server, path, 'two', map({}));
  t.strictSame(none.body.data, { a: '1' });
});

t.test('another value of somebody else’s field is a conflict that names it', async (t) => {
  const server = await startServer(t);
  const path = `${MAPS}/m`;
  await apply(server, path, 'one', map({ a: '1', b: '1' }));
  const conflict = await apply(server, path, 'two', map({ a: '2' }));
  t.match(conflict, {
    code: 409,
    body: {
      reason: 'Conflict',
      message: 'Apply failed with 1 conflict: conflict with "one" using v1: .data.a',
      details: { causes: [{ reason: 'FieldManagerConflict', field: '.data.a' }] },
    },
  });
  t.match((await server.call('GET', path)).body.data, { a: '1' });
  t.match(await apply(server, path, 'two', map({ a: '2', b: '2' })), {
    code: 409,
    body: { message: 'Apply failed with 2 conflicts: conflicts with "one" using v1:\n- .data.a\n- .data.b' },
  });
  const forced = await apply(server, path, 'two', map({ a: '2' }), '&force=true');
  t.match(forced, { code: 200, body: { data: { a: '2', b: '1' } } });
  t.match(
    forced.body.metadata.managedFields.find(({ manager }: { manager: string }) => manager === 'one'),
    { fieldsV1: { 'f:data': { 'f:b': {} } } },
  );
});

t.test('who updates owns what he changed, and agents and unnamed clients own nothing', async (t) => {
  const server = await startServer(t);
  const path = `${MAPS}/m`;
  await server.call('POST', `${MAPS}?fieldManager=maker`, map({ a: '1', b: '1' }));
  await server.call('PATCH', path, { data: { b: '2' } }, { ...MERGE, 'user-agent': 'curl/8.0' });
  const { managedFields } = (await server.call('GET', path)).body.metadata;
  t.match(managedFields, [
    { manager: 'maker', operation: 'Update', fieldsV1: { 'f:data': { 'f:a': {} } } },
    { manager: 'curl', operation: 'Update', fieldsV1: { 'f:data': { 'f:b': {} } } },
  ]);
  t.equal(managedFields[0].fieldsV1['f:data']['f:b'], undefined);
  await server.call('PATCH', path, { data: { a: '9' } }, { ...MERGE, 'user-agent': 'podwire-agent/n1' });
  t.strictSame((await server.call('GET', path)).body.metadata.managedFields, managedFields);
  t.match(await apply(server, path, 'two', map({ b: '3' })), {
    code: 409,
    body: { message: /with "curl" using v1: .data.b/ },
  });
  const cleared = await server.call('PATCH', path, { metadata: { managedFields: [] } }, MERGE);
  t.equal(cleared.body.metadata.managedFields, undefined);
});

t.test('items of a list go by their keys, and protocol counts as TCP', async (t) => {
  const server = await startServer(t);
  const path = `${SERVICES}/s`;
  const service = (ports: object[]): object => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 's' },
    spec: { selector: { app: 's' }, ports },
  });
  t.equal((await apply(server, path, 'one', service([{ name: 'a', port: 80 }]))).code, 201);
  const both = await apply(server, path, 'two', service([{ name: 'b', port: 81, protocol: 'TCP' }]));
  t.match(both.body.spec.ports, [{ port: 80 }, { port: 81 }]);
  t.match(await apply(server, path, 'two', service([{ name: 'x', port: 80 }])), {
    code: 409,
    body: { message: /: \.spec\.ports\[port=80,protocol="TCP"\]\.name$/ },
  });
  const gone = await apply(server, path, 'one', { ...service([{ name: 'c', port: 82 }]) });
  t.strictSame(
    gone.body.spec.ports.map(({ port }: { port: number }) => port),
    [81, 82],
  );
});

t.test('what cannot be applied', async (t) => {
  const server = await startServer(t);
  const path = `${MAPS}/m`;
  t.match(await server.call('PATCH', path, map({}), APPLY), {
    code: 422,
    body: { message: /fieldManager: Required value: is required for apply patch/ },
  });
  t.match(await apply(server, path, 'one', map({}, { managedFields: [{}] })), { code: 400 });
  t.match(await apply(server, path, 'one', map({}, { name: 'other' })), { code: 400 });
  t.match(await apply(server, path, 'one', { ...map({}), datum: 1 }, '&fieldValidation=Strict'), {
    code: 400,
  });
  t.match(await apply(server, path, 'one', map({ a: '1' }), '&dryRun=All'), { code: 201 });
  t.match(await server.call('GET', path), { code: 404 }, 'a dry run');
  t.match(
    await apply(server, `${SERVICES}/s`, 'one', {
      apiVersion: 'v1',
      kind: 'Service',
      spec: { ports: [{ port: 0 }] },
    }),
    {
      code: 422,
    },
  );
});
