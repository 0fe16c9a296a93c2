/**
 * struct ifreq, netdevice(7): the argument of ioctls that name an interface. One is enough, calls are synchronous.
 */
import { IFNAMSIZ, IFREQ_SIZE, IFR_DATA, IFR_NAME } from './layout.js';
import { addressOf } from './memory.js';

/** The struct; what the kernel answered is at `IFR_DATA`. */
export const ifreq = Buffer.from(new ArrayBuffer(IFREQ_SIZE));
const address = addressOf(ifreq);

/** Whether the kernel takes `name` for a link as it is: 1..15 bytes, and "%" would make it a pattern. */
export function isLinkName(name: string): boolean {
  return /^[^\s/:%\0]+$/.test(name) && Buffer.byteLength(name) < IFNAMSIZ && name !== '.' && name !== '..';
}

/** Fill the struct with a name and 16-bit flags, the rest zero. Its address. */
export function setIfreq(name: string, flags = 0): number {
  ifreq.fill(0);
  ifreq.write(name, IFR_NAME, IFNAMSIZ - 1);
  ifreq.writeUInt16LE(flags, IFR_DATA);
  return address;
}
