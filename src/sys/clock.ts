/**
 * The monotonic clock in microseconds, for a thread that measures how long it waits. Nothing is allocated.
 */
import * as libc from './libc.js';
import { addressOf } from './memory.js';

const CLOCK_MONOTONIC = 1;
/** struct timespec: seconds and nanoseconds, 64 bits each. */
const time = new Uint32Array(4);
const timeAddress = addressOf(time);

/** Microseconds as int32, which wrap every 71 minutes: compare by difference, `(later - earlier) | 0`. clock_gettime(2). */
export function nowUs(): number {
  libc.clockGettime(CLOCK_MONOTONIC, timeAddress);
  return (time[0]! * 1_000_000 + ((time[2]! / 1000) | 0)) | 0;
}
