/**
 * podwire on hosts with systemd: the install script, the units, what a stop, a crash, a restart and an upgrade do to pods, and
 * that nothing stays. The hosts are containers of systemd-nspawn.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { AgentStatus } from '../../src/agent/status.js';
import { makeNetns, needsRoot, testName } from '../lib/netns.js';
import { inRoot } from '../lib/root.js';
import { cleanEnv, output, runSync } from '../lib/spawn.js';
import { bootHost, needsSystemd, type SystemdHost } from '../lib/systemd-host.js';
import { until } from '../lib/until.js';

/** Exposure as `systemd-analyze security` counts it, in tenths: what is left open is argued for in the units. */
const MOST_EXPOSED = { server: 15, agent: 75 };

t.test('units are hardened as far as they say', { skip: noAnalyze() }, async (t) => {
  for (const [name, threshold] of Object.entries(MOST_EXPOSED)) {
    const unit = inRoot(`systemd/podwire-${name}.service`);
    const result = runSync([
      ...['systemd-analyze', 'security', '--offline=yes', '--no-pager', `--threshold=${threshold}`],
      unit,
    ]);
    t.equal(result.status, 0, `${name}: ${result.stdout.trim().split('\n').at(-1)}`);
  }
});

const OBJECTS = `
apiVersion: v1
kind: Node
metadata: { name: vm1 }
spec: { podCIDR: 10.244.1.0/24 }
status: { addresses: [{ type: InternalIP, address: 192.0.2.1 }] }
---
apiVersion: v1
kind: Pod
metadata: { name: server }
spec:
  nodeName: vm1
  containers:
    - name: main
      image: debian
      # Says back what it is told.
      command:
        - python3
        - -c
        - |
          import socket
          listener = socket.create_server(('', 7000))
          while True:
              connection = listener.accept()[0]
              while line := connection.recv(1000): connection.sendall(line)
---
apiVersion: v1
kind: Pod
metadata: { name: client }
spec: { nodeName: vm1, containers: [{ name: main, image: debian }] }
`;

