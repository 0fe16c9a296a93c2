/**
 * What control remembers from one run to the next: of which Services it found, from the very same objects, that nothing
 * is to be done. The result of a run does not depend on it; what a change costs does: one pod among 10 000 Services
 * makes work for its own Services alone.
 *
 * Objects are compared by identity: whoever keeps a memo must never change an object, but replace it.
 */
import type { ClusterView, Lab, Node, Service } from '../api/types.js';

export class ServiceMemo {
  #lab: Lab | undefined;
  #nodes: readonly Node[] = [];
  #settled = new WeakMap<Service, readonly unknown[]>();

  /** A run begins. All is forgotten when the lab or a node has changed, on which every Service may depend. */
  begin({ lab, nodes }: ClusterView): void {
    if (lab === this.#lab && isSame(nodes, this.#nodes)) return;
    this.#lab = lab;
    this.#nodes = [...nodes];
    this.#settled = new WeakMap();
  }

  /** Whether a Service was settled with these objects around it. */
  isSettled(service: Service, around: readonly unknown[]): boolean {
    const before = this.#settled.get(service);
    return before !== undefined && isSame(before, around);
  }

  settle(service: Service, around: readonly unknown[]): void {
    this.#settled.set(service, around);
  }
}

const isSame = (a: readonly unknown[], b: readonly unknown[]): boolean =>
  a.length === b.length && a.every((item, i) => item === b[i]);
