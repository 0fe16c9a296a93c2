import t from 'tap';
import { pcapReader } from './capture.js';
import { concat, hex } from './hex.js';

const HEADER = hex(`
  d4 c3 b2 a1  # magic
  02 00 04 00  # version 2.4
  00 00 00 00 00 00 00 00
  00 00 04 00  # at most 262144 bytes of a frame
  01 00 00 00  # Ethernet
`);
const record = (frame: string, original = 3): Uint8Array =>
  concat(hex('00 00 00 00 00 00 00 00  03 00 00 00'), Uint8Array.of(original, 0, 0, 0), hex(frame));

t.test('frames come whole, however the file is cut into chunks', async (t) => {
  const file = concat(HEADER, record('01 02 03'), record('04 05 06'));
  for (let size = 1; size <= file.length; size++) {
    const frames: number[][] = [];
    const read = pcapReader((frame) => frames.push([...frame]));
    for (let at = 0; at < file.length; at += size) read(Buffer.from(file.slice(at, at + size)));
    t.same(frames, [
      [1, 2, 3],
      [4, 5, 6],
    ]);
  }
});

t.test('what is no capture, and a frame that was cut short, are refused', async (t) => {
  const read = (bytes: Uint8Array): void => pcapReader(() => undefined)(Buffer.from(bytes));
  t.throws(() => read(new Uint8Array(24)), /Cannot read capture: magic 0/);
  t.throws(() => read(concat(HEADER, record('01 02 03', 9))), /3 bytes of a frame of 9/);
});
