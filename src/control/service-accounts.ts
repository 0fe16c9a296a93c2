/**
 * `default`, the ServiceAccount that every namespace has. Only a server makes it: files need none.
 */
import type { ApiObject } from '../api/types.js';
import type { Change } from './change.js';
import type { ControlView } from './view.js';

const NAME = 'default';

/** Make the account where it is missing. @param view  of a server */
export function reconcileServiceAccounts({ namespaces, serviceAccounts = [] }: ControlView): Change[] {
  const having = new Set(
    serviceAccounts.flatMap(({ metadata }) => (metadata.name === NAME ? metadata.namespace : [])),
  );
  return namespaces
    .filter(({ metadata }) => !metadata.deletionTimestamp && !having.has(metadata.name))
    .map(({ metadata }) => ({ type: 'create', object: account(metadata.name) }));
}

const account = (namespace: string): ApiObject => ({
  apiVersion: 'v1',
  kind: 'ServiceAccount',
  metadata: { name: NAME, namespace },
});
