/**
 * What a pod needs of the network. The packet path implements it; the tests do without.
 */
import type { Pod } from '../../api/types.js';

export interface PodNetwork {
  /**
   * Give the pod's namespace its NIC. Called when its holder exists and before any container starts; again for an
   * adopted pod after a restart of the agent, and after a failure: it must be idempotent.
   *
   * @param netns  the namespace's name for `ip netns`
   */
  attach(pod: Pod, netns: string): Promise<void>;

  /** Take the NIC away, before the holder ends. Also for a pod that was never attached by this agent. */
  detach(pod: Pod): Promise<void>;
}
