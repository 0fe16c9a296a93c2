/**
 * Unique ids that count up: UUID version 7. RFC 9562 §5.7.
 *
 * Control serves objects in the order of their creation; creationTimestamp has whole seconds only, so the order within
 * one comes from here.
 */
import { randomBytes } from 'node:crypto';

/**
 * A source of ids, each greater than all that it made before.
 *
 * @returns a function from milliseconds since 1970 to an id
 */
export function createUids(): (now: number) => string {
  let lastMs = 0;
  let counter = 0;
  return (now) => {
    if (now > lastMs) [lastMs, counter] = [now, 0];
    // 12 bits count within a millisecond. When they are used up, or the clock went back, time goes on by itself. §6.2.
    else if (++counter > 0xfff) [lastMs, counter] = [lastMs + 1, 0];
    const time = lastMs.toString(16).padStart(12, '0');
    const random = randomBytes(8);
    random[0] = 0x80 | (random[0]! & 0x3f);
    const tail = random.toString('hex');
    const middle = (0x7000 | counter).toString(16);
    return `${time.slice(0, 8)}-${time.slice(8)}-${middle}-${tail.slice(0, 4)}-${tail.slice(4)}`;
  };
}
