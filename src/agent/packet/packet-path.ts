/**
 * The packet path of a host, seen from the main thread: opens the ports, compiles objects into tables, and tells the worker.
 *
 * Theory of operation. Main opens and owns every file descriptor: `pw0`, the tunnel's sockets, a TAP for each pod. A port
 * comes when it is open and its pod is in the view; it goes in three steps: published without it, seen by the worker,
 * closed. All of this is serialised ({@link PacketPath.setView}, attach and detach wait for one another), and the newest
 * view wins.
 *
 * Once a second it looks who captures where, and tells the worker to send single datagrams there (`docs/packet-path.md`).
 */
import type { Logger } from 'pino';
import { labSpec } from '../../api/lab.js';
import type { ClusterView, Lab, Node, Pod } from '../../api/types.js';
import { podMtu, type OpenPort } from '../../compile/compile.js';
import { Compiler } from '../../compile/compiler.js';
import { REASONS } from '../../dataplane/verdict.js';
import { MasterCopy } from '../../compile/master-copy.js';
import { nodeAddresses } from '../../compile/node-addresses.js';
import { close as closeFd } from '../../sys/io.js';
import { ipAsync, sysctl } from '../../sys/iproute2.js';
import { findLink } from '../../sys/link.js';
import { createCaptureWatch, isCaptured } from '../../sys/packet-sockets.js';
import { openTap, setPersist, type Offload, type Tap } from '../../sys/tap.js';
import { setGro } from '../../sys/udp.js';
import { EVENT_BATCHES } from '../../tables/counters.js';
import { DUMPABLE, dumpRows, dumpTable, type DumpName, type NameOf } from '../../tables/dump.js';
import { rowObjects, type RowObject } from '../../tables/row-objects.js';
import { OFFLOAD_CSUM, OFFLOAD_TSO, OFFLOAD_USO } from '../../tables/ports.js';
import { CAPACITIES } from '../../tables/tables.js';
import { formatIpv4, formatMac, macOfIpv4, parseIpv4 } from '../../wire/address.js';
import type { PacketPath } from '../parts.js';
import type { PodNetwork } from '../pods/pod-network.js';
import { takeReadings } from './readings.js';
import { openTunnel } from './tunnel-sockets.js';
import { WorkerHandle } from './worker-handle.js';

export interface PacketPathOptions {
  node: Node;
  lab: Lab;
  /** The host's namespace; undefined: the machine's own. */
  netns?: string;
  /** The underlay's NIC. */
  iface: string;
  offload: Offload;
  /** The longest time that the worker looks for packets before it sleeps, in microseconds; 0: it always sleeps. */
  spinUs?: number;
  log: Logger;
  /** Called when nothing forwards packets any more. */
  fatal(reason: string): void;
}

/** The name of the host's own TAP, and of a pod's NIC. */
const HOST_TAP = 'pw0';
const POD_NIC = 'eth0';
const CAPTURE_LOOK_MS = 1000;

const REASON_NAMES = REASONS.map(([reason]) => reason);

/** A TAP and where it is. */
interface PodPort {
  readonly tap: Tap;
  readonly netns: string;
  isCaptured: boolean;
}

