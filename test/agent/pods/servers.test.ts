import t from 'tap';
import { startServers, type Servers } from '../../../src/agent/pods/servers.js';
import type { Listener } from '../../../src/agent/pods/images.js';
import { makeNetns } from '../../lib/netns.js';
import { run, skip, until } from './host.js';

const open = (netns: string, image: string, ...listeners: Listener[]): Promise<Servers> =>
  startServers({ netns, podName: 'web-1', image }, listeners, () => {});

const curl = async (netns: string, ...args: string[]): Promise<string> =>
  (await run(['nsenter', `--net=/run/netns/${netns}`, 'curl', '-s', ...args])).stdout;

t.test('each image answers in its own way', { skip }, async (t) => {
  const netns = makeNetns(t);
  const servers = await open(
    netns,
    'kubetm/app:v2',
    { protocol: 'TCP', port: 8080, behaviour: 'app' },
    { protocol: 'TCP', port: 80, behaviour: 'welcome' },
    { protocol: 'TCP', port: 7000, behaviour: 'name' },
    { protocol: 'UDP', port: 7000, behaviour: 'name' },
  );
  t.equal(await curl(netns, '127.0.0.1:8080/hostname'), 'Hostname : web-1\n');
  t.equal(await curl(netns, '127.0.0.1:8080/version?x=1'), '[App Version] : Version v2\n');
  t.match(await curl(netns, '127.0.0.1/'), 'web-1');
  t.match(await curl(netns, '-I', '127.0.0.1/other'), /^HTTP\/1.1 404 /);
  t.equal(await curl(netns, '127.0.0.1:7000/any/path'), 'web-1\n');
  t.equal(
    await curl(netns, '-d', 'x'.repeat(10_000), '127.0.0.1:7000/'),
    'web-1\n',
    'a body is read and forgotten',
  );
  const udp = ['bash', '-c', 'exec 3<>/dev/udp/127.0.0.1/7000; echo hello >&3; timeout 30 head -n1 <&3'];
  t.equal((await run(['nsenter', `--net=/run/netns/${netns}`, ...udp])).stdout, 'web-1\n');
  await servers.close();
  t.equal(await curl(netns, '127.0.0.1:8080/hostname'), '', 'closed');
});

t.test('when one port is taken, none stays open', { skip }, async (t) => {
  const netns = makeNetns(t);
  const other = await open(netns, 'x', { protocol: 'TCP', port: 81, behaviour: 'name' });
  const both = [80, 81].map((port): Listener => ({ protocol: 'TCP', port, behaviour: 'name' }));
  await t.rejects(open(netns, 'x', ...both), /port 81 .*EADDRINUSE/);
  await (await open(netns, 'x', both[0])).close();
  await other.close();
});

t.test('closing ends connections that are open', { skip }, async (t) => {
  const netns = makeNetns(t);
  const servers = await open(netns, 'x', { protocol: 'TCP', port: 80, behaviour: 'name' });
  const idle = run([
    'nsenter',
    `--net=/run/netns/${netns}`,
    'bash',
    '-c',
    'exec 3<>/dev/tcp/127.0.0.1/80; echo open; cat <&3',
  ]);
  const established = ['nsenter', `--net=/run/netns/${netns}`, 'ss', '-Htn', 'state', 'established'];
  await until('it is connected', async () => (await run(established)).stdout !== '');
  await servers.close();
  t.equal((await idle).stdout, 'open\n');
});
