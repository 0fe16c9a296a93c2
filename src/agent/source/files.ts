/**
 * A cluster from files: Node, Pod, Service, EndpointSlice, Endpoints, ConfigMap, Secret, Namespace and Lab objects in YAML that every host has a copy of. There is no
 * server; every host computes the same pod CIDRs, nodes and addresses from the same files, since control/ is a
 * function of them.
 *
 * Theory of operation. The files are read as one: all of them parse and validate, or none of them counts and the
 * view stays as it was, with the reason in {@link ClusterSource.problems}. They are looked at when the kernel reports
 * a change in their folders, and once a second all the same (network file systems report nothing); a change is a
 * changed inode, size or time, so an editor that replaces the file by another is seen too. A pod that is changed in
 * the file, or moves to another node or address because others were added, is another pod: its uid is made from all
 * of that. (`spec.nodeName` and `status.podIP` in the file pin both.) Nothing is ever written.
 */
import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import { withDefaults } from '../../api/defaults.js';
import { isExternalNode, nodeAddress } from '../../api/node.js';
import { keyOf } from '../../api/types.js';
import type {
  ApiObject,
  ClusterView,
  ConfigMap,
  Endpoints,
  EndpointSlice,
  Lab,
  Namespace,
  Node,
  Pod,
  Secret,
  Service,
} from '../../api/types.js';
import { labSpec } from '../../api/lab.js';
import { checkObjects, ManifestError, readManifests } from '../../client/manifest.js';
import type { Located } from '../../client/manifest.js';
import { signature, watchPaths } from '../../client/watch-paths.js';
import { reconcileDnsService } from '../../control/dns-service.js';
import { applyChanges, settle } from '../../control/reconcile.js';
import type { Logger } from '../log.js';
import { nodeAnnotations } from '../node-object.js';
import type { ClusterSource } from './source.js';

export interface FilesSourceOptions {
  /** Files, or folders of them. */
  paths: readonly string[];
  /** The lab's name when the files have no Lab object. */
  lab: string;
  log: Logger;
  /** How often to look without being told to. */
  intervalMs?: number;
}

/** A uid that says what stands in the file: the same on every host, another when the object changes. */
const uidOf = (object: object): string => {
  const hex = createHash('sha256').update(JSON.stringify(object)).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join(
    '-',
  );
};

const ofKind = <T extends ApiObject>(found: readonly Located[], kind: string): Located<T>[] =>
  found.filter((located) => located.object.kind === kind) as Located<T>[];

/** What only files can get wrong: there is no server that would supply it. */
const checkTogether = (found: readonly Located[]): string[] => {
  const [, second] = ofKind<Lab>(found, 'Lab');
  const problems: string[] = [];
  if (second) problems.push(`${second.file}:${second.line}: kind: Expected at most one Lab in all files`);
  for (const node of ofKind<Node>(found, 'Node'))
    if (nodeAddress(node.object) === undefined)
      problems.push(
        `${node.file}:${node.lineOf('status.addresses')}: status.addresses: Required value: ` +
          'without a server a Node says its address itself, as {type: InternalIP, address: …}',
      );
  return problems;
};

/** An object with a uid, for those that have none: given after settling, which goes by uids where there are some. */
const withUid = <T extends ApiObject>(object: T, said: object): T => ({
  ...object,
  metadata: { ...object.metadata, uid: object.metadata.uid ?? uidOf(said) },
});

/** A node of ours as its agent would have registered it; an external host is left as its author wrote it. */
const registered = (node: Node, lab: Lab): Node => {
  const address = nodeAddress(node);
  if (isExternalNode(node) || address === undefined) return node;
  const annotations = nodeAnnotations(address, labSpec(lab).backend.vni, node.spec?.podCIDR);
  return {
    ...node,
    metadata: { ...node.metadata, annotations: { ...annotations, ...node.metadata.annotations } },
  };
};

/** An object of a namespaced kind, with the namespace that it is in. */
const inNamespace = <T extends ApiObject>(object: T): T => ({
  ...object,
  metadata: { ...object.metadata, namespace: object.metadata.namespace ?? 'default' },
});

