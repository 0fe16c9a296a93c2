/**
 * A child of lmdb-store.test.ts: writes keys one after the other, and eight at a time, and says each on standard
 * output once its write was acknowledged, until it is killed.
 */
import { writeSync } from 'node:fs';
import { openLmdbStore } from '../../../src/server/store/lmdb-store.js';

const store = openLmdbStore({ path: process.argv[2]! });
for (let i = 0; ; i += 8) {
  const batch = Array.from({ length: 8 }, (_, j) => `${i + j}`);
  await Promise.all(
    batch.map(async (name) => {
      const writes = [
        { key: `/a/${name}`, value: name },
        { key: `/b/${name}`, value: name },
      ];
      const result = await store.txn([{ key: `/a/${name}`, modRevision: 0 }], writes);
      writeSync(1, `${name} ${result.revision}\n`);
    }),
  );
}
