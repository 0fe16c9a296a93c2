/**
 * One host: tables, frames and outbox in the caller's memory, and the steps of a batch.
 *
 *     begin ─► ingest… ─► run (pipeline, egress) ─► driver.send
 *
 * The caller owns the loop, the clock and the ports. The packet worker gives real ports, the simulator in-memory ones.
 */
import type { Dataplane } from '../dataplane/dataplane.js';
import { createFrames, FRAME_PHASE, type Frames } from '../dataplane/frames.js';
import { pipeline } from '../dataplane/pipeline.js';
import { FLOOD, FORWARD, REASONS } from '../dataplane/verdict.js';
import { EVENT_BATCHES, EVENT_EVICTED, EVENT_PASSES } from '../tables/counters.js';
import type { Alloc } from '../tables/memory.js';
import { createTables, type Capacities } from '../tables/tables.js';
import { bytesOf, type Bytes } from '../wire/checksum.js';
import * as virtioNet from '../wire/virtio-net.js';
import { createEgress } from './egress.js';
import { createIngest } from './ingest.js';
import { createOutbox, type Outbox } from './outbox.js';

/** Who carries messages out. */
export interface Driver {
  /** Send all messages of the outbox, in their order. What could not be sent is counted by the driver. */
  send(outbox: Outbox): void;
}

export interface HostOptions {
  /** Memory of the tables; the main thread may look into it. */
  alloc: Alloc;
  /** Memory of the columns of frames and outbox: nobody else's. Defaults to `alloc`. */
  allocFrames?: Alloc;
  /** Memory of the frames themselves, zeroed, at least so many bytes. Defaults to `allocFrames`. */
  allocPool?: (bytes: number) => Bytes;
  /** Of all hashes. */
  seed: number;
  driver: Driver;
  /** Sockets of the tunnel among which flows are spread; a power of two. */
  tunnelSockets?: number;
  capacities?: Capacities;
  /** Largest number of frames, and bytes of frames, in a batch. */
  batch?: Partial<BatchSize>;
}

export interface BatchSize {
  /** Frames; more are processed in between. */
  frames: number;
  /** Bytes of the arena, into which TAPs are read. */
  arena: number;
  /** Places for datagrams of up to 64 KiB from the tunnel. */
  slots: number;
  /** Messages of the outbox, and bytes of its scratch. */
  messages: number;
  scratch: number;
}

/**
 * Room for sixteen large super-frames of all TAPs together; who reads them ends a batch earlier, while it is in the cache. Of a
 * slot only what is used is in the cache: single datagrams of 1500 bytes fill all of them with 96 KiB.
 */
export const BATCH: BatchSize = {
  frames: 1024,
  arena: 1 << 20,
  slots: 64,
  messages: 256,
  scratch: 1 << 18,
};

/** The largest frame a TAP gives: virtio header, Ethernet header, 64 KiB. */
export const MAX_TAP_READ = virtioNet.HEADER_LEN + 14 + 65535;
/** Bytes of a tunnel slot. */
export const SLOT = 65536;

/** Bytes kept free in front of a frame from a TAP: for a VXLAN header, and its virtio header lies there. */
const HEADROOM = 16;

export interface Host {
  readonly dp: Dataplane;
  readonly frames: Frames;
  /** Begin a batch. @param nowMs  milliseconds since the start, as int32 */
  begin(nowMs: number): void;
  /** Where the next frame from a TAP shall be read to (its virtio header first), {@link MAX_TAP_READ} bytes; -1: run first. */
  tapRoom(): number;
  /** A frame of `len` bytes, virtio header included, was read to where {@link tapRoom} said. */
  ingestTap(port: number, len: number): void;
  /** Byte offset of slot `i` for datagrams of the tunnel. */
  slot(i: number): number;
  /**
   * Datagrams from the tunnel lie in the pool.
   *
   * @param segmentSize  bytes of each but the last; equal to `len` when there is one
   * @param a0..a3       the sender's underlay address
   * @param ecn          ECN field of their outer header; default: Not-ECT
   */
  ingestTunnel(
    port: number,
    at: number,
    len: number,
    segmentSize: number,
    a0: number,
    a1: number,
    a2: number,
    a3: number,
    ecn?: number,
  ): void;
  /** Take all frames through the pipeline and send what comes out. Rows and slots are free again afterwards. */
  run(): void;
}

export function createHost(options: HostOptions): Host {
  const size = { ...BATCH, ...options.batch };
  const allocFrames = options.allocFrames ?? options.alloc;
  const scratchEnd = size.arena + size.scratch;
  // The slot's datagram lies such that the frame in it, behind 8 bytes of VXLAN header, has the frame phase.
  const slotsAt = scratchEnd + 16 + FRAME_PHASE - 8;
  const slotStride = SLOT + 16;
  const allocPool = options.allocPool ?? ((bytes: number) => bytesOf(allocFrames(bytes)));
  const pool = allocPool((slotsAt + size.slots * slotStride + 64) & ~15);
  const frames = createFrames(allocFrames, pool, size.arena, size.frames, size.frames * 4);
  const outbox = createOutbox(allocFrames, size.messages, size.arena, scratchEnd);

  const tables = createTables(options.alloc, options.seed, REASONS.length, options.capacities);
  const dp: Dataplane = {
    ...tables,
    frames,
    now: 0,
    icmpTokens: 0,
    icmpTokensMs: 0,
    random: Int32Array.of(options.seed | 1),
    turns: new Int32Array(tables.services.capacity),
  };
  const egress = createEgress(dp, outbox, options.driver, options.tunnelSockets ?? 1);
  const ingest = createIngest(dp, run);
  let tapAt = 0;
  let agedMs = -1;

  function run(): void {
    ingest.close();
    const { counters } = dp;
    const count = frames.count;
    for (let f = 0; f < count; f++) {
      const verdict = pipeline(dp, f);
      if (verdict === FORWARD) egress.forward(f, frames.outPort[f]!);
      else if (verdict === FLOOD) egress.flood(f);
    }
    egress.flush();
    counters.events[EVENT_PASSES]! += count;
    counters.events[EVENT_EVICTED] = dp.conntrack.evicted;
    frames.forget();
  }

  return {
    dp,
    frames,
    begin(nowMs) {
      frames.reset();
      dp.now = nowMs;
      dp.counters.events[EVENT_BATCHES]!++;
      // Ageing is for time that passes, not for packets: once a millisecond is enough.
      if (nowMs === agedMs) return;
      agedMs = nowMs;
      dp.fdb.age(4, nowMs);
      dp.conntrack.age(16, nowMs);
    },
    tapRoom() {
      if (frames.count === frames.capacity) return -1;
      const l2 = ((frames.free + HEADROOM + 15 - FRAME_PHASE) & ~15) + FRAME_PHASE;
      if (l2 + MAX_TAP_READ > frames.end) return -1;
      tapAt = l2 - virtioNet.HEADER_LEN;
      return tapAt;
    },
    ingestTap(port, len) {
      frames.free = tapAt + len;
      ingest.tap(port, tapAt, len, HEADROOM);
    },
    slot: (i) => slotsAt + i * slotStride,
    ingestTunnel: ingest.tunnel,
    run,
  };
}
