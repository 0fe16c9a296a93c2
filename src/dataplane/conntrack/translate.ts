/**
 * Translation: what a flow's row says of a packet's addresses and ports, written into the packet. RFC 3022 §4.1.
 *
 * A row has two tuples. A packet of one direction leaves with the addresses that the other tuple, turned round, names: when nothing
 * is translated the two are mirror images, and nothing changes. The destination is written before the route is looked up, the source
 * after it.
 *
 * Checksums are patched, never computed anew (RFC 1624): a finished one by address and port, an unfinished one (offload) by address
 * alone, since the port is no part of the pseudo header. An ICMP error is translated with the packet it quotes.
 */
import * as icmp from '../../wire/icmp.js';
import * as ipv4 from '../../wire/ipv4.js';
import * as tcp from '../../wire/tcp.js';
import * as udp from '../../wire/udp.js';
import {
  finish,
  load,
  store,
  sum,
  swap16,
  swap32,
  update16,
  update32,
  updatePartial32,
} from '../../wire/checksum.js';
import { ROW_WORDS, TUPLE_WORDS } from '../../tables/conntrack.js';
import type { Dataplane } from '../dataplane.js';
import { CSUM_PARTIAL } from '../frames.js';
import { CONTINUE } from '../verdict.js';

type Parts = Pick<Dataplane, 'frames' | 'conntrack'>;

/** The destination becomes who is really meant. */
export function translateDestination(dp: Parts, f: number): number {
  const { frames, conntrack } = dp;
  if (frames.related[f] !== 0) return translateQuoted(dp, f);
  const row = frames.flow[f] || frames.draft[f]!;
  if (row === 0) return CONTINUE;
  const other = row * ROW_WORDS + (1 - frames.direction[f]!) * TUPLE_WORDS;
  const address = conntrack.words[other + 3]!;
  const port = conntrack.words[other + 8]! >>> 16;
  if (address !== frames.d3[f]) {
    rewriteAddress(dp, f, 16, frames.d3[f]!, address);
    frames.d3[f] = address;
  }
  if (port !== (frames.ports[f]! & 0xffff) && frames.proto[f] !== ipv4.ICMP) {
    rewritePort(dp, f, 2, frames.ports[f]! & 0xffff, port);
    frames.ports[f] = (frames.ports[f]! & ~0xffff) | port;
  }
  return CONTINUE;
}

/** The source becomes who the other side speaks to. */
export function translateSource(dp: Parts, f: number): number {
  const { frames, conntrack } = dp;
  if (frames.related[f] !== 0) return CONTINUE;
  const row = frames.flow[f] || frames.draft[f]!;
  if (row === 0) return CONTINUE;
  const other = row * ROW_WORDS + (1 - frames.direction[f]!) * TUPLE_WORDS;
  const address = conntrack.words[other + 7]!;
  const port = conntrack.words[other + 8]! & 0xffff;
  if (address !== frames.s3[f]) {
    rewriteAddress(dp, f, 12, frames.s3[f]!, address);
    frames.s3[f] = address;
  }
  const before = frames.ports[f]! >>> 16;
  if (port !== before) {
    if (frames.proto[f] === ipv4.ICMP) rewriteEchoId(dp, f, before, port);
    else rewritePort(dp, f, 0, before, port);
    frames.ports[f] = (port << 16) | (frames.proto[f] === ipv4.ICMP ? port : frames.ports[f]! & 0xffff);
  }
  return CONTINUE;
}

/** Whether the transport header is in this packet: not in later fragments. */
const hasL4 = ({ frames }: Parts, f: number): boolean => ipv4.fragmentOffset(frames.v, frames.l3[f]!) === 0;

/** Where the transport checksum lies, or 0 when there is none to patch. */
function checksumAt({ frames }: Parts, f: number): number {
  const l4 = frames.l4[f]!;
  if (frames.proto[f] === ipv4.TCP) return l4 + tcp.CHECKSUM;
  if (frames.proto[f] !== ipv4.UDP) return 0;
  const at = l4 + udp.CHECKSUM;
  // 0: the sender made none. An unfinished checksum may be anything.
  return load(frames.b, at) === 0 && !isPartial(frames, f) ? 0 : at;
}

