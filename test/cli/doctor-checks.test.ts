import t from 'tap';
import { CHECKS } from '../../src/cli/doctor-checks.js';
import type { Finding, Probe } from '../../src/cli/doctor-finding.js';
import { parseCidr } from '../../src/wire/address.js';

/** A machine on which all is well, but for `wrong`. */
const machine = (wrong: Partial<Probe> = {}): Probe => ({
  preflight: () => [],
  nodeVersion: 'v20.1.0',
  kernel: '6.6.1',
  hasProgram: () => true,
  read: (path) => (path === '/proc/filesystems' ? 'nodev\toverlay\n' : undefined),
  list: () => [],
  routes: () => [],
  labs: () => [],
  freeUnderlays: () => 50,
  agents: () => [],
  hasRawSocket: true,
  forwardRules: () => undefined,
  ...wrong,
});

const examine = (wrong: Partial<Probe> = {}): Finding[] => CHECKS.flatMap((check) => check(machine(wrong)));
const troubles = (wrong: Partial<Probe>): string[] =>
  examine(wrong)
    .filter(({ level }) => level !== 'ok')
    .map(({ level, check, text }) => `${level} ${check}: ${text}`);

t.test('a good machine is all ok, a line a check', async (t) => {
  const found = examine();
  t.ok(found.every(({ level }) => level === 'ok'));
  t.equal(new Set(found.map(({ check }) => check)).size, CHECKS.length);
});

t.test('what keeps agents from running fails, in its own words', async (t) => {
  t.strictSame(troubles({ preflight: () => ['Cannot open /dev/net/tun: …'] }), [
    'fail machine: Cannot open /dev/net/tun: …',
  ]);
});

t.test('missing programs come with the packages that have them', async (t) => {
  t.match(troubles({ hasProgram: (name) => !['ethtool', 'unshare', 'dig'].includes(name) }), [
    'fail programs: ethtool, unshare missing; apt-get install ethtool util-linux',
    /^warn programs: dig missing, .*apt-get install dnsutils/,
  ]);
});

t.test('what an agent has found out is a line each', async (t) => {
  const narrow = 'The way to vm2 carries packets of 1400 bytes, the cluster counts on 1500: …';
  const agents = () => [
    { node: 'vm1', problems: [narrow] },
    { node: 'vm3', problems: [] },
  ];
  t.same(troubles({ agents }), [`warn agents: vm1: ${narrow}`]);
  t.match(
    examine({ agents: () => agents().slice(1) }).find(({ check }) => check === 'agents'),
    { level: 'ok', text: 'nothing is wrong, say the agents of vm3' },
  );
});

t.test('an old Node fails, an old kernel is said to be slower', async (t) => {
  t.match(troubles({ nodeVersion: 'v18.20.0' }), [/^fail node: .*install Node 20/]);
  t.match(troubles({ kernel: '4.19.0-6-amd64' }), [/^warn kernel/]);
  t.match(
    examine({ kernel: '6.1.0-18-amd64' }).find(({ check }) => check === 'kernel'),
    { level: 'ok', text: /needs 6\.2/ },
  );
});

t.test('what a dead lab left is found by its record, its link or its namespace', async (t) => {
  t.match(
    troubles({
      labs: () => [
        { name: 'alive', running: true },
        { name: 'dead', running: false },
      ],
      list: (path) =>
        path === '/sys/class/net'
          ? ['lo', 'pw-alive', 'pw-gone']
          : path === '/run/netns'
            ? ['alive.net', 'alive.node1', 'lost.net']
            : [],
    }),
    [/lab dead left .*podwire down --lab dead/, /lab gone left/, /lab lost left/],
  );
});

/** A machine that has these files, and the folders that they are in. */
const withFiles = (files: Readonly<Record<string, string>>): Partial<Probe> => ({
  read: (path) => files[path] ?? (path === '/proc/filesystems' ? 'nodev\toverlay\n' : undefined),
  list: (dir) =>
    Object.keys(files).flatMap((path) => (path.startsWith(`${dir}/`) ? path.slice(dir.length + 1) : [])),
});
const route = (cidr: string, words: string) => ({ cidr: parseCidr(cidr)!, words });

t.test('a company network inside the prefixes of pods and Services is named', async (t) => {
  t.match(troubles({ routes: () => [route('10.0.0.0/8', '10.0.0.0/8 dev vpn0')] }), [
    /^warn routes: the route 10\.0\.0\.0\/8 dev vpn0 overlaps the default pod CIDR 10\.244/,
    /^warn routes: .* Service CIDR 10\.96/,
  ]);
  t.match(troubles({ routes: () => [route('10.100.0.0/16', '10.100.0.0/16 dev eth0')] }), [
    /^warn routes: the route 10\.100\.0\.0\/16 dev eth0 overlaps the default Service CIDR 10\.96\.0\.0\/12/,
  ]);
  t.same(
    troubles({ routes: () => [route('10.244.0.0/16', '10.244.0.0/16 dev pw0')] }),
    [],
    'but not our own',
  );
});

t.test('the address that every VirtualBox machine has is named with the flags to give', async (t) => {
  const routes = () => [route('10.0.2.15/32', 'local 10.0.2.15 dev eth0')];
  t.match(troubles({ routes }), [/^warn addresses: eth0 has 10\.0\.2\.15, .*--iface-can-reach ADDRESS/]);
});

