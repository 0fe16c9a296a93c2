/**
 * Pods as their host runs them: with the volume of their service account, where there is a server to sign its token. The
 * server writes it into the pods that it creates; here it is given to those that an older server has stored.
 *
 * Whether a pod has one is settled when it is first seen, as Kubernetes settles it at admission: what becomes of the account
 * later does not touch a pod that runs.
 */
import { accountNameOf, wantsToken, withAccountVolume } from '../../api/account-volume.js';
import type { Pod, ServiceAccount } from '../../api/types.js';
import { uidOf } from './state.js';

export class AccountPods {
  readonly #wants = new Map<string, boolean>();
  /** What was made of a pod, so that the same object gives the same. */
  readonly #made = new WeakMap<Pod, Pod>();

  /** @param accounts  of all namespaces; undefined: no server, no token */
  of(pods: readonly Pod[], accounts: readonly ServiceAccount[] | undefined): Pod[] {
    if (!accounts) return [...pods];
    const uids = new Set(pods.map(uidOf));
    for (const uid of this.#wants.keys()) if (!uids.has(uid)) this.#wants.delete(uid);
    return pods.map((pod) => {
      const uid = uidOf(pod);
      let wants = this.#wants.get(uid);
      if (wants === undefined) this.#wants.set(uid, (wants = wantsToken(pod, accountOf(pod, accounts))));
      if (!wants) return pod;
      let made = this.#made.get(pod);
      if (!made) this.#made.set(pod, (made = withAccountVolume(pod)));
      return made;
    });
  }
}

const accountOf = (pod: Pod, accounts: readonly ServiceAccount[]): ServiceAccount | undefined =>
  accounts.find(
    ({ metadata }) => metadata.namespace === pod.metadata.namespace && metadata.name === accountNameOf(pod),
  );
