/** A million hostile frames through the whole path. `PODWIRE_FUZZ_SEED` and `PODWIRE_FUZZ_FRAMES` choose others. */
import t from 'tap';
import { REASONS } from '../../src/dataplane/verdict.js';
import { createFuzz } from '../lib/fuzz.js';

const SEED = Number(process.env.PODWIRE_FUZZ_SEED ?? 1);
const FRAMES = Number(process.env.PODWIRE_FUZZ_FRAMES ?? 1_000_000);

/** Reasons for which the pure path never drops: the driver's own, and what only a full pool or a lost port gives. */
const NOT_HERE = [
  'none',
  'tunnel-send-failed',
  'port-send-failed',
  'no-room',
  'no-port',
  'no-route',
  'no-free-port',
];

t.test(`${FRAMES} frames: no throw, every frame accounted for, whatever comes out is a frame`, async (t) => {
  const fuzz = createFuzz(SEED);
  fuzz.start();
  let batches = 0;
  try {
    while (fuzz.report.frames < FRAMES) {
      fuzz.batch();
      batches++;
    }
  } catch (error) {
    t.fail(`seed ${SEED}, batch ${batches}, about frame ${fuzz.report.frames}: ${(error as Error).stack}`);
    return;
  }
  const { frames, out, drops } = fuzz.report;
  t.ok(frames >= FRAMES, `${frames} frames in, ${out} packets out, ${batches} batches`);
  t.ok(out > frames / 10, 'many of them went through');
  t.same(
    REASONS.map(([name]) => name).filter((name) => !drops.has(name) && !NOT_HERE.includes(name)),
    [],
    'and every reason for a drop was met',
  );
});
