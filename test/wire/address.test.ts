import { isIPv4, isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';
import t from 'tap';
import * as address from '../../src/wire/address.js';
import { random } from '../lib/random.js';
import type { Random } from '../lib/random.js';

const { formatAddress, formatIpv4, parseAddress, parseCidr, parseIpv4, parseMac } = address;

const text6 = (words: address.Address): string => formatAddress(...words);

/** What a URL makes of an IPv6 address: the rules of RFC 5952 §4, also for IPv4-mapped ones. */
const urlText = (text: string): string => new URL(`http://[${text}]/`).hostname.slice(1, -1);

/** Words of an address that ipaddr.js has parsed; IPv6 from the URL's spelling, as it takes ::1.2.3.4 for IPv4-mapped. */
function words(text: string): number[] {
  const bytes = ipaddr.parse(text.includes(':') ? urlText(text) : text).toByteArray();
  const view = new DataView(Uint8Array.from(bytes).buffer);
  return Array.from({ length: bytes.length / 4 }, (_, i) => view.getInt32(4 * i));
}

/** One to three characters taken out, put in or exchanged. */
function mutate(rnd: Random, text: string, alphabet: string): string {
  const chars = [...text];
  for (let n = 1 + rnd.int(3); n > 0; n--) {
    const insert = rnd.int(3) > 0 ? [rnd.pick([...alphabet])] : [];
    chars.splice(rnd.int(chars.length + 1), rnd.int(2), ...insert);
  }
  return chars.join('');
}

t.test('an IPv4 address is a signed word, first byte highest', async (t) => {
  t.equal(parseIpv4('10.0.0.1'), 0x0a000001);
  t.equal(parseIpv4('192.168.50.254'), 0xc0a832fe | 0);
  t.equal(parseIpv4('0.0.0.0'), 0);
  t.equal(parseIpv4('255.255.255.255'), -1);
  t.equal(parseIpv4('127.255.255.255'), 0x7fffffff);
  t.equal(parseIpv4('128.0.0.0'), -0x80000000);
});

t.test('IPv4 text is taken strictly', async (t) => {
  const bad = [
    '',
    '1',
    '1.2.3',
    '1.2.3.4.5',
    '1.2.3.',
    '.1.2.3',
    '1..2.3',
    '1.2.3.256',
    '1.2.3.-1',
    '1.2.3.+1',
  ];
  const octal = ['01.2.3.4', '1.2.3.00', '010.0.0.1', '1.2.3.0x4', '0x7f000001', '2130706433'];
  const padded = [' 1.2.3.4', '1.2.3.4 ', '1.2.3.4\n', '1.2.3.1e1', '1.2.3.٤', '1.2.3.4/24', '1.2.3.0000'];
  for (const text of [...bad, ...octal, ...padded]) t.equal(parseIpv4(text), undefined, JSON.stringify(text));
});

t.test('random IPv4 addresses are read and written as ipaddr.js does', async (t) => {
  const rnd = random(1123);
  const wrong: string[] = [];
  for (let i = 0; i < 2000; i++) {
    const text = Array.from(rnd.bytes(4), (byte) => rnd.pick([byte, byte, 0, 255])).join('.');
    const word = parseIpv4(text);
    if (word !== words(text)[0] || formatIpv4(word!) !== text) wrong.push(text);
  }
  t.same(wrong, []);
});

t.test('spoiled IPv4 text is refused exactly when Node refuses it', async (t) => {
  const rnd = random(1124);
  const wrong: string[] = [];
  const seen = { good: 0, bad: 0 };
  for (let i = 0; i < 5000; i++) {
    const text = mutate(rnd, rnd.bytes(4).join('.'), '0123456789..x- ');
    seen[isIPv4(text) ? 'good' : 'bad']++;
    if ((parseIpv4(text) !== undefined) !== isIPv4(text)) wrong.push(text);
  }
  t.same(wrong, []);
  t.ok(seen.good > 500 && seen.bad > 500, 'both kinds were tried');
});

t.test('an address of either family is four words', async (t) => {
  t.same(parseAddress('10.0.0.1'), [0, 0, 0xffff, 0x0a000001], 'IPv4 is mapped');
  t.same(parseAddress('::ffff:10.0.0.1'), [0, 0, 0xffff, 0x0a000001]);
  t.same(parseAddress('::ffff:a00:1'), [0, 0, 0xffff, 0x0a000001]);
  t.same(parseAddress('2001:db8::8:800:200c:417a'), [0x20010db8, 0, 0x00080800, 0x200c417a], 'RFC 4291 §2.2');
  t.same(parseAddress('FF01::101'), [0xff010000 | 0, 0, 0, 0x101], 'words are signed, digits of any case');
  t.same(parseAddress('::'), [0, 0, 0, 0]);
  t.same(parseAddress('::1'), [0, 0, 0, 1]);
  t.same(parseAddress('1::'), [0x10000, 0, 0, 0]);
  t.same(parseAddress('::13.1.68.3'), [0, 0, 0, 0x0d014403]);
  t.same(parseAddress('64:ff9b::192.0.2.33'), [0x0064ff9b, 0, 0, 0xc0000221 | 0], 'RFC 6052 §2.4');
  t.same(parseAddress('1:2:3:4:5:6:7:8'), [0x10002, 0x30004, 0x50006, 0x70008]);
  t.same(parseAddress('1:2:3:4:5:6:7::'), [0x10002, 0x30004, 0x50006, 0x70000], ':: for one group');
  t.same(parseAddress('1:2:3:4:5::1.2.3.4'), [0x10002, 0x30004, 0x50000, 0x01020304]);
  t.same(parseAddress('1:2:3:4:5:6:1.2.3.4'), [0x10002, 0x30004, 0x50006, 0x01020304]);
});

t.test('IPv6 text is taken strictly', async (t) => {
  const colons = [
    '',
    ':',
    ':::',
    ':1',
    '1:',
    '::1:',
    ':1::',
    '1:::2',
    '1::2::3',
    '::1::',
    '1:2:3:4:5:6:7:8::1::2',
  ];
  const counts = [
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7:8::',
    '::1:2:3:4:5:6:7:8',
    '1:2:3:4::5:6:7:8',
  ];
  const digits = [
    '12345::',
    '::g',
    '::-1',
    ':: 1',
    '::1 ',
    '::1\n',
    '0x1::',
    '::1/64',
    '[::1]',
    'fe80::1%eth0',
  ];
  const mixed = [
    '::1.2.3',
    '::1.2.3.256',
    '::01.2.3.4',
    '1.2.3.4::',
    '::1.2.3.4:5',
    ':1.2.3.4',
    '1:::1.2.3.4',
  ];
  const long = ['1:2:3:4:5:6:7:1.2.3.4', '1:2:3:4:5:6::1.2.3.4', '1:2:3:4:5:1.2.3.4', '.:', ':.', '1.2.3.4:'];
  for (const text of [...colons, ...counts, ...digits, ...mixed, ...long])
    t.equal(parseAddress(text), undefined, JSON.stringify(text));
});

t.test('IPv6 addresses are written by RFC 5952 §4', async (t) => {
  const write = (text: string): string => text6(parseAddress(text)!);
  t.equal(write('2001:0db8:0000:0000:0001:0000:0000:0001'), '2001:db8::1:0:0:1', 'the first of equal runs');
  t.equal(write('2001:db8:0:1:1:1:1:1'), '2001:db8:0:1:1:1:1:1', 'a single 0 stays');
  t.equal(write('2001:0:0:1:0:0:0:1'), '2001:0:0:1::1', 'the longest run');
  t.equal(write('2001:DB8::ABCD'), '2001:db8::abcd', 'lower case');
  t.equal(write('0:0:0:0:0:0:0:0'), '::');
  t.equal(write('0:0:0:0:0:0:0:1'), '::1');
  t.equal(write('1:0:0:0:0:0:0:0'), '1::');
  t.equal(write('0:1:0:0:0:0:0:0'), '0:1::');
  t.equal(write('0:0:1:0:0:0:0:0'), '0:0:1::');
  t.equal(write('ff02::8000:ffff'), 'ff02::8000:ffff', 'the high bit of a word is no sign');
  t.equal(write('::ffff:10.0.0.1'), '10.0.0.1', 'IPv4 as such');
  t.equal(write('::fffe:10.0.0.1'), '::fffe:a00:1', 'not mapped');
  t.equal(write('::10.0.0.1'), '::a00:1', 'IPv4-compatible is IPv6');
  t.equal(write('::1:ffff:10.0.0.1'), '::1:ffff:a00:1');
});

/** Text of a random IPv6 address in a random of its spellings. */
function spell6(rnd: Random): string {
  const groups = Array.from({ length: 8 }, () => rnd.pick([0, 0, 1, 0xffff, rnd.int(65536)]));
  const spelled = groups.map((group) => {
    const digits = rnd.pick([group.toString(16), group.toString(16).padStart(4, '0')]);
    return rnd.int(2) === 0 ? digits : digits.toUpperCase();
  });
  if (rnd.int(4) === 0)
    spelled.splice(
      6,
      2,
      groups
        .slice(6)
        .flatMap((group) => [group >>> 8, group & 255])
        .join('.'),
    );
  const from = rnd.int(spelled.length);
  let end = from;
  while (end < spelled.length && /^0+$/.test(spelled[end]!)) end++;
  if (end === from || rnd.int(3) === 0) return spelled.join(':');
  return `${spelled.slice(0, from).join(':')}::${spelled.slice(end).join(':')}`;
}

t.test('random IPv6 addresses are read as ipaddr.js does and written as a URL does', async (t) => {
  const rnd = random(5952);
  const wrong: string[] = [];
  for (let i = 0; i < 3000; i++) {
    const text = spell6(rnd);
    const found = parseAddress(text);
    const isMapped = address.isIpv4(found![0], found![1], found![2]);
    const isSame = words(text).every((word, i) => word === found![i]);
    if (!isIPv6(text) || !isSame || (!isMapped && text6(found!) !== urlText(text))) wrong.push(text);
  }
  t.same(wrong, []);
});

t.test('spoiled IPv6 text is refused exactly when Node refuses it', async (t) => {
  const rnd = random(4291);
  const wrong: string[] = [];
  const seen = { good: 0, bad: 0 };
  for (let i = 0; i < 10000; i++) {
    const text = mutate(rnd, spell6(rnd), '0123456789abcdefABCDEF::::..g');
    if (!text.includes(':')) continue;
    seen[isIPv6(text) ? 'good' : 'bad']++;
    const found = parseAddress(text);
    if ((found !== undefined) !== isIPv6(text)) wrong.push(text);
    else if (found && words(text).some((word, i) => word !== found[i])) wrong.push(text);
  }
  t.same(wrong, []);
  t.ok(seen.good > 1000 && seen.bad > 1000, 'both kinds were tried');
});

t.test('what is written is read back', async (t) => {
  const rnd = random(5953);
  const wrong: string[] = [];
  for (let i = 0; i < 2000; i++) {
    const word = (): number => rnd.pick([0, -1, 1, 0x10000, rnd.int(2 ** 32) | 0]);
    const all: address.Address = rnd.pick([[word(), word(), word(), word()], address.fromIpv4(word())]);
    if (parseAddress(text6(all))?.join() !== all.join()) wrong.push(all.join());
  }
  t.same(wrong, []);
});

t.test('only the mapped prefix holds IPv4', async (t) => {
  t.equal(address.isIpv4(...(address.fromIpv4(-1).slice(0, 3) as [number, number, number])), true);
  t.equal(address.isIpv4(0, 0, address.V4_MAPPED), true);
  t.equal(address.isIpv4(0, 0, 0), false);
  t.equal(address.isIpv4(0, 1, address.V4_MAPPED), false);
  t.equal(address.isIpv4(1, 0, address.V4_MAPPED), false);
});

t.test('a prefix is parsed and its host bits are cleared', async (t) => {
  t.same(parseCidr('10.244.0.0/16'), { base: 0x0af40000, bits: 16 });
  t.same(parseCidr('10.244.1.2/24'), { base: 0x0af40100, bits: 24 }, 'host bits are cleared');
  t.same(parseCidr('0.0.0.0/0'), { base: 0, bits: 0 });
  t.same(parseCidr('255.255.255.255/0'), { base: 0, bits: 0 });
  t.same(parseCidr('255.255.255.255/32'), { base: -1, bits: 32 });
  t.same(parseCidr('255.255.255.255/1'), { base: -0x80000000, bits: 1 });
});

t.test('prefix text is taken strictly', async (t) => {
  const addresses = ['10.0.0.0', '10.0.0/8', '/8', '10.0.0.0.0/8', '::/0', '010.0.0.0/8'];
  const lengths = ['10.0.0.0/', '10.0.0.0/33', '10.0.0.0/08', '10.0.0.0/-1', '10.0.0.0/100', '10.0.0.0/ 8'];
  const more = [
    '10.0.0.0/8/8',
    '10.0.0.0/8\n',
    '10.0.0.0/255.0.0.0',
    '10.0.0.0/8.0',
    '10.0.0.0/8.',
    '10.0.0.0/00',
    '',
  ];
  for (const text of [...addresses, ...lengths, ...more])
    t.equal(parseCidr(text), undefined, JSON.stringify(text));
});

t.test('prefixes agree with ipaddr.js about base, last address and what they contain', async (t) => {
  const rnd = random(4632);
  const wrong: string[] = [];
  for (let i = 0; i < 2000; i++) {
    const bits = rnd.int(33);
    const text = `${rnd.bytes(4).join('.')}/${bits}`;
    const cidr = parseCidr(text)!;
    const base = ipaddr.IPv4.networkAddressFromCIDR(text).toString();
    const last = ipaddr.IPv4.broadcastAddressFromCIDR(text).toString();
    if (address.formatCidr(cidr) !== `${base}/${bits}`) wrong.push(`${text}: base`);
    if (formatIpv4(address.cidrLast(cidr)) !== last) wrong.push(`${text}: last address`);
    const mask = ipaddr.IPv4.subnetMaskFromPrefixLength(bits).toString();
    if (formatIpv4(address.netmask(bits)) !== mask) wrong.push(`${text}: netmask`);
    // Addresses near the prefix: one bit away from its base, or just outside of either end.
    const near = [cidr.base ^ (1 << rnd.int(32)), (cidr.base - 1) | 0, (address.cidrLast(cidr) + 1) | 0];
    for (const word of [...near, cidr.base, address.cidrLast(cidr), rnd.int(2 ** 32) | 0]) {
      const isIn = ipaddr.IPv4.parse(formatIpv4(word)).match(ipaddr.IPv4.parseCIDR(text));
      if (address.cidrContains(cidr, word) !== isIn) wrong.push(`${text}: ${formatIpv4(word)}`);
    }
  }
  t.same(wrong, []);
});

t.test('two prefixes overlap when the first or last address of one lies in the other', async (t) => {
  const rnd = random(4633);
  const wrong: string[] = [];
  const seen = { apart: 0, overlap: 0 };
  for (let i = 0; i < 2000; i++) {
    const word = rnd.int(2 ** 32) | 0;
    const other = word ^ (rnd.int(2 ** 32) >>> rnd.int(33));
    const [a, b] = [word, other].map((word) => parseCidr(`${formatIpv4(word)}/${rnd.int(33)}`)!);
    const [aFirst, aLast] = [a!.base >>> 0, address.cidrLast(a!) >>> 0];
    const [bFirst, bLast] = [b!.base >>> 0, address.cidrLast(b!) >>> 0];
    const isOverlap = aFirst <= bLast && bFirst <= aLast;
    seen[isOverlap ? 'overlap' : 'apart']++;
    if (address.cidrsOverlap(a!, b!) !== isOverlap || address.cidrsOverlap(b!, a!) !== isOverlap)
      wrong.push(`${address.formatCidr(a!)} ${address.formatCidr(b!)}`);
  }
  t.same(wrong, []);
  t.ok(seen.apart > 200 && seen.overlap > 200, 'both kinds were tried');
});

t.test('the corners of overlapping', async (t) => {
  const overlap = (a: string, b: string): boolean => address.cidrsOverlap(parseCidr(a)!, parseCidr(b)!);
  t.equal(overlap('10.244.0.0/16', '10.96.0.0/12'), false, 'pods and Services by default');
  t.equal(overlap('10.244.0.0/16', '10.244.3.0/24'), true, 'a node in the lab');
  t.equal(overlap('10.244.0.0/24', '10.244.1.0/24'), false, 'neighbors');
  t.equal(overlap('0.0.0.0/0', '255.255.255.255/32'), true, 'the default route meets all');
  t.equal(overlap('127.0.0.0/8', '128.0.0.0/1'), false, 'over the change of sign');
});

t.test('a MAC address is two numbers', async (t) => {
  t.same(parseMac('0a:58:0a:f4:01:02'), { hi: 0x0a58, lo: 0x0af40102 });
  t.same(parseMac('FE:ff:Ca:fE:00:01'), { hi: 0xfeff, lo: 0xcafe0001 | 0 }, 'the four bytes are signed');
  t.same(parseMac('ff:ff:ff:ff:ff:ff'), { hi: 0xffff, lo: -1 });
  t.same(parseMac('00:00:00:00:00:00'), { hi: 0, lo: 0 });
});

t.test('MAC text is taken strictly', async (t) => {
  const bad = [
    '',
    '0a:58:0a:f4:01',
    '0a:58:0a:f4:01:02:03',
    'a:58:0a:f4:01:02',
    '0a-58-0a-f4-01-02',
    '0a580af40102',
  ];
  const more = [
    '0g:58:0a:f4:01:02',
    '0+:58:0a:f4:01:02',
    '0a:5.:0a:f4:01:02',
    ' 0a:58:0a:f4:01:02',
    '0a:58:0a:f4:01:02\n',
    '0a:58:0a:f4:01:',
    '0a:58:0a::01:02',
  ];
  for (const text of [...bad, ...more]) t.equal(parseMac(text), undefined, JSON.stringify(text));
});

t.test('random MAC addresses are read and written byte by byte', async (t) => {
  const rnd = random(802);
  const wrong: string[] = [];
  for (let i = 0; i < 1000; i++) {
    const bytes = rnd.bytes(6).map((byte) => rnd.pick([byte, byte, 0, 255]));
    const text = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':');
    const view = new DataView(bytes.buffer);
    const { hi, lo } = parseMac(rnd.pick([text, text.toUpperCase()]))!;
    if (hi !== view.getUint16(0) || lo !== view.getInt32(2) || address.formatMac(hi, lo) !== text)
      wrong.push(text);
  }
  t.same(wrong, []);
});

t.test('the MAC address of a pod is 0a:58 and its IPv4 address', async (t) => {
  const { hi, lo } = address.macOfIpv4(parseIpv4('10.244.1.2')!);
  t.equal(address.formatMac(hi, lo), '0a:58:0a:f4:01:02');
  const far = address.macOfIpv4(parseIpv4('192.168.50.254')!);
  t.equal(address.formatMac(far.hi, far.lo), '0a:58:c0:a8:32:fe');
  for (const prefix of [address.MAC_PREFIX_POD, address.MAC_PREFIX_VTEP])
    t.equal((prefix >>> 8) & 3, 2, 'locally administered, no group');
});