/** The objects of all files as one view, settled. */
const viewOf = (found: readonly Located[], labName: string): ClusterView => {
  const lab = withDefaults<Lab>(
    ofKind<Lab>(found, 'Lab')[0]?.object ?? {
      apiVersion: 'podwire.dev/v1alpha1',
      kind: 'Lab',
      metadata: { name: labName },
    },
  );
  const nodes = ofKind<Node>(found, 'Node').map(({ object }) => withDefaults(object));
  const pods = ofKind<Pod>(found, 'Pod').map(({ object }) => withDefaults(object));
  const namespaces = ofKind<Namespace>(found, 'Namespace').map(({ object }) => withDefaults(object));
  const named = new Set(namespaces.map(({ metadata }) => metadata.name));
  const services = ofKind<Service>(found, 'Service').map(({ object }) => withDefaults(object));
  const endpointSlices = ofKind<EndpointSlice>(found, 'EndpointSlice').map(({ object }) =>
    withDefaults(object),
  );
  const endpoints = ofKind<Endpoints>(found, 'Endpoints').map(({ object }) => withDefaults(object));
  const configMaps = ofKind<ConfigMap>(found, 'ConfigMap').map(({ object }) =>
    inNamespace(withDefaults(object)),
  );
  const secrets = ofKind<Secret>(found, 'Secret').map(({ object }) => inNamespace(withDefaults(object)));
  const inside = [...pods, ...configMaps, ...secrets, ...services, ...endpointSlices, ...endpoints];
  for (const name of new Set([
    'default',
    'kube-system',
    ...inside.map(({ metadata }) => metadata.namespace ?? 'default'),
  ]))
    if (!named.has(name))
      namespaces.push(withDefaults<Namespace>({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }));

  const written = new Map(pods.map((pod) => [keyOf(pod), pod]));
  const given = settle({ lab, namespaces, nodes, pods, services, endpointSlices, endpoints });
  const settled = applyChanges(given, reconcileDnsService(given, true));
  return {
    lab: withUid(lab, lab),
    namespaces: settled.namespaces.map((namespace) => withUid(namespace, namespace)),
    // What makes a node is its name, whatever else is said of it.
    nodes: settled.nodes.map((node) => withUid(registered(node, lab), { node: node.metadata.name })),
    // Not the conditions that settling adds: they hold this host's time.
    pods: settled.pods.map((pod) =>
      withUid(pod, [written.get(keyOf(pod)), pod.spec.nodeName, pod.status?.podIP]),
    ),
    services: settled.services.map((service) => withUid(service, { service: keyOf(service) })),
    endpointSlices: settled.endpointSlices.map((slice) => withUid(slice, { slice: keyOf(slice) })),
    endpoints: settled.endpoints,
    configMaps,
    secrets,
  };
};

/** Watch files of objects. */
export const createFilesSource = (options: FilesSourceOptions): ClusterSource => {
  const { log } = options;
  const paths = options.paths.map((path) => resolve(path));
  let watching: { close(): void } | undefined;
  let seen = '';
  let problems: readonly string[] = [];

  const load = async (): Promise<ClusterView> => {
    const found = await readManifests(paths, () => Promise.resolve(''));
    const wrong = checkObjects(found);
    if (wrong.length === 0) wrong.push(...checkTogether(found));
    if (wrong.length > 0) throw new ManifestError(wrong);
    return viewOf(found, options.lab);
  };

  return {
    name: `files ${paths.join(', ')}`,
    saysAddresses: true,
    async start(changed) {
      let turn: Promise<void> = Promise.resolve();
      const look = async (): Promise<void> => {
        const now = signature(paths);
        if (now === seen) return;
        seen = now;
        try {
          const view = await load();
          problems = [];
          log.info('The files have changed and are in force');
          changed(view);
        } catch (error) {
          problems = error instanceof ManifestError ? error.problems : [(error as Error).message];
          log.error({ problems }, 'The files have changed and are wrong; what was in force stays so');
        }
      };

      seen = signature(paths);
      changed(await load());
      watching = watchPaths(paths, {
        changed: () => void (turn = turn.then(look)),
        trouble: (message) => log.warn(message),
        intervalMs: options.intervalMs,
      });
    },
    // What becomes of pods and node is for `status` of this host alone: there is nobody to tell.
    reportPod: () => undefined,
    podRemoved: () => undefined,
    reportEvent: () => undefined,
    reportLease: () => undefined,
    reportNode: () => undefined,
    problems: () => [...problems],
    close() {
      watching?.close();
      return Promise.resolve();
    },
  };
};
