/**
 * Egress: a frame that may leave becomes bytes for its port.
 *
 * | frame                | to a TAP                                             | to the tunnel                        |
 * |---                   |---                                                   |---                                   |
 * | super-frame          | whole, where the receiver takes it; else cut         | cut                                  |
 * | unfinished checksum  | left so, where the receiver finishes it; else here   | finished here                        |
 * | small datagrams      | equal ones of a flow collected into one super-frame  | equal ones collected for one system call |
 *
 * A captured port sends one datagram at a time, so that a capture shows what is sent.
 */
import type { Dataplane } from '../dataplane/dataplane.js';
import { CSUM_AS_IS, CSUM_GOOD, CSUM_PARTIAL, GSO_NONE, GSO_TCPV4, GSO_UDP_L4 } from '../dataplane/frames.js';
import { avalanche, mix } from '../tables/hash-index.js';
import { DROP_NO_ROOM } from '../dataplane/verdict.js';
import {
  OFFLOAD_CSUM,
  OFFLOAD_TSO,
  OFFLOAD_USO,
  PORT_CAPTURED,
  PORT_POD,
  PORT_TUNNEL,
} from '../tables/ports.js';
import { finish, fold, pseudoIpv4, store, sum } from '../wire/checksum.js';
import * as ethernet from '../wire/ethernet.js';
import * as ipv4 from '../wire/ipv4.js';
import * as udp from '../wire/udp.js';
import * as virtioNet from '../wire/virtio-net.js';
import * as vxlan from '../wire/vxlan.js';
import { createCutter, headersLen } from './cut.js';
import type { Driver } from './host.js';
import { IOVS, MAX_DATAGRAM, MAX_SEGMENTS, type Outbox } from './outbox.js';

export interface Egress {
  /** A frame leaves by a port. */
  forward(f: number, port: number): void;
  /** A frame leaves by all bridged ports of its segment but the one it came in by. */
  flood(f: number): void;
  /** Send all that was begun. */
  flush(): void;
}

const NONE = -1;
/** Ethernet, IPv4 without options, UDP. */
const UDP_HEADERS = ethernet.HEADER_LEN + ipv4.MIN_HEADER_LEN + udp.HEADER_LEN;

