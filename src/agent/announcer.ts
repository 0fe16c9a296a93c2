/**
 * Tell the underlay that an address is here now: gratuitous ARP (RFC 5227 §3, ARP Announcement), three times, since one
 * may be lost and neighbours would otherwise send to the old owner until their entry times out.
 */
import { findLink } from '../sys/link.js';
import { sendFrames } from '../sys/send-frame.js';
import { parseIpv4, parseMac } from '../wire/address.js';
import type { Mac } from '../wire/address.js';
import * as arp from '../wire/arp.js';
import * as ethernet from '../wire/ethernet.js';
import type { Logger } from './log.js';

export interface Announcer {
  /** The addresses for which this host answers now; those that are new are announced. */
  own(addresses: readonly string[]): void;
  close(): void;
}

const TIMES = 3;
const PAUSE_MS = 200;

const BROADCAST: Mac = { hi: 0xffff, lo: -1 };
const NO_MAC: Mac = { hi: 0, lo: 0 };

/** The frame that announces `address` (a word) at `mac`. */
export const announcement = (mac: Mac, address: number): Uint8Array => {
  const frame = new Uint8Array(ethernet.HEADER_LEN + arp.LEN);
  const v = new DataView(frame.buffer);
  ethernet.setDst(v, 0, BROADCAST.hi, BROADCAST.lo);
  ethernet.setSrc(v, 0, mac.hi, mac.lo);
  ethernet.setType(v, 0, ethernet.TYPE_ARP);
  arp.write(v, ethernet.HEADER_LEN, arp.REQUEST, mac, address, NO_MAC, address);
  return frame;
};

export const createAnnouncer = (nic: string, netns: string | undefined, log: Logger): Announcer => {
  /** Address → how often it is still to be announced. */
  const owned = new Map<string, number>();
  let timer: NodeJS.Timeout | undefined;

  const send = (addresses: readonly string[]): void => {
    const link = findLink(nic, netns);
    const mac = parseMac(link?.mac ?? '');
    if (!link || !mac) return;
    sendFrames(
      link.ifindex,
      addresses.map((address) => announcement(mac, parseIpv4(address)!)),
      netns,
    );
  };

  const round = (): void => {
    timer = undefined;
    const due = [...owned].filter(([, left]) => left > 0);
    if (due.length === 0) return;
    for (const [address, left] of due) owned.set(address, left - 1);
    try {
      send(due.map(([address]) => address));
    } catch (error) {
      log.warn({ err: error }, `Cannot announce addresses on ${nic}`);
    }
    timer = setTimeout(round, PAUSE_MS);
  };

  return {
    own(addresses) {
      for (const address of [...owned.keys()]) if (!addresses.includes(address)) owned.delete(address);
      const fresh = addresses.filter((address) => !owned.has(address));
      if (fresh.length === 0) return;
      for (const address of fresh) owned.set(address, TIMES);
      log.info({ addresses: fresh, nic }, 'This host now answers for addresses of Services');
      clearTimeout(timer);
      round();
    },
    close: () => clearTimeout(timer),
  };
};
