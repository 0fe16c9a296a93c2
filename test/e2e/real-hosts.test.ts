/**
 * docs/real-hosts.md, walked through on two hosts with systemd: every command of the page, as it stands there. (scripts/test-vm does
 * the same on virtual machines with a kernel of their own.) The hosts are like Vagrant's machines: the NIC with the default
 * route has the same address on both, the other one is the underlay.
 */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { makeNetns, testName } from '../lib/netns.js';
import { inRoot } from '../lib/root.js';
import { cleanEnv, output, runSync } from '../lib/spawn.js';
import { bootHost, needsSystemd, type SystemdHost } from '../lib/systemd-host.js';
import { commandsOf, PageWalk } from '../vm/page.js';

const PROGRAMS = ['kubectl', 'tcpdump', 'nslookup', 'curl', 'ping'];
const missing = PROGRAMS.filter((name) => runSync(['which', name]).status !== 0);

t.test(
  'from two empty hosts to a ping between pods',
  { skip: needsSystemd() || (missing.length > 0 && `needs ${missing.join(', ')}`) },
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), testName('release-')));
    t.teardown(() => rmSync(folder, { recursive: true, force: true }));
    mkdirSync(join(folder, 'home'));
    output([inRoot('scripts/stage'), join(folder, 'podwire-0'), '--with-node'], undefined, cleanEnv());
    output(['tar', '-C', folder, '-czf', join(folder, 'home/podwire.tar.gz'), 'podwire-0']);
    cpSync(inRoot('vagrant/provision.sh'), join(folder, 'home/provision.sh'));

    const underlay = makeNetns(t);
    output(['ip', '-n', underlay, '-batch', '-'], 'link add br0 type bridge\nlink set br0 up\n');
    const hosts = new Map<string, SystemdHost>();
    for (const number of [1, 2]) {
      const netns = makeNetns(t);
      output(
        ['ip', '-batch', '-'],
        `link add eth1 netns ${netns} type veth peer name w${number} netns ${underlay}\n` +
          `link add eth0 netns ${netns} type veth peer name n${number} netns ${underlay}\n`,
      );
      output(
        ['ip', '-n', underlay, '-batch', '-'],
        `link set w${number} master br0\nlink set w${number} up\nlink set n${number} up\n`,
      );
      output(
        ['ip', '-n', netns, '-batch', '-'],
        `addr add 10.0.2.15/24 dev eth0\naddr add 192.168.56.1${number}/24 dev eth1\nlink set eth0 up\nlink set eth1 up\n` +
          'route add default via 10.0.2.2\n',
      );
      const host = await bootHost(t, `vm${number}`, netns, join(folder, 'home'));
      host.output('cp /root/podwire/* /root/');
      hosts.set(host.name, host);
    }
    const vm2 = hosts.get('vm2')!;
    const picture = (): string =>
      vm2.output(
        'mkdir -p /run/netns; ip rule; ip route; ip -o link | cut -d" " -f2; ip netns; ls /opt /run /usr/local/bin /etc/systemd/system; ' +
          'ls -d /etc/podwire /var/lib/podwire* 2>/dev/null || true',
      );
    const before = picture();

    const walk = new PageWalk();
    for (const one of commandsOf(readFileSync(inRoot('docs/real-hosts.md'), 'utf8'))) {
      if (one.host === 'here') continue;
      let text = '';
      try {
        text = await walk.follow(one, (host, script) => hosts.get(host)!.output(script));
      } catch (error) {
        for (const host of hosts.values())
          t.comment(
            host.run('journalctl', '-n', '30', '-o', 'cat', '-u', 'podwire-agent', '-u', 'podwire-server')
              .stdout,
          );
        throw error;
      }
      t.pass(`${one.host}# ${one.command}`);
      t.comment(text);
    }
    t.equal(picture(), before, 'of the host that left nothing stays');
  },
);
