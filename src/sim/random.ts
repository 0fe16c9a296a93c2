/**
 * The simulator's only source of chance: mulberry32, seeded. Who draws from a generator of their own (a link, an endpoint)
 * keeps their luck when others come and go.
 */
export interface Random {
  /** In [0, 1). */
  next(): number;
  /** An integer in [0, n). */
  int(n: number): number;
  /** Whether something of this probability happens. A probability of 0 draws nothing. */
  happens(probability: number): boolean;
}

export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return {
    next,
    int: (n) => Math.floor(next() * n),
    happens: (probability) => probability > 0 && next() < probability,
  };
}
