import t from 'tap';
import { REASONS } from '../../src/dataplane/verdict.js';
import { DUMPABLE, dumpRows } from '../../src/tables/dump.js';
import { rowObjects, type RowObject } from '../../src/tables/row-objects.js';
import { A, B, createBench } from '../lib/host-bench.js';
import { udpFrame } from '../lib/packets.js';

t.test('keys are columns, numbers are numbers, times are seconds, and a dash is null', async (t) => {
  const headings = ['PORT', 'RX-PACKETS', 'AGE', 'VNI', 'INI-PACKETS/BYTES'];
  const rows = [['123', 7, '15s', '-', '3/188']];
  t.strictSame(rowObjects({ headings, rows }), [
    { port: '123', rxPackets: 7, age: 15, vni: null, iniPackets: 3, iniBytes: 188 },
  ]);
  t.strictSame(rowObjects({ headings, rows: [] }), []);
});

t.test('after traffic, each table gives one object a row, all with the same keys', async (t) => {
  const bench = createBench();
  bench.send(
    'a',
    udpFrame({ srcMac: A.mac, dstMac: B.mac, src: A.ip, dst: B.ip, srcPort: 4000, dstPort: 53 }),
  );
  const reasons = REASONS.map(([name]) => name);
  const named = (of: Parameters<typeof bench.master.ids.keyOf>[0], id: number) =>
    bench.master.ids.keyOf(of, id);
  const dumped = (name: (typeof DUMPABLE)[number]) =>
    dumpRows(bench.host.dp, name, named, reasons, bench.now);
  const all = new Map<string, RowObject[]>(DUMPABLE.map((name) => [name, rowObjects(dumped(name))]));
  for (const name of DUMPABLE) {
    const { headings, rows } = dumped(name);
    const columns = headings.join('/').split('/').length;
    t.equal(all.get(name)!.length, rows.length, name);
    for (const row of all.get(name)!) {
      t.equal(Object.keys(row).length, columns, `${name}: a key for each column`);
      t.notOk(Object.values(row).some(Number.isNaN), `${name}: what is a number can be read as one`);
    }
  }
  t.match(
    all.get('ports')!.find(({ port }) => port === 'pod default/a'),
    { kind: 'pod', mtu: 1450, vni: null, rxPackets: 1, drops: 0 },
  );
  const passes = all.get('counters')!.find(({ name }) => name === 'passes');
  t.strictSame(passes, { kind: 'event', name: 'passes', count: 1 });
});
