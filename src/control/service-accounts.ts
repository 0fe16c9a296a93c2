/**
 * `default`, the ServiceAccount that every namespace has. Only a server makes it: files need none.
 */
import { DEFAULT_ACCOUNT } from '../api/account-volume.js';
import type { ApiObject } from '../api/types.js';
import type { Change } from './change.js';
import type { ControlView } from './view.js';

/** Make the account where it is missing. @param view  of a server */
export function reconcileServiceAccounts({ namespaces, serviceAccounts = [] }: ControlView): Change[] {
  const having = new Set(
    serviceAccounts.flatMap(({ metadata }) => (metadata.name === DEFAULT_ACCOUNT ? metadata.namespace : [])),
  );
  return namespaces
    .filter(({ metadata }) => !metadata.deletionTimestamp && !having.has(metadata.name))
    .map(({ metadata }) => ({ type: 'create', object: account(metadata.name) }));
}

const account = (namespace: string): ApiObject => ({
  apiVersion: 'v1',
  kind: 'ServiceAccount',
  metadata: { name: DEFAULT_ACCOUNT, namespace },
});
