/**
 * Whole frames, put together and taken apart byte by byte: the readable twin of `src/wire`, from which it shares nothing.
 *
 * Builders take text for addresses (`10.0.0.1`, `0a:58:0a:00:00:01`) and fill in lengths and checksums. {@link parseFrame}
 * gives back the fields under the same names, so `parseFrame(tcpFrame(x))` matches `x`.
 *
 * Not here: IPv6, 802.1Q tags, reassembly.
 */

const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_ARP = 0x0806;
const ICMP = 1;
const TCP = 6;
const UDP = 17;
const VXLAN_FLAG_I = 0x08;
const BROADCAST = 'ff:ff:ff:ff:ff:ff';

export interface EthernetFields {
  srcMac?: string;
  dstMac?: string;
}

export interface Ipv4Fields extends EthernetFields {
  src: string;
  dst: string;
  tos?: number;
  id?: number;
  df?: boolean;
  mf?: boolean;
  /** In bytes, a multiple of eight. */
  fragmentOffset?: number;
  ttl?: number;
  /** Whole words; longer headers than 60 bytes cannot be said. */
  ipOptions?: Uint8Array;
  /** Another header checksum than the right one. */
  ipChecksum?: number;
}

/** A number: that and no other. `unfinished`: the folded sum of the pseudo header, as offload leaves it. */
export type ChecksumField = number | 'unfinished';

export interface TcpFields extends Ipv4Fields {
  srcPort: number;
  dstPort: number;
  seq?: number;
  ack?: number;
  /** Bits of the flags byte: FIN is 1. */
  flags?: number;
  window?: number;
  urgent?: number;
  /** TCP options, whole words. */
  options?: Uint8Array;
  checksum?: ChecksumField;
  payload?: Uint8Array;
}

export interface UdpFields extends Ipv4Fields {
  srcPort: number;
  dstPort: number;
  /** 0: none, as VXLAN has it. */
  checksum?: ChecksumField;
  payload?: Uint8Array;
}

export interface IcmpFields extends Ipv4Fields {
  icmpType: number;
  icmpCode?: number;
  /** Second word of the header. */
  rest?: number;
  checksum?: number;
  payload?: Uint8Array;
}

export interface EchoFields extends Ipv4Fields {
  isReply?: boolean;
  echoId: number;
  echoSeq: number;
  checksum?: number;
  payload?: Uint8Array;
}

export interface ArpFields extends EthernetFields {
  senderMac: string;
  senderIp: string;
  targetMac?: string;
  targetIp: string;
}

// The checksum.

/** One's complement sum of 16-bit words, folded. RFC 1071 §1, word by word. */
export function naiveSum(...parts: readonly (Uint8Array | readonly number[])[]): number {
  const bytes = parts.flatMap((part) => Array.from(part));
  let total = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    total += bytes[i]! * 256 + (bytes[i + 1] ?? 0);
    if (total > 0xffff) total = total - 0x10000 + 1;
  }
  return total;
}

/** The Internet checksum: {@link naiveSum}, complemented. */
export const naiveChecksum = (...parts: readonly (Uint8Array | readonly number[])[]): number =>
  0xffff - naiveSum(...parts);

/** The bytes of the pseudo header of TCP and UDP over IPv4. RFC 9293 §3.1. */
export const pseudoHeader = (src: string, dst: string, proto: number, len: number): number[] => [
  ...ipBytes(src),
  ...ipBytes(dst),
  0,
  proto,
  ...u16(len),
];

// Putting together.

const u16 = (value: number): number[] => [(value >>> 8) & 255, value & 255];
const u32 = (value: number): number[] => [...u16(value >>> 16), ...u16(value)];
const ipBytes = (text: string): number[] => text.split('.').map(Number);
const macBytes = (text: string): number[] => text.split(':').map((byte) => parseInt(byte, 16));

/** An Ethernet frame. */
export const ethernetFrame = (
  fields: EthernetFields & { etherType: number; payload: Uint8Array | readonly number[] },
): Uint8Array =>
  Uint8Array.from([
    ...macBytes(fields.dstMac ?? '0a:58:0a:00:00:02'),
    ...macBytes(fields.srcMac ?? '0a:58:0a:00:00:01'),
    ...u16(fields.etherType),
    ...fields.payload,
  ]);

