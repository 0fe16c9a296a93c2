/**
 * Frames from the tunnel: inner checksums verified, consecutive TCP segments merged. The mirror of `cut.ts`.
 *
 * The rule (a checksum is never written over bytes that were not verified):
 *
 * | the checksum field is              | then                                                                       |
 * |---                                 |---                                                                         |
 * | right                              | mark good; a TCP segment may be merged                                     |
 * | the folded pseudo header sum       | a kernel peer left it unfinished: mark so; longer than the MTU: a super-frame |
 * | anything else                      | pass on unmerged and unmarked: the receiver drops it and counts it         |
 *
 * A segment joins the open super-frame of its flow when it is the next of its stream and differs in nothing else: addresses,
 * ports, acknowledgement, window, options, TTL, TOS, flags but PSH. PSH, a short segment, or 64 KiB end it. RFC 9293 §3.1.
 *
 * Streams come interleaved, so {@link MAX_OPEN} flows have a super-frame open at a time. Order within a flow is kept: what
 * does not join ends the open super-frame of its flow before it gets a row of its own. What has no flow that we can tell
 * (fragments, a broken TCP header) ends all.
 */
import type { Dataplane } from '../dataplane/dataplane.js';
import { CSUM_GOOD, CSUM_PARTIAL, GSO_TCPV4, GSO_UDP_L4 } from '../dataplane/frames.js';
import { finish, fold, load, pseudoIpv4, store, sum } from '../wire/checksum.js';
import * as ethernet from '../wire/ethernet.js';
import * as ipv4 from '../wire/ipv4.js';
import * as tcp from '../wire/tcp.js';
import * as udp from '../wire/udp.js';

/** A super-frame's IP packet is at most 64 KiB; its pieces must fit into one message of the outbox. */
const MAX_PIECES = 120;
/** Flows that may have a super-frame open: as many as the kernel's own GRO keeps for a hash value. */
const MAX_OPEN = 8;

