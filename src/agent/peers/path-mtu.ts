/**
 * The largest packet that gets through, found by halving. RFC 4821 §7.3 in its simplest form: the way either carries a size
 * or loses it, and carries all smaller ones.
 */

/**
 * Find the largest size that gets through.
 *
 * @param low   a size that does
 * @param high  a size that does not
 * @param getsThrough  whether a size does; asked at most log2(high − low) + 1 times
 */
export async function largestThrough(
  low: number,
  high: number,
  getsThrough: (bytes: number) => Promise<boolean>,
): Promise<number> {
  let good = low;
  let bad = high;
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (await getsThrough(middle)) good = middle;
    else bad = middle;
  }
  return good;
}
