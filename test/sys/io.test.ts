import { openSync, readFileSync } from 'node:fs';
import t from 'tap';
import * as epoll from '../../src/sys/epoll.js';
import { EAGAIN, EBADF } from '../../src/sys/errno.js';
import { createEventfd, drain, signal } from '../../src/sys/eventfd.js';
import * as io from '../../src/sys/io.js';
import * as layout from '../../src/sys/layout.js';
import { addressOf } from '../../src/sys/memory.js';
import { output } from '../lib/spawn.js';

/** A descriptor that is never open. */
const NO_FD = 1_000_000;

t.test('hot calls return minus errno and do not throw', async (t) => {
  const view = new Uint8Array(64);
  const address = addressOf(view);
  t.equal(io.read(NO_FD, address, 8), -EBADF);
  t.equal(io.write(NO_FD, address, 8), -EBADF);
  t.equal(io.writev(NO_FD, address, 1), -EBADF);
  t.equal(io.sendmmsg(NO_FD, address, 1, 0), -EBADF);
  t.equal(io.recvmmsg(NO_FD, address, 1, 0), -EBADF);
  t.equal(io.close(NO_FD), -EBADF);
});

t.test('the address of a view is its buffer plus its offset', async (t) => {
  const view = new Uint8Array(new SharedArrayBuffer(4096));
  t.equal(addressOf(view.subarray(24)), addressOf(view) + 24);
  t.ok(Number.isSafeInteger(addressOf(view)));
  const small = new Uint8Array(8);
  t.equal(addressOf(new Uint8Array(small.buffer)), addressOf(small));
});

t.test('memory whose address was taken is not freed', async (t) => {
  const sys = new URL('../../src/sys/', import.meta.url).href;
  const script = `
    import { addressOf, borrowAddress } from '${sys}memory.js';
    const alive = (take) => {
      const view = new Uint8Array(1 << 20);
      take(view);
      return new WeakRef(view.buffer);
    };
    const refs = [alive(addressOf), alive(borrowAddress)];
    setImmediate(() => {
      gc();
      console.log(refs.map((ref) => ref.deref() !== undefined).join());
    });`;
  const argv = [process.execPath, '--expose-gc', '--input-type=module', '-e', script];
  t.equal(output(argv), 'true,false\n');
});

t.test('an empty buffer has no address', async (t) => {
  t.throws(() => addressOf(new Uint8Array(0)), RangeError);
});

t.test('an eventfd counts its signals and is drained at once', async (t) => {
  const fd = createEventfd();
  t.teardown(() => io.close(fd));
  t.equal(drain(fd), 0);
  t.equal(signal(fd), 0);
  t.equal(signal(fd), 0);
  t.equal(drain(fd), 2);
  t.equal(drain(fd), 0);
  t.equal(signal(NO_FD), -EBADF);
  t.equal(drain(NO_FD), -EBADF);
});

t.test('a signal to an eventfd whose count is full is no error', async (t) => {
  const fd = createEventfd();
  t.teardown(() => io.close(fd));
  const full = new BigUint64Array([0xfffffffffffffffen]);
  t.equal(io.write(fd, addressOf(full), 8), 8);
  t.equal(io.write(fd, addressOf(new BigUint64Array([1n])), 8), -EAGAIN);
  t.equal(signal(fd), 0);
});

t.test('writev gathers pieces in order', async (t) => {
  const path = `${t.testdir()}/file`;
  const fd = openSync(path, 'w');
  t.teardown(() => io.close(fd));
  const text = Buffer.from('packet path');
  const address = addressOf(text);
  const iov = new DataView(new ArrayBuffer(2 * layout.IOVEC_SIZE));
  for (const [i, [from, length]] of [
    [7, 4],
    [0, 6],
  ].entries()) {
    iov.setBigUint64(i * layout.IOVEC_SIZE + layout.IOVEC_BASE, BigInt(address + from), true);
    iov.setBigUint64(i * layout.IOVEC_SIZE + layout.IOVEC_LENGTH, BigInt(length), true);
  }
  t.equal(io.writev(fd, addressOf(iov), 2), 10);
  t.equal(readFileSync(path, 'utf8'), 'pathpacket');
});

t.test('epoll tells which descriptor is ready, by the number given for it', async (t) => {
  const epfd = epoll.createEpoll();
  const [a, b] = [createEventfd(), createEventfd()];
  t.teardown(() => [epfd, a, b].forEach((fd) => io.close(fd)));
  const events = new DataView(new ArrayBuffer(4 * layout.EPOLL_EVENT_SIZE));
  const eventsAddress = addressOf(events);
  const look = () => epoll.wait(epfd, eventsAddress, 4, 0);

  t.equal(epoll.add(epfd, a, epoll.EPOLLIN, 71), 0);
  t.equal(epoll.add(epfd, b, epoll.EPOLLIN, 0xfffffffe), 0);
  t.equal(look(), 0);

  signal(b);
  t.equal(look(), 1);
  t.equal(events.getUint32(layout.EPOLL_EVENTS, true), epoll.EPOLLIN);
  t.equal(events.getUint32(layout.EPOLL_DATA, true), 0xfffffffe);

  signal(a);
  t.equal(look(), 2);
  const data = [0, 1].map((i) => events.getUint32(i * layout.EPOLL_EVENT_SIZE + layout.EPOLL_DATA, true));
  t.same(new Set(data), new Set([71, 0xfffffffe]));

  t.equal(epoll.modify(epfd, b, 0, 5), 0);
  t.equal(look(), 1);
  t.equal(epoll.remove(epfd, a), 0);
  t.equal(look(), 0);
  t.equal(epoll.wait(NO_FD, eventsAddress, 4, 0), -EBADF);
  t.ok(epoll.add(epfd, NO_FD, epoll.EPOLLIN, 0) < 0);
});
