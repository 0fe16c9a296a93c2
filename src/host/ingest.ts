/**
 * Ingest: bytes that came in become rows of the frame columns.
 *
 * From a TAP: the virtio header says what the kernel left undone. From the tunnel: a slot holds one datagram, or several
 * that the kernel put together (UDP_GRO); each is checked (`overlay/decap.ts`), its inner checksum verified, and
 * consecutive segments of a TCP stream become one super-frame (`gro.ts`), so that a stream costs one pass of the pipeline.
 */
import type { Dataplane } from '../dataplane/dataplane.js';
import { CSUM_PARTIAL, FRAME_PHASE } from '../dataplane/frames.js';
import { decap } from '../dataplane/overlay/decap.js';
import { combineEcn } from '../dataplane/overlay/ecn.js';
import { DROP_MALFORMED_OFFLOAD, DROP_NO_ROOM } from '../dataplane/verdict.js';
import * as virtioNet from '../wire/virtio-net.js';
import * as vxlan from '../wire/vxlan.js';
import { createGro } from './gro.js';

/** @param runFull  called when all rows are taken: takes them through the pipeline and frees them */
export function createIngest(dp: Dataplane, runFull: () => void) {
  const { frames, counters } = dp;
  const gro = createGro(dp, add);

  /** A row for a frame of `len` bytes at `l2`, or -1. */
  function add(port: number, l2: number, len: number): number {
    if (frames.count === frames.capacity) runFull();
    const f = frames.add();
    frames.inPort[f] = port;
    frames.segment[f] = dp.ports.segment[port]!;
    frames.l2[f] = l2;
    frames.len[f] = len;
    frames.headLen[f] = len;
    return f;
  }

  /** What never becomes a row. Rows count where they are parsed. */
  function drop(port: number, verdict: number): void {
    counters.rxPackets[port]!++;
    counters.drops[-verdict]!++;
    counters.portDrops[port]!++;
  }

  return {
    /** A frame with its virtio header at `at`, `len` bytes with it; `headroom` bytes in front of the frame are ours. */
    tap(port: number, at: number, len: number, headroom: number): void {
      const { v } = frames;
      const l2 = at + virtioNet.HEADER_LEN;
      const frameLen = len - virtioNet.HEADER_LEN;
      if (frameLen <= 0) return drop(port, DROP_MALFORMED_OFFLOAD);
      const f = add(port, l2, frameLen);
      frames.headroom[f] = headroom;
      const gsoType = virtioNet.gsoType(v, at) & ~virtioNet.GSO_ECN;
      frames.gso[f] = gsoType;
      frames.gsoSize[f] = gsoType === virtioNet.GSO_NONE ? 0 : virtioNet.gsoSize(v, at);
      if ((virtioNet.flags(v, at) & virtioNet.NEEDS_CSUM) !== 0) {
        const start = virtioNet.csumStart(v, at);
        const offset = virtioNet.csumOffset(v, at);
        if (start + offset + 2 > frameLen) {
          frames.count--;
          return drop(port, DROP_MALFORMED_OFFLOAD);
        }
        frames.csum[f] = CSUM_PARTIAL;
        frames.csumStart[f] = l2 + start;
        frames.csumOffset[f] = offset;
      }
      counters.rxBytes[port]! += frameLen;
    },

    tunnel(
      port: number,
      at: number,
      len: number,
      segmentSize: number,
      a0: number,
      a1: number,
      a2: number,
      a3: number,
      ecn = 0,
    ): void {
      const vtep = dp.vteps.find(a0, a1, a2, a3);
      const step = segmentSize > 0 ? segmentSize : len;
      if (len === 0) return drop(port, decap(dp, port, at, 0, vtep));
      for (let from = 0; from < len; from += step) {
        const datagramLen = Math.min(step, len - from);
        const verdict = decap(dp, port, at + from, datagramLen, vtep);
        if (verdict !== 0) {
          drop(port, verdict);
          continue;
        }
        let l2 = at + from + vxlan.HEADER_LEN;
        const frameLen = datagramLen - vxlan.HEADER_LEN;
        counters.rxBytes[port]! += frameLen;
        if ((l2 & 1) !== 0) {
          // Headers at odd offsets would make every checksum slow: copy the few frames that lie so.
          const copy = frames.alloc(frameLen, FRAME_PHASE);
          if (copy < 0) {
            drop(port, DROP_NO_ROOM);
            continue;
          }
          frames.b.u8.copyWithin(copy, l2, l2 + frameLen);
          l2 = copy;
        }
        const marked = combineEcn(dp, l2, frameLen, ecn);
        if (marked !== 0) drop(port, marked);
        else gro.receive(port, l2, frameLen);
      }
      // A slot's bytes may be overwritten after the next run; what is open stays open until then.
    },

    /** No more frames in this batch: finish what is still being put together. */
    close: gro.close,
  };
}
