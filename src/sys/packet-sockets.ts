/**
 * Who captures? A packet socket for all protocols (packet(7)) on an interface is a tcpdump, a Wireshark or the like, and a
 * capture should show what was sent: whoever forwards there then sends single frames instead of trains.
 *
 * DHCP clients and lldpd hold such sockets for ever and look at none of our traffic; they do not count. That is told by
 * the program that holds the socket, found by its inode once per socket.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { readText } from './file.js';
import { inNetns } from './netns.js';

/** ETH_P_ALL: every protocol, both directions. */
const ALL_PROTOCOLS = 0x0003;

/** Programs that keep a packet socket open for as long as they run. */
const KEEPERS = new Set([
  'dhclient',
  'dhcpcd',
  'udhcpc',
  'pump',
  'lldpd',
  'lldpad',
  'ladvd',
  'connmand',
  'NetworkManager',
  'nm-dhcp-helper',
  'systemd-network', // the kernel keeps 15 characters of a name
  'wpa_supplicant',
  'hostapd',
]);

/** A line of /proc/net/packet. */
export interface PacketSocket {
  /** The interface it is bound to; 0 is all of the namespace (`tcpdump -i any`). */
  readonly ifindex: number;
  /** EtherType it receives; 0x0003 is all, 0 none. */
  readonly protocol: number;
  readonly inode: number;
}

/** An open capture. */
export interface Capture {
  readonly ifindex: number;
  readonly inode: number;
  /** Who captures, as `ps` names it; undefined when it could not be found (another user's, or gone already). */
  readonly program: string | undefined;
}

/** The text of /proc/net/packet as rows. Lines that do not parse are left out. */
export function parsePacketSockets(text: string): PacketSocket[] {
  const sockets: PacketSocket[] = [];
  for (const line of text.split('\n').slice(1)) {
    // sk RefCnt Type Proto Iface R Rmem User Inode; Proto is hexadecimal
    const columns = line.trim().split(/\s+/);
    if (columns.length < 9) continue;
    const [protocol, ifindex, inode] = [parseInt(columns[3], 16), Number(columns[4]), Number(columns[8])];
    if (Number.isInteger(protocol) && Number.isInteger(ifindex)) sockets.push({ ifindex, protocol, inode });
  }
  return sockets;
}

/** The packet sockets of a network namespace: name under /run/netns or absolute path; undefined: where we are. */
export function readPacketSockets(netns?: string): PacketSocket[] {
  // /proc/net would show the namespace of the process's first thread.
  return parsePacketSockets(inNetns(netns, () => readText('/proc/thread-self/net/packet')));
}

/** Remembers who holds which socket, so that looking every second costs no walk through /proc. */
export interface CaptureWatch {
  /** The captures open now in a namespace. */
  look(netns?: string): Capture[];
}

/** Make a {@link CaptureWatch}; one serves any number of namespaces. */
export function createCaptureWatch(
  findProgram: (inode: number) => string | undefined = programOf,
): CaptureWatch {
  const known = new Map<string, Map<number, string | undefined>>();
  return {
    look(netns) {
      const place = netns ?? '';
      const before = known.get(place);
      const now = new Map<number, string | undefined>();
      const captures: Capture[] = [];
      for (const { ifindex, protocol, inode } of readPacketSockets(netns)) {
        if (protocol !== ALL_PROTOCOLS) continue;
        const program = before?.has(inode) === true ? before.get(inode) : findProgram(inode);
        now.set(inode, program);
        if (program === undefined || !KEEPERS.has(program)) captures.push({ ifindex, inode, program });
      }
      if (now.size > 0) known.set(place, now);
      else known.delete(place);
      return captures;
    },
  };
}

/** Whether one of the captures sees the frames of this interface. */
export function isCaptured(captures: readonly Capture[], ifindex: number): boolean {
  return captures.some((capture) => capture.ifindex === ifindex || capture.ifindex === 0);
}

/** The name of a process that holds the socket with this inode. Processes come and go meanwhile: skip what is gone. */
export function programOf(inode: number): string | undefined {
  const wanted = `socket:[${inode}]`;
  for (const pid of attempt(() => readdirSync('/proc')) ?? []) {
    if (!/^\d+$/.test(pid)) continue;
    for (const fd of attempt(() => readdirSync(`/proc/${pid}/fd`)) ?? [])
      if (attempt(() => readlinkSync(`/proc/${pid}/fd/${fd}`)) === wanted)
        return attempt(() => readFileSync(`/proc/${pid}/comm`, 'utf8').trim());
  }
  return undefined;
}

function attempt<T>(fn: () => T): T | undefined {
  try {
    return fn();
  } catch {
    return undefined;
  }
}
