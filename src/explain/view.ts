/**
 * Objects as somebody wrote or dumped them → the view that is explained.
 *
 * What is missing is settled as an agent without a server does it: pod CIDRs, addresses, EndpointSlices of Services with a selector.
 * What the objects say stands, also when no lab of ours would have given it out: a pod's address outside its node's pod CIDR, a load
 * balancer's address of no pool.
 */
import { withDefaults } from '../api/defaults.js';
import { ENDPOINT_SLICE, ENDPOINTS, LAB, NAMESPACE, NODE, POD, SERVICE, type Kind } from '../api/kinds.js';
import { labSpec } from '../api/lab.js';
import { nodeAddress } from '../api/node.js';
import {
  AGENT_ANNOTATION,
  FLANNEL_BACKEND_DATA,
  FLANNEL_PUBLIC_IP,
  keyOf,
  type ApiObject,
  type ClusterView,
  type EndpointSlice,
  type Lab,
  type Node,
  type Pod,
  type Service,
} from '../api/types.js';
import { nodeAddresses } from '../compile/node-addresses.js';
import { settle } from '../control/reconcile.js';
import { formatMac } from '../wire/address.js';

/** Kinds of which objects have a say in what becomes of a packet. */
export const PACKET_KINDS: readonly Kind[] = [LAB, NAMESPACE, NODE, POD, SERVICE, ENDPOINT_SLICE, ENDPOINTS];

/** @param objects  that fit their schemas; of kinds that packets do not care about they are left out */
export function viewOf(objects: readonly ApiObject[]): ClusterView {
  const ofKind = <T extends ApiObject>(kind: string): T[] =>
    objects.filter((object) => object.kind === kind).map((object) => withDefaults(object as T));
  const lab =
    ofKind<Lab>('Lab')[0] ??
    withDefaults<Lab>({ apiVersion: 'podwire.dev/v1alpha1', kind: 'Lab', metadata: { name: 'explain' } });
  const given: ClusterView = {
    lab,
    namespaces: ofKind('Namespace'),
    nodes: ofKind<Node>('Node'),
    pods: ofKind<Pod>('Pod'),
    services: ofKind<Service>('Service'),
    endpointSlices: ofKind<EndpointSlice>('EndpointSlice'),
    endpoints: ofKind('Endpoints'),
  };
  return keepGiven(given, settle(given));
}

/** What was settled, but where the objects said something themselves. */
function keepGiven(given: ClusterView, settled: ClusterView): ClusterView {
  const nodes = new Map(given.nodes.map((node) => [keyOf(node), node]));
  const pods = new Map(given.pods.map((pod) => [keyOf(pod), pod]));
  const services = new Map(given.services.map((service) => [keyOf(service), service]));
  return {
    ...settled,
    nodes: settled.nodes.map((node) => withVtep(keepPodCidr(node, nodes.get(keyOf(node))), settled.lab)),
    pods: settled.pods.map((pod) => {
      const said = pods.get(keyOf(pod));
      return said?.status?.podIP ? said : pod;
    }),
    services: settled.services.map((service) => {
      const said = services.get(keyOf(service));
      return said?.status?.loadBalancer?.ingress?.length ? { ...service, status: said.status } : service;
    }),
  };
}

function keepPodCidr(node: Node, said: Node | undefined): Node {
  if (said?.spec?.podCIDR === undefined) return node;
  return { ...node, spec: { ...node.spec, podCIDR: said.spec.podCIDR, podCIDRs: said.spec.podCIDRs } };
}

/** A node with the annotations that its agent would give it; what stands there stays. */
function withVtep(node: Node, lab: Lab): Node {
  const address = nodeAddress(node);
  const mac = nodeAddresses(node.spec?.podCIDR ?? '')?.vtepMac;
  if (address === undefined || !mac || node.metadata.annotations?.[FLANNEL_BACKEND_DATA] !== undefined)
    return node;
  const backend = { VNI: labSpec(lab).backend.vni, VtepMAC: formatMac(mac.hi, mac.lo) };
  const annotations = {
    [AGENT_ANNOTATION]: 'explain',
    [FLANNEL_PUBLIC_IP]: address,
    [FLANNEL_BACKEND_DATA]: JSON.stringify(backend),
  };
  return {
    ...node,
    metadata: { ...node.metadata, annotations: { ...annotations, ...node.metadata.annotations } },
  };
}
