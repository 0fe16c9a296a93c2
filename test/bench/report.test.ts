import t from 'tap';
import type { Result } from '../../src/bench/bench.js';
import { wantedTopics } from '../../src/bench/bench.js';
import { median } from '../../src/bench/case.js';
import { readCpuTime } from '../../src/bench/cpu.js';
import { cpuRows, figureRows, reportObject } from '../../src/bench/report.js';

const result = (given: Partial<Result>): Result => ({
  topic: 'forwarding',
  name: 'a path',
  unit: 'Gbit/s',
  beside: 'kernel',
  podwire: [],
  theirs: [],
  ...given,
});

t.test('the median of an even number of rounds lies between the middle two', async (t) => {
  t.equal(median([9, 1, 5]), 5);
  t.equal(median([9, 1, 5, 6]), 5.5);
});

t.test(
  'a row has medians, the ratio of the medians, and the least and the largest ratio of a round',
  async (t) => {
    const [, row] = figureRows([result({ podwire: [4, 8, 6], theirs: [8, 8, 10], target: 0.7 })]);
    t.same(row, ['a path', '6.00 Gbit/s', '8.00 Gbit/s', 'kernel', '0.75', '0.50 – 1.00', '≥ 0.70']);
  },
);

t.test('where low is better, the ratio is above 1 when podwire has less', async (t) => {
  const [, row] = figureRows([result({ unit: 'µs', isLowBetter: true, podwire: [20], theirs: [30] })]);
  t.equal(row![4], '1.50');
});

t.test('what the machine does not bear has no ratio', async (t) => {
  const [, row] = figureRows([result({ podwire: [4], theirs: [] })]);
  t.same(row!.slice(2, 6), ['not borne', 'kernel', '-', '-']);
});

t.test('processor time is told a unit of work, with the share of the kernel', async (t) => {
  const cpu = {
    name: 'a path',
    beside: 'kernel',
    unit: 's/GB',
    target: 0.71,
    podwire: { seconds: 2, kernelShare: 0.75 },
    theirs: { seconds: 1, kernelShare: 0.5 },
  };
  const [, row] = cpuRows([cpu]);
  t.same(row, ['a path', '2.00 s/GB', '75 %', '1.00 s/GB', '50 %', 'kernel', '0.50', '≥ 0.71']);
  t.match(reportObject({ results: [], cpu: [cpu], failures: ['x: gone'] }), {
    processorTime: [{ ratio: 0.5 }],
    failures: ['x: gone'],
  });
});

t.test('processor time of /proc/stat leaves out idle time, and time that was waited or stolen', async (t) => {
  //                   user nice system idle iowait irq softirq steal
  const text = 'cpu  100   10   200   5000 700   30  40      900 0 0\ncpu0 1 1 1 1\n';
  t.same(readCpuTime(text), { busy: 3.8, kernel: 2.7 });
});

t.test('a topic is wanted by its name, or by a word in the name of one of its cases', async (t) => {
  const names = (...only: string[]): string[] => wantedTopics(only).map(({ name }) => name);
  t.ok(names().length > 3);
  t.same(names('dns'), ['dns']);
  t.same(names('NodePort', 'wires'), ['wires', 'services']);
  t.same(names('no such thing'), []);
});
