/** Rates from two readings of a worker, and the text that people see of them. */
import t from 'tap';
import type { PortReading, Readings } from '../../src/agent/packet/readings.js';
import { formatRates, ratesOf, short } from '../../src/cli/top-view.js';

const port = (name: string, packets: number, bytes: number): PortReading => ({
  name,
  rxPackets: packets,
  rxBytes: bytes,
  txPackets: packets / 2,
  txBytes: bytes / 2,
  drops: 0,
});

const BEFORE: Readings = {
  atMs: 1000,
  worker: { tid: 7, userMs: 100, kernelMs: 1000 },
  ports: [port('pod default/a', 1000, 100_000)],
  drops: { 'source-ip': 5, 'no-route': 2 },
  events: { waits: 10, tapReads: 20, tapWrites: 30, batches: 10, passes: 100, sleeps: 4, spins: 0 },
};

const AFTER: Readings = {
  atMs: 3000,
  worker: { tid: 7, userMs: 300, kernelMs: 2000 },
  ports: [port('pod default/a', 5000, 2_100_000), port('pod default/b', 2000, 64_000)],
  drops: { 'source-ip': 25, 'no-route': 2 },
  events: {
    waits: 1010,
    tapReads: 3020,
    tapWrites: 2030,
    batches: 1010,
    passes: 6100,
    sleeps: 204,
    spins: 600,
  },
};

t.test('rates are differences over the time between', async (t) => {
  const rates = ratesOf('node1', BEFORE, AFTER);
  t.match(rates, {
    node: 'node1',
    seconds: 2,
    worker: { userPercent: 10, kernelPercent: 50, sleeps: 100, spins: 300 },
    batches: 500,
    passesPerBatch: 6,
    packets: 3000,
    systemCalls: 3000,
    systemCallsPerPacket: 1,
    ports: [
      { name: 'pod default/a', rxPackets: 2000, rxBytes: 1_000_000, txPackets: 1000 },
      { name: 'pod default/b', rxPackets: 1000, rxBytes: 32_000 },
    ],
  });
  t.same(rates.drops, { 'source-ip': 10 }, 'reasons that dropped nothing in between are left out');
});

t.test('an agent that began anew counts from zero, and nothing is negative', async (t) => {
  const anew = { ...BEFORE, atMs: 4000, worker: { tid: 9, userMs: 10, kernelMs: 20 } };
  const rates = ratesOf('node1', AFTER, anew);
  t.equal(rates.ports[0]!.rxPackets, 1000);
  t.equal(rates.worker.kernelPercent, 2);
  t.equal(rates.drops['source-ip'], 5);
});

t.test('an idle host divides by nothing', async (t) => {
  const rates = ratesOf('node1', AFTER, { ...AFTER, atMs: 4000 });
  t.match(rates, { packets: 0, systemCallsPerPacket: 0, passesPerBatch: 0, drops: {} });
});

t.test('the text names what the figures are', async (t) => {
  t.equal(
    formatRates(ratesOf('node1', BEFORE, AFTER)),
    `node1   worker 60 % of a processor (user 10 %, kernel 50 %)   slept 100/s, spared 300/s
3.0k packets/s in 500 batches/s of 6.0 passes   3.0k system calls/s, 1.00 a packet
PORT            IN PKT/S   IN BIT/S   OUT PKT/S   OUT BIT/S   DROPS/S
pod default/a   2.0k       8.0M       1.0k        4.0M        0
pod default/b   1.0k       256k       500         128k        0
drops: source-ip 10/s
`,
  );
});

t.test('numbers keep to four characters and a prefix', async (t) => {
  t.same([0, 7, 0.25, 99.9, 999, 999.6, 1000, 12_345, 999_499, 999_999, 4e9, 7e12].map(short), [
    '0',
    '7',
    '0.3',
    '99.9',
    '999',
    '1.0k',
    '1.0k',
    '12.3k',
    '999k',
    '1.0M',
    '4.0G',
    '7.0T',
  ]);
});