/** @param add  makes a row for a frame: port, offset, length */
export function createGro(dp: Dataplane, add: (port: number, l2: number, len: number) => number) {
  const { frames, ports } = dp;
  const { v, b } = frames;
  /** Super-frames that may still grow, in places 0 .. openCount-1: the row of each, the sequence number that it waits for,
   *  payload bytes so far, bytes of all headers, and its latest piece. */
  const row = new Int32Array(MAX_OPEN);
  const nextSeq = new Int32Array(MAX_OPEN);
  const payloadLen = new Int32Array(MAX_OPEN);
  const headerLen = new Int32Array(MAX_OPEN);
  const lastPiece = new Int32Array(MAX_OPEN);
  let openCount = 0;

  function receive(port: number, l2: number, len: number): void {
    const l3 = l2 + ethernet.HEADER_LEN;
    const room = len - ethernet.HEADER_LEN;
    if (
      room < ipv4.MIN_HEADER_LEN ||
      ethernet.type(v, l2) !== ethernet.TYPE_IPV4 ||
      !ipv4.check(v, l3, room) ||
      ipv4.isFragment(v, l3)
    ) {
      addAlone(port, l2, len);
      return;
    }
    const proto = ipv4.proto(v, l3);
    const l4 = l3 + ipv4.headerLen(v, l3);
    const l4Len = ipv4.totalLen(v, l3) - (l4 - l3);
    if (proto === ipv4.TCP && tcp.check(v, l4, l4Len)) {
      const pseudo = pseudoIpv4(b, l3, proto, l4Len);
      if (finish(pseudo + sum(b, l4, l4Len)) !== 0) {
        closeAt(find(l3, l4));
        unfinished(add(port, l2, len), l4, l4Len, tcp.CHECKSUM, fold(pseudo));
        return;
      }
      receiveTcp(port, l2, l3, l4, l4Len, len);
    } else if (proto === ipv4.UDP && udp.check(v, l4, l4Len) && udp.length(v, l4) === l4Len) {
      const f = add(port, l2, len);
      // 0: the sender made none. RFC 768.
      if (load(b, l4 + udp.CHECKSUM) === 0) return;
      const pseudo = pseudoIpv4(b, l3, proto, l4Len);
      if (finish(pseudo + sum(b, l4, l4Len)) === 0) frames.csum[f] = CSUM_GOOD;
      else unfinished(f, l4, l4Len, udp.CHECKSUM, fold(pseudo));
    } else addAlone(port, l2, len);
  }

  function addAlone(port: number, l2: number, len: number): number {
    close();
    return add(port, l2, len);
  }

  /** The place of a flow's open super-frame, or -1. */
  function find(l3: number, l4: number): number {
    for (let i = 0; i < openCount; i++) {
      const f = row[i]!;
      const l4First = frames.l4[f]!;
      const l3First = frames.l2[f]! + ethernet.HEADER_LEN;
      if (
        v.getInt32(l4) === v.getInt32(l4First) &&
        v.getInt32(l3 + 12) === v.getInt32(l3First + 12) &&
        v.getInt32(l3 + 16) === v.getInt32(l3First + 16)
      )
        return i;
    }
    return -1;
  }

  /** A checksum that is not right: left unfinished by a kernel peer, or broken. */
  function unfinished(f: number, l4: number, l4Len: number, offset: number, partial: number): void {
    if (load(b, l4 + offset) !== partial) return;
    const l2 = frames.l2[f]!;
    frames.csum[f] = CSUM_PARTIAL;
    frames.csumStart[f] = l4;
    frames.csumOffset[f] = offset;
    const headers =
      l4 - l2 - ethernet.HEADER_LEN + (offset === tcp.CHECKSUM ? tcp.headerLen(v, l4) : udp.HEADER_LEN);
    const mtu = ports.mtu[frames.inPort[f]!]!;
    if (l4 - l2 - ethernet.HEADER_LEN + l4Len <= mtu || mtu <= headers) return;
    frames.gso[f] = offset === tcp.CHECKSUM ? GSO_TCPV4 : GSO_UDP_L4;
    frames.gsoSize[f] = mtu - headers;
  }

  function receiveTcp(port: number, l2: number, l3: number, l4: number, l4Len: number, len: number): void {
    const tcpLen = tcp.headerLen(v, l4);
    const payload = l4Len - tcpLen;
    const flags = tcp.flags(v, l4);
    const isData = payload > 0 && (flags & ~tcp.PSH) === tcp.ACK && l4 - l3 === ipv4.MIN_HEADER_LEN;
    const place = find(l3, l4);
    if (isData && place >= 0 && isNext(place, port, l2, l3, l4, tcpLen, payload)) {
      const f = row[place]!;
      const piece = frames.pieceCount++;
      frames.pieceAt[piece] = l4 + tcpLen;
      frames.pieceLen[piece] = payload;
      if (frames.pieces[f] === 0) frames.firstPiece[f] = piece;
      else frames.pieceNext[lastPiece[place]!] = piece;
      lastPiece[place] = piece;
      frames.pieces[f] = frames.pieces[f]! + 1;
      frames.len[f] = frames.len[f]! + payload;
      payloadLen[place] = payloadLen[place]! + payload;
      nextSeq[place] = nextSeq[place]! + payload;
      const first = frames.l4[f]!;
      if ((flags & tcp.PSH) !== 0) tcp.setFlags(v, first, tcp.flags(v, first) | tcp.PSH);
      if ((flags & tcp.PSH) !== 0 || payload < frames.gsoSize[f]!) closeAt(place);
      return;
    }
    closeAt(place);
    const f = add(port, l2, len);
    frames.csum[f] = CSUM_GOOD;
    if (!isData || (flags & tcp.PSH) !== 0 || len !== l4 - l2 + l4Len) return;
    if (openCount === MAX_OPEN) closeAt(0);
    const i = openCount++;
    row[i] = f;
    headerLen[i] = l4 - l2 + tcpLen;
    payloadLen[i] = payload;
    nextSeq[i] = v.getInt32(l4 + 4) + payload;
    frames.l4[f] = l4;
    frames.gsoSize[f] = payload;
  }

  /** Whether a data segment continues the open super-frame of its flow. */
  function isNext(
    place: number,
    port: number,
    l2: number,
    l3: number,
    l4: number,
    tcpLen: number,
    payload: number,
  ): boolean {
    const f = row[place]!;
    const l2First = frames.l2[f]!;
    const l3First = l2First + ethernet.HEADER_LEN;
    const l4First = frames.l4[f]!;
    if (
      v.getInt32(l4 + 4) !== nextSeq[place] ||
      frames.inPort[f] !== port ||
      l4 - l2 + tcpLen !== headerLen[place] ||
      payload > frames.gsoSize[f]! ||
      headerLen[place]! - ethernet.HEADER_LEN + payloadLen[place]! + payload > ipv4.MAX_LEN ||
      frames.pieces[f]! >= MAX_PIECES ||
      frames.pieceCount >= frames.pieceAt.length ||
      v.getInt32(l4 + 8) !== v.getInt32(l4First + 8) ||
      v.getUint16(l4 + 14) !== v.getUint16(l4First + 14) ||
      v.getUint16(l3) !== v.getUint16(l3First) ||
      v.getUint16(l3 + 6) !== v.getUint16(l3First + 6) ||
      v.getUint16(l3 + 8) !== v.getUint16(l3First + 8)
    )
      return false;
    for (let i = tcp.MIN_HEADER_LEN; i < tcpLen; i += 4)
      if (v.getInt32(l4 + i) !== v.getInt32(l4First + i)) return false;
    return (
      ethernet.dstLo(v, l2) === ethernet.dstLo(v, l2First) &&
      ethernet.srcLo(v, l2) === ethernet.srcLo(v, l2First)
    );
  }

  /** Finish all open super-frames. */
  function close(): void {
    while (openCount > 0) closeAt(openCount - 1);
  }

  /** Finish an open super-frame: its headers tell its new length, its checksum is left to the receiver's kernel. */
  function closeAt(place: number): void {
    if (place < 0) return;
    const f = row[place]!;
    const l4Len = headerLen[place]! - (frames.l4[f]! - frames.l2[f]!) + payloadLen[place]!;
    // The places behind move up, so that the first is the one that was opened first.
    openCount--;
    for (let i = place; i < openCount; i++) {
      row[i] = row[i + 1]!;
      nextSeq[i] = nextSeq[i + 1]!;
      payloadLen[i] = payloadLen[i + 1]!;
      headerLen[i] = headerLen[i + 1]!;
      lastPiece[i] = lastPiece[i + 1]!;
    }
    if (frames.pieces[f] === 0) {
      frames.gsoSize[f] = 0;
      return;
    }
    const l3 = frames.l2[f]! + ethernet.HEADER_LEN;
    const l4 = frames.l4[f]!;
    v.setUint16(l3 + 2, l4 - l3 + l4Len);
    ipv4.writeChecksum(b, l3);
    store(b, l4 + tcp.CHECKSUM, fold(pseudoIpv4(b, l3, ipv4.TCP, l4Len)));
    frames.gso[f] = GSO_TCPV4;
    frames.csum[f] = CSUM_PARTIAL;
    frames.csumStart[f] = l4;
    frames.csumOffset[f] = tcp.CHECKSUM;
  }

  return { receive, close };
}
