import t from 'tap';
import { EINVAL, SysError } from '../../src/sys/errno.js';
import * as io from '../../src/sys/io.js';
import { findLink } from '../../src/sys/link.js';
import { negotiateOffload, openTap, setPersist } from '../../src/sys/tap.js';
import type { Offload } from '../../src/sys/tap.js';
import { makeNetns, needsRoot, testName } from '../lib/netns.js';
import { output } from '../lib/spawn.js';

const skip = needsRoot();

/** A kernel that knows these TUN_F_ flags: like the real one it refuses all when it does not know one. */
function kernel(known: number): { set: (flags: number) => number; asked: number[] } {
  const asked: number[] = [];
  return { asked, set: (flags) => (asked.push(flags), (flags & ~known) === 0 ? 0 : -EINVAL) };
}

const CASES: [string, Offload, number, number[], object][] = [
  ['a kernel with USO gives all', 'all', 0x7f, [0x67], { csum: true, tso: true, uso: true }],
  ['a kernel before 6.2 gives TSO', 'all', 0x1f, [0x67, 0x07], { csum: true, tso: true, uso: false }],
  [
    'a kernel that knows no flag gives none',
    'all',
    0,
    [0x67, 0x07, 0],
    { csum: false, tso: false, uso: false },
  ],
  ['tso does not ask for USO', 'tso', 0x7f, [0x07], { csum: true, tso: true, uso: false }],
  ['tso falls back to none', 'tso', 0, [0x07, 0], { csum: false, tso: false, uso: false }],
  ['none switches off what was on before', 'none', 0x7f, [0], { csum: false, tso: false, uso: false }],
];
for (const [name, offload, known, asked, expected] of CASES)
  t.test(`offload: ${name}`, async (t) => {
    const fake = kernel(known);
    t.same(negotiateOffload(offload, fake.set), expected);
    t.same(fake.asked, asked);
  });

t.test('offload: a kernel that refuses even nothing is an error', async (t) => {
  t.equal(
    negotiateOffload('all', () => -EINVAL),
    -EINVAL,
  );
});

t.test('a name that no link can have is refused before any system call', async (t) => {
  for (const name of ['', 'sixteen-letters-', 'a b', 'a/b', 'tap%d', 'a:1', '..', 'ä'.repeat(8)])
    t.throws(() => openTap({ name }), RangeError, name);
});

t.test('a TAP appears in its namespace, and only there', { skip }, async (t) => {
  const netns = makeNetns(t);
  const tap = openTap({ name: 'pw0', netns });
  t.match(tap, { name: 'pw0', vnetHdr: true, csum: true, tso: true });
  t.ok(findLink('pw0', netns));
  t.equal(findLink('pw0'), undefined);
  t.equal(io.close(tap.fd), 0);
  t.equal(findLink('pw0', netns), undefined, 'gone with its descriptor');
});

t.test(
  'a persistent TAP outlives its descriptor, keeps its MAC, and is attached to by name',
  { skip },
  async (t) => {
    const netns = makeNetns(t);
    const first = openTap({ name: 'eth0', netns, persist: true });
    output(['ip', '-n', netns, 'link', 'set', 'eth0', 'address', '0a:58:0a:f4:01:02', 'mtu', '1450', 'up']);
    const before = findLink('eth0', netns);
    io.close(first.fd);
    t.same(findLink('eth0', netns), before);

    const second = openTap({ name: 'eth0', netns, offload: 'none' });
    t.match(second, { csum: false, tso: false, uso: false });
    t.same(findLink('eth0', netns), before);
    const features = output(['nsenter', `--net=/run/netns/${netns}`, 'ethtool', '-k', 'eth0']);
    t.match(features, /tcp-segmentation-offload: off/, 'what the first one could take is forgotten');
    setPersist(second.fd, false);
    io.close(second.fd);
    t.equal(findLink('eth0', netns), undefined);
  },
);

t.test('a TAP that is held cannot be opened twice, and the error says so', { skip }, async (t) => {
  const netns = makeNetns(t);
  const tap = openTap({ name: 'eth0', netns });
  t.teardown(() => io.close(tap.fd));
  const error = t.throws(() => openTap({ name: 'eth0', netns })) as SysError;
  t.type(error, SysError);
  t.equal(error.code, 'EBUSY');
  t.match(
    error.message,
    `Cannot open TAP "eth0" in network namespace "${netns}": ioctl(TUNSETIFF) failed with EBUSY`,
  );
  t.match(error.message, 'another process holds it');
});

t.test('a TAP cannot take the name of another kind of link', { skip }, async (t) => {
  const netns = makeNetns(t);
  t.throws(() => openTap({ name: 'lo', netns }), /ioctl\(TUNSETIFF\) failed.*no plain TAP/);
});

t.test('a namespace that is not there is named in the error', { skip }, async (t) => {
  const netns = testName('none');
  t.throws(() => openTap({ name: 'eth0', netns }), { code: 'ENOENT', message: new RegExp(netns) });
});

/** What the error says in a process where `prepare` ran first; `wrap` goes before its command line. */
function errorOf(call: string, prepare = '', wrap: string[] = []): string {
  const sys = new URL('../../src/sys/', import.meta.url).href;
  const script = `
    import { openTap } from '${sys}tap.js';
    import { inNetns } from '${sys}netns.js';
    ${prepare};
    try { ${call}; } catch (error) { console.log(error.message); }`;
  return output([...wrap, process.execPath, '--input-type=module', '-e', script]);
}

t.test('without root the error says to be root', { skip }, async (t) => {
  const nobody = 'process.setgroups([]); process.setgid(65534); process.setuid(65534)';
  const name = testName('x').slice(0, 15);
  t.match(errorOf(`openTap({ name: '${name}' })`, nobody), /Cannot open TAP .*(EPERM|EACCES).*; run as root/);
  const netns = makeNetns(t);
  const wanted = new RegExp(
    `Cannot enter network namespace "${netns}": setns failed with EPERM .*; run as root`,
  );
  t.match(errorOf(`inNetns('${netns}', () => {})`, nobody), wanted);
});

t.test('without /dev/net/tun the error says how to get it', { skip }, async (t) => {
  const hidden = ['unshare', '--mount', 'sh', '-c', 'mount -t tmpfs none /dev/net && exec "$@"', 'sh'];
  t.match(
    errorOf("openTap({ name: 'pwt-none' })", '', hidden),
    /open\(\/dev\/net\/tun\) failed with ENOENT.*; load it with `modprobe tun`/,
  );
});
