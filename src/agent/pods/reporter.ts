/**
 * What is said of one pod, and only when it is new.
 *
 * However often a pod changes in one turn of the event loop, it is looked at once, at its end. Times that were given
 * out for a condition are kept: the object may not have our last status yet.
 */
import { equal } from '../../api/json.js';
import type { PodStatus } from '../../api/types.js';

export class Reporter {
  readonly #look: () => PodStatus;
  readonly #say: (status: PodStatus) => void;
  readonly #conditions = new Map<string, { status: string; lastTransitionTime?: string }>();
  #last: PodStatus | undefined;
  #isDue = false;

  /**
   * @param look  how the pod is now
   * @param say   called with a status that differs from the last
   */
  constructor(look: () => PodStatus, say: (status: PodStatus) => void) {
    this.#look = look;
    this.#say = say;
  }

  /** The pod may have changed. */
  due(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    setImmediate(() => {
      this.#isDue = false;
      const status = this.#look();
      for (const condition of status.conditions ?? []) {
        const known = this.#conditions.get(condition.type);
        if (known?.status === condition.status) condition.lastTransitionTime = known.lastTransitionTime;
        this.#conditions.set(condition.type, condition);
      }
      if (this.#last !== undefined && equal(status, this.#last)) return;
      this.#last = status;
      this.#say(status);
    });
  }

  /** The pod's object is new: say again what it does not say, such as that a pod of a lost node is ready after all. */
  seen(stored: PodStatus | undefined): void {
    if (this.#isDue || this.#last === undefined) return;
    if (stored?.phase !== this.#last.phase || readyOf(stored) !== readyOf(this.#last)) this.#say(this.#last);
  }
}

const readyOf = (status: PodStatus | undefined): string | undefined =>
  status?.conditions?.find(({ type }) => type === 'Ready')?.status;