/** An Ethernet frame with an IPv4 packet of any protocol; `payload` is what follows the IPv4 header. */
export function ipv4Frame(
  fields: Ipv4Fields & { proto: number; payload: Uint8Array | readonly number[] },
): Uint8Array {
  const options = fields.ipOptions ?? [];
  const headerLen = 20 + options.length;
  const fragment =
    (fields.df ? 0x4000 : 0) + (fields.mf ? 0x2000 : 0) + Math.floor((fields.fragmentOffset ?? 0) / 8);
  const header = [
    0x40 + headerLen / 4,
    fields.tos ?? 0,
    ...u16(headerLen + fields.payload.length),
    ...u16(fields.id ?? 0),
    ...u16(fragment),
    fields.ttl ?? 64,
    fields.proto,
    ...u16(0),
    ...ipBytes(fields.src),
    ...ipBytes(fields.dst),
    ...options,
  ];
  header.splice(10, 2, ...u16(fields.ipChecksum ?? naiveChecksum(header)));
  return ethernetFrame({ ...fields, etherType: ETHERTYPE_IPV4, payload: [...header, ...fields.payload] });
}

/** Put the checksum at `at` of a TCP or UDP message. */
function withChecksum(
  fields: Ipv4Fields & { checksum?: ChecksumField },
  proto: number,
  message: number[],
  at: number,
): number[] {
  const pseudo = pseudoHeader(fields.src, fields.dst, proto, message.length);
  let checksum = naiveChecksum(pseudo, message);
  // RFC 768: "If the computed checksum is zero, it is transmitted as all ones".
  if (proto === UDP && checksum === 0) checksum = 0xffff;
  if (fields.checksum === 'unfinished') checksum = naiveSum(pseudo);
  else if (fields.checksum !== undefined) checksum = fields.checksum;
  message.splice(at, 2, ...u16(checksum));
  return message;
}

/** A frame with a TCP segment. */
export function tcpFrame(fields: TcpFields): Uint8Array {
  const options = fields.options ?? [];
  const segment = [
    ...u16(fields.srcPort),
    ...u16(fields.dstPort),
    ...u32(fields.seq ?? 0),
    ...u32(fields.ack ?? 0),
    ((20 + options.length) / 4) * 16,
    fields.flags ?? 0x10,
    ...u16(fields.window ?? 64240),
    ...u16(0),
    ...u16(fields.urgent ?? 0),
    ...options,
    ...(fields.payload ?? []),
  ];
  return ipv4Frame({ ...fields, proto: TCP, payload: withChecksum(fields, TCP, segment, 16) });
}

/** A frame with a UDP datagram. */
export function udpFrame(fields: UdpFields): Uint8Array {
  const payload = fields.payload ?? [];
  const datagram = [
    ...u16(fields.srcPort),
    ...u16(fields.dstPort),
    ...u16(8 + payload.length),
    ...u16(0),
    ...payload,
  ];
  return ipv4Frame({ ...fields, proto: UDP, payload: withChecksum(fields, UDP, datagram, 6) });
}

/** A frame with an ICMP message of any type. */
export function icmpFrame(fields: IcmpFields): Uint8Array {
  const message = [
    fields.icmpType,
    fields.icmpCode ?? 0,
    ...u16(0),
    ...u32(fields.rest ?? 0),
    ...(fields.payload ?? []),
  ];
  message.splice(2, 2, ...u16(fields.checksum ?? naiveChecksum(message)));
  return ipv4Frame({ ...fields, proto: ICMP, payload: message });
}

/** A frame with an echo request, or its reply. */
export const icmpEcho = (fields: EchoFields): Uint8Array =>
  icmpFrame({
    ...fields,
    icmpType: fields.isReply ? 0 : 8,
    rest: fields.echoId * 0x10000 + fields.echoSeq,
  });

