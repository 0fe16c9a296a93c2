/** A host whose state is made and taken back, for tests. */
import { rmSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { openHostState } from '../../src/agent/host-state.js';
import type { HostState } from '../../src/agent/host-state.js';
import { NO_SERVICE_ADDRESSES } from '../../src/compile/service-addresses.js';
import { nodeAddresses } from '../../src/compile/node-addresses.js';
import { makeNetns, testName } from './netns.js';
import type { TestScope } from './scope.js';
import { output } from './spawn.js';

const silent = pino({ level: 'silent' });

/** What the state of {@link makeHost} is made from. */
export const PLAN = {
  addresses: nodeAddresses('10.244.1.0/24')!,
  podCidr: '10.244.0.0/16',
  serviceCidr: '10.96.0.0/12',
  nic: 'eth0',
  nodeIp: '192.168.50.1',
  mtu: 1450,
  services: NO_SERVICE_ADDRESSES,
  hostPorts: [],
};

/** A host in a namespace: a veth end plays pw0, another one the underlay's NIC. */
export const makeHost = (t: TestScope) => {
  const netns = makeNetns(t);
  const ip = (...args: string[]): string => output(['ip', '-n', netns, ...args]);
  for (const name of ['pw0', 'eth0']) {
    ip('link', 'add', name, 'type', 'veth', 'peer', 'name', `${name}-peer`);
    ip('link', 'set', `${name}-peer`, 'up');
  }
  const sysctl = (name: string, value?: string): string => {
    const set = value === undefined ? '' : `echo ${value} > $0;`;
    return output([
      'ip',
      'netns',
      'exec',
      netns,
      'sh',
      '-c',
      `${set} cat $0`,
      `/proc/sys/net/ipv4/conf/${name}`,
    ]).trim();
  };
  const dir = mkdtempSync(join(tmpdir(), testName('')));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const journal = join(dir, 'journal.jsonl');
  const open = (): HostState => openHostState({ netns, journal, log: silent, intervalMs: 3_600_000 });
  return { netns, ip, sysctl, journal, open };
};

/** All that host state may touch, as text. */
export const picture = (host: ReturnType<typeof makeHost>): string =>
  [
    host.ip('-d', 'rule'),
    host.ip('route', 'show', 'table', 'main'),
    host.ip('neigh', 'show', 'proxy'),
    host.ip('-4', '-br', 'address'),
    host.ip('neigh', 'show', 'nud', 'permanent'),
    ...[
      'all/rp_filter',
      'pw0/rp_filter',
      'eth0/rp_filter',
      'pw0/forwarding',
      'eth0/forwarding',
      'pw0/accept_local',
      'pw0/route_localnet',
      '../neigh/eth0/proxy_delay',
      '../ip_local_reserved_ports',
      '../tcp_early_demux',
      '../udp_early_demux',
    ].map((name) => host.sysctl(name)),
  ].join('\n');
