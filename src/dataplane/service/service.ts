/**
 * Services: a new flow to a Service's address is given an endpoint. https://kubernetes.io/docs/reference/networking/virtual-ips/
 *
 * One probe finds the frontend. Who has affinity keeps its endpoint; else the scheduler chooses. The choice is written into a
 * *draft* of the flow's conntrack row, whose reply tuple names the endpoint; from then on the row translates, this packet and all
 * that follow, and no later packet of the flow comes here.
 *
 * Whose source is translated as well (so that the answer comes back by this router):
 *
 * | frontend                | from a pod                   | from this host or outside                   |
 * |---                      |---                           |---                                          |
 * | cluster IP              | only to itself (hairpin)     | yes, but for the gateway address            |
 * | others, policy Cluster  | yes                          | yes                                         |
 * | others, policy Local    | only to itself               | host: yes; outside: no, local endpoints only |
 *
 * Beyond this table, what comes from the host's kernel and goes back to it is always translated: `source-nat.ts`.
 */
import * as ethernet from '../../wire/ethernet.js';
import * as ipv4 from '../../wire/ipv4.js';
import { netmask } from '../../wire/address.js';
import { ENDPOINT, ENDPOINT_EPOCH, FROM_INI, FROM_TGT, ROW_WORDS, SERVICE } from '../../tables/conntrack.js';
import { PORT_HOST, PORT_POD } from '../../tables/ports.js';
import { ROUTE_HOST, ROUTE_LOCAL, ROUTE_VTEP } from '../../tables/routes.js';
import {
  ENDPOINT_READY,
  FRONTEND_CLUSTER_IP,
  FRONTEND_LOAD_BALANCER,
  FRONTEND_LOCAL,
  FRONTEND_UNSUPPORTED,
  SCHEDULER_USERSPACE,
} from '../../tables/services.js';
import type { Dataplane } from '../dataplane.js';
import {
  CONTINUE,
  DROP_NO_ENDPOINTS,
  DROP_NO_LOCAL_ENDPOINTS,
  DROP_SERVICE_PROTOCOL,
  DROP_SOURCE_NOT_ALLOWED,
} from '../verdict.js';
import { schedule } from './schedule.js';

type Parts = Pick<
  Dataplane,
  | 'frames'
  | 'ports'
  | 'segments'
  | 'routes'
  | 'services'
  | 'endpoints'
  | 'backends'
  | 'ranges'
  | 'affinity'
  | 'conntrack'
  | 'random'
  | 'turns'
  | 'now'
>;

/** Where a flow comes from. */
const FROM_POD = 0;
const FROM_NODE = 1;
const FROM_OUTSIDE = 2;

export function service(dp: Parts, f: number): number {
  const { frames, services, endpoints, conntrack } = dp;
  if (frames.flow[f] !== 0 || frames.related[f] !== 0 || frames.etherType[f] !== ethernet.TYPE_IPV4)
    return CONTINUE;
  const proto = frames.proto[f]!;
  if (proto !== ipv4.TCP && proto !== ipv4.UDP && proto !== ipv4.SCTP) return CONTINUE;
  const segment = frames.segment[f]!;
  const port = proto === ipv4.SCTP ? frames.v.getUint16(frames.l4[f]! + 2) : frames.ports[f]! & 0xffff;
  const row = services.find(
    segment,
    frames.d0[f]!,
    frames.d1[f]!,
    frames.d2[f]!,
    frames.d3[f]!,
    (port << 8) | proto,
  );
  if (row === 0) return CONTINUE;
  frames.service[f] = row;
  const flags = services.flags[row]!;
  if ((flags & FRONTEND_UNSUPPORTED) !== 0 || proto === ipv4.SCTP) return DROP_SERVICE_PROTOCOL;
  if (services.kind[row] === FRONTEND_LOAD_BALANCER && !isAllowed(dp, f, row)) return DROP_SOURCE_NOT_ALLOWED;

  const origin = originOf(dp, f);
  const isLocal = (flags & FRONTEND_LOCAL) !== 0;
  const keepsLocal = isLocal && origin === FROM_OUTSIDE;
  const first = keepsLocal ? services.localFirst[row]! : services.first[row]!;
  const count = keepsLocal ? services.localCount[row]! : services.count[row]!;
  if (count === 0) return services.all[row] === 0 ? DROP_NO_ENDPOINTS : DROP_NO_LOCAL_ENDPOINTS;
  // A packet in mid-flow of a connection that nobody here knows begins none.
  if (frames.event[f] === 0) return CONTINUE;

  const endpoint = withAffinity(dp, f, row, first, count);
  const draft = conntrack.take(dp.now);
  frames.draft[f] = draft;
  const zone = (segment << 8) | proto;
  const ports = frames.ports[f]!;
  const s0 = frames.s0[f]!;
  const s1 = frames.s1[f]!;
  const s2 = frames.s2[f]!;
  const s3 = frames.s3[f]!;
  conntrack.setTuple(
    draft,
    FROM_INI,
    s0,
    s1,
    s2,
    s3,
    frames.d0[f]!,
    frames.d1[f]!,
    frames.d2[f]!,
    frames.d3[f]!,
    ports,
    zone,
  );
  conntrack.setTuple(
    draft,
    FROM_TGT,
    endpoints.a0[endpoint]!,
    endpoints.a1[endpoint]!,
    endpoints.a2[endpoint]!,
    endpoints.a3[endpoint]!,
    s0,
    s1,
    s2,
    s3,
    (endpoints.port[endpoint]! << 16) | (ports >>> 16),
    zone,
  );
  const at = draft * ROW_WORDS;
  conntrack.words[at + ENDPOINT] = endpoint;
  conntrack.words[at + ENDPOINT_EPOCH] = endpoints.epoch[endpoint]!;
  conntrack.words[at + SERVICE] = row;

  const isHairpin = endpoints.a3[endpoint] === s3 && endpoints.a2[endpoint] === s2;
  const isClusterIp = services.kind[row] === FRONTEND_CLUSTER_IP;
  const needsSnat =
    isHairpin ||
    services.scheduler[row] === SCHEDULER_USERSPACE ||
    (isClusterIp
      ? origin !== FROM_POD && s3 !== dp.segments.gatewayIp[segment]
      : !isLocal || origin === FROM_NODE);
  frames.needsSnat[f] = needsSnat ? 1 : 0;
  return CONTINUE;
}

