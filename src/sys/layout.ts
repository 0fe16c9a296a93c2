/**
 * Offsets and sizes, in bytes, of the kernel's structs: 64-bit Linux, little endian, x86-64 and arm64.
 *
 * They are plain numbers so that the packet path writes structs with typed arrays. Pointers and size_t are eight
 * bytes; callers write them as two 32-bit words.
 */

/** struct iovec, readv(2). */
export const IOVEC_SIZE = 16;
export const IOVEC_BASE = 0;
export const IOVEC_LENGTH = 8;

/** struct msghdr, sendmsg(2). `MSG_FLAGS` is 32 bits, `MSG_NAME_LENGTH` too; the lengths of iov and control are 64. */
export const MSGHDR_SIZE = 56;
export const MSG_NAME = 0;
export const MSG_NAME_LENGTH = 8;
export const MSG_IOV = 16;
export const MSG_IOV_COUNT = 24;
export const MSG_CONTROL = 32;
export const MSG_CONTROL_LENGTH = 40;
export const MSG_FLAGS = 48;

/** struct mmsghdr, sendmmsg(2): a msghdr, then the number of bytes sent or received (32 bits). */
export const MMSGHDR_SIZE = 64;
export const MMSG_LENGTH = 56;

/** struct cmsghdr, cmsg(3). The length (64 bits) counts the header and the data, without padding. */
export const CMSGHDR_SIZE = 16;
export const CMSG_LENGTH = 0;
export const CMSG_LEVEL = 8;
export const CMSG_TYPE = 12;
export const CMSG_DATA = 16;

/** struct sockaddr_in, ip(7). Port and address are in network order, the family is not. */
export const SOCKADDR_IN_SIZE = 16;
export const SIN_FAMILY = 0;
export const SIN_PORT = 2;
export const SIN_ADDRESS = 4;

/** struct sockaddr_ll, packet(7). The protocol is in network order, the rest is not. */
export const SOCKADDR_LL_SIZE = 20;
export const SLL_FAMILY = 0;
export const SLL_PROTOCOL = 2;
export const SLL_IFINDEX = 4;

/** struct epoll_event, epoll_ctl(2): packed on x86-64 alone. */
const isPacked = process.arch === 'x64';
export const EPOLL_EVENT_SIZE = isPacked ? 12 : 16;
export const EPOLL_EVENTS = 0;
export const EPOLL_DATA = isPacked ? 4 : 8;

/** struct ifreq, netdevice(7). The name takes 16 bytes with its final zero. */
export const IFREQ_SIZE = 40;
export const IFR_NAME = 0;
export const IFR_DATA = 16;
export const IFNAMSIZ = 16;
