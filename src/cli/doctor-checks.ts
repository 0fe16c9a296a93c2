/**
 * What on a machine will bite, one check each. A check asks the machine through a {@link Probe} and answers in one line;
 * what is not right comes with what to do.
 */
import { NO_RAW_SOCKET } from '../agent/raw-socket.js';
import { finding, type Check } from './doctor-finding.js';
import { HOST_CHECKS } from './doctor-host-checks.js';

/** Needed to run at all; the package that has it. */
const NEEDED: Readonly<Record<string, string>> = {
  ip: 'iproute2',
  ethtool: 'ethtool',
  nsenter: 'util-linux',
  unshare: 'util-linux',
  mount: 'mount',
  umount: 'mount',
};
/** Used by the walk-throughs, in pods as on the machine. */
const HANDY: Readonly<Record<string, string>> = {
  ping: 'iputils-ping',
  traceroute: 'traceroute',
  curl: 'curl',
  tcpdump: 'tcpdump',
  dig: 'dnsutils',
  iperf3: 'iperf3',
  wget: 'wget',
  nc: 'netcat-openbsd',
};

const machine: Check = (probe) => {
  const problems = probe.preflight();
  return problems.length > 0
    ? problems.map((text) => finding('machine', 'fail', text))
    : finding('machine', 'ok', 'root, /dev/net/tun and ip are there');
};

const node: Check = ({ nodeVersion }) =>
  Number(/^v?(\d+)/.exec(nodeVersion)?.[1]) >= 20
    ? finding('node', 'ok', `Node ${nodeVersion}`)
    : finding('node', 'fail', `Node ${nodeVersion} is too old; install Node 20 or newer`);

const kernel: Check = ({ kernel }) => {
  const [major, minor] = kernel.split('.').map(Number) as [number, number];
  const version = major * 1000 + minor;
  if (version < 5004)
    return finding(
      'kernel',
      'warn',
      `Linux ${kernel} is older than 5.4, which nobody tried; use a newer one`,
    );
  if (version < 6002)
    return finding(
      'kernel',
      'ok',
      `Linux ${kernel}; UDP in super-frames on TAPs needs 6.2, without it small UDP is slower`,
    );
  return finding('kernel', 'ok', `Linux ${kernel}, with UDP in super-frames (USO)`);
};

const programs: Check = (probe) => {
  const missing = (of: Readonly<Record<string, string>>): string[] =>
    Object.keys(of).filter((name) => !probe.hasProgram(name));
  const install = (names: string[], of: Readonly<Record<string, string>>): string =>
    `apt-get install ${[...new Set(names.map((name) => of[name]))].join(' ')}`;
  const needed = missing(NEEDED);
  const handy = missing(HANDY);
  return [
    needed.length > 0
      ? finding('programs', 'fail', `${needed.join(', ')} missing; ${install(needed, NEEDED)}`)
      : finding('programs', 'ok', `${Object.keys(NEEDED).join(', ')} are there`),
    ...(handy.length > 0
      ? [
          finding(
            'programs',
            'warn',
            `${handy.join(', ')} missing, which the walk-throughs use; ${install(handy, HANDY)}`,
          ),
        ]
      : []),
  ];
};

const overlayFs: Check = (probe) =>
  probe.read('/proc/filesystems')?.includes('\toverlay\n')
    ? finding('overlay', 'ok', 'the kernel has overlayfs, on which the roots of pods stand')
    : finding('overlay', 'warn', 'overlayfs is not loaded; if pods do not start, run "modprobe overlay"');

const leftovers: Check = (probe) => {
  const labs = probe.labs();
  const running = new Set(labs.filter((lab) => lab.running).map((lab) => lab.name));
  const dead = new Set(labs.filter((lab) => !lab.running).map((lab) => lab.name));
  for (const link of probe.list('/sys/class/net')) if (link.startsWith('pw-')) dead.add(link.slice(3));
  for (const name of probe.list('/run/netns')) if (name.endsWith('.net')) dead.add(name.slice(0, -4));
  const names = [...dead].filter((name) => !running.has(name)).sort();
  if (names.length === 0)
    return finding(
      'leftovers',
      'ok',
      running.size > 0 ? `running: ${[...running].join(', ')}; nothing left over` : 'nothing left over',
    );
  return names.map((name) =>
    finding(
      'leftovers',
      'warn',
      `lab ${name} left something behind; podwire down --lab ${name} clears it away`,
    ),
  );
};

const underlays: Check = (probe) => {
  const free = probe.freeUnderlays();
  return free > 0
    ? finding('underlay', 'ok', `${free} of the 50 ranges 192.168.50-99.0/24 are free for labs`)
    : finding('underlay', 'fail', 'none of 192.168.50-99.0/24 is free; give labs a spec.underlay.cidr');
};

const rawSocket: Check = (probe) =>
  probe.hasRawSocket
    ? finding('raw-socket', 'ok', 'pods get ping replies and ICMP errors from the outside')
    : finding('raw-socket', 'warn', NO_RAW_SOCKET);

/** What agents have measured (the underlay's MTU, silent peers) and what they miss. */
const agents: Check = (probe) => {
  const running = probe.agents();
  const problems = running.flatMap(({ node, problems: found }) =>
    found.map((text) => finding('agents', 'warn', `${node}: ${text}`)),
  );
  if (problems.length > 0) return problems;
  const names = running.map(({ node }) => node).join(', ');
  return finding('agents', 'ok', names ? `nothing is wrong, say the agents of ${names}` : 'none runs here');
};

const fragments: Check = () =>
  finding(
    'fragments',
    'ok',
    'to a NodePort, and replies to masqueraded pods, must come unfragmented: a fragment has no port to steer by',
  );

/** In the order of what one would repair first. */
export const CHECKS: readonly Check[] = [
  machine,
  node,
  kernel,
  programs,
  overlayFs,
  leftovers,
  agents,
  underlays,
  ...HOST_CHECKS,
  rawSocket,
  fragments,
];
