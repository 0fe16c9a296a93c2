import t from 'tap';
import { largestThrough } from '../../../src/agent/peers/path-mtu.js';

t.test('the largest size that gets through is found, with few questions', async (t) => {
  for (const largest of [500, 501, 1230, 1354, 1448, 1449]) {
    const asked: number[] = [];
    const found = await largestThrough(500, 1450, (bytes) => {
      asked.push(bytes);
      return Promise.resolve(bytes <= largest);
    });
    t.equal(found, largest);
    t.ok(asked.length <= 10, `${asked.length} questions`);
    t.equal(new Set(asked).size, asked.length, 'none twice');
  }
});
