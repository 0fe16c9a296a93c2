/**
 * Part `join`: two empty machines become a cluster by the commands of docs/real-hosts.md, each of which is run as it stands
 * there. Then what the page promises: traffic of every kind between pods, and that it outlives a server that is away, a
 * machine that is rebooted, and an agent that is killed. At the end a host leaves, and nothing of it stays.
 *
 * The machines are as Vagrant makes them: the NIC with the default route has the same address on both.
 */
import { readFileSync } from 'node:fs';
import { inRoot } from '../lib/root.js';
import { expect } from './checks.js';
import type { Machine } from './machine.js';
import { commandsOf, PageWalk } from './page.js';
import { bootTwo, until, type Part } from './part.js';

const PAGE = 'docs/real-hosts.md';
const LAST_SECTION = 'And gone';
/** The longest that a command of the page may take, emulated. */
const SECONDS = 400;
const KUBECONFIG = 'export KUBECONFIG=/var/lib/podwire-server/admin.kubeconfig; ';
const MEGABYTES = 100;

/** Beside the page's pods: something to download on vm2, and a second pod there that talks to it. */
const MORE = `
apiVersion: v1
kind: Pod
metadata: { name: source }
spec:
  nodeName: vm2
  containers:
    - { name: main, image: debian, command: [socat, -U, "TCP-LISTEN:9000,fork,reuseaddr", "OPEN:/srv/noise,rdonly"] }
    - { name: echo, image: debian, command: [socat, "TCP-LISTEN:7000,fork,reuseaddr", "EXEC:cat"] }
---
apiVersion: v1
kind: Pod
metadata: { name: neighbour }
spec: { nodeName: vm2, containers: [{ name: main, image: debian }] }
`;

