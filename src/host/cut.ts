/**
 * Cut a super-frame into the segments that it stands for, as a NIC with TSO or USO does.
 *
 * Headers are written afresh for each segment, into the scratch; payload is never copied, only pointed at. The checksum is
 * finished: headers of the segment and its payload are summed here, whoever verified the payload before (the sender's
 * kernel, which left it unfinished, or `gro.ts`).
 *
 * TCP: sequence number and IP identification grow, FIN and PSH stay with the last segment, CWR with the first
 * (RFC 9293 §3.8; RFC 3168 §6.1.2). UDP: each segment is a datagram of its own.
 */
import type { Frames } from '../dataplane/frames.js';
import { GSO_TCPV4 } from '../dataplane/frames.js';
import { finish, fold, pseudoIpv4, store, sum, swap16, type Bytes } from '../wire/checksum.js';
import * as ipv4 from '../wire/ipv4.js';
import * as tcp from '../wire/tcp.js';
import * as udp from '../wire/udp.js';
import { IOVS, type Outbox } from './outbox.js';

/** Bytes of all headers of a super-frame, from `l2`. */
export function headersLen(frames: Frames, f: number): number {
  const l4 = frames.l4[f]!;
  return l4 - frames.l2[f]! + (frames.gso[f] === GSO_TCPV4 ? tcp.headerLen(frames.v, l4) : udp.HEADER_LEN);
}

/**
 * Write the headers of one segment.
 *
 * @param at          where its Ethernet header goes
 * @param from        first payload byte of the segment, counted from the super-frame's first
 * @param len         payload bytes of the segment
 * @param number      of the segment, from 0
 * @param payloadSum  {@link sumOf} the payload
 */
export function writeSegment(
  frames: Frames,
  f: number,
  at: number,
  headers: number,
  from: number,
  len: number,
  number: number,
  payloadSum: number,
): void {
  const { v, b } = frames;
  const l2 = frames.l2[f]!;
  b.u8.copyWithin(at, l2, l2 + headers);
  const l3 = at + frames.l3[f]! - l2;
  const l4 = at + frames.l4[f]! - l2;
  const isTcp = frames.gso[f] === GSO_TCPV4;
  const l4Len = headers - (l4 - at) + len;
  ipv4.setLengthAndId(v, b, l3, l4 - l3 + l4Len, (ipv4.id(v, l3) + number) & 0xffff);
  const total = frames.len[f]! - headers;
  if (isTcp) {
    tcp.setSeq(v, l4, (tcp.seq(v, l4) + from) >>> 0);
    let flags = tcp.flags(v, l4);
    if (from + len < total) flags &= ~(tcp.FIN | tcp.PSH);
    if (number > 0) flags &= ~tcp.CWR;
    tcp.setFlags(v, l4, flags);
  } else udp.setLength(v, l4, l4Len);
  const field = l4 + (isTcp ? tcp.CHECKSUM : udp.CHECKSUM);
  store(b, field, 0);
  const checksum = finish(
    pseudoIpv4(b, l3, isTcp ? ipv4.TCP : ipv4.UDP, l4Len) + sum(b, l4, l4Len - len) + payloadSum,
  );
  // A UDP checksum of 0 would mean "none". RFC 768.
  store(b, field, checksum === 0 && !isTcp ? 0xffff : checksum);
}

/** Point a message at payload bytes `[from, from + len)` of a frame, which may lie in several pieces. */
export function addPayload(
  frames: Frames,
  f: number,
  headers: number,
  from: number,
  len: number,
  outbox: Outbox,
  message: number,
): void {
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

/** Sum of what a message was pointed at since it had `first` pieces, as if it lay in one piece behind an even offset. */
export function sumOf(b: Bytes, outbox: Outbox, message: number, first: number): number {
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
