/**
 * Any frame out of a namespace's NIC, past its kernel's own opinion of frames: packet(7). It sends only; with protocol 0 it
 * receives nothing, so nobody takes it for a capture.
 */
import { must } from '../../src/sys/errno.js';
import * as io from '../../src/sys/io.js';
import * as libc from '../../src/sys/libc.js';
import { findLink } from '../../src/sys/link.js';
import { borrowAddress } from '../../src/sys/memory.js';
import { inNetns } from '../../src/sys/netns.js';
import type { TestScope } from './scope.js';

const AF_PACKET = 17;
const SOCK_RAW = 3;
/** struct sockaddr_ll: family, protocol, index of the interface, and what a sender leaves 0. */
const SOCKADDR_LL_SIZE = 20;

/** Open a socket that sends whole frames by `link`, until the test ends. */
export function packetSocket(t: TestScope, netns: string, link: string): (frame: Uint8Array) => void {
  const name = Buffer.from(new ArrayBuffer(SOCKADDR_LL_SIZE));
  name.writeUInt16LE(AF_PACKET, 0);
  name.writeInt32LE(findLink(link, netns)!.ifindex, 4);
  const fd = inNetns(netns, () => {
    const fd = must(libc.check(libc.socket(AF_PACKET, SOCK_RAW | libc.O_CLOEXEC, 0)), () => ({
      action: 'open packet socket',
      call: 'socket',
    }));
    must(libc.check(libc.bind(fd, borrowAddress(name), SOCKADDR_LL_SIZE)), () => ({
      action: `send frames by "${link}"`,
      call: 'bind',
    }));
    return fd;
  });
  t.teardown(() => void io.close(fd));
  return (frame) => {
    const bytes = Uint8Array.from(frame);
    must(io.write(fd, borrowAddress(bytes), bytes.length), () => ({ action: 'send a frame', call: 'write' }));
  };
}
