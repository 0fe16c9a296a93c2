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
 * A segment joins the open super-frame when it is the next of its stream and differs in nothing else: addresses, ports,
 * acknowledgement, window, options, TTL, TOS, flags but PSH. PSH, a short segment, or 64 KiB end it. RFC 9293 §3.1.
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

/** @param add  makes a row for a frame: port, offset, length */
export function createGro(dp: Dataplane, add: (port: number, l2: number, len: number) => number) {
  const { frames, ports } = dp;
  const { v, b } = frames;
  /** The super-frame that may still grow: its row, or -1; the sequence number it waits for, signed (a variable that
   *  closures share holds larger numbers on the heap); payload bytes so far. */
  let open = -1;
  let nextSeq = 0;
  let payloadLen = 0;
  let headerLen = 0;

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
        unfinished(addAlone(port, l2, len), l4, l4Len, tcp.CHECKSUM, fold(pseudo));
        return;
      }
      receiveTcp(port, l2, l3, l4, l4Len, len);
    } else if (proto === ipv4.UDP && udp.check(v, l4, l4Len) && udp.length(v, l4) === l4Len) {
      const f = addAlone(port, l2, len);
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
    if (isData && open >= 0 && isNext(port, l2, l3, l4, tcpLen, payload)) {
      const f = open;
      const piece = frames.pieceCount++;
      frames.pieceAt[piece] = l4 + tcpLen;
      frames.pieceLen[piece] = payload;
      frames.pieces[f] = frames.pieces[f]! + 1;
      frames.len[f] = frames.len[f]! + payload;
      payloadLen += payload;
      nextSeq = (nextSeq + payload) | 0;
      const first = frames.l4[f]!;
      if ((flags & tcp.PSH) !== 0) tcp.setFlags(v, first, tcp.flags(v, first) | tcp.PSH);
      if ((flags & tcp.PSH) !== 0 || payload < frames.gsoSize[f]!) close();
      return;
    }
    const f = addAlone(port, l2, len);
    frames.csum[f] = CSUM_GOOD;
    if (!isData || (flags & tcp.PSH) !== 0 || len !== l4 - l2 + l4Len) return;
    open = f;
    headerLen = l4 - l2 + tcpLen;
    payloadLen = payload;
    nextSeq = (v.getInt32(l4 + 4) + payload) | 0;
    frames.l4[f] = l4;
    frames.gsoSize[f] = payload;
    frames.firstPiece[f] = frames.pieceCount;
  }

  /** Whether a data segment continues the open super-frame. */
  function isNext(
    port: number,
    l2: number,
    l3: number,
    l4: number,
    tcpLen: number,
    payload: number,
  ): boolean {
    const f = open;
    const l2First = frames.l2[f]!;
    const l3First = l2First + ethernet.HEADER_LEN;
    const l4First = frames.l4[f]!;
    if (
      v.getInt32(l4 + 4) !== nextSeq ||
      v.getInt32(l4) !== v.getInt32(l4First) ||
      v.getInt32(l3 + 12) !== v.getInt32(l3First + 12) ||
      v.getInt32(l3 + 16) !== v.getInt32(l3First + 16) ||
      frames.inPort[f] !== port ||
      l4 - l2 + tcpLen !== headerLen ||
      payload > frames.gsoSize[f]! ||
      headerLen - ethernet.HEADER_LEN + payloadLen + payload > ipv4.MAX_LEN ||
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

  /** Finish the open super-frame: its headers tell its new length, its checksum is left to the receiver's kernel. */
  function close(): void {
    if (open < 0) return;
    const f = open;
    open = -1;
    if (frames.pieces[f] === 0) {
      frames.gsoSize[f] = 0;
      return;
    }
    const l3 = frames.l2[f]! + ethernet.HEADER_LEN;
    const l4 = frames.l4[f]!;
    v.setUint16(l3 + 2, headerLen - ethernet.HEADER_LEN + payloadLen);
    ipv4.writeChecksum(b, l3);
    store(
      b,
      l4 + tcp.CHECKSUM,
      fold(pseudoIpv4(b, l3, ipv4.TCP, headerLen - (l4 - frames.l2[f]!) + payloadLen)),
    );
    frames.gso[f] = GSO_TCPV4;
    frames.csum[f] = CSUM_PARTIAL;
    frames.csumStart[f] = l4;
    frames.csumOffset[f] = tcp.CHECKSUM;
  }

  return { receive, close };
}