export const join: Part = async ({ checks, ...place }) => {
  const { check } = checks;
  const machines = await bootTwo(checks, { ...place, name: 'join', hasSystemd: true, kernel: '6.1.' });
  if (!machines) return;
  const [vm1, vm2] = machines;
  const called = new Map(machines.map((vm) => [vm.name, vm]));
  const kubectl = (words: string, seconds = 120): Promise<string> =>
    vm1.output(`${KUBECONFIG}kubectl ${words}`, seconds);
  const addressOf = (pod: string): Promise<string> => kubectl(`get pod ${pod} -o jsonpath='{.status.podIP}'`);
  const before = await pictureOf(vm2);

  const page = new PageWalk();
  const walk = async (isMeant: (section: string) => boolean): Promise<boolean> => {
    for (const one of commandsOf(readFileSync(inRoot(PAGE), 'utf8'))) {
      if (one.host === 'here' || !isMeant(one.section)) continue;
      const isDone = await check(`${one.host}# ${one.command}`, async () => {
        const text = await page.follow(one, (host, script) => called.get(host)!.output(script, SECONDS));
        return /rtt .*/.exec(text)?.[0];
      });
      // Without a cluster the rest would only wait.
      if (!isDone && one.section === 'The server') return false;
    }
    return true;
  };
  if (!(await walk((section) => section !== LAST_SECTION))) return;

  await check('no tunnel goes by 10.0.2.15', async () => {
    const text = await kubectl(
      `get nodes -o jsonpath='{.items[*].metadata.annotations.flannel\\.alpha\\.coreos\\.com/public-ip}'`,
    );
    expect(text === '192.168.56.11 192.168.56.12', text);
  });
  await check('a Service leads to both machines', async () => {
    const loop = 'for i in 1 2 3 4 5 6 7 8; do curl -s --max-time 20 http://web/; done';
    let seen = '';
    // The page ends with a restart of vm2's agent, in which its web server lives: that takes a while to be asked again.
    await until(
      SECONDS,
      async () => {
        seen += (await vm1.run(`${KUBECONFIG}kubectl exec client -- bash -c '${loop}'`, SECONDS)).stdout;
        return ['web-1', 'web-2'].every((pod) => seen.includes(`This is pod ${pod}`)) || undefined;
      },
      () => seen,
    );
  });
  await check('more pods, by kubectl', async () => {
    await vm1.output(`${KUBECONFIG}kubectl apply -f - <<'END'\n${MORE}\nEND`, SECONDS);
    await kubectl('wait --for=condition=Ready pod --all --timeout=120s', SECONDS);
  });
  const source = await addressOf('source');
  await check(`${MEGABYTES} MB over TCP between machines, byte for byte`, async () => {
    const from = performance.now();
    const fetch = `set -eo pipefail; socat -u TCP:${source}:9000 - | cmp - /srv/noise`;
    await kubectl(`exec client -- bash -c '${fetch}'`, SECONDS);
    return `${Math.round((MEGABYTES * 8000) / (performance.now() - from))} Mbit/s`;
  });

  const holders = (vm: Machine): Promise<string> => vm.output('pgrep -f "^sleep infinity" | sort');
  /** Pings from a pod to a pod while something happens. */
  const pingThrough = async (
    vm: Machine,
    pod: string,
    to: string,
    what: () => Promise<unknown>,
  ): Promise<string> => {
    const log = `/root/ping.${pod}`;
    await vm.output(
      `setsid podwire exec ${pod} -- ping -n -i 0.5 -W 10 ${to} >${log} 2>&1 </dev/null & ` +
        `for i in $(seq 1500); do grep -q time= ${log} && exit 0; sleep 0.2; done; cat ${log}; exit 1`,
      SECONDS,
    );
    await what();
    // The machine sees its pods' programs; this is the only ping.
    const text = await vm.output(
      `pkill -INT -x ping; for i in $(seq 1500); do grep -q received ${log} && break; sleep 0.2; done; tail -3 ${log}`,
      SECONDS,
    );
    const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(text) ?? [];
    expect(Number(sent) > 3 && Number(sent) - Number(received) <= 1, text);
    return `${received} of ${sent}`;
  };

  await check('with the server away, pods of two machines go on', async () => {
    const web2 = await addressOf('web-2');
    return pingThrough(vm1, 'client', web2, async () => {
      await vm1.output('systemctl stop podwire-server', SECONDS);
      await vm2.output('sleep 10');
      await vm1.output('systemctl start podwire-server', SECONDS);
    });
  });
  await check('a connection of vm2 outlives the reboot of the server’s machine', async () => {
    const pods = await holders(vm2);
    await vm2.output(
      'mkfifo /root/in; ' +
        `setsid podwire exec neighbour -- socat - TCP:${source}:7000 <>/root/in >/root/out 2>&1 & ` +
        'echo before >/root/in; for i in $(seq 1500); do grep -q before /root/out && exit 0; sleep 0.2; done; exit 1',
      SECONDS,
    );
    const text = await pingThrough(vm2, 'neighbour', source, () => vm1.reboot());
    await vm2.output(
      'echo after >/root/in; for i in $(seq 1500); do grep -q after /root/out && exit 0; sleep 0.2; done; exit 1',
      SECONDS,
    );
    expect((await holders(vm2)) === pods, 'vm2 has other pods than before');
    return text;
  });
  await check('its own pods are there again, and reach the other machine', async () => {
    await until(
      SECONDS,
      async () => {
        const { code, stdout } = await vm1.run(
          `${KUBECONFIG}kubectl exec client -- curl -s --max-time 10 http://web/`,
        );
        return code === 0 && stdout.includes('This is pod') ? true : undefined;
      },
      () => 'no answer',
    );
    const text = await kubectl(`exec client -- ping -c 3 -W 10 ${await addressOf('web-2')}`);
    expect(text.includes(' 0% packet loss'), text);
  });
  await check('a killed agent is started again, with the same pods', async () => {
    const pods = await holders(vm2);
    await vm2.output('systemctl kill --kill-who=main -s KILL podwire-agent');
    await until(
      SECONDS,
      async () => {
        const { stdout } = await vm2.run(
          'curl -s --max-time 10 --unix-socket /run/podwire/host/vm2.sock http://agent/status',
        );
        return /"phase": "running"/.test(stdout) || undefined;
      },
      () => 'the agent of vm2 does not run again',
    );
    expect((await holders(vm2)) === pods, 'vm2 has other pods than before');
    const text = await kubectl(`exec client -- ping -c 3 -W 10 ${source}`);
    expect(text.includes(' 0% packet loss'), text);
  });
  await check('a program in a pod cannot open the disks of its host', async () => {
    const { code, stderr } = await vm2.run(
      "podwire exec neighbour -- sh -c 'mknod /tmp/disk b 254 0 && head -c 1 /tmp/disk >/dev/null'",
    );
    expect(code !== 0 && /Operation not permitted|Permission denied/.test(stderr), `${code}: ${stderr}`);
  });

  await walk((section) => section === LAST_SECTION);
  await check('of a host that was removed nothing stays', async () => {
    const after = await pictureOf(vm2);
    expect(after === before, `before:\n${before}\nafter:\n${after}`);
    const text = await kubectl('get nodes');
    expect(/vm1 +Ready/.test(text) && !text.includes('vm2'), text);
  });
};

/** What podwire could leave on a host. */
const pictureOf = (vm: Machine): Promise<string> =>
  vm.output(
    'mkdir -p /run/netns; ip rule; ip route; ls /sys/class/net; ip netns list; ls /opt /usr/local/bin /etc/systemd/system; ' +
      'ls -d /run/podwire* /var/lib/podwire* /var/lib/private/podwire* /etc/podwire 2>/dev/null; ' +
      'grep /run/podwire /proc/mounts; sysctl -n net.ipv4.ip_forward net.ipv4.ip_local_reserved_ports; true',
  );
