/**
 * What the kernel knows of one interface, by ioctls (netdevice(7)): no child process, so cheap enough to look often.
 *
 * One IPv4 address at most, the first; no IPv6. `ipJson(['addr'])` knows all.
 */
import { EADDRNOTAVAIL, ENODEV, must } from './errno.js';
import { ifreq, isLinkName, setIfreq } from './ifreq.js';
import * as io from './io.js';
import { IFR_DATA, SIN_ADDRESS } from './layout.js';
import * as libc from './libc.js';
import { inNetns } from './netns.js';

const AF_INET = 2;
const SOCK_DGRAM = 2;
const SIOCGIFFLAGS = 0x8913;
const SIOCGIFADDR = 0x8915;
const SIOCGIFMTU = 0x8921;
const SIOCGIFHWADDR = 0x8927;
const SIOCGIFINDEX = 0x8933;
const IFF_UP = 0x1;

/** One interface. */
export interface Link {
  readonly name: string;
  readonly ifindex: number;
  /** `0a:58:0a:f4:01:02`. */
  readonly mac: string;
  readonly mtu: number;
  readonly isUp: boolean;
  /** Its first IPv4 address, if it has one. */
  readonly address: string | undefined;
}

/**
 * Look an interface up by its name.
 *
 * @param netns  name under /run/netns or absolute path; undefined: here
 * @returns      undefined when there is none of that name
 * @throws {SysError} for anything else
 */
export function findLink(name: string, netns?: string): Link | undefined {
  if (!isLinkName(name)) return undefined;
  const action = `look at link "${name}"`;
  return inNetns(netns, () => {
    const type = SOCK_DGRAM | libc.O_CLOEXEC;
    const fd = must(libc.check(libc.socket(AF_INET, type, 0)), () => ({ action, call: 'socket' }));
    const ask = (request: number): number => libc.check(libc.ioctl(fd, request, setIfreq(name)));
    const need = (request: number, call: string): void => {
      must(ask(request), () => ({ action, call: `ioctl(${call})` }));
    };
    try {
      const found = ask(SIOCGIFINDEX);
      if (found === -ENODEV) return undefined;
      must(found, () => ({ action, call: 'ioctl(SIOCGIFINDEX)' }));
      const ifindex = ifreq.readInt32LE(IFR_DATA);
      need(SIOCGIFHWADDR, 'SIOCGIFHWADDR'); // a sockaddr: family, then the address
      const mac = ifreq.toString('hex', IFR_DATA + 2, IFR_DATA + 8).replace(/..(?=.)/g, '$&:');
      need(SIOCGIFMTU, 'SIOCGIFMTU');
      const mtu = ifreq.readInt32LE(IFR_DATA);
      need(SIOCGIFFLAGS, 'SIOCGIFFLAGS');
      const isUp = (ifreq.readUInt16LE(IFR_DATA) & IFF_UP) !== 0;
      const addressed = ask(SIOCGIFADDR);
      if (addressed !== -EADDRNOTAVAIL) must(addressed, () => ({ action, call: 'ioctl(SIOCGIFADDR)' }));
      const from = IFR_DATA + SIN_ADDRESS;
      const address = addressed < 0 ? undefined : [...ifreq.subarray(from, from + 4)].join('.');
      return { name, ifindex, mac, mtu, isUp, address };
    } finally {
      io.close(fd);
    }
  });
}
