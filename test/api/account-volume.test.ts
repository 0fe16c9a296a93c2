import t from 'tap';
import { keepAccountVolume, wantsToken, withAccountVolume } from '../../src/api/account-volume.js';
import type { Pod } from '../../src/api/types.js';

const PLACE = '/var/run/secrets/kubernetes.io/serviceaccount';

const pod = (spec: Partial<Pod['spec']> = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web', namespace: 'default' },
  spec: { containers: [{ name: 'main' }], ...spec },
});
const account = (automountServiceAccountToken?: boolean) => ({
  apiVersion: 'v1',
  kind: 'ServiceAccount',
  metadata: { name: 'default', namespace: 'default' },
  ...(automountServiceAccountToken !== undefined && { automountServiceAccountToken }),
});

t.test('every container gets the volume, and the pod stays as it was written', async (t) => {
  const written = pod({ initContainers: [{ name: 'first' }] });
  const before = structuredClone(written);
  const { spec } = withAccountVolume(written);
  t.strictSame(written, before);
  for (const container of [...spec.containers, ...spec.initContainers!])
    t.match(container.volumeMounts, [{ mountPath: PLACE, readOnly: true, name: spec.volumes![0]!.name }]);
});

t.test('a container that mounts something there keeps it', async (t) => {
  const mine = { name: 'mine', mountPath: `${PLACE}/` };
  const own = { name: 'main', volumeMounts: [mine] };
  const { spec } = withAccountVolume(pod({ containers: [own, { name: 'other' }] }));
  t.strictSame(spec.containers[0]!.volumeMounts, [mine]);
  t.match(spec.containers[1]!.volumeMounts, [{ name: spec.volumes![0]!.name }]);
  const needsNone = pod({ containers: [own] });
  t.equal(withAccountVolume(needsNone), needsNone, 'nobody would mount it');
});

t.test('a copy of a pod with another container has one volume', async (t) => {
  const { spec } = withAccountVolume(pod(), 'abcde');
  const copy = withAccountVolume(
    pod({ ...spec, containers: [...spec.containers, { name: 'debugger' }] }),
    'fghij',
  );
  t.strictSame(copy.spec.volumes, spec.volumes);
  t.strictSame(copy.spec.containers[1]!.volumeMounts, spec.containers[0]!.volumeMounts);
});

t.test('a file that is applied again means the pod with the volume it was given', async (t) => {
  const live = withAccountVolume(pod(), 'abcde');
  t.strictSame(keepAccountVolume(pod(), live), live);
  t.strictSame(keepAccountVolume(live, live), live);
  t.strictSame(keepAccountVolume(pod(), pod()), pod(), 'it was given none');
});

t.test('the pod decides before its account does', async (t) => {
  t.equal(wantsToken(pod(), undefined), true);
  t.equal(wantsToken(pod(), account()), true);
  t.equal(wantsToken(pod(), account(false)), false);
  t.equal(wantsToken(pod({ automountServiceAccountToken: true }), account(false)), true);
  t.equal(wantsToken(pod({ automountServiceAccountToken: false }), account(true)), false);
});
