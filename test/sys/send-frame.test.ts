import { readFileSync } from 'node:fs';
import t from 'tap';
import { closeOnExec } from '../../src/sys/close-on-exec.js';
import * as io from '../../src/sys/io.js';
import { ip } from '../../src/sys/iproute2.js';
import * as libc from '../../src/sys/libc.js';
import { findLink } from '../../src/sys/link.js';
import { sendFrames } from '../../src/sys/send-frame.js';
import { openTap } from '../../src/sys/tap.js';
import { L2, waitFrame } from '../lib/frames.js';
import { makeNetns, needsRoot } from '../lib/netns.js';

t.test('frames leave by the link as they are', { skip: needsRoot() }, async (t) => {
  const netns = makeNetns(t);
  const tap = openTap({ name: 'pw0', netns });
  t.teardown(() => io.close(tap.fd));
  const { ifindex } = findLink('pw0', netns)!;
  const frame = (last: number): Uint8Array =>
    Uint8Array.from([...Array<number>(6).fill(0xff), 2, 0, 0, 0, 0, 1, 0x88, 0xb5, last]);
  t.throws(() => sendFrames(ifindex, [frame(1)], netns), { message: /ENETDOWN/ });
  ip(['link set pw0 up'], { netns });
  sendFrames(ifindex, [frame(1), frame(2)], netns);
  for (const last of [1, 2]) {
    const { b } = waitFrame(tap.fd, ({ v }) => v.getUint16(L2 + 12) === 0x88b5);
    t.same(b.u8.slice(L2, L2 + 15), frame(last));
  }
  t.throws(() => sendFrames(4711, [frame(1)], netns), { message: /ENODEV/ });
});

t.test('what is opened is closed in children', async (t) => {
  const fd = closeOnExec(() => libc.socket(2, 1, 0)) as number; // without SOCK_CLOEXEC
  t.teardown(() => io.close(fd));
  const flags = /^flags:\s+(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))![1]!;
  t.ok(parseInt(flags, 8) & libc.O_CLOEXEC);
});
