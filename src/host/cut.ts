/**
 * Cut a super-frame into the segments that it stands for, as a NIC with TSO or USO does.
 *
 * Headers are written afresh for each segment, into the scratch; payload is never copied, only pointed at. The checksum is
 * finished: payload is summed here, whoever verified it before (the sender's kernel, which left it unfinished, or `gro.ts`); of
 * the headers what differs between segments, the rest once a super-frame.
 *
 * TCP: sequence number and IP identification grow, FIN and PSH stay with the last segment, CWR with the first
 * (RFC 9293 §3.8; RFC 3168 §6.1.2). UDP: each segment is a datagram of its own.
 */
import type { Frames } from '../dataplane/frames.js';
import { GSO_TCPV4 } from '../dataplane/frames.js';
import { finish, fold, load, pseudoIpv4, store, sum, swap16, type Bytes } from '../wire/checksum.js';
import * as ipv4 from '../wire/ipv4.js';
import * as tcp from '../wire/tcp.js';
import * as udp from '../wire/udp.js';
import { IOVS, type Outbox } from './outbox.js';

/** Bytes of all headers of a super-frame, from `l2`. */
export function headersLen(frames: Frames, f: number): number {
  const l4 = frames.l4[f]!;
  return l4 - frames.l2[f]! + (frames.gso[f] === GSO_TCPV4 ? tcp.headerLen(frames.v, l4) : udp.HEADER_LEN);
}

export interface Cutter {
  /** Bytes of all headers of the super-frame, and of its payload. */
  headers: number;
  payload: number;
  /** Begin with a super-frame: what its segments have in common is summed once. */
  begin(f: number): void;
  /**
   * Add a segment to a message: its headers are written to `at`, behind `prefix` bytes that are the caller's, and its payload is
   * pointed at.
   *
   * @param from    first payload byte of the segment, counted from the super-frame's first
   * @param len     payload bytes of the segment
   * @param number  of the segment, from 0
   */
  segment(message: number, at: number, prefix: number, from: number, len: number, number: number): void;
}

