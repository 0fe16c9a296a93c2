/**
 * A synthetic endpoint: who lives behind a TAP. It has a MAC and an IPv4 address, asks and answers ARP, answers pings, sends
 * and receives UDP, and moves byte streams (`stream.ts`).
 *
 * It is also a judge. What its TAP may not be given (a super-frame without TSO, an unfinished checksum without checksum
 * offload, bytes marked as verified that are wrong) is a *violation* and told to the simulator; what its kernel would drop
 * (a wrong checksum) is dropped and counted.
 */
import { formatIpv4, macOfIpv4, type Mac } from '../wire/address.js';
import * as arp from '../wire/arp.js';
import * as ethernet from '../wire/ethernet.js';
import * as icmp from '../wire/icmp.js';
import * as ipv4 from '../wire/ipv4.js';
import * as tcp from '../wire/tcp.js';
import * as udp from '../wire/udp.js';
import * as virtioNet from '../wire/virtio-net.js';
import { OFFLOAD_CSUM, OFFLOAD_TSO, OFFLOAD_USO } from '../tables/ports.js';
import { whatIsWrong } from './judge.js';
import { Neighbors, type NextHops } from './neighbors.js';
import {
  L2,
  L3,
  NO_OFFLOAD,
  arpPacket,
  bytesAt,
  bytesOfPacket,
  icmpPacket,
  isChecksumRight,
  left,
  packetOf,
  tcpPacket,
  udpPacket,
  type Offload,
  type Packet,
} from './packet.js';
import type { Random } from './random.js';
import { Stream, type Segment } from './stream.js';

const BROADCAST: Mac = { hi: 0xffff, lo: -1 };
const NOBODY: Mac = { hi: 0, lo: 0 };
/** A super-frame is at most 64 KiB with its headers. */
const MAX_SUPER_PAYLOAD = 60_000;

export interface EndpointOptions extends NextHops {
  readonly name: string;
  readonly ip: number;
  /** Default: as CNI derives it from the address. */
  readonly mac?: Mac;
  readonly mtu: number;
  /** OFFLOAD_* bits of what its TAP takes and, so, what it sends. */
  readonly offload: number;
}

/** What an endpoint needs of the simulator. */
export interface EndpointWire {
  send(frame: Uint8Array, offload: Offload): void;
  after(ms: number, act: () => void): void;
  now(): number;
  readonly random: Random;
  violation(text: string): void;
}

export interface PingReply {
  readonly from: number;
  readonly seq: number;
  readonly ttl: number;
  readonly rttMs: number;
}

export interface Datagram {
  readonly from: number;
  readonly srcPort: number;
  readonly dstPort: number;
  readonly ttl: number;
  readonly payload: Uint8Array;
}

export interface IcmpError {
  readonly from: number;
  readonly type: number;
  readonly code: number;
  /** Of a "fragmentation needed". */
  readonly mtu: number;
}

export class Endpoint {
  readonly name: string;
  readonly ip: number;
  readonly mac: Mac;
  readonly offload: number;
  mtu: number;
  readonly replies: PingReply[] = [];
  readonly datagrams: Datagram[] = [];
  readonly errors: IcmpError[] = [];
  /** Frames that came in; super-frames among them. */
  frames = 0;
  superFrames = 0;
  /** Packets dropped for a wrong checksum. */
  badChecksums = 0;
  /** Resets sent to segments of no stream. */
  resets = 0;
  /** Ports that take UDP; a datagram for another is answered by an ICMP error. Undefined: all do. */
  udpPorts: Set<number> | undefined;

  readonly #wire: EndpointWire;
  readonly #neighbors: Neighbors;
  readonly #streams = new Map<string, Stream>();
  readonly #listeners = new Map<number, (stream: Stream, peer: number) => void>();
  readonly #answers = new Map<number, (asked: Datagram) => Uint8Array>();
  readonly #pings = new Map<string, number>();
  #id: number;
  #nextPort = 40_000;

