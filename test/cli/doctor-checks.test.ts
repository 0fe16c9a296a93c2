import t from 'tap';
import { CHECKS, type Finding, type Probe } from '../../src/cli/doctor-checks.js';
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
  hasRawSocket: true,
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

t.test('routes, ports and managers in the way of a real host are warnings', async (t) => {
  t.match(troubles({ routes: () => [{ cidr: parseCidr('10.0.0.0/8')!, words: '10.0.0.0/8 dev vpn0' }] }), [
    /^warn routes: the route 10\.0\.0\.0\/8 dev vpn0 overlaps the default pod CIDR 10\.244/,
    /^warn routes: .* Service CIDR 10\.96/,
  ]);
  const udp = '  sl  local_address rem_address\n  12: 00000000:2118 00000000:0000 07\n';
  t.match(troubles({ read: (path) => (path.endsWith('udp') ? udp : 'nodev\toverlay\n') }), [
    /^warn ports: UDP port 8472 is taken/,
  ]);
  t.match(troubles({ list: (path) => (path === '/run/NetworkManager' ? ['x'] : []) }), [
    /^warn managers: NetworkManager/,
  ]);
});

t.test('no free underlay fails', async (t) => {
  t.match(troubles({ freeUnderlays: () => 0 }), [/^fail underlay/]);
});

t.test('without raw-socket the check says what pods lack and what to do', async (t) => {
  t.match(troubles({ hasRawSocket: false }), [/^warn raw-socket: .*no ping replies.*npm rebuild raw-socket/]);
});
