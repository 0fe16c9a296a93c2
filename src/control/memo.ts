/**
 * What control remembers from one run to the next, so that a run costs what has changed and not what there is. What a run
 * decides does not depend on it: without a memory, or with an empty one, the same view gives the same changes.
 *
 * Objects and lists are compared by identity: whoever keeps a memory must never change them, but replace them. Lists keep
 * their order, see tracked-objects.ts.
 */
import type { Agenda } from './agenda.js';
import { EventEnds } from './events.js';
import { GarbageIndex } from './garbage.js';
import { ServiceIndex } from './service-index.js';

interface Rest {
  readonly inputs: readonly unknown[];
  /** When time alone gives it something to do, in milliseconds since 1970. */
  readonly again: number;
}

export class ControlMemo {
  readonly services = new ServiceIndex();
  readonly garbage = new GarbageIndex();
  readonly events = new EventEnds();
  readonly #rests = new Map<string, Rest>();

  /**
   * Run a part of control, unless it found nothing to do when it last saw the very same things.
   *
   * @param part    its name
   * @param inputs  all it looks at, but the time
   */
  unlessAtRest(part: string, inputs: readonly unknown[], agenda: Agenda, run: () => void): void {
    const rest = this.#rests.get(part);
    if (rest && rest.again > agenda.now && isSame(rest.inputs, inputs)) {
      agenda.lookAgain(rest.again);
      return;
    }
    const { hasDecided, again } = agenda.observe(run);
    if (hasDecided) this.#rests.delete(part);
    else this.#rests.set(part, { inputs, again });
  }
}

const isSame = (a: readonly unknown[], b: readonly unknown[]): boolean =>
  a.length === b.length && a.every((item, i) => item === b[i]);