const arpFrame = (op: number, fields: ArpFields): Uint8Array =>
  ethernetFrame({
    srcMac: fields.srcMac ?? fields.senderMac,
    dstMac: fields.dstMac ?? fields.targetMac ?? BROADCAST,
    etherType: ETHERTYPE_ARP,
    payload: [
      ...u16(1),
      ...u16(ETHERTYPE_IPV4),
      6,
      4,
      ...u16(op),
      ...macBytes(fields.senderMac),
      ...ipBytes(fields.senderIp),
      ...macBytes(fields.targetMac ?? '00:00:00:00:00:00'),
      ...ipBytes(fields.targetIp),
    ],
  });

/** "Who has `targetIp`?"; broadcast unless `dstMac` or `targetMac` says whom to ask. */
export const arpRequest = (fields: ArpFields): Uint8Array => arpFrame(1, fields);

/** "`senderIp` is at `senderMac`", to `targetMac`. */
export const arpReply = (fields: ArpFields & { targetMac: string }): Uint8Array => arpFrame(2, fields);

/** A VXLAN header and the inner frame: the payload of a UDP datagram. */
export const vxlan = (inner: Uint8Array, fields: { vni: number; flags?: number }): Uint8Array =>
  Uint8Array.from([fields.flags ?? VXLAN_FLAG_I, ...[0, 0, 0], ...u32(fields.vni).slice(1), 0, ...inner]);

// Taking apart.

/** What was found in a frame. A field that it does not have, or that lies behind its end, is undefined. */
export interface ParsedFrame {
  dstMac?: string;
  srcMac?: string;
  etherType?: number;

  op?: number;
  senderMac?: string;
  senderIp?: string;
  targetMac?: string;
  targetIp?: string;

  headerLen?: number;
  tos?: number;
  totalLen?: number;
  id?: number;
  df?: boolean;
  mf?: boolean;
  fragmentOffset?: number;
  ttl?: number;
  proto?: number;
  ipChecksum?: number;
  /** Whether the header sums up. */
  ipChecksumRight?: boolean;
  src?: string;
  dst?: string;
  ipOptions?: Uint8Array;

  srcPort?: number;
  dstPort?: number;
  seq?: number;
  ack?: number;
  flags?: number;
  window?: number;
  urgent?: number;
  options?: Uint8Array;
  /** Length field of UDP. */
  length?: number;
  checksum?: number;
  /** Whether TCP, UDP or ICMP sum up, or UDP has no checksum; undefined for a fragment and a cut packet. */
  l4ChecksumRight?: boolean;

  icmpType?: number;
  icmpCode?: number;
  /** Second word of an ICMP message that is no echo. */
  rest?: number;
  isReply?: boolean;
  echoId?: number;
  echoSeq?: number;
  /** The datagram that an ICMP error quotes. */
  quoted?: ParsedFrame;

  /** What follows the innermost header that was understood, without Ethernet padding. */
  payload: Uint8Array;
}

/** Reads numbers out of bytes; undefined behind their end. */
function reader(bytes: Uint8Array) {
  const number = (at: number, len: number): number | undefined => {
    if (at + len > bytes.length) return undefined;
    let value = 0;
    for (let i = 0; i < len; i++) value = value * 256 + bytes[at + i]!;
    return value;
  };
  const text = (at: number, len: number, join: (part: number[]) => string): string | undefined =>
    at + len > bytes.length ? undefined : join(Array.from(bytes.slice(at, at + len)));
  return {
    u8: (at: number) => number(at, 1),
    u16: (at: number) => number(at, 2),
    u32: (at: number) => number(at, 4),
    ip: (at: number) => text(at, 4, (part) => part.join('.')),
    mac: (at: number) =>
      text(at, 6, (part) => part.map((byte) => byte.toString(16).padStart(2, '0')).join(':')),
  };
}

/** Take an Ethernet frame apart. */
export function parseFrame(bytes: Uint8Array): ParsedFrame {
  const { u16, mac } = reader(bytes);
  const ethernet = { dstMac: mac(0), srcMac: mac(6), etherType: u16(12) };
  const payload = bytes.slice(14);
  if (ethernet.etherType === ETHERTYPE_IPV4) return { ...ethernet, ...parsePacket(payload) };
  if (ethernet.etherType === ETHERTYPE_ARP) return { ...ethernet, ...parseArp(payload) };
  return { ...ethernet, payload };
}

