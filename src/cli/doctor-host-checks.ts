/**
 * What else lives on a real host and gets in an agent's way: other users of prefixes and ports, network managers,
 * firewalls. In a lab none of it matters, since its hosts are namespaces; so all of it warns at most.
 *
 * Not seen: rules of nftables that somebody wrote by hand, and firewalls between hosts.
 */
import { HOST_PORT } from '../agent/host-items.js';
import { LAB_DEFAULTS } from '../api/lab.js';
import { cidrsOverlap, parseCidr } from '../wire/address.js';
import { finding, type Check, type Finding, type Probe } from './doctor-finding.js';

const PREFIXES = { 'pod CIDR': LAB_DEFAULTS.podCIDR, 'Service CIDR': LAB_DEFAULTS.serviceCIDR };
const VXLAN_PORT = LAB_DEFAULTS.backend.port;
const OTHER_VXLAN_PORT = 4789;
const DNS_PORT = 53;
/** What every VirtualBox machine has on its first NIC. */
const NAT_ADDRESS = '10.0.2.15';

const AS_HOST = 'no matter for labs; as a real host';

const isOurs = ({ words }: { words: string }): boolean => words.endsWith(` dev ${HOST_PORT}`);
/** Where its NIC is, an agent runs. */
const hasAgent = (probe: Probe): boolean => probe.routes().some(isOurs);

const routes: Check = (probe) => {
  const hits = Object.entries(PREFIXES).flatMap(([what, text]) =>
    probe
      .routes()
      // An agent's own routes are where they belong.
      .filter((route) => cidrsOverlap(route.cidr, parseCidr(text)!) && !isOurs(route))
      .map(({ words }) =>
        finding(
          'routes',
          'warn',
          `the route ${words} overlaps the default ${what} ${text}: ${AS_HOST} choose another, else its addresses are reached no longer`,
        ),
      ),
  );
  return hits.length > 0
    ? hits
    : finding('routes', 'ok', 'no route of the machine overlaps the default pod and Service CIDRs');
};

const addresses: Check = (probe) => {
  const nat = probe.routes().find(({ words }) => words.startsWith(`local ${NAT_ADDRESS} `));
  return nat
    ? finding(
        'addresses',
        'warn',
        `${nat.words.replace(/^local (\S+) dev (\S+).*/, '$2 has $1')}, as the first NIC of every VirtualBox machine has: give agents --iface NIC, or --iface-can-reach ADDRESS with another host's address`,
      )
    : finding('addresses', 'ok', `no NIC has ${NAT_ADDRESS}, which every VirtualBox machine has`);
};

const ports: Check = (probe) => {
  if (hasAgent(probe)) return finding('ports', 'ok', `an agent runs on this machine (${HOST_PORT} is there)`);
  const found: Finding[] = [VXLAN_PORT, OTHER_VXLAN_PORT]
    .filter((port) => socketsAt(probe, 'udp', port).length > 0)
    .map((port) =>
      finding(
        'ports',
        'warn',
        `UDP port ${port} is taken on this machine, by a VXLAN device (ip -d link show type vxlan) or a program: ${AS_HOST} choose the other one of ${VXLAN_PORT} and ${OTHER_VXLAN_PORT} in spec.backend.port`,
      ),
    );
  // 00000000 is every address, the gateway's too, which is where pods ask.
  const dns = ['udp', 'tcp'].filter((protocol) =>
    socketsAt(probe, protocol, DNS_PORT).some((local) => /^0+:/.test(local)),
  );
  if (dns.length > 0)
    found.push(
      finding(
        'ports',
        'warn',
        `a DNS server has port ${DNS_PORT} of all addresses (${dns.join(' and ')}): ${AS_HOST} let it listen on its own addresses alone, for example "bind-interfaces" of dnsmasq or "interface: 127.0.0.1" of unbound; else other hosts answer this host's pods`,
      ),
    );
  return found.length > 0
    ? found
    : finding(
        'ports',
        'ok',
        `UDP ports ${VXLAN_PORT} and ${OTHER_VXLAN_PORT} are free, nobody has port ${DNS_PORT} of all addresses`,
      );
};

