/**
 * Two hosts without a server: `podwire agent --objects` in each, as on VMs, with real pods and real TAPs.
 */
import { existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { inRoot } from '../lib/root.js';
import { makePair, needsRoot, testName } from '../lib/netns.js';
import { output, printed, runSync, start } from '../lib/spawn.js';
import { until } from '../lib/until.js';

const PODWIRE = [process.execPath, inRoot('dist/src/cli/main.js')];
const LAB = testName('o');

const list = (items: object[]): string => JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
const node = (name: string, address: string) => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name },
  status: { addresses: [{ type: 'InternalIP', address }] },
});
const pod = (name: string, nodeName: string, image: string) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: { nodeName, containers: [{ name: 'main', image }] },
});

t.test('two hosts from the same file', { skip: needsRoot() }, async (t) => {
  const hosts = makePair(t);
  const run = mkdtempSync(join(tmpdir(), testName('')));
  const env = { PODWIRE_RUN: run };
  const file = join(run, 'objects.json');
  const nodes = [node('vm1', '192.0.2.1'), node('vm2', '192.0.2.2')];
  // As editors do: nobody reads half of it.
  const write = (...pods: object[]): void => {
    writeFileSync(`${file}.new`, list([...nodes, ...pods]));
    renameSync(`${file}.new`, file);
  };
  const argv = (i: number, ...more: string[]): string[] => [
    ...PODWIRE,
    ...['agent', '--lab', LAB, '--node', `vm${i + 1}`, '--netns', hosts[i]!],
    ...more,
  ];
  const begin = async (i: number) => {
    const child = start(t, argv(i, '--objects', file), { env });
    await printed(child, /The agent runs/);
    return child;
  };
  const ended = (child: ReturnType<typeof start>): Promise<number | null> =>
    new Promise((resolve) => child.once('exit', resolve));
  const cleanUp = (i: number) => runSync(argv(i, '--cleanup'), { env });
  t.teardown(() => {
    for (const i of [0, 1]) cleanUp(i);
    rmSync(run, { recursive: true });
  });
  const at = (name: string, vm = 'vm1'): string => `${LAB}.${vm}.default.${name}`;
  const inside = (netns: string, ...words: string[]) => runSync(['ip', 'netns', 'exec', netns, ...words]);
  const isReached = (netns: string, address: string): boolean =>
    inside(netns, 'ping', '-n', '-c', '1', '-W', '5', address).status === 0;

  const before = output(['ip', '-n', hosts[0], 'rule']);
  write(pod('client', 'vm1', 'alpine'), pod('near', 'vm1', 'nginx'), pod('web', 'vm2', 'nginx'));
  const agents = [await begin(0), await begin(1)];
  const [client, near, web] = ['10.244.1.2', '10.244.1.3', '10.244.2.2'];

  t.test('pods reach pods on both hosts, and so do the hosts', async (t) => {
    await until('the other host’s pod is reached', () => isReached(at('client'), web));
    t.ok(isReached(at('client'), near));
    t.ok(isReached(at('client'), '10.244.1.1'), 'the gateway is the host itself');
    t.ok(isReached(hosts[0], client), 'from the host to its own pod');
    t.ok(isReached(hosts[0], web), 'from the host to a pod of the other');
    const page = inside(at('client'), 'curl', '-sS', '-m', '5', `http://${web}/`);
    t.match(page.stdout, /Welcome to web/, page.stderr);
  });

  t.test('a pod that is added to the file is there soon after, one that is taken out is gone', async (t) => {
    write(
      pod('client', 'vm1', 'alpine'),
      pod('near', 'vm1', 'nginx'),
      pod('web', 'vm2', 'nginx'),
      pod('zoe', 'vm2', 'alpine'),
    );
    await until('the new pod is reached', () => isReached(at('client'), '10.244.2.3'));
    write(pod('client', 'vm1', 'alpine'), pod('near', 'vm1', 'nginx'), pod('web', 'vm2', 'nginx'));
    await until('its namespace is gone', () => !existsSync(`/run/netns/${at('zoe', 'vm2')}`));
    t.ok(isReached(at('client'), web), 'the others do not notice');
  });

  t.test('a second agent of the same host says who is the first', async (t) => {
    const second = runSync(argv(0, '--objects', file), { env });
    t.equal(second.status, 1);
    t.match(second.stderr, `process ${agents[0]!.pid} does so already; end that one first`);
    t.equal(cleanUp(0).status, 1, 'and nobody can clean up under it');
  });

  t.test('pods outlive an agent that is killed, and the next one takes them over', async (t) => {
    const inode = (): string => output(['stat', '-L', '-c', '%i', `/run/netns/${at('client')}`]);
    const pods = inode();
    const end = ended(agents[0]!);
    agents[0]!.kill('SIGKILL');
    await end;
    t.notOk(isReached(at('client'), web), 'nobody forwards');
    agents[0] = await begin(0);
    await until('the other host’s pod is reached', () => isReached(at('client'), web));
    t.equal(inode(), pods, 'the same namespace as before');
  });

  t.test(
    'an agent that is told to end takes back what it changed on the host, and leaves its pods',
    async (t) => {
      const end = ended(agents[0]!);
      agents[0]!.kill('SIGTERM');
      t.equal(await end, 0);
      t.equal(output(['ip', '-n', hosts[0], 'rule']), before);
      t.notMatch(output(['ip', '-n', hosts[0], 'route']), /pw0/);
      t.notMatch(output(['ip', '-n', hosts[0], 'link']), /pw0/);
      t.ok(existsSync(`/run/netns/${at('client')}`));
    },
  );

  t.test('cleaning up leaves nothing, also after a kill', async (t) => {
    const end = ended(agents[1]!);
    agents[1]!.kill('SIGKILL');
    await end;
    for (const i of [0, 1]) {
      const { status, stderr } = cleanUp(i);
      t.equal(status, 0, stderr);
      t.notMatch(output(['ip', '-n', hosts[i]!, 'rule']), /pw0/);
    }
    t.notMatch(output(['ip', 'netns']), `${LAB}.`);
    t.notOk(existsSync(join(run, LAB)));
  });
});
