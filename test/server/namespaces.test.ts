/**
 * What every namespace has, and what goes with it.
 */
import t from 'tap';
import { startServer } from '../lib/server.js';
import { until } from '../lib/until.js';

t.test('every namespace has a ServiceAccount called default, also after it was deleted', async (t) => {
  const { call } = await startServer(t);
  const account = '/api/v1/namespaces/shop/serviceaccounts/default';
  await call('POST', '/api/v1/namespaces', { metadata: { name: 'shop' } });
  await until('the account is there', async () => (await call('GET', account)).code === 200);
  const { body } = await call('GET', account);
  await call('DELETE', account);
  await until('another one is there', async () => {
    const { code, body: other } = await call('GET', account);
    return code === 200 && other.metadata.uid !== body.metadata.uid;
  });
});

t.test('every namespace tells its pods whom to trust, also after somebody changed it', async (t) => {
  const { call } = await startServer(t);
  const map = '/api/v1/namespaces/shop/configmaps/kube-root-ca.crt';
  await call('POST', '/api/v1/namespaces', { metadata: { name: 'shop' } });
  await until('the certificate is there', async () => (await call('GET', map)).code === 200);
  const { data } = (await call('GET', map)).body;
  t.match(data['ca.crt'], /^-----BEGIN CERTIFICATE-----/);
  await call(
    'PATCH',
    map,
    { data: { 'ca.crt': 'mine' } },
    { 'content-type': 'application/merge-patch+json' },
  );
  await until(
    'it is right again',
    async () => (await call('GET', map)).body.data['ca.crt'] === data['ca.crt'],
  );
});

t.test('a namespace takes along objects of every kind', async (t) => {
  const { call } = await startServer(t);
  await call('POST', '/api/v1/namespaces', { metadata: { name: 'shop' } });
  const inside = '/api/v1/namespaces/shop';
  t.equal(
    (await call('POST', `${inside}/configmaps`, { metadata: { name: 'a' }, data: { b: 'c' } })).code,
    201,
  );
  t.equal(
    (await call('POST', `${inside}/secrets`, { metadata: { name: 'a' }, stringData: { b: 'c' } })).code,
    201,
  );
  const leases = '/apis/coordination.k8s.io/v1/namespaces/shop/leases';
  t.equal((await call('POST', leases, { metadata: { name: 'a' } })).code, 201);
  t.strictSame((await call('GET', `${inside}/secrets/a`)).body.data, { b: 'Yw==' });
  await call('DELETE', inside);
  await until('the namespace is gone', async () => (await call('GET', inside)).code === 404);
  for (const path of [`${inside}/configmaps`, `${inside}/secrets`, `${inside}/serviceaccounts`, leases])
    t.strictSame((await call('GET', path)).body.items, [], path);
});
