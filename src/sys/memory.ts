/**
 * Where a view's bytes are, for system calls that take addresses.
 */
import { address } from './libc.js';

/**
 * The address of a view's first byte, as a safe integer.
 *
 * The memory must outlive every use of the address: keep the view (or its buffer) for ever, and never transfer, resize
 * or detach the buffer. Views of an ArrayBuffer and of a SharedArrayBuffer both work; the latter have one address in all
 * threads.
 */
export function addressOf(view: ArrayBufferView): number {
  // V8 keeps small typed arrays on its moving heap until their buffer is asked for.
  if (view.buffer.byteLength === 0) throw new RangeError('Cannot take the address of an empty buffer');
  return Number(address(view));
}
