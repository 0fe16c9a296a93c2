import t from 'tap';
import { POD, NODE } from '../../src/api/kinds.js';
import { formatTable, outputFormat } from '../../src/cli/output.js';
import { createProgress } from '../../src/cli/progress.js';
import { parseResources } from '../../src/cli/resources.js';
import { suggestions } from '../../src/cli/suggest.js';
import type { Pod } from '../../src/api/types.js';
import { testIo } from '../lib/io.js';

t.test('columns are as wide as their widest cell, and lines have no blanks at their ends', async (t) => {
  t.equal(
    formatTable([
      ['NAME', 'IP'],
      ['a-long-name', ''],
      ['b', 7],
    ]),
    'NAME          IP\na-long-name\nb             7\n',
  );
});

t.test('an output format that does not exist is refused', async (t) => {
  t.equal(outputFormat(undefined, ['json']), 'table');
  t.equal(outputFormat('json', ['json']), 'json');
  t.throws(() => outputFormat('xml', ['json', 'yaml']), { name: 'UsageError', message: /choose json, yaml/ });
});

t.test('kinds and names are read as kubectl reads them', async (t) => {
  t.strictSame(parseResources(['po']), [{ kind: POD }]);
  t.strictSame(parseResources(['pods,no']), [{ kind: POD }, { kind: NODE }]);
  t.strictSame(parseResources(['pod', 'a', 'b']), [
    { kind: POD, name: 'a' },
    { kind: POD, name: 'b' },
  ]);
  t.strictSame(parseResources(['pod/a', 'node/n']), [
    { kind: POD, name: 'a' },
    { kind: NODE, name: 'n' },
  ]);
});

/** Two steps, the second with news on the way. */
function twoSteps(isTty: boolean): string {
  const io = testIo({ isTty });
  let time = 0;
  const progress = createProgress(io, () => (time += 500));
  progress.begin('server', 'starting');
  progress.done('listens');
  progress.begin('pods', 'waiting');
  progress.update('1 of 2 Ready');
  progress.done('2 of 2 Ready');
  return io.out();
}

t.test('progress in a pipe is a line a step', async (t) => {
  t.equal(twoSteps(false), 'server     listens (0.5 s)\npods       2 of 2 Ready (0.5 s)\n');
});

t.test('progress on a terminal rewrites the line of the current step', async (t) => {
  const text = twoSteps(true);
  t.match(text, '\r\x1b[Kpods       1 of 2 Ready\r\x1b[Kpods       2 of 2 Ready (0.5 s)\n');
  t.equal(text.split('\n').length, 3);
});

t.test('what to try fits the pods there are', async (t) => {
  const pod = (name: string, node: string, image: string, ip: string): Pod => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default' },
    spec: { nodeName: node, containers: [{ name: 'c', image }] },
    status: { podIP: ip },
  });
  const plan = { name: 'demo', nodes: [{ name: 'node1', netns: 'demo.node1', address: '192.168.50.1' }] };
  t.strictSame(
    suggestions(plan, [
      pod('client', 'node1', 'alpine', '10.244.1.2'),
      pod('peer', 'node2', 'alpine', '10.244.2.2'),
      pod('web-1', 'node1', 'nginx', '10.244.1.3'),
      pod('web-2', 'node2', 'nginx:1.27', '10.244.2.3'),
    ]),
    [
      'status',
      'exec client -- ping -c 3 10.244.1.3',
      'exec client -- traceroute -n 10.244.2.2',
      'exec client -- curl -s http://10.244.2.3/',
      'exec peer -- iperf3 -s -1 -D',
      'exec client -- iperf3 -c 10.244.2.2 -t 3',
      'exec --node node1 -- tcpdump -T vxlan -ni eth0 udp port 8472',
      'tables fdb --node node1',
      'down',
    ],
  );
  t.strictSame(suggestions(plan, []), ['status', 'tables fdb --node node1', 'down']);
});
