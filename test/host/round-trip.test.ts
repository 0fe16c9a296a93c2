/**
 * What one host cuts, another merges: random streams of both protocols, sizes, options and offloads. The readable twin knows
 * no offload: it sends each segment as a frame of its own.
 */
import t from 'tap';
import { A, REMOTE, ROUTER, VTEP1, createBench, needsCsum, type Output } from '../lib/host-bench.js';
import { parseFrame, tcpFrame, udpFrame } from '../lib/packets.js';
import { random } from '../lib/random.js';

/** Everything that a receiver's kernel makes of a frame: its segments, as text. */
function segmentsOf({ bytes, header }: Output): string[] {
  const frame = parseFrame(bytes);
  const isTcp = frame.proto === 6;
  const size = header.gsoType === 0 ? Math.max(frame.payload.length, 1) : header.gsoSize;
  const result: string[] = [];
  for (let at = 0; at < frame.payload.length || at === 0; at += size) {
    const payload = frame.payload.slice(at, at + size);
    const isLast = at + size >= frame.payload.length;
    const where = isTcp ? (frame.seq! + at) % 2 ** 32 : 0;
    // FIN and PSH stay with the last segment, CWR with the first.
    const flags = isTcp ? frame.flags! & ~(isLast ? 0 : 9) & ~(at === 0 ? 0 : 128) : 0;
    result.push(
      [
        frame.src,
        frame.srcPort,
        frame.dst,
        frame.dstPort,
        `ttl ${frame.ttl}`,
        `tos ${frame.tos}`,
        `seq ${where}`,
        `flags ${flags}`,
        Buffer.from(frame.options ?? []).toString('hex'),
        Buffer.from(payload).toString('hex'),
      ].join(' '),
    );
  }
  return result;
}

t.test('what arrives is what was sent, cut or whole, merged or not', async (t) => {
  let superFrames = 0;
  for (let seed = 1; seed <= 30; seed++) {
    const chance = random(seed);
    const offload = chance.pick([0, 1, 3, 7]);
    const here = createBench({ tunnelSockets: chance.pick([1, 4]) });
    const there = createBench({ node: 'node2', offload });
    const sent: string[] = [];
    const streams = [0, 1, 2].map((i) => ({
      isTcp: i < 2,
      seq: chance.pick([0, 0xfffff000, 1000]),
      fields: {
        srcMac: A.mac,
        dstMac: ROUTER.mac,
        src: A.ip,
        dst: REMOTE.ip,
        srcPort: 1000 + i,
        dstPort: 80,
      },
      options: chance.pick([[], [1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8], [1, 1, 1, 0]]),
      size: 100 + chance.int(1290),
      ttl: 3 + chance.int(60),
      tos: chance.int(256),
    }));
    here.batch(() => {
      for (let step = 0; step < 12; step++) {
        const stream = chance.pick(streams);
        const len = chance.pick([1, stream.size, 1 + chance.int(5 * stream.size), 20 * stream.size]);
        const payload = chance.bytes(len);
        const { fields, ttl, tos, size } = stream;
        const flags = 16 | chance.pick([0, 0, 8, 1, 128]);
        const make = (bytes: Uint8Array, seq: number, more: object): Uint8Array =>
          stream.isTcp
            ? tcpFrame({
                ...fields,
                ttl,
                tos,
                seq,
                options: Uint8Array.from(stream.options),
                payload: bytes,
                ...more,
              })
            : udpFrame({ ...fields, ttl, tos, payload: bytes, ...more });
        const whole = make(payload, stream.seq, { checksum: 'unfinished', flags });
        const isLong = len > size;
        here.send(
          'a',
          whole,
          needsCsum(whole, isLong ? { gsoType: stream.isTcp ? 1 : 5, gsoSize: size } : {}),
        );
        // The twin: what a sender without offload would have put on the wire, two routers later.
        for (let at = 0; at < len; at += size) {
          const segmentFlags = flags & ~(at + size < len ? 9 : 0) & ~(at === 0 ? 0 : 128);
          const seq = (stream.seq + at) % 2 ** 32;
          const segment = make(payload.slice(at, at + size), seq, { ttl: ttl - 2, flags: segmentFlags });
          sent.push(...segmentsOf({ bytes: segment, header: { gsoType: 0 } } as Output));
        }
        stream.seq = (stream.seq + len) % 2 ** 32;
      }
    });
    if (chance.int(2) === 0) there.now += 5;
    const datagrams = here.take();
    for (const { bytes } of datagrams) {
      const inner = parseFrame(bytes.slice(8));
      if (!inner.l4ChecksumRight || !inner.ipChecksumRight)
        t.fail(`seed ${seed}: wrong checksum on the wire`);
    }
    // As UDP_GRO would: datagrams of one message share a slot.
    there.batch(() => {
      for (let i = 0; i < datagrams.length;) {
        let end = i + 1;
        while (end < datagrams.length && datagrams[end]!.message === datagrams[i]!.message) end++;
        there.receive(
          VTEP1.underlay,
          datagrams.slice(i, end).map(({ bytes }) => bytes),
        );
        i = end;
      }
    });
    const out = there.take();
    if (offload === 7) superFrames += out.filter(({ header }) => header.gsoType !== 0).length;
    const arrived = out.flatMap(segmentsOf);
    // Streams may overtake each other, but each keeps its own order.
    const ofPort = (all: readonly string[], port: number): string[] =>
      all.filter((one) => one.startsWith(`${A.ip} ${port} `));
    for (const port of [1000, 1001, 1002]) {
      const [got, wanted] = [ofPort(arrived, port), ofPort(sent, port)];
      const wrong = wanted.findIndex((one, i) => one !== got[i]);
      if (wrong < 0 && got.length === wanted.length) continue;
      t.equal(got[wrong], wanted[wrong], `seed ${seed}, offload ${offload}, port ${port}, segment ${wrong}`);
      t.equal(got.length, wanted.length);
      return;
    }
    for (const drops of [here.drops(), there.drops()]) if (Object.keys(drops).length > 0) t.same(drops, {});
  }
  t.ok(superFrames > 8, `and ${superFrames} super-frames were among it`);
});