t.test('ports that others have', async (t) => {
  const sockets = (line: string) => `  sl  local_address rem_address   st\n${line}\n`;
  const udp = (line: string) => withFiles({ '/proc/net/udp': sockets(line) });
  t.match(troubles(udp('  12: 00000000:2118 00000000:0000 07')), [
    /^warn ports: UDP port 8472 is taken .*spec\.backend\.port/,
  ]);
  t.match(troubles(udp('  12: 00000000:0035 00000000:0000 07')), [
    /^warn ports: a DNS server has port 53 of all addresses \(udp\): .*bind-interfaces/,
  ]);
  t.same(
    troubles(udp('  12: 0100007F:0035 00000000:0000 07')),
    [],
    'a resolver on the loopback is no trouble',
  );
  const tcp = (state: string) =>
    withFiles({ '/proc/net/tcp6': sockets(`   1: ${'0'.repeat(32)}:0035 ${'0'.repeat(32)}:0000 ${state}`) });
  t.match(troubles(tcp('0A')), [/^warn ports: a DNS server has port 53 of all addresses \(tcp\)/]);
  t.same(troubles(tcp('06')), [], 'and what does not listen has no port');
  t.same(
    troubles({
      ...udp('  12: 00000000:2118 00000000:0000 07'),
      routes: () => [route('10.244.0.0/16', '10.244.0.0/16 dev pw0')],
    }),
    [],
    'where an agent runs, the port is its own',
  );
});

t.test('network managers are told to leave alone what is ours', async (t) => {
  const nm = { '/run/NetworkManager/devices': '' };
  const leave = '/etc/NetworkManager/conf.d/podwire.conf';
  t.match(troubles(withFiles(nm)), [
    /^warn managers: NetworkManager may take pw0 .*unmanaged-devices=interface-name:pw\*.*nmcli general reload/,
  ]);
  t.match(troubles(withFiles({ ...nm, [leave]: '[keyfile]\n# unmanaged-devices=interface-name:pw*\n' })), [
    /^warn managers/,
  ]);
  t.same(
    troubles(
      withFiles({
        ...nm,
        [leave]: '[keyfile]\nunmanaged-devices=interface-name:docker*;interface-name:pw*\n',
      }),
    ),
    [],
  );

  const networkd = { '/run/systemd/netif/state': '' };
  const drop = '/etc/systemd/networkd.conf.d/podwire.conf';
  t.match(troubles(withFiles(networkd)), [
    /^warn managers: systemd-networkd removes .*"ManageForeignRoutingPolicyRules=no" and "ManageForeignRoutes=no"/,
  ]);
  t.match(troubles(withFiles({ ...networkd, [drop]: '[Network]\nManageForeignRoutingPolicyRules=no\n' })), [
    /write "\[Network\]" and "ManageForeignRoutes=no" on lines/,
  ]);
  t.same(
    troubles(
      withFiles({
        ...networkd,
        '/etc/systemd/networkd.conf': '[Network]\n#ManageForeignRoutes=yes\nManageForeignRoutes=yes\n',
        [drop]: '[Network]\nManageForeignRoutingPolicyRules=false\nManageForeignRoutes=no\n',
      }),
    ),
    [],
    'a drop-in wins over the main file',
  );
  t.equal(troubles(withFiles({ ...nm, ...networkd })).length, 2, 'both, where both run');
});

t.test('firewalls come with the orders that open them', async (t) => {
  const docker = '-P FORWARD DROP\n-A FORWARD -j DOCKER-USER\n-N DOCKER-USER\n';
  t.match(troubles({ forwardRules: () => docker }), [
    /^warn firewall: iptables drops .*as Docker wants it.*"iptables -I DOCKER-USER -i pw0 -j ACCEPT"/,
  ]);
  t.match(troubles({ forwardRules: () => '-P FORWARD DROP\n' }), [/"iptables -I FORWARD -i pw0 -j ACCEPT"/]);
  const open = ['i', 'o'].map((way) => `-A DOCKER-USER -${way} pw0 -j ACCEPT\n`).join('');
  t.same(troubles({ forwardRules: () => docker + open }), []);
  t.same(troubles({ forwardRules: () => '-P FORWARD ACCEPT\n' }), []);

  const running = { '/run/firewalld/lock': '' };
  const zone = (name: string, line: string) => ({
    [`/etc/firewalld/zones/${name}.xml`]: `<zone>${line}</zone>`,
  });
  const trusted = zone('trusted', '<interface name="pw0"/>');
  t.match(troubles(withFiles(running)), [
    /^warn firewall: firewalld .*--zone=trusted --add-interface=pw0", "firewall-cmd --permanent --add-port=8472\/udp"/,
  ]);
  t.match(troubles(withFiles({ ...running, ...trusted })), [/run "firewall-cmd --permanent --add-port=8472/]);
  t.same(
    troubles(withFiles({ ...running, ...trusted, ...zone('public', '<port port="8472" protocol="udp"/>') })),
    [],
  );

  t.same(troubles(withFiles({ '/etc/ufw/ufw.conf': '# comment\nENABLED=no\n' })), []);
  const ufw = { '/etc/ufw/ufw.conf': 'ENABLED=yes\n' };
  t.match(troubles(withFiles(ufw)), [/^warn firewall: ufw .*"ufw allow 8472\/udp", "ufw allow in on pw0"/]);
  const rules = [
    '-A ufw-user-input -p udp --dport 8472 -j ACCEPT',
    '-A ufw-user-input -i pw0 -j ACCEPT',
    '-A ufw-user-forward -i pw0 -j ACCEPT',
  ];
  t.same(troubles(withFiles({ ...ufw, '/etc/ufw/user.rules': rules.join('\n') })), []);
});

t.test('no free underlay fails', async (t) => {
  t.match(troubles({ freeUnderlays: () => 0 }), [/^fail underlay/]);
});

t.test('without raw-socket the check says what pods lack and what to do', async (t) => {
  t.match(troubles({ hasRawSocket: false }), [/^warn raw-socket: .*no ping replies.*npm rebuild raw-socket/]);
});
