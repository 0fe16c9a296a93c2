import t from 'tap';
import { wantsToken, withAccountVolume } from '../../src/api/account-volume.js';
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
  const { spec } = withAccountVolume(pod({ containers: [{ name: 'main', volumeMounts: [mine] }] }));
  t.strictSame(spec.containers[0]!.volumeMounts, [mine]);
});

t.test('the pod decides before its account does', async (t) => {
  t.equal(wantsToken(pod(), undefined), true);
  t.equal(wantsToken(pod(), account()), true);
  t.equal(wantsToken(pod(), account(false)), false);
  t.equal(wantsToken(pod({ automountServiceAccountToken: true }), account(false)), true);
  t.equal(wantsToken(pod({ automountServiceAccountToken: false }), account(true)), false);
});