function parseArp(bytes: Uint8Array): ParsedFrame {
  const { u16, mac, ip } = reader(bytes);
  return {
    op: u16(6),
    senderMac: mac(8),
    senderIp: ip(14),
    targetMac: mac(18),
    targetIp: ip(24),
    payload: bytes.slice(28),
  };
}

/** Take an IPv4 packet apart that stands without Ethernet, such as a quoted one. */
export function parsePacket(bytes: Uint8Array): ParsedFrame {
  const { u8, u16, ip } = reader(bytes);
  const headerLen = ((u8(0) ?? 0) % 16) * 4;
  const totalLen = u16(2) ?? 0;
  const fragment = u16(6) ?? 0;
  const message = bytes.slice(headerLen, Math.max(headerLen, totalLen));
  const packet = {
    headerLen,
    totalLen,
    tos: u8(1),
    id: u16(4),
    df: (fragment & 0x4000) !== 0,
    mf: (fragment & 0x2000) !== 0,
    fragmentOffset: (fragment & 0x1fff) * 8,
    ttl: u8(8),
    proto: u8(9),
    ipChecksum: u16(10),
    ipChecksumRight: headerLen >= 20 && naiveSum(bytes.slice(0, headerLen)) === 0xffff,
    src: ip(12),
    dst: ip(16),
    ipOptions: bytes.slice(20, headerLen),
    payload: message,
  };
  if (packet.fragmentOffset > 0) return packet;
  const isWhole = !packet.mf && totalLen <= bytes.length && packet.src !== undefined;
  const pseudo = isWhole ? pseudoHeader(packet.src!, packet.dst!, packet.proto!, message.length) : undefined;
  if (packet.proto === TCP) return { ...packet, ...parseTcp(message, pseudo) };
  if (packet.proto === UDP) return { ...packet, ...parseUdp(message, pseudo) };
  if (packet.proto === ICMP) return { ...packet, ...parseIcmp(message, isWhole) };
  return packet;
}

function parseTcp(bytes: Uint8Array, pseudo: number[] | undefined): ParsedFrame {
  const { u8, u16, u32 } = reader(bytes);
  const headerLen = Math.floor((u8(12) ?? 0) / 16) * 4;
  return {
    srcPort: u16(0),
    dstPort: u16(2),
    seq: u32(4),
    ack: u32(8),
    flags: u8(13),
    window: u16(14),
    checksum: u16(16),
    urgent: u16(18),
    options: bytes.slice(20, headerLen),
    l4ChecksumRight: pseudo && naiveSum(pseudo, bytes) === 0xffff,
    payload: bytes.slice(headerLen),
  };
}

function parseUdp(bytes: Uint8Array, pseudo: number[] | undefined): ParsedFrame {
  const { u16 } = reader(bytes);
  return {
    srcPort: u16(0),
    dstPort: u16(2),
    length: u16(4),
    checksum: u16(6),
    l4ChecksumRight: pseudo && (u16(6) === 0 || naiveSum(pseudo, bytes) === 0xffff),
    payload: bytes.slice(8),
  };
}

function parseIcmp(bytes: Uint8Array, isWhole: boolean): ParsedFrame {
  const { u8, u16, u32 } = reader(bytes);
  const icmpType = u8(0);
  const message: ParsedFrame = {
    icmpType,
    icmpCode: u8(1),
    checksum: u16(2),
    l4ChecksumRight: isWhole ? naiveSum(bytes) === 0xffff : undefined,
    payload: bytes.slice(8),
  };
  if (icmpType === 0 || icmpType === 8)
    return { ...message, isReply: icmpType === 0, echoId: u16(4), echoSeq: u16(6) };
  const isError = icmpType !== undefined && [3, 4, 5, 11, 12].includes(icmpType);
  return { ...message, rest: u32(4), ...(isError && { quoted: parsePacket(message.payload) }) };
}

/** Take a VXLAN payload of a UDP datagram apart. */
export function parseVxlan(bytes: Uint8Array): { flags?: number; vni?: number; inner: Uint8Array } {
  const { u8, u32 } = reader(bytes);
  return { flags: u8(0), vni: Math.floor((u32(4) ?? 0) / 256), inner: bytes.slice(8) };
}
