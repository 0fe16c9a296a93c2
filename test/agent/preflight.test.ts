import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { preflight } from '../../src/agent/preflight.js';
import { testName } from '../lib/netns.js';

const dir = mkdtempSync(join(tmpdir(), testName('')));
t.teardown(() => rmSync(dir, { recursive: true }));
const tun = join(dir, 'tun');
writeFileSync(tun, '');
writeFileSync(join(dir, 'ip'), '#!/bin/sh\n');
chmodSync(join(dir, 'ip'), 0o755);
const good = { uid: 0, tun, path: `/nowhere:${dir}` };

t.test('nothing is wrong where all is there', async (t) => {
  t.same(preflight(good), []);
});

t.test('a user other than root is told to use sudo, and nothing else', async (t) => {
  t.same(preflight({ uid: 1000, tun: '/nowhere', path: '' }), [
    'Cannot make network devices as user 1000: run podwire as root, for example with sudo',
  ]);
});

t.test('a missing TAP driver is told from a missing program', async (t) => {
  const [first, second, ...others] = preflight({ uid: 0, tun: join(dir, 'none'), path: '/nowhere' });
  t.match(first, /Cannot open .*none: it does not exist; run "modprobe tun"/);
  t.match(second, /Cannot find the program "ip".*apt-get install iproute2/);
  t.same(others, []);
});

t.test('a namespace that does not exist is named', async (t) => {
  t.match(preflight({ ...good, netns: testName('none') }), [/Cannot enter network namespace "pwt-\d+-none"/]);
});