/** The endpoint that this client had, while it may keep it; else a new choice. */
function withAffinity(dp: Parts, f: number, row: number, first: number, count: number): number {
  const { frames, services, endpoints, backends, affinity, now } = dp;
  const timeoutMs = services.affinityMs[row]!;
  if (timeoutMs === 0) return backends.endpoint[first + schedule(dp, f, row, count)]!;
  const c0 = frames.s0[f]!;
  const c1 = frames.s1[f]!;
  const c2 = frames.s2[f]!;
  const c3 = frames.s3[f]!;
  const known = affinity.find(row, c0, c1, c2, c3);
  let endpoint = 0;
  if (known !== 0 && ((now - affinity.seenMs[known]!) | 0) < timeoutMs) {
    const had = affinity.endpoint[known]!;
    if (endpoints.epoch[had] === affinity.epoch[known] && endpoints.state[had] === ENDPOINT_READY)
      for (let i = first; i < first + count; i++) if (backends.endpoint[i] === had) endpoint = had;
  }
  if (endpoint === 0) endpoint = backends.endpoint[first + schedule(dp, f, row, count)]!;
  affinity.put(row, c0, c1, c2, c3, endpoint, endpoints.epoch[endpoint]!, now);
  return endpoint;
}

/** A pod of any host, this host itself, or anybody else. */
function originOf({ frames, ports, segments, routes }: Parts, f: number): number {
  const kind = ports.kind[frames.inPort[f]!];
  if (kind === PORT_POD) return FROM_POD;
  const segment = frames.segment[f]!;
  const src = frames.s3[f]!;
  if (
    kind === PORT_HOST &&
    (src === segments.nodeIp[segment] || src === segments.gatewayIp[segment] || src >>> 24 === 127)
  )
    return FROM_NODE;
  const row = routes.lookup(segment, frames.s0[f]!, frames.s1[f]!, frames.s2[f]!, src);
  const route = routes.kind[row];
  if (route === ROUTE_LOCAL || route === ROUTE_VTEP) return FROM_POD;
  return route === ROUTE_HOST && src === segments.gatewayIp[segment] ? FROM_NODE : FROM_OUTSIDE;
}

/**
 * loadBalancerSourceRanges: none means all. The address itself may always come: a host that has it on an interface of its own (some
 * load balancers put it there) sends to it from it, and that is the host, not a stranger. As kube-proxy.
 */
function isAllowed({ frames, services, ranges }: Parts, f: number, row: number): boolean {
  if (frames.s3[f] === frames.d3[f]) return true;
  const count = services.ranges[row]!;
  const first = services.firstRange[row]!;
  for (let i = first; i < first + count; i++)
    if (((frames.s3[f]! ^ ranges.base[i]!) & netmask(ranges.bits[i]!)) === 0) return true;
  return count === 0;
}