/** The files of a manager's configuration, the main one and its drop-ins, without comments. */
const configuration = (probe: Probe, main: string, dirs: readonly string[]): string =>
  [main, ...dirs.flatMap((dir) => probe.list(dir).map((name) => `${dir}/${name}`))]
    .flatMap((path) => probe.read(path) ?? [])
    .join('\n')
    .replace(/^\s*[#;].*$/gm, '');

const networkManager: Check = (probe) => {
  if (probe.list('/run/NetworkManager').length === 0) return [];
  const text = configuration(probe, '/etc/NetworkManager/NetworkManager.conf', [
    '/usr/lib/NetworkManager/conf.d',
    '/run/NetworkManager/conf.d',
    '/etc/NetworkManager/conf.d',
  ]);
  const leavesUs = /^\s*unmanaged-devices\s*=.*\binterface-name:(pw\*|pw0)/m.test(text);
  return leavesUs
    ? finding('managers', 'ok', `NetworkManager leaves ${HOST_PORT} alone`)
    : finding(
        'managers',
        'warn',
        `NetworkManager may take ${HOST_PORT} for its own: ${AS_HOST} write "[keyfile]" and "unmanaged-devices=interface-name:pw*" on two lines of /etc/NetworkManager/conf.d/podwire.conf, then "nmcli general reload"`,
      );
};

const networkd: Check = (probe) => {
  if (probe.list('/run/systemd/netif').length === 0) return [];
  const text = configuration(probe, '/etc/systemd/networkd.conf', [
    '/usr/lib/systemd/networkd.conf.d',
    '/run/systemd/networkd.conf.d',
    '/etc/systemd/networkd.conf.d',
  ]);
  const missing = ['ManageForeignRoutingPolicyRules', 'ManageForeignRoutes'].filter((name) => {
    const values = [...text.matchAll(new RegExp(`^\\s*${name}\\s*=\\s*(\\S+)`, 'gm'))];
    return !/^(no|false|off|0)$/i.test(values.at(-1)?.[1] ?? '');
  });
  return missing.length === 0
    ? finding('managers', 'ok', 'systemd-networkd leaves foreign rules and routes alone')
    : finding(
        'managers',
        'warn',
        `systemd-networkd removes rules and routes that it did not make whenever it is started or reconfigured: ${AS_HOST} the agent puts them back within seconds; so that they stay, write "[Network]" and ${missing.map((name) => `"${name}=no"`).join(' and ')} on lines of /etc/systemd/networkd.conf.d/podwire.conf, then "systemctl restart systemd-networkd"`,
      );
};

const managers: Check = (probe) => {
  const found = [networkManager(probe), networkd(probe)].flat();
  return found.length > 0
    ? found
    : finding('managers', 'ok', 'no network manager that takes NICs or removes foreign rules');
};

/** What Docker (and Kubernetes' own tools) do to what the host forwards: pods to the outside, and the replies. */
const forwarding: Check = (probe) => {
  const rules = probe.forwardRules();
  if (rules === undefined || !/^-P FORWARD (DROP|REJECT)/m.test(rules)) return [];
  const isOpen = ['i', 'o'].every((way) =>
    new RegExp(`^-A (FORWARD|DOCKER-USER) -${way} ${HOST_PORT} -j ACCEPT$`, 'm').test(rules),
  );
  if (isOpen) return finding('firewall', 'ok', `what is forwarded is dropped, but for ${HOST_PORT}`);
  const chain = /^-A FORWARD -j DOCKER-USER$/m.test(rules) ? 'DOCKER-USER' : 'FORWARD';
  return finding(
    'firewall',
    'warn',
    `iptables drops what the host forwards${chain === 'DOCKER-USER' ? ', as Docker wants it' : ''}: ${AS_HOST} let pods out with ` +
      `"iptables -I ${chain} -i ${HOST_PORT} -j ACCEPT" and "iptables -I ${chain} -o ${HOST_PORT} -j ACCEPT"`,
  );
};

const firewalld: Check = (probe) => {
  if (probe.list('/run/firewalld').length === 0 && probe.read('/run/firewalld.pid') === undefined) return [];
  const zones = '/etc/firewalld/zones';
  const texts = new Map(
    probe
      .list(zones)
      .filter((name) => name.endsWith('.xml'))
      .map((name) => [name, probe.read(`${zones}/${name}`) ?? '']),
  );
  const trusts = (texts.get('trusted.xml') ?? '').includes(`<interface name="${HOST_PORT}"/>`);
  const lets = [...texts.values()].some((text) =>
    [`protocol="udp" port="${VXLAN_PORT}"`, `port="${VXLAN_PORT}" protocol="udp"`].some((port) =>
      text.includes(port),
    ),
  );
  const orders = [
    ...(trusts ? [] : [`--zone=trusted --add-interface=${HOST_PORT}`]),
    ...(lets ? [] : [`--add-port=${VXLAN_PORT}/udp`]),
  ];
  return orders.length === 0
    ? finding('firewall', 'ok', `firewalld trusts ${HOST_PORT} and lets UDP port ${VXLAN_PORT} in`)
    : finding(
        'firewall',
        'warn',
        `firewalld is in the way: ${AS_HOST} run ${orders.map((order) => `"firewall-cmd --permanent ${order}"`).join(', ')}, then "firewall-cmd --reload"`,
      );
};

const ufw: Check = (probe) => {
  if (!/^\s*ENABLED=yes/m.test(probe.read('/etc/ufw/ufw.conf') ?? '')) return [];
  const rules = probe.read('/etc/ufw/user.rules') ?? '';
  const orders = [
    ...(rules.includes(`-p udp --dport ${VXLAN_PORT} -j ACCEPT`) ? [] : [`ufw allow ${VXLAN_PORT}/udp`]),
    ...(rules.includes(`-A ufw-user-input -i ${HOST_PORT} -j ACCEPT`)
      ? []
      : [`ufw allow in on ${HOST_PORT}`]),
    ...(rules.includes(`-A ufw-user-forward -i ${HOST_PORT} -j ACCEPT`)
      ? []
      : [`ufw route allow in on ${HOST_PORT}`, `ufw route allow out on ${HOST_PORT}`]),
  ];
  return orders.length === 0
    ? finding('firewall', 'ok', `ufw lets UDP port ${VXLAN_PORT} and ${HOST_PORT} through`)
    : finding(
        'firewall',
        'warn',
        `ufw is in the way: ${AS_HOST} run ${orders.map((order) => `"${order}"`).join(', ')}`,
      );
};

const firewalls: Check = (probe) => {
  const found = [forwarding(probe), firewalld(probe), ufw(probe)].flat();
  return found.length > 0
    ? found
    : finding('firewall', 'ok', 'neither Docker’s rules, nor firewalld, nor ufw are in the way');
};

/** In the order of what one would repair first. */
export const HOST_CHECKS: readonly Check[] = [routes, addresses, ports, managers, firewalls];

/**
 * The local addresses of sockets at a port, as column 2 of /proc/net/udp has them, `ADDRESS:PORT` in hexadecimal; of TCP those
 * that listen (state 0A). proc_net(5).
 */
function socketsAt(probe: Probe, protocol: string, port: number): string[] {
  const hex = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return [`/proc/net/${protocol}`, `/proc/net/${protocol}6`].flatMap((file) =>
    (probe.read(file) ?? '').split('\n').flatMap((line) => {
      const [, local = '', , state] = line.trim().split(/\s+/);
      return local.endsWith(hex) && (protocol === 'udp' || state === '0A') ? [local] : [];
    }),
  );
}
