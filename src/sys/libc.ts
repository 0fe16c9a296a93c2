/**
 * The C library, bound through koffi. Nothing outside sys/ sees this file, and no other file names koffi.
 *
 * Addresses are declared int64 and given as plain numbers (user space ends at 2^47; koffi hands out BigInt only for
 * pointers). `open`, `ioctl` and `fcntl` are variadic in C; with integer arguments their calling convention on 64-bit Linux is
 * that of ordinary functions. A call costs some 70 ns more than in C.
 */
import koffi from 'koffi';

const libc = koffi.load('libc.so.6');

export const open = libc.func('int open(const char *path, int flags, int mode)');
export const close = libc.func('int close(int fd)');
export const read = libc.func('int64 read(int fd, int64 buffer, int64 length)');
export const write = libc.func('int64 write(int fd, int64 buffer, int64 length)');
export const writev = libc.func('int64 writev(int fd, int64 iov, int count)');
export const ioctl = libc.func('int ioctl(int fd, uint64 request, int64 argument)');
export const pipe2 = libc.func('int pipe2(int64 fds, int flags)');
export const mkfifo = libc.func('int mkfifo(const char *path, int mode)');
export const fcntl = libc.func('int fcntl(int fd, int command, int argument)');
export const setns = libc.func('int setns(int fd, int type)');

export const socket = libc.func('int socket(int family, int type, int protocol)');
export const bind = libc.func('int bind(int fd, int64 address, int length)');
export const getsockname = libc.func('int getsockname(int fd, int64 address, int64 length)');
export const setsockopt = libc.func('int setsockopt(int fd, int level, int option, int64 value, int length)');
export const sendto = libc.func(
  'int64 sendto(int fd, int64 buffer, int64 length, int flags, int64 address, int addressLength)',
);
export const sendmmsg = libc.func('int sendmmsg(int fd, int64 messages, int count, int flags)');
export const recvmmsg = libc.func(
  'int recvmmsg(int fd, int64 messages, int count, int flags, int64 timeout)',
);

export const epollCreate = libc.func('int epoll_create1(int flags)');
export const epollCtl = libc.func('int epoll_ctl(int epfd, int operation, int fd, int64 event)');
export const epollWait = libc.func('int epoll_wait(int epfd, int64 events, int max, int timeout)');
export const clockGettime = libc.func('int clock_gettime(int clock, int64 time)');
export const schedYield = libc.func('int sched_yield()');
export const eventfd = libc.func('int eventfd(int initial, int flags)');

/** What the C library said (≥ 0), or −errno where it said −1. errno is read only on failure. */
export function check(result: number): number {
  return result < 0 ? -koffi.errno() : result;
}

/** koffi's own notion of where a value's bytes are. */
export const address = (value: ArrayBufferView): bigint => koffi.address(value);

/* Flags of open(2) and its relatives, the same on x86-64 and arm64. */
export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_NONBLOCK = 0o4000;
export const O_CLOEXEC = 0o2000000;