t.test('a host with systemd', { skip: needsRoot() || needsSystemd() || noPrograms() }, async (t) => {
  const release = join(t.testdir(), 'podwire');
  mkdirSync(release);
  output([inRoot('scripts/stage'), release], undefined, cleanEnv());
  const netns = makeNetns(t);
  const peer = testName('p');
  output(
    ['ip', '-batch', '-'],
    `link add ${peer} type veth peer name eth0 netns ${netns}\nlink set ${peer} up\n`,
  );
  output(['ip', '-n', netns, '-batch', '-'], 'addr add 192.0.2.1/24 dev eth0\nlink set eth0 up\n');
  const host = await bootHost(t, 'vm1', netns, release);
  host.write('/root/objects.yaml', OBJECTS);
  const picture = (): string =>
    host.output(
      'mkdir -p /run/netns; ip rule; ip route; ip -o link | cut -d" " -f2; ip netns; ls /etc/systemd/system /opt /run /usr/local/bin',
    );
  const before = picture();
  const install = (...words: string[]): string =>
    host.output(`/root/podwire/scripts/install ${words.join(' ')} 2>&1`);

  t.match(install('agent', '--objects', '/root/objects.yaml', '--iface', 'eth0'), /Host vm1 has joined\./);
  t.equal(host.output('podwire --version 2>/dev/null || podwire --help | head -1').includes('podwire'), true);
  t.equal(host.output('systemctl is-enabled podwire-agent'), 'enabled\n');
  t.equal(host.output('systemd-analyze verify /etc/systemd/system/podwire-agent.service 2>&1'), '');
  t.equal(
    host.output(
      'install -m 644 /opt/podwire/systemd/podwire-server.service /tmp/ && systemd-analyze verify /tmp/podwire-server.service 2>&1; rm /tmp/podwire-server.service',
    ),
    '',
  );
  t.equal(host.output('stat -c %a /etc/podwire /etc/podwire/agent.env'), '700\n600\n');
  // The journal gets what is printed a moment later.
  const journal = (): string => host.output('journalctl -u podwire-agent -o cat');
  await until('its words are in the journal', () => /^\{"level":30,.*"The agent runs"\}$/m.test(journal()));
  t.match(host.output('ip netns'), /host\.vm1\.default\.client/, 'everybody sees the names of pods');

  const status = (): string =>
    host.run('curl', '-s', '--unix-socket', '/run/podwire/host/vm1.sock', 'http://agent/status').stdout;
  const podAddress = (name: string): string =>
    (JSON.parse(status()) as AgentStatus).pods.find((pod) => pod.name === name)!.podIP!;
  const holders = (): string => host.output('pgrep -f "^sleep infinity" | sort');
  const pods = await settled(host, holders);
  const agentPid = (): string => host.output('systemctl show --value -p MainPID podwire-agent');
  // A connection that says a line after each of what follows.
  host.output(
    `mkfifo /root/in; podwire exec client -- nc ${podAddress('server')} 7000 <>/root/in >/root/out 2>/root/err & ` +
      'for i in $(seq 600); do ss -N host.vm1.default.client -tn | grep -q :7000 && exit 0; sleep 0.1; done; exit 1',
  );
  const isAnswered = (line: string): Promise<true> =>
    until(`the connection says "${line}"`, () => host.output('cat /root/out').includes(line) || undefined);
  const say = async (line: string): Promise<void> => {
    host.output(`echo "${line}" >/root/in`);
    await isAnswered(line);
  };
  await say('before anything');
  const runs = (): Promise<unknown> => until('the agent runs', () => /"phase": "running"/.test(status()));

  await t.test('a restart loses no pod and no connection', async (t) => {
    const was = agentPid();
    host.output('systemctl restart podwire-agent');
    await runs();
    t.not(agentPid(), was);
    t.equal(holders(), pods);
    await say('after a restart');
  });

  await t.test('an upgrade is a restart', async (t) => {
    host.output('rm /opt/podwire/README.md');
    const was = agentPid();
    t.match(install(), /podwire \S+ is in \/opt\/podwire/);
    await runs();
    host.output('test -e /opt/podwire/README.md && test ! -e /opt/podwire.old && test ! -e /opt/podwire.new');
    t.not(agentPid(), was);
    t.equal(holders(), pods);
    await say('after an upgrade');
  });

  await t.test('a killed agent is started again and takes its pods back', async (t) => {
    const was = agentPid();
    host.output(`kill -KILL ${was}`);
    await until('another agent', () => ![was, '0\n'].includes(agentPid()));
    await runs();
    t.equal(holders(), pods);
    await say('after a crash');
  });

  await t.test('a stop takes back what was changed on the host, and pods go on', async (t) => {
    host.output('systemctl stop podwire-agent');
    t.equal(host.output('ip rule | wc -l'), '3\n');
    t.equal(host.output('ip -br link show pw0 2>/dev/null || echo none'), 'none\n');
    t.equal(holders(), pods);
    host.output('systemctl start podwire-agent');
    await runs();
    await say('after a stop and a start');
  });

  await t.test('so does a crash that nobody repairs', async (t) => {
    host.output('mkdir -p /run/systemd/system/podwire-agent.service.d');
    host.write('/run/systemd/system/podwire-agent.service.d/no.conf', '[Service]\nRestart=no\n');
    host.output('systemctl daemon-reload; systemctl kill --kill-who=main -s KILL podwire-agent');
    await until(
      'the unit has failed',
      () => host.run('systemctl', 'is-failed', 'podwire-agent').status === 0,
    );
    t.equal(host.output('ip rule | wc -l'), '3\n');
    t.equal(holders(), pods);
    host.output('rm -r /run/systemd/system/podwire-agent.service.d; systemctl daemon-reload');
    host.output('systemctl start podwire-agent');
    await runs();
  });

  await t.test('a wrong flag is said at once, and tried no second time', async (t) => {
    const { status, stderr } = host.run(
      '/root/podwire/scripts/install',
      'agent',
      '--objects',
      '/x',
      '--offload',
      'some',
    );
    t.equal(status, 1);
    t.match(stderr, /Unknown value "some" of --offload/);
    t.equal(host.output('systemctl show --value -p NRestarts podwire-agent'), '0\n');
  });

  await t.test('removed, nothing stays', async (t) => {
    t.match(install('remove', '--purge'), /podwire is removed/);
    t.equal(picture(), before);
    t.equal(host.run('pgrep', '-f', '^sleep infinity').stdout, '');
    t.equal(host.output('ls /etc/podwire /var/lib/podwire 2>/dev/null || true'), '');
  });
});

/** The same twice in a row. */
async function settled(_host: SystemdHost, look: () => string): Promise<string> {
  let last = '';
  return until('all pods are there', () => {
    const now = look();
    const isSame = now === last && now.trim().split('\n').length === 2;
    last = now;
    return isSame ? now : undefined;
  });
}

function noAnalyze(): string | false {
  return runSync(['systemd-analyze', '--version']).status === 0 ? false : 'needs systemd-analyze';
}

function noPrograms(): string | false {
  const missing = ['nc', 'python3'].filter((name) => runSync(['which', name]).status !== 0);
  return missing.length > 0 && `needs ${missing.join(', ')}`;
}
