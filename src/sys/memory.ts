/**
 * Where a view's bytes are, for system calls that take addresses.
 *
 * The garbage collector knows nothing of addresses. A constant of a module that only its first lines mention is garbage as
 * soon as the module has been loaded, and a system call that still has its address then writes into whatever lies there
 * next (tried: `epoll_wait` into such an array, and the process died of SIGSEGV a second later). So what had its address
 * taken stays for as long as the thread.
 */
import { address } from './libc.js';

/** The buffers whose addresses were given away. */
const pinned = new Set<ArrayBufferLike>();

/**
 * The address of a view's first byte, as a safe integer. Take it once and keep it.
 *
 * From now on the buffer is never freed while this thread lives. The caller never transfers, resizes or detaches it. Views
 * of an ArrayBuffer and of a SharedArrayBuffer both work; the latter have one address in all threads.
 */
export function addressOf(view: ArrayBufferView): number {
  pinned.add(view.buffer);
  return borrowAddress(view);
}

/**
 * As {@link addressOf} for the length of one system call: the view may be freed as soon as the caller does not hold it any
 * more, so the caller must still use it after the call.
 */
export function borrowAddress(view: ArrayBufferView): number {
  // Asking for the buffer moves a small typed array off V8's heap, where it would not stay in its place.
  if (view.buffer.byteLength === 0) throw new RangeError('Cannot take the address of an empty buffer');
  return Number(address(view));
}