  constructor(options: EndpointOptions, wire: EndpointWire) {
    this.name = options.name;
    this.ip = options.ip;
    this.mac = options.mac ?? macOfIpv4(options.ip);
    this.mtu = options.mtu;
    this.offload = options.offload;
    this.#wire = wire;
    this.#neighbors = new Neighbors(options, wire.after, (ip) =>
      this.#send(arpPacket(arp.REQUEST, BROADCAST, this.mac, this.ip, NOBODY, ip), NO_OFFLOAD),
    );
    this.#id = wire.random.int(65536);
  }

  // ---- what tests do with it -------------------------------------------------------------------------------------

  ping(to: number, options: { seq?: number; id?: number; ttl?: number; size?: number } = {}): void {
    const { seq = 1, id = 1, size = 56 } = options;
    this.#pings.set(`${id} ${seq}`, this.#wire.now());
    const data = Uint8Array.from({ length: size }, (_, i) => i & 255);
    const ip = { src: this.ip, dst: to, id: this.#nextId(), ttl: options.ttl };
    this.#route(icmpPacket(ip, icmp.ECHO_REQUEST, 0, (id << 16) | seq, data), NO_OFFLOAD);
  }

  sendUdp(
    to: number,
    dstPort: number,
    payload: Uint8Array,
    options: { srcPort?: number; ttl?: number; hasDf?: boolean } = {},
  ): void {
    const ip = { src: this.ip, dst: to, id: this.#nextId(), ttl: options.ttl, hasDf: options.hasDf };
    const isLeft = (this.offload & OFFLOAD_CSUM) !== 0;
    const packet = udpPacket(ip, options.srcPort ?? 5000, dstPort, payload, isLeft);
    this.#route(packet, isLeft ? left(ipv4.UDP) : NO_OFFLOAD);
  }

  /** Datagrams of `size` bytes each in one super-frame, where the endpoint has USO. */
  sendUdpBurst(to: number, dstPort: number, payload: Uint8Array, size: number, srcPort = 5000): void {
    if ((this.offload & OFFLOAD_USO) === 0) {
      for (let at = 0; at < payload.length; at += size)
        this.sendUdp(to, dstPort, payload.slice(at, at + size), { srcPort });
      return;
    }
    const packet = udpPacket({ src: this.ip, dst: to, id: this.#nextId() }, srcPort, dstPort, payload, true);
    this.#route(packet, left(ipv4.UDP, virtioNet.GSO_UDP_L4, size));
  }

  /** Take streams at a port; `accept` is told whose. */
  listen(port: number, accept: (stream: Stream, peer: number) => void): void {
    this.#listeners.set(port, accept);
  }

  /** Answer each datagram to a port. */
  answerUdp(port: number, answer: (asked: Datagram) => Uint8Array): void {
    this.#answers.set(port, answer);
  }

  connect(to: number, port: number): Stream {
    return this.#stream(to, port, this.#nextPort++);
  }

  /** Say who one is, as an address that has just come up does. */
  announce(): void {
    this.#send(arpPacket(arp.REQUEST, BROADCAST, this.mac, this.ip, NOBODY, this.ip), NO_OFFLOAD);
  }

  // ---- frames in ---------------------------------------------------------------------------------------------------

  /** A frame from the TAP. It is the endpoint's from now on. */
  receive(frame: Uint8Array, offload: Offload): void {
    this.frames++;
    const packet = packetOf(frame);
    const { v } = packet;
    if (packet.len < ethernet.HEADER_LEN) return this.#wire.violation(`${this.name} got a runt`);
    const isMine =
      ethernet.isGroup(v, L2) ||
      (ethernet.dstHi(v, L2) === this.mac.hi && ethernet.dstLo(v, L2) === this.mac.lo);
    if (!isMine) return;
    const type = ethernet.type(v, L2);
    if (type === ethernet.TYPE_ARP) this.#receiveArp(packet);
    else if (type === ethernet.TYPE_IPV4) this.#receiveIpv4(packet, offload);
  }

  #receiveArp(packet: Packet): void {
    const { v } = packet;
    if (!arp.check(v, L3, packet.len - ethernet.HEADER_LEN)) return;
    const from = { hi: arp.senderMacHi(v, L3), lo: arp.senderMacLo(v, L3) };
    const sender = arp.senderIp(v, L3);
    if (sender !== 0 && arp.targetIp(v, L3) === this.ip) this.#neighbors.learn(sender, from);
    if (arp.op(v, L3) === arp.REQUEST && arp.targetIp(v, L3) === this.ip && sender !== this.ip)
      this.#send(arpPacket(arp.REPLY, from, this.mac, this.ip, from, sender), NO_OFFLOAD);
  }

  #receiveIpv4(packet: Packet, offload: Offload): void {
    const { v, b } = packet;
    const room = packet.len - ethernet.HEADER_LEN;
    if (!ipv4.check(v, L3, room) || !ipv4.isChecksumRight(b, L3))
      return this.#wire.violation(`${this.name} got a bad IPv4 header`);
    packet.len = ethernet.HEADER_LEN + ipv4.totalLen(v, L3);
    if (offload.gsoType !== virtioNet.GSO_NONE) this.superFrames++;
    const wrong = whatIsWrong(packet, offload, this);
    if (wrong !== undefined) return this.#wire.violation(`${this.name} got ${wrong}`);
    if (ipv4.dst(v, L3) !== this.ip || ipv4.isFragment(v, L3)) return;
    const l4 = L3 + ipv4.headerLen(v, L3);
    if ((offload.flags & virtioNet.NEEDS_CSUM) === 0 && !isChecksumRight(packet, l4)) {
      this.badChecksums++;
      return;
    }
    const proto = ipv4.proto(v, L3);
    if (proto === ipv4.TCP) this.#receiveTcp(packet, l4);
    else if (proto === ipv4.UDP) this.#receiveUdp(packet, l4, offload);
    else if (proto === ipv4.ICMP) this.#receiveIcmp(packet, l4);
  }

  #receiveIcmp(packet: Packet, l4: number): void {
    const { v } = packet;
    const from = ipv4.src(v, L3);
    const type = icmp.type(v, l4);
    const data = bytesAt(packet, l4 + icmp.HEADER_LEN, packet.len + L2 - l4 - icmp.HEADER_LEN);
    if (type === icmp.ECHO_REQUEST) {
      const ip = { src: this.ip, dst: from, id: this.#nextId() };
      this.#route(icmpPacket(ip, icmp.ECHO_REPLY, 0, v.getInt32(l4 + 4), data), NO_OFFLOAD);
    } else if (type === icmp.ECHO_REPLY) {
      const sentAt = this.#pings.get(`${icmp.id(v, l4)} ${icmp.seq(v, l4)}`);
      if (sentAt !== undefined)
        this.replies.push({
          from,
          seq: icmp.seq(v, l4),
          ttl: ipv4.ttl(v, L3),
          rttMs: this.#wire.now() - sentAt,
        });
    } else if (icmp.isError(type)) {
      const code = icmp.code(v, l4);
      const mtu = icmp.mtu(v, l4);
      this.errors.push({ from, type, code, mtu });
      if (type === icmp.UNREACHABLE && code === icmp.FRAGMENTATION_NEEDED) this.#shrink(data, mtu);
    }
  }

  /** A quoted packet was too large: its stream makes smaller segments. */
  #shrink(quoted: Uint8Array, mtu: number): void {
    if (quoted.length < 24 || quoted[9] !== ipv4.TCP) return;
    const q = new DataView(quoted.buffer, quoted.byteOffset);
    const at = (q.getUint8(0) & 15) * 4;
    const stream = this.#streams.get(key(q.getInt32(16), q.getUint16(at + 2), q.getUint16(at)));
    stream?.limitMss(mtu - ipv4.MIN_HEADER_LEN - tcp.MIN_HEADER_LEN);
  }

  #receiveUdp(packet: Packet, l4: number, offload: Offload): void {
    const { v } = packet;
    const data = l4 + udp.HEADER_LEN;
    const len = udp.length(v, l4) - udp.HEADER_LEN;
    const from = ipv4.src(v, L3);
    const srcPort = udp.srcPort(v, l4);
    const dstPort = udp.dstPort(v, l4);
    if (this.udpPorts && !this.udpPorts.has(dstPort)) {
      const quoted = bytesAt(packet, L3, Math.min(packet.len - ethernet.HEADER_LEN, 28));
      const ip = { src: this.ip, dst: from, id: this.#nextId() };
      this.#route(icmpPacket(ip, icmp.UNREACHABLE, icmp.PORT_UNREACHABLE, 0, quoted), NO_OFFLOAD);
      return;
    }
    const step = offload.gsoType === virtioNet.GSO_UDP_L4 ? offload.gsoSize : Math.max(len, 1);
    for (let at = 0; at < len || at === 0; at += step) {
      const payload = bytesAt(packet, data + at, Math.min(step, len - at));
      const datagram = { from, srcPort, dstPort, ttl: ipv4.ttl(v, L3), payload };
      this.datagrams.push(datagram);
      const answer = this.#answers.get(dstPort);
      if (answer) this.sendUdp(from, srcPort, answer(datagram), { srcPort: dstPort });
    }
  }

  #receiveTcp(packet: Packet, l4: number): void {
    const { v } = packet;
    const from = ipv4.src(v, L3);
    const srcPort = tcp.srcPort(v, l4);
    const dstPort = tcp.dstPort(v, l4);
    const data = l4 + tcp.headerLen(v, l4);
    const segment: Segment = {
      seq: tcp.seq(v, l4),
      ack: tcp.ack(v, l4),
      flags: tcp.flags(v, l4),
      payload: bytesAt(packet, data, packet.len + L2 - data),
    };
    const stream = this.#streams.get(key(from, srcPort, dstPort));
    const accept = this.#listeners.get(dstPort);
    if (stream) stream.receive(segment);
    else if (accept && (segment.flags & (tcp.SYN | tcp.ACK | tcp.RST)) === tcp.SYN)
      accept(this.#stream(from, srcPort, dstPort, segment), from);
    else if ((segment.flags & tcp.RST) === 0) {
      this.resets++;
      this.#sendTcp(from, dstPort, srcPort, segment.ack, 0, tcp.RST, new Uint8Array(0), 536);
    }
  }

  #stream(peer: number, peerPort: number, port: number, syn?: Segment): Stream {
    const wire = {
      send: (seq: number, ack: number, flags: number, payload: Uint8Array, mss: number) =>
        this.#sendTcp(peer, port, peerPort, seq, ack, flags, payload, mss),
      after: this.#wire.after,
      now: this.#wire.now,
    };
    const mss = this.mtu - ipv4.MIN_HEADER_LEN - tcp.MIN_HEADER_LEN;
    const maxPayload = (this.offload & OFFLOAD_TSO) === 0 ? mss : MAX_SUPER_PAYLOAD;
    const stream = new Stream(wire, this.#wire.random.int(2 ** 32), mss, maxPayload, syn);
    this.#streams.set(key(peer, peerPort, port), stream);
    return stream;
  }

  // ---- frames out --------------------------------------------------------------------------------------------------

  #sendTcp(
    dst: number,
    srcPort: number,
    dstPort: number,
    seq: number,
    ack: number,
    flags: number,
    payload: Uint8Array,
    mss: number,
  ): void {
    const ip = { src: this.ip, dst, id: this.#nextId(), hasDf: true };
    const isLeft = (this.offload & OFFLOAD_CSUM) !== 0;
    const packet = tcpPacket(ip, { srcPort, dstPort, seq, ack, flags }, payload, isLeft);
    const isSuper = payload.length > mss;
    if (isSuper) this.#id += Math.ceil(payload.length / mss);
    const offload = isSuper ? left(ipv4.TCP, virtioNet.GSO_TCPV4, mss) : left(ipv4.TCP);
    this.#route(packet, isLeft ? offload : NO_OFFLOAD);
  }

  #nextId(): number {
    this.#id = (this.#id + 1) & 0xffff;
    return this.#id;
  }

  /** Send a packet to its next hop, which is asked for if need be. */
  #route(packet: Packet, offload: Offload): void {
    this.#neighbors.find(ipv4.dst(packet.v, L3), (mac) => this.#sendTo(mac, packet, offload));
  }

  #sendTo(mac: Mac, packet: Packet, offload: Offload): void {
    ethernet.setDst(packet.v, L2, mac.hi, mac.lo);
    ethernet.setSrc(packet.v, L2, this.mac.hi, this.mac.lo);
    this.#send(packet, offload);
  }

  #send(packet: Packet, offload: Offload): void {
    this.#wire.send(bytesOfPacket(packet), offload);
  }

  toString(): string {
    return `${this.name} (${formatIpv4(this.ip)})`;
  }
}

const key = (peer: number, peerPort: number, port: number): string => `${peer} ${peerPort} ${port}`;