export function createCutter(frames: Frames, outbox: Outbox): Cutter {
  const { v, b } = frames;
  /** The super-frame, and whether it is TCP's. */
  let f = 0;
  let isTcp = false;
  /** Folded sums of the IP header, and of TCP or UDP header and pseudo header, without what differs between segments. */
  let ipSum = 0;
  let l4Sum = 0;

  /** What takes a 16-bit field out of a sum. */
  const without = (at: number): number => 0xffff - load(b, at);

  /** Point a message at payload bytes `[from, from + len)`. @returns their sum, as if they lay behind an even offset */
  function addPayload(message: number, headers: number, from: number, len: number): number {
    if (frames.pieces[f] !== 0) {
      const first = outbox.iovs[message]!;
      addPieces(message, headers, from, len);
      return sumOf(b, outbox, message, first);
    }
    const at = frames.l2[f]! + headers + from;
    if (len > 0) outbox.add(message, at, len);
    return sum(b, at, len);
  }

  /** The same where the payload lies in several pieces, without the sum. */
  function addPieces(message: number, headers: number, from: number, len: number): void {
    const inHead = frames.headLen[f]! - headers;
    let skip = from;
    let left = len;
    if (skip < inHead) {
      const n = Math.min(inHead - skip, left);
      outbox.add(message, frames.l2[f]! + headers + skip, n);
      left -= n;
      skip = 0;
    } else skip -= inHead;
    for (let i = frames.firstPiece[f]!; left > 0; i = frames.pieceNext[i]!) {
      const pieceLen = frames.pieceLen[i]!;
      if (skip >= pieceLen) {
        skip -= pieceLen;
        continue;
      }
      const n = Math.min(pieceLen - skip, left);
      outbox.add(message, frames.pieceAt[i]! + skip, n);
      left -= n;
      skip = 0;
    }
  }

  return {
    headers: 0,
    payload: 0,
    begin(frame) {
      f = frame;
      isTcp = frames.gso[f] === GSO_TCPV4;
      const l3 = frames.l3[f]!;
      const l4 = frames.l4[f]!;
      this.headers = headersLen(frames, f);
      const l4HeaderLen = this.headers - (l4 - frames.l2[f]!);
      this.payload = frames.len[f]! - this.headers;
      ipSum = fold(
        sum(b, l3, l4 - l3) +
          without(l3 + ipv4.TOTAL_LEN) +
          without(l3 + ipv4.ID) +
          without(l3 + ipv4.CHECKSUM),
      );
      const common = pseudoIpv4(b, l3, isTcp ? ipv4.TCP : ipv4.UDP, 0) + sum(b, l4, l4HeaderLen);
      l4Sum = fold(
        isTcp
          ? common +
              without(l4 + tcp.SEQ) +
              without(l4 + tcp.SEQ + 2) +
              without(l4 + tcp.OFFSET_AND_FLAGS) +
              without(l4 + tcp.CHECKSUM)
          : common + without(l4 + udp.LENGTH) + without(l4 + udp.CHECKSUM),
      );
    },

    segment(message, at, prefix, from, len, number) {
      const { headers, payload } = this;
      outbox.add(message, at, prefix + headers);
      let total = addPayload(message, headers, from, len);
      const l2 = at + prefix;
      copyHeaders(b, l2, frames.l2[f]!, headers);
      const l3 = l2 + frames.l3[f]! - frames.l2[f]!;
      const l4 = l2 + frames.l4[f]! - frames.l2[f]!;
      const l4Len = headers - (l4 - l2) + len;
      const id = (ipv4.id(v, l3) + number) & 0xffff;
      ipv4.setLengthAndId(v, l3, l4 - l3 + l4Len, id);
      store(b, l3 + ipv4.CHECKSUM, finish(ipSum + swap16(l4 - l3 + l4Len) + swap16(id)));
      if (!isTcp) {
        udp.setLength(v, l4, l4Len);
        // The length counts twice: in the pseudo header and in the header.
        const checksum = finish(l4Sum + 2 * swap16(l4Len) + total);
        // A UDP checksum of 0 would mean "none". RFC 768.
        store(b, l4 + udp.CHECKSUM, checksum === 0 ? 0xffff : checksum);
        return;
      }
      tcp.setSeq(v, l4, (tcp.seq(v, l4) + from) >>> 0);
      let flags = tcp.flags(v, l4);
      if (from + len < payload) flags &= ~(tcp.FIN | tcp.PSH);
      if (number > 0) flags &= ~tcp.CWR;
      tcp.setFlags(v, l4, flags);
      total += load(b, l4 + tcp.SEQ) + load(b, l4 + tcp.SEQ + 2) + load(b, l4 + tcp.OFFSET_AND_FLAGS);
      store(b, l4 + tcp.CHECKSUM, finish(l4Sum + swap16(l4Len) + total));
    },
  };
}

/** Copy headers between even offsets: 32 bits a step where both lie alike, which all do that came from a TAP. */
function copyHeaders({ u16, u32 }: Bytes, to: number, from: number, len: number): void {
  if (((to ^ from) & 2) !== 0) {
    for (let i = 0; i < len; i += 2) u16[(to + i) >> 1] = u16[(from + i) >> 1]!;
    return;
  }
  let i = 0;
  if ((to & 2) !== 0) {
    u16[to >> 1] = u16[from >> 1]!;
    i = 2;
  }
  for (; i + 4 <= len; i += 4) u32[(to + i) >> 2] = u32[(from + i) >> 2]!;
  if (i < len) u16[(to + i) >> 1] = u16[(from + i) >> 1]!;
}

/** Sum of what a message was pointed at since it had `first` pieces, as if it lay in one piece behind an even offset. */
function sumOf(b: Bytes, outbox: Outbox, message: number, first: number): number {
  let total = 0;
  let isOdd = false;
  const end = message * IOVS + outbox.iovs[message]!;
  for (let i = message * IOVS + first; i < end; i++) {
    const len = outbox.iovLen[i]!;
    const part = fold(sum(b, outbox.iovAt[i]!, len));
    // Behind an odd number of bytes, all that follows lies in the other half of its 16-bit word.
    total += isOdd ? swap16(part) : part;
    isOdd = isOdd !== ((len & 1) !== 0);
  }
  return total;
}
