import t from 'tap';
import { AccountPods } from '../../../src/agent/pods/account-pods.js';
import { withAccountVolume } from '../../../src/api/account-volume.js';
import type { Pod, ServiceAccount } from '../../../src/api/types.js';

const pod: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web', namespace: 'default', uid: 'u-1' },
  spec: { containers: [{ name: 'main' }] },
};
const account = (automountServiceAccountToken: boolean): ServiceAccount => ({
  apiVersion: 'v1',
  kind: 'ServiceAccount',
  metadata: { name: 'default', namespace: 'default' },
  automountServiceAccountToken,
});
const hasVolume = ([it]: Pod[]): boolean => it?.spec.volumes !== undefined;

t.test('without a server no pod has a token', async (t) => {
  t.strictSame(new AccountPods().of([pod], undefined), [pod]);
});

t.test('the same pod gives the same object, so that nobody thinks it has changed', async (t) => {
  const pods = new AccountPods();
  t.equal(pods.of([pod], [])[0], pods.of([pod], [])[0]);
});

t.test('a pod that the server gave the volume has it once', async (t) => {
  const given = withAccountVolume(pod, 'abcde');
  t.equal(new AccountPods().of([given], [account(true)])[0], given);
});

t.test('what becomes of the account later does not touch a pod that runs', async (t) => {
  const pods = new AccountPods();
  t.ok(hasVolume(pods.of([pod], [account(true)])));
  t.ok(hasVolume(pods.of([{ ...pod }], [account(false)])), 'settled when it was first seen');
  pods.of([], []);
  t.notOk(hasVolume(pods.of([pod], [account(false)])), 'another of that uid is settled anew');
});
