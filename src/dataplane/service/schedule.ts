/**
 * Which endpoint gets a new flow: by the frontend's scheduler, among a run of backends that is not empty.
 *
 * `random` as kube-proxy's iptables and nftables modes, `rr` and `sh` as its ipvs mode, `userspace` as the kube-proxy of old
 * (round robin; that the client's address is not kept is `service.ts`' business).
 */
import { avalanche, mix } from '../../tables/hash-index.js';
import { SCHEDULER_RANDOM, SCHEDULER_SOURCE_HASH } from '../../tables/services.js';
import type { Dataplane } from '../dataplane.js';

/** @returns the place in the run, `0 .. count-1` */
export function schedule(
  dp: Pick<Dataplane, 'frames' | 'services' | 'random' | 'turns'>,
  f: number,
  service: number,
  count: number,
): number {
  const { frames, services, turns } = dp;
  switch (services.scheduler[service]) {
    case SCHEDULER_RANDOM:
      // The high bits, scaled: no modulo bias worth naming with 2^32 values.
      return Math.floor(((nextRandom(dp.random) >>> 0) * count) / 4294967296);
    case SCHEDULER_SOURCE_HASH:
      return (
        (avalanche(mix(mix(mix(mix(0, frames.s0[f]!), frames.s1[f]!), frames.s2[f]!), frames.s3[f]!)) >>> 0) %
        count
      );
    default: {
      const turn = turns[service]!;
      turns[service] = turn + 1;
      return (turn >>> 0) % count;
    }
  }
}

/** xorshift32. Marsaglia, "Xorshift RNGs", 2003. */
function nextRandom(state: Int32Array): number {
  let x = state[0]!;
  x ^= x << 13;
  x ^= x >>> 17;
  x ^= x << 5;
  state[0] = x;
  return x;
}
