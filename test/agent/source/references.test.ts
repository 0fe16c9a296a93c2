import t from 'tap';
import { createReferences } from '../../../src/agent/source/references.js';
import type { ApiObject, Pod, Secret } from '../../../src/api/types.js';
import type { Client } from '../../../src/client/client.js';
import { until } from '../../lib/until.js';

/** A client that answers a list when it is told to. */
function slowClient() {
  const waiting = new Map<string, (items: ApiObject[]) => void>();
  const ended: string[] = [];
  const client = {
    list: (kind, { namespace, fieldSelector } = {}) =>
      new Promise((resolve) =>
        waiting.set(`${kind.plural} ${namespace} ${fieldSelector}`, (items) =>
          resolve({ items: items as never, resourceVersion: '1' }),
        ),
      ),
    watch: (kind, { fieldSelector, signal }) =>
      new Promise<void>((resolve) =>
        signal.addEventListener('abort', () => (ended.push(`${kind.plural} ${fieldSelector}`), resolve())),
      ),
  } satisfies Pick<Client, 'list' | 'watch'>;
  return { client, waiting, ended };
}

const SECRET = (name: string): string => `secrets default metadata.name=${name}`;
const ROOT_CA = 'configmaps default metadata.name=kube-root-ca.crt';
const from = (name: string, secret: string) => ({ name, envFrom: [{ secretRef: { name: secret } }] });
const pod = (name: string, more: Partial<Pod['spec']> = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default', uid: `uid-${name}` },
  spec: { nodeName: 'n1', containers: [from('c', 's')], ...more },
});
const secret: Secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's', namespace: 'default' } };

t.test('a pod waits for what it names, once', async (t) => {
  const { client, waiting, ended } = slowClient();
  let told = 0;
  const references = createReferences({
    client,
    node: 'n1',
    changed: () => told++,
    trouble: () => undefined,
  });
  t.teardown(() => references.close());
  const names = (pods: Pod[]): string[] => references.settled(pods).map(({ metadata }) => metadata.name);
  const [own, other] = [pod('own'), pod('other', { nodeName: 'n2' })];
  const pods = [own, other];
  let isKnown = false;
  void references.follow(pods).then(() => (isKnown = true));
  t.strictSame([...waiting.keys()].sort(), [ROOT_CA, SECRET('s')], 'each by its name');
  t.strictSame(names(pods), ['other'], 'pods of other nodes do not wait');
  waiting.get(ROOT_CA)!([]);
  t.strictSame(names(pods), ['other']);
  waiting.get(SECRET('s'))!([secret]);
  await until('all is looked up', () => isKnown);
  t.equal(references.settled(pods), pods, 'the very same list');
  t.strictSame(references.secrets(), [secret]);
  t.ok(told > 0);

  const debugged = pod('own', { ephemeralContainers: [from('debug', 'late')] });
  void references.follow([debugged, other]);
  t.ok(waiting.has(SECRET('late')));
  t.strictSame(references.settled([debugged, other]), pods, 'one that runs is shown as it was');
  waiting.get(SECRET('late'))!([]);
  await until('it is looked up', () => references.settled([debugged, other])[0] === debugged);

  void references.follow([other]);
  await until('nothing is watched any more', () => ended.length === 3);
  t.strictSame(references.secrets(), []);
});
