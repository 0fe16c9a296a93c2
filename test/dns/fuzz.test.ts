/**
 * Whatever arrives, the server neither falls over nor says something that is no message. Seeded: a failure names its round.
 *
 * PODWIRE_FUZZ=1000000 makes a million datagrams; the default is a fifth of that.
 */
import t from 'tap';
import { labSpec } from '../../src/api/lab.js';
import { createResponder } from '../../src/dns/responder.js';
import { readResponse } from '../../src/dns/response.js';
import { MAX_UDP_SIZE } from '../../src/dns/message.js';
import { viewOf } from '../../src/explain/view.js';
import { labAuthority } from '../../src/names/lab-names.js';
import { HEADER_LEN, u16, walkRecords } from '../../src/wire/dns.js';
import { zoneObjects } from '../conformance/dns/zone.js';
import { query, nameBytes } from '../lib/dns.js';
import { random, type Random } from '../lib/random.js';

const ROUNDS = Number(process.env['PODWIRE_FUZZ'] ?? 200_000);

const NAMES = [
  'kubernetes.default.svc.cluster.local',
  'pods-2.default.svc.cluster.local',
  'pods-200.default.svc.cluster.local',
  '_a._tcp.pods-20.default.svc.cluster.local',
  'ext.default.svc.cluster.local',
  'ping.default.svc.cluster.local',
  'nosuch.default.svc.cluster.local',
  '1.0.96.10.in-addr.arpa',
  'cluster.local',
  'example.com',
  '',
];
const TYPES = [1, 2, 5, 6, 12, 16, 28, 33, 41, 251, 252, 255, 65280];

/** Messages that are nearly right, and some that are not. */
function makeMessage({ int, pick, bytes, next }: Random): Buffer {
  if (int(20) === 0) return Buffer.from(bytes(int(80)));
  const edns =
    int(2) === 0
      ? { size: int(65536), version: int(10) === 0 ? 1 : 0, flags: int(65536), options: bytes(int(3) * 4) }
      : undefined;
  const message = query({ name: pick(NAMES), type: pick(TYPES), id: int(65536), edns });
  const changes = int(3);
  for (let i = 0; i < changes; i++) {
    // The header and the lengths are worth more than the rest.
    const at = next() < 0.5 ? int(Math.min(message.length, 20)) : int(message.length);
    message[at] = int(4) === 0 ? message[at]! ^ 0x20 : int(256);
  }
  const cut = int(10);
  if (cut === 0) return message.subarray(0, int(message.length + 1));
  return cut === 1 ? Buffer.concat([message, bytes(int(30))]) : message;
}

/** Whether a message is whole: its header, its question, each record, nothing behind. */
function isWhole(m: Buffer): boolean {
  if (m.length < HEADER_LEN || !(m[2]! & 0x80)) return false;
  let at = HEADER_LEN;
  if (u16(m, 4) > 1) return false;
  if (u16(m, 4) === 1) {
    while (m[at] !== 0 && at < m.length) at += m[at]! + 1;
    at += 5;
  }
  return walkRecords(m, at, m.length, u16(m, 6) + u16(m, 8) + u16(m, 10), () => undefined) === m.length;
}

t.test('datagrams', { timeout: 600_000 }, async (t) => {
  const view = viewOf(zoneObjects());
  const authority = labAuthority(labSpec(view.lab), { servers: ['10.96.0.10'] });
  authority.cluster.sync(view);
  const fast = createResponder({ authority });
  const slow = createResponder({ authority, prepare: false });
  const source = random(1035);
  let answered = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const message = makeMessage(source);
    const before = Buffer.from(message);
    let answer: Buffer | undefined;
    const isTaken = fast.answer(message, true, (bytes) => (answer = bytes));
    const problem = !message.equals(before)
      ? 'the message was changed'
      : isTaken !== (answer !== undefined)
        ? 'not answered at once'
        : answer && (!isWhole(answer) || answer.length > MAX_UDP_SIZE || u16(answer, 0) !== u16(message, 0))
          ? `a bad answer ${answer.toString('hex')}`
          : undefined;
    if (problem) return t.fail(`round ${round}: ${problem} to ${message.toString('hex')}`);
    if (answer) answered++;
    // The readable way says the same.
    let twin: Buffer | undefined;
    slow.answer(message, true, (bytes) => (twin = bytes));
    if (answer ? !twin?.equals(answer) : twin)
      return t.fail(
        `round ${round}: ${message.toString('hex')}: ${answer?.toString('hex')} is not ${twin?.toString('hex')}`,
      );
  }
  t.ok(answered > ROUNDS / 2, `${answered} of ${ROUNDS} were answered`);
});

t.test('what upstreams say', { timeout: 600_000 }, async (t) => {
  const source = random(2181);
  const { int } = source;
  const asked = query({ name: 'www.example.com', type: 1 });
  const record = Buffer.concat([Buffer.from('c00c00010001000000050004', 'hex'), Buffer.from([192, 0, 2, 1])]);
  const soa = Buffer.concat([
    nameBytes('example.com'),
    Buffer.from('00060001000000050016', 'hex'),
    Buffer.from([0, 0]),
    Buffer.alloc(20, 1),
  ]);
  let isRead = 0;
  for (let round = 0; round < ROUNDS / 10; round++) {
    const parts = [asked, ...Array.from({ length: int(4) }, () => (int(2) === 0 ? record : soa))];
    const message = Buffer.concat(parts);
    message.writeUInt16BE(0x8180 | int(6), 2);
    message.writeUInt16BE(parts.length - 1, 6 + 2 * int(3));
    for (let i = int(3); i > 0; i--) message[int(message.length)] = int(256);
    const response = readResponse(message.subarray(0, int(5) === 0 ? int(message.length) : message.length));
    if (!response) continue;
    isRead++;
    const { body, ttl } = response;
    if (body.ends.length !== body.answers + body.authority + body.additional || !(ttl >= 0))
      return t.fail(`round ${round}: ${message.toString('hex')}`);
  }
  t.ok(isRead > ROUNDS / 50, `${isRead} were read`);
});