export function createEgress(dp: Dataplane, outbox: Outbox, driver: Driver, sockets: number): Egress {
  const { frames, ports, counters } = dp;
  const { v, b } = frames;
  /** The message that may still grow: by port (TAP) and by socket (tunnel). */
  const openTap = new Int32Array(ports.capacity).fill(NONE);
  const openTunnel = new Int32Array(sockets).fill(NONE);
  const cutter = createCutter(frames, outbox);

  function flush(): void {
    if (outbox.count === 0) return;
    for (let m = 0; m < outbox.count; m++) {
      const port = outbox.port[m]!;
      if (openTap[port] === m) openTap[port] = NONE;
      if (outbox.segments[m]! > 1 && ports.kind[port] !== PORT_TUNNEL) finishUso(m);
    }
    openTunnel.fill(NONE);
    driver.send(outbox);
    outbox.reset();
  }

  /** Room for a message and its headers; what is there already is sent if need be. */
  function makeRoom(bytes: number): void {
    if (!outbox.hasRoom(1, bytes + 8)) flush();
  }

  function forward(f: number, port: number): void {
    const len = frames.len[f]!;
    counters.txPackets[port]! += frames.packets[f]!;
    counters.txBytes[port]! += len;
    if (ports.kind[port] === PORT_TUNNEL) toTunnel(f, port);
    else toTap(f, port, false);
  }

  function flood(f: number): void {
    const segment = frames.segment[f]!;
    const inPort = frames.inPort[f]!;
    // One finished checksum serves every receiver, whatever it offloads.
    if (frames.gso[f] === GSO_NONE) finishChecksum(f);
    for (let port = 1; port < ports.capacity; port++) {
      if (ports.kind[port] !== PORT_POD || ports.segment[port] !== segment || port === inPort) continue;
      counters.txPackets[port]! += frames.packets[f]!;
      counters.txBytes[port]! += frames.len[f]!;
      toTap(f, port, true);
    }
  }

  /** Do what the sender's kernel left undone. Once done, the frame's column says so. */
  function finishChecksum(f: number): void {
    if (frames.csum[f] !== CSUM_PARTIAL) return;
    const start = frames.csumStart[f]!;
    const field = start + frames.csumOffset[f]!;
    const checksum = finish(sum(b, start, frames.l2[f]! + frames.len[f]! - start));
    const isUdp = frames.csumOffset[f] === udp.CHECKSUM;
    storeAny(field, checksum === 0 && isUdp ? 0xffff : checksum);
    frames.csum[f] = CSUM_GOOD;
  }

  /** A checksum field that a pod's own tunnel may have put at an odd offset. */
  function storeAny(at: number, value: number): void {
    b.u8[at] = value & 255;
    b.u8[at + 1] = value >>> 8;
  }

  // ---- to a TAP ------------------------------------------------------------------------------------------------

  function toTap(f: number, port: number, isShared: boolean): void {
    const offload = ports.offload[port]!;
    const gso = frames.gso[f]!;
    if (gso !== GSO_NONE) {
      const needed = gso === GSO_TCPV4 ? OFFLOAD_TSO : OFFLOAD_USO;
      if ((offload & needed) !== 0) whole(f, port, isShared);
      else cutToTap(f, port);
      return;
    }
    if ((offload & OFFLOAD_CSUM) === 0) finishChecksum(f);
    if (
      (offload & OFFLOAD_USO) !== 0 &&
      (ports.flags[port]! & PORT_CAPTURED) === 0 &&
      !isShared &&
      isCollectable(f)
    ) {
      if (!joinUso(f, port)) beginUso(f, port);
      return;
    }
    whole(f, port, isShared);
  }

  /** A frame as it is, its virtio header in front of it. */
  function whole(f: number, port: number, isShared: boolean): void {
    makeRoom(virtioNet.HEADER_LEN);
    const m = outbox.begin(port);
    openTap[port] = NONE;
    const l2 = frames.l2[f]!;
    const isInPlace = !isShared && frames.headroom[f]! >= virtioNet.HEADER_LEN;
    const at = isInPlace ? l2 - virtioNet.HEADER_LEN : outbox.take(virtioNet.HEADER_LEN, 0);
    writeVirtio(f, at, ports.offload[port]!);
    if (isInPlace) outbox.add(m, at, virtioNet.HEADER_LEN + frames.headLen[f]!);
    else {
      outbox.add(m, at, virtioNet.HEADER_LEN);
      outbox.add(m, l2, frames.headLen[f]!);
    }
    for (let n = frames.pieces[f]!, i = frames.firstPiece[f]!; n > 0; n--, i = frames.pieceNext[i]!)
      outbox.add(m, frames.pieceAt[i]!, frames.pieceLen[i]!);
    outbox.segments[m] = 1;
    outbox.packets[m] = frames.packets[f]!;
  }

  function writeVirtio(f: number, at: number, offload: number): void {
    const csum = frames.csum[f]!;
    if (csum !== CSUM_PARTIAL) {
      // "Verified" is for a receiver that asked for checksums to be its business at all.
      const flags = csum === CSUM_GOOD && (offload & OFFLOAD_CSUM) !== 0 ? virtioNet.DATA_VALID : 0;
      virtioNet.write(v, at, flags, 0, 0, 0, 0, 0);
      return;
    }
    const gso = frames.gso[f]!;
    const headers = gso === GSO_NONE ? 0 : headersLen(frames, f);
    const start = frames.csumStart[f]! - frames.l2[f]!;
    virtioNet.write(
      v,
      at,
      virtioNet.NEEDS_CSUM,
      gso,
      headers,
      frames.gsoSize[f]!,
      start,
      frames.csumOffset[f]!,
    );
  }

  function cutToTap(f: number, port: number): void {
    cutter.begin(f);
    const { headers, payload } = cutter;
    const size = frames.gsoSize[f]!;
    const prefix = virtioNet.HEADER_LEN;
    for (let from = 0, i = 0; from < payload || i === 0; from += size, i++) {
      const len = Math.min(size, payload - from);
      makeRoom(prefix + headers);
      const m = outbox.begin(port);
      openTap[port] = NONE;
      const at = outbox.take(prefix + headers, 0);
      const flags = (ports.offload[port]! & OFFLOAD_CSUM) !== 0 ? virtioNet.DATA_VALID : 0;
      virtioNet.write(v, at, flags, 0, 0, 0, 0, 0);
      cutter.segment(m, at, prefix, from, len, i);
      outbox.segments[m] = 1;
      outbox.packets[m] = 1;
    }
  }

  // ---- small datagrams of one flow, collected for a TAP ----------------------------------------------------------

  /** A whole UDP datagram without IP options whose checksum is verified or left to us. */
  function isCollectable(f: number): boolean {
    return (
      frames.proto[f] === ipv4.UDP &&
      frames.etherType[f] === ethernet.TYPE_IPV4 &&
      frames.csum[f] !== CSUM_AS_IS &&
      frames.l4[f]! - frames.l3[f]! === ipv4.MIN_HEADER_LEN &&
      !ipv4.isFragment(v, frames.l3[f]!) &&
      // A pod's own tunnel leaves the checksum of what it carries, not of the datagram.
      (frames.csum[f] !== CSUM_PARTIAL || frames.csumStart[f] === frames.l4[f]) &&
      frames.len[f]! > UDP_HEADERS &&
      // Bytes behind the datagram are no data: collecting would make them so.
      udp.length(v, frames.l4[f]!) === frames.len[f]! - (UDP_HEADERS - udp.HEADER_LEN)
    );
  }

  /** A datagram alone, so far: its headers lie where they can be rewritten when more join. */
  function beginUso(f: number, port: number): void {
    makeRoom(virtioNet.HEADER_LEN + UDP_HEADERS);
    const m = outbox.begin(port);
    const l2 = frames.l2[f]!;
    let at = l2 - virtioNet.HEADER_LEN;
    if (frames.headroom[f]! >= virtioNet.HEADER_LEN) outbox.add(m, at, virtioNet.HEADER_LEN + frames.len[f]!);
    else {
      at = outbox.take(virtioNet.HEADER_LEN + UDP_HEADERS, 0);
      b.u8.copyWithin(at + virtioNet.HEADER_LEN, l2, l2 + UDP_HEADERS);
      outbox.add(m, at, virtioNet.HEADER_LEN + UDP_HEADERS);
      outbox.add(m, l2 + UDP_HEADERS, frames.len[f]! - UDP_HEADERS);
    }
    writeVirtio(f, at, ports.offload[port]!);
    outbox.segments[m] = 1;
    outbox.packets[m] = 1;
    outbox.frame[m] = f;
    openTap[port] = m;
  }

  /** Add a datagram to the open message of its port, if it is the next of the same flow. */
  function joinUso(f: number, port: number): boolean {
    const m = openTap[port]!;
    if (m === NONE || outbox.isClosed[m] !== 0) return false;
    const first = outbox.frame[m]!;
    const payload = frames.len[f]! - UDP_HEADERS;
    const size = frames.len[first]! - UDP_HEADERS;
    const l2 = frames.l2[f]!;
    const l2First = frames.l2[first]!;
    if (
      frames.ports[f] !== frames.ports[first] ||
      frames.s3[f] !== frames.s3[first] ||
      frames.d3[f] !== frames.d3[first] ||
      payload > size ||
      outbox.segments[m]! >= MAX_SEGMENTS ||
      outbox.bytes[m]! + payload > MAX_DATAGRAM ||
      // TOS, flags and TTL
      v.getUint8(l2 + 15) !== v.getUint8(l2First + 15) ||
      v.getUint16(l2 + 20) !== v.getUint16(l2First + 20) ||
      v.getUint8(l2 + 22) !== v.getUint8(l2First + 22)
    )
      return false;
    outbox.add(m, l2 + UDP_HEADERS, payload);
    outbox.segments[m] = outbox.segments[m]! + 1;
    outbox.packets[m] = outbox.packets[m]! + 1;
    if (payload < size) outbox.isClosed[m] = 1;
    return true;
  }

  /** The headers of collected datagrams: those of the first, with the length of all. */
  function finishUso(m: number): void {
    const f = outbox.frame[m]!;
    const at = outbox.iovAt[m * IOVS]!;
    const l2 = at + virtioNet.HEADER_LEN;
    const l3 = l2 + ethernet.HEADER_LEN;
    const l4 = l3 + ipv4.MIN_HEADER_LEN;
    const size = frames.len[f]! - UDP_HEADERS;
    const l4Len = outbox.bytes[m]! - virtioNet.HEADER_LEN - (l4 - l2);
    v.setUint16(l3 + 2, ipv4.MIN_HEADER_LEN + l4Len);
    ipv4.writeChecksum(b, l3);
    udp.setLength(v, l4, l4Len);
    store(b, l4 + udp.CHECKSUM, fold(pseudoIpv4(b, l3, ipv4.UDP, l4Len)));
    virtioNet.write(v, at, virtioNet.NEEDS_CSUM, GSO_UDP_L4, UDP_HEADERS, size, l4 - l2, udp.CHECKSUM);
  }

  // ---- to the tunnel -------------------------------------------------------------------------------------------

  function toTunnel(f: number, port: number): void {
    const socket = spread(f) & (sockets - 1);
    const vtep = frames.vtep[f]!;
    const vni = ports.vni[port]!;
    if (frames.gso[f] !== GSO_NONE) {
      cutter.begin(f);
      const { headers, payload } = cutter;
      const size = frames.gsoSize[f]!;
      const pieces = frames.pieces[f] === 0 ? 2 : 3 + frames.pieces[f]!;
      for (let from = 0, i = 0; from < payload || i === 0; from += size, i++) {
        const len = Math.min(size, payload - from);
        const m = datagram(
          port,
          vtep,
          socket,
          vxlan.HEADER_LEN + headers + len,
          pieces,
          vxlan.HEADER_LEN + headers,
        );
        // A segment's IP header lies on a multiple of 4.
        const at = outbox.take(vxlan.HEADER_LEN + headers, 2);
        vxlan.write(v, at, vni);
        cutter.segment(m, at, vxlan.HEADER_LEN, from, len, i);
      }
      return;
    }
    finishChecksum(f);
    const len = frames.len[f]!;
    if (len + vxlan.HEADER_LEN > MAX_DATAGRAM) {
      counters.drops[-DROP_NO_ROOM]!++;
      return;
    }
    const m = datagram(port, vtep, socket, vxlan.HEADER_LEN + len, 2, vxlan.HEADER_LEN);
    const l2 = frames.l2[f]!;
    if (frames.headroom[f]! >= vxlan.HEADER_LEN) {
      vxlan.write(v, l2 - vxlan.HEADER_LEN, vni);
      outbox.add(m, l2 - vxlan.HEADER_LEN, vxlan.HEADER_LEN + len);
    } else {
      const at = outbox.take(vxlan.HEADER_LEN, 0);
      vxlan.write(v, at, vni);
      outbox.add(m, at, vxlan.HEADER_LEN);
      outbox.add(m, l2, len);
    }
  }

  /**
   * What chooses the outer source port (RFC 7348 §5): a TCP flow's hash; for all else the two addresses alone, so that
   * fragments and the probes of a traceroute keep their order.
   */
  function spread(f: number): number {
    return frames.proto[f] === ipv4.TCP
      ? frames.flowHash[f]!
      : avalanche(mix(mix(0, frames.s3[f]!), frames.d3[f]!));
  }

  /** The message that takes a datagram of `bytes` to a peer: the socket's open one when it fits there, else a new one. */
  function datagram(
    port: number,
    vtep: number,
    socket: number,
    bytes: number,
    iovs: number,
    scratch: number,
  ): number {
    makeRoom(scratch);
    let m = openTunnel[socket]!;
    const fits =
      m !== NONE &&
      outbox.vtep[m] === vtep &&
      outbox.port[m] === port &&
      outbox.isClosed[m] === 0 &&
      bytes <= outbox.segmentSize[m]! &&
      outbox.segments[m]! < MAX_SEGMENTS &&
      outbox.bytes[m]! + bytes <= MAX_DATAGRAM &&
      outbox.iovs[m]! + iovs <= IOVS &&
      (ports.flags[port]! & PORT_CAPTURED) === 0;
    if (!fits) {
      m = outbox.begin(port);
      outbox.vtep[m] = vtep;
      outbox.socket[m] = socket;
      outbox.segmentSize[m] = bytes;
      openTunnel[socket] = m;
    }
    // UDP_SEGMENT: all of one size, but the last may be shorter.
    if (bytes < outbox.segmentSize[m]!) outbox.isClosed[m] = 1;
    outbox.segments[m] = outbox.segments[m]! + 1;
    outbox.packets[m] = outbox.packets[m]! + 1;
    return m;
  }

  return { forward, flood, flush };
}