const isPartial = (frames: Parts['frames'], f: number): boolean =>
  frames.csum[f] === CSUM_PARTIAL && frames.csumStart[f] === frames.l4[f];

/** Write an address of the IPv4 header at `l3 + offset` and patch both checksums. */
function rewriteAddress(dp: Parts, f: number, offset: number, before: number, after: number): void {
  const { frames } = dp;
  const { v, b } = frames;
  const l3 = frames.l3[f]!;
  const was = swap32(before);
  const is = swap32(after);
  v.setInt32(l3 + offset, after);
  store(b, l3 + 10, update32(load(b, l3 + 10), was, is));
  if (!hasL4(dp, f)) return;
  const at = checksumAt(dp, f);
  if (at === 0) return;
  if (isPartial(frames, f)) store(b, at, updatePartial32(load(b, at), was, is));
  else storeFinished(frames, f, at, update32(load(b, at), was, is));
}

/** Write a port at `l4 + offset` and patch a finished checksum. */
function rewritePort(dp: Parts, f: number, offset: number, before: number, after: number): void {
  if (!hasL4(dp, f)) return;
  const { frames } = dp;
  const { v, b } = frames;
  v.setUint16(frames.l4[f]! + offset, after);
  const at = checksumAt(dp, f);
  if (at !== 0 && !isPartial(frames, f))
    storeFinished(frames, f, at, update16(load(b, at), swap16(before), swap16(after)));
}

/** A UDP checksum that comes out as 0 is written as its other form. RFC 768. */
function storeFinished(frames: Parts['frames'], f: number, at: number, checksum: number): void {
  store(frames.b, at, checksum === 0 && frames.proto[f] === ipv4.UDP ? 0xffff : checksum);
}

function rewriteEchoId(dp: Parts, f: number, before: number, after: number): void {
  if (!hasL4(dp, f)) return;
  const { v, b } = dp.frames;
  const l4 = dp.frames.l4[f]!;
  v.setUint16(l4 + 4, after);
  const at = l4 + icmp.CHECKSUM;
  store(b, at, update16(load(b, at), swap16(before), swap16(after)));
}

/**
 * An ICMP error goes to who sent the packet that it quotes, and quotes that packet as it was sent. Its own source changes only when it
 * is the endpoint itself: routers on the way keep their addresses, so that traceroute shows them.
 */
function translateQuoted(dp: Parts, f: number): number {
  const { frames, conntrack } = dp;
  const { v, b } = frames;
  const { words } = conntrack;
  const node = frames.related[f]!;
  const direction = node & 1;
  const mine = (node >> 1) * ROW_WORDS + direction * TUPLE_WORDS;
  const other = (node >> 1) * ROW_WORDS + (1 - direction) * TUPLE_WORDS;
  const sender = words[other + 3]!;
  const target = words[other + 7]!;
  if (
    words[mine + 7] === sender &&
    words[mine + 3] === target &&
    words[mine + 8]! >>> 16 === (words[other + 8]! & 0xffff) &&
    (words[mine + 8]! & 0xffff) === words[other + 8]! >>> 16
  )
    return CONTINUE;
  const l3 = frames.l3[f]!;
  const l4 = frames.l4[f]!;
  const quoted = l4 + icmp.HEADER_LEN;
  if (words[mine + 3] === frames.s3[f]) {
    v.setInt32(l3 + 12, target);
    frames.s3[f] = target;
  }
  v.setInt32(l3 + 16, sender);
  frames.d3[f] = sender;
  ipv4.writeChecksum(b, l3);

  v.setInt32(quoted + 12, sender);
  v.setInt32(quoted + 16, target);
  ipv4.writeChecksum(b, quoted);
  const ports = words[other + 8]!;
  const quotedL4 = quoted + ipv4.headerLen(v, quoted);
  const proto = ipv4.proto(v, quoted);
  if (proto === ipv4.TCP || proto === ipv4.UDP) v.setInt32(quotedL4, ports);
  else if (proto === ipv4.ICMP) v.setUint16(quotedL4 + 4, ports & 0xffff);
  store(b, l4 + icmp.CHECKSUM, 0);
  store(b, l4 + icmp.CHECKSUM, finish(sum(b, l4, frames.l2[f]! + frames.len[f]! - l4)));
  return CONTINUE;
}