export async function startPacketPath(options: PacketPathOptions): Promise<PacketPath> {
  const { netns, iface, offload, log } = options;
  const name = options.node.metadata.name;
  const spec = labSpec(options.lab);
  const podCidr = options.node.spec?.podCIDR ?? '';
  const addresses = nodeAddresses(podCidr);
  if (!addresses)
    throw new RangeError(
      `Cannot forward for node "${name}": its podCIDR "${podCidr}" is no IPv4 prefix up to /29`,
    );
  const underlay = findLink(iface, netns);
  if (!underlay?.address) throw new Error(`Cannot open the tunnel: interface "${iface}" has no IPv4 address`);
  const mtu = podMtu(spec.underlay.mtu);

  const problems = new Map<string, string[]>();
  const fds: number[] = [];
  const own = <T extends { fd: number }>(opened: T): T => {
    fds.push(opened.fd);
    return opened;
  };
  const closeAll = (): void => fds.splice(0).forEach((fd) => closeFd(fd));

  let host: Tap;
  let tunnel: ReturnType<typeof openTunnel>;
  let worker: WorkerHandle;
  try {
    host = own(openTap({ name: HOST_TAP, netns, offload }));
    tunnel = openTunnel({ netns, address: underlay.address, port: spec.backend.port, offload });
    tunnel.fds.forEach((fd) => fds.push(fd));
    worker = await WorkerHandle.start(
      {
        notice: (text) => {
          log.warn(text);
          problems.set(text, [text]);
        },
        fatal: options.fatal,
      },
      { spinUs: options.spinUs },
    );
  } catch (error) {
    closeAll();
    throw error;
  }
  worker.post({
    type: 'tunnel',
    handle: tunnel.receiver.fd,
    sockets: tunnel.senders,
    peerPort: spec.backend.port,
  });

  const master = new MasterCopy(CAPACITIES);
  const compiler = new Compiler(master.ids);
  const pods = new Map<string, PodPort>();
  let view: ClusterView = {
    lab: options.lab,
    namespaces: [],
    nodes: [options.node],
    pods: [],
    services: [],
    endpointSlices: [],
    endpoints: [],
  };
  let isHostCaptured = false;
  let isTunnelCaptured = false;

  const openPort = (tap: Tap, captured: boolean): OpenPort => ({
    handle: tap.fd,
    offload: (tap.csum ? OFFLOAD_CSUM : 0) | (tap.tso ? OFFLOAD_TSO : 0) | (tap.uso ? OFFLOAD_USO : 0),
    isCaptured: captured,
  });

  /** Bring the worker's tables in step with the view and the open ports. One at a time. */
  let publishing: Promise<void> = Promise.resolve();
  const publish = (): Promise<void> =>
    (publishing = publishing
      .catch(() => undefined)
      .then(async () => {
        const { parts, problems: found } = compiler.update({
          view,
          node: name,
          host: openPort(host, isHostCaptured),
          tunnel: { handle: tunnel.receiver.fd, offload: 0, isCaptured: isTunnelCaptured },
          pods: new Map([...pods].map(([key, port]) => [key, openPort(port.tap, port.isCaptured)])),
        });
        problems.set('compile', [...found]);
        const plan = master.plan(parts);
        await worker.update(plan.changes, plan.cuts);
        master.seen(plan);
      }));

  const nameOf: NameOf = (table, id) => master.ids.keyOf(table, id);
  const keyOf = (pod: Pod): string => `${pod.metadata.namespace}/${pod.metadata.name}`;

  const network: PodNetwork = {
    async attach(pod, podNetns) {
      const key = keyOf(pod);
      const ip = parseIpv4(pod.status?.podIP ?? '');
      if (ip === undefined) throw new Error(`Cannot attach pod "${key}": it has no IPv4 address`);
      if (pods.has(key)) await network.detach(pod);
      const tap = openTap({ name: POD_NIC, netns: podNetns, persist: true, offload });
      try {
        const mac = macOfIpv4(ip);
        await ipAsync(
          [
            `link set dev ${POD_NIC} address ${formatMac(mac.hi, mac.lo)} mtu ${mtu} txqueuelen ${TX_QUEUE}`,
            // IPv6 packets are not routed yet: without this the pod would ask for a router for ever.
            `link set dev ${POD_NIC} addrgenmode none`,
            `link set dev ${POD_NIC} up`,
            `address replace ${formatIpv4(ip)}/${addresses.cidr.bits} dev ${POD_NIC}`,
            `route replace default via ${formatIpv4(addresses.gateway)}`,
          ],
          { netns: podNetns },
        );
      } catch (error) {
        closeFd(tap.fd);
        throw error;
      }
      pods.set(key, { tap, netns: podNetns, isCaptured: false });
      await publish();
    },
    async detach(pod) {
      const key = keyOf(pod);
      const port = pods.get(key);
      if (!port) return;
      pods.delete(key);
      await publish();
      setPersist(port.tap.fd, false);
      closeFd(port.tap.fd);
    },
  };

  const captures = createCaptureWatch();
  const capturedOn = (link: string, where: string | undefined): boolean => {
    try {
      const found = findLink(link, where);
      return found !== undefined && isCaptured(captures.look(where), found.ifindex);
    } catch {
      return false; // the namespace is going away
    }
  };
  const lookForCaptures = (): void => {
    const wasTunnel = isTunnelCaptured;
    let hasChanged = false;
    const note = (was: boolean, is: boolean): boolean => {
      hasChanged ||= was !== is;
      return is;
    };
    isHostCaptured = note(isHostCaptured, capturedOn(HOST_TAP, netns));
    isTunnelCaptured = note(isTunnelCaptured, capturedOn(iface, netns));
    for (const port of pods.values())
      port.isCaptured = note(port.isCaptured, capturedOn(POD_NIC, port.netns));
    if (tunnel.receiver.gro && wasTunnel !== isTunnelCaptured) setGro(tunnel.receiver.fd, !isTunnelCaptured);
    if (hasChanged)
      publish().catch((error: unknown) => log.error({ err: error }, 'Cannot publish a capture'));
  };
  const captureTimer = setInterval(lookForCaptures, CAPTURE_LOOK_MS);

  await publish();
  // udev gives a TAP a MAC address of its own when it comes; ours is set by the host state, but packets may come before.
  sysctlIfThere(`net.ipv6.conf.${HOST_TAP}.disable_ipv6`, netns);

  return {
    network,
    inject: (frame) => worker.post({ type: 'inject', frame }),
    setView(next) {
      view = next;
      return publish();
    },
    dump(table) {
      return namesOf(table)
        .map((one) => {
          const text = dumpTable(worker.tables, one, nameOf, REASON_NAMES, worker.nowMs());
          return table === undefined ? `# ${one}\n${text}` : text;
        })
        .join('\n');
    },
    rows(table) {
      const rowsOf = (one: DumpName): RowObject[] =>
        rowObjects(dumpRows(worker.tables, one, nameOf, REASON_NAMES, worker.nowMs()));
      const entries = namesOf(table).map((one) => [one, rowsOf(one)] as const);
      return table === undefined ? Object.fromEntries(entries) : entries[0]![1];
    },
    readings: () => takeReadings(worker.tables, nameOf, REASON_NAMES, worker.tid),
    status: () => ({
      offload: describeOffload(host, tunnel),
      captures: [
        ...(isTunnelCaptured ? [iface] : []),
        ...(isHostCaptured ? [HOST_TAP] : []),
        ...[...pods].filter(([, port]) => port.isCaptured).map(([key]) => `${key} ${POD_NIC}`),
      ],
      workers: 1,
      problems: [...problems.values()].flat(),
      batches: worker.tables.counters.events[EVENT_BATCHES]!,
    }),
    async close() {
      clearInterval(captureTimer);
      await publishing.catch(() => undefined);
      await worker.close();
      for (const port of pods.values()) closeFd(port.tap.fd);
      pods.clear();
      closeAll();
    },
  };
}

/** The table with this name; all of them without one. @throws RangeError when there is none */
function namesOf(table: string | undefined): readonly DumpName[] {
  if (table === undefined) return DUMPABLE;
  const found = DUMPABLE.filter((one) => one === table);
  if (found.length > 0) return found;
  throw new RangeError(`There is no table "${table}": the tables are ${DUMPABLE.join(', ')}`);
}

/** Frames that the kernel keeps for a pod's NIC while we are busy: a burst of small datagrams of a few milliseconds. */
const TX_QUEUE = 2000;

function describeOffload(tap: Tap, tunnel: ReturnType<typeof openTunnel>): string {
  const words = [
    tap.csum && 'csum',
    tap.tso && 'tso',
    tap.uso && 'uso',
    tunnel.senders.every((socket) => socket.gso) && 'udp-gso',
    tunnel.receiver.gro && 'udp-gro',
  ].filter((word) => word !== false);
  return words.length === 0 ? 'none' : words.join(' ');
}

/** Turn IPv6 off on a link; a kernel without IPv6 has no such setting. */
function sysctlIfThere(name: string, netns: string | undefined): void {
  try {
    sysctl(name, '1', netns);
  } catch {
    // no IPv6 here
  }
}
