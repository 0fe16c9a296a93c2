/**
 * Pod: the row.
 */
import { parseAddress } from '../wire/address.js';
import { allContainers } from './all-containers.js';
import { clone, equal } from './json.js';
import { AGE_COLUMN, column, NAME_COLUMN, type Kind } from './kind.js';
import {
  checkEphemeralAdditions,
  checkEphemeralContainers,
  withEphemeralContainers,
} from './ephemeral-containers.js';
import { checkEnvSource, defaultEnv } from './field-ref.js';
import { podGatesText, podReadyText, podRestartsText, podStatusText } from './pod-columns.js';
import { checkProbes, defaultProbes } from './pod-probe.js';
import { qosClassOf } from './pod-qos.js';
import { POD_SPEC, POD_STATUS } from './pod-schema.js';
import { checkMounts, checkVolumes, defaultVolumes } from './pod-volumes.js';
import { checkPodDns } from './pod-dns.js';
import { at, forbidden, invalid, notSupported, required, type Problem } from './problem.js';
import {
  checkAddress,
  checkDnsLabel,
  checkDnsSubdomain,
  checkPort,
  checkPortName,
  checkUnique,
} from './rules.js';
import { objectSchema } from './schema.js';
import { tolerateOutages } from './taints.js';
import type { Container, ContainerPort, Pod, PodSpec } from './types.js';

/** How long a pod's programs have between SIGTERM and SIGKILL, unless the pod says otherwise. */
const DEFAULT_GRACE_SECONDS = 30;

/** Whether all of a pod's programs have ended for good. */
export const isTerminal = (pod: Pick<Pod, 'status'>): boolean =>
  pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';

/** A port of a node's own address that leads to a pod of that node. */
export interface HostPort {
  /** The one address of the node that it is on; undefined: every one. */
  hostIP?: string;
  hostPort: number;
  protocol: 'TCP' | 'UDP' | 'SCTP';
  podIP: string;
  containerPort: number;
}

/** Whether a port's `hostIP` means all of the node's addresses. */
export const isEveryAddress = (hostIP: string | undefined): boolean =>
  !hostIP || hostIP === '0.0.0.0' || hostIP === '::';

/**
 * The `hostPort`s of a pod, for as long as it has an address and runs. None for a pod on the host's own network: there
 * its programs have these very ports.
 *
 * @returns  in the order of containers and ports
 */
export function hostPorts(pod: Pod): HostPort[] {
  const podIP = pod.status?.podIP;
  if (!podIP || pod.spec.hostNetwork || isTerminal(pod)) return [];
  return pod.spec.containers.flatMap(({ ports = [] }) =>
    ports.flatMap(({ hostPort, hostIP, containerPort, protocol = 'TCP' }) => {
      if (!hostPort) return [];
      return [{ ...(!isEveryAddress(hostIP) && { hostIP }), hostPort, protocol, podIP, containerPort }];
    }),
  );
}

const wide = { priority: 1 as const };

export const POD: Kind<Pod> = {
  group: '',
  versions: ['v1'],
  kind: 'Pod',
  plural: 'pods',
  singular: 'pod',
  shortNames: ['po'],
  categories: ['all'],
  namespaced: true,
  subresources: [
    'status',
    'binding',
    'ephemeralcontainers',
    'eviction',
    'log',
    'exec',
    'attach',
    'portforward',
  ],
  schema: objectSchema({ spec: POD_SPEC, status: POD_STATUS }),
  columns: [
    NAME_COLUMN,
    column('Ready', podReadyText),
    column('Status', podStatusText),
    column('Restarts', podRestartsText),
    AGE_COLUMN,
    column('IP', (pod) => pod.status?.podIP ?? '<none>', wide),
    column('Node', (pod) => pod.spec.nodeName ?? '<none>', wide),
    column('Nominated Node', () => '<none>', wide),
    column('Readiness Gates', podGatesText, wide),
  ],
  selectable: [
    'spec.nodeName',
    'spec.restartPolicy',
    'spec.schedulerName',
    'spec.serviceAccountName',
    'spec.hostNetwork',
    'status.phase',
    'status.podIP',
    'status.nominatedNodeName',
  ],
  hasEffect: true,
  defaults(pod) {
    defaultPodSpec(pod.spec);
    pod.status ??= {};
    pod.status.phase ??= 'Pending';
  },
  validate: (pod) => [
    ...(pod.metadata.name ? checkDnsSubdomain(pod.metadata.name, 'metadata.name') : []),
    ...checkPodSpec(pod.spec, 'spec'),
    ...(pod.status?.podIP && !parseAddress(pod.status.podIP)
      ? [invalid('status.podIP', pod.status.podIP, 'must be a valid IP address')]
      : []),
  ],
  prepareCreate(pod) {
    tolerateOutages(pod.spec);
    pod.status = { phase: 'Pending', qosClass: qosClassOf(pod.spec) };
  },
  validateCreate: ({ spec }) =>
    spec.ephemeralContainers?.length
      ? [forbidden('spec.ephemeralContainers', 'cannot be set on create')]
      : [],
  mergeEphemeral: withEphemeralContainers,
  checkEphemeral: checkEphemeralAdditions,
  prepareStatus(next, old) {
    // An agent that reports what its pod does knows nothing newer of the address than control has decided.
    if (!old.status) return;
    next.status ??= {};
    next.status.podIP = old.status.podIP;
    next.status.podIPs = old.status.podIPs;
    next.status.qosClass ??= old.status.qosClass;
    next.status.hostIP ??= old.status.hostIP;
    const scheduled = old.status.conditions?.find((condition) => condition.type === 'PodScheduled');
    if (scheduled && !next.status.conditions?.some((condition) => condition.type === 'PodScheduled')) {
      next.status.conditions = [...(next.status.conditions ?? []), scheduled];
    }
  },
  validateUpdate(next, old) {
    return equal(withoutMutable(next.spec), withoutMutable(old.spec))
      ? []
      : [
          forbidden(
            'spec',
            'pod updates may not change fields other than `spec.containers[*].image`, ' +
              '`spec.initContainers[*].image`, `spec.activeDeadlineSeconds`, `spec.tolerations` (only additions to ' +
              'existing tolerations), `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was ' +
              'previously negative)',
          ),
        ];
  },
};

/** Fill in a pod's spec, also that of a template. */
export function defaultPodSpec(spec: PodSpec): void {
  const fields = spec as PodSpec & Record<string, unknown>;
  fields.restartPolicy ??= 'Always';
  fields.terminationGracePeriodSeconds ??= DEFAULT_GRACE_SECONDS;
  fields['dnsPolicy'] ??= 'ClusterFirst';
  fields['schedulerName'] ??= 'default-scheduler';
  fields['enableServiceLinks'] ??= true;
  // kubectl debug 1.33 ends with a nil pointer where this is absent.
  fields['securityContext'] ??= {};
  defaultVolumes(spec.volumes ?? []);
  for (const container of allContainers(spec) as (Container & Record<string, unknown>)[]) {
    for (const port of container.ports ?? []) {
      port.protocol ??= 'TCP';
      if (spec.hostNetwork) port.hostPort ||= port.containerPort;
    }
    defaultProbes(container);
    defaultEnv(container.env ?? []);
    container['imagePullPolicy'] ??= isLatest(container.image ?? '') ? 'Always' : 'IfNotPresent';
    container['resources'] ??= {};
    container['terminationMessagePath'] ??= '/dev/termination-log';
    container['terminationMessagePolicy'] ??= 'File';
  }
}

/** Whether an image's name means "the newest": no tag and no digest, or the tag latest. */
function isLatest(image: string): boolean {
  if (image.includes('@')) return false;
  const tag = image.slice(image.lastIndexOf('/') + 1).split(':')[1];
  return tag === undefined || tag === 'latest';
}

/** Rules for a pod's spec, also that of a template. */
export function checkPodSpec(spec: PodSpec, field: string): Problem[] {
  const problems: Problem[] = [];
  const { initContainers = [] } = spec;
  const all: [Container, string][] = [
    ...spec.containers.map((c, i): [Container, string] => [c, at(`${field}.containers`, i)]),
    ...initContainers.map((c, i): [Container, string] => [c, at(`${field}.initContainers`, i)]),
  ];
  if (spec.containers.length === 0) problems.push(required(`${field}.containers`));
  problems.push(...checkContainers(spec.containers, `${field}.containers`));
  problems.push(...checkContainers(initContainers, `${field}.initContainers`));
  problems.push(...checkContainers(spec.ephemeralContainers ?? [], `${field}.ephemeralContainers`));
  problems.push(...checkEphemeralContainers(spec, `${field}.ephemeralContainers`));
  problems.push(...checkVolumes(spec, `${field}.volumes`));
  for (const [container, path] of all) problems.push(...checkMounts(container, spec.volumes ?? [], path));
  problems.push(...checkInitContainers(initContainers, `${field}.initContainers`));
  problems.push(...checkHostPorts(spec, `${field}.containers`));
  problems.push(
    ...checkUnique(
      all,
      ([container]) => container.name,
      (i) => `${all[i]![1]}.name`,
    ),
  );
  if (spec.restartPolicy === ('' as string)) {
    problems.push(notSupported(`${field}.restartPolicy`, '', ['Always', 'OnFailure', 'Never']));
  }
  if ((spec.terminationGracePeriodSeconds ?? 0) < 0) {
    problems.push(
      invalid(
        `${field}.terminationGracePeriodSeconds`,
        spec.terminationGracePeriodSeconds,
        'must be greater than or equal to 0',
      ),
    );
  }
  if (spec.hostname) problems.push(...checkDnsLabel(spec.hostname, `${field}.hostname`));
  if (spec.nodeName) problems.push(...checkDnsSubdomain(spec.nodeName, `${field}.nodeName`));
  problems.push(...checkPodDns(spec, field));
  return problems;
}

function checkContainers(containers: readonly Container[], field: string): Problem[] {
  return containers.flatMap((container, i) => {
    const path = at(field, i);
    const ports = container.ports ?? [];
    return [
      ...checkDnsLabel(container.name, `${path}.name`),
      ...(container.image ? [] : [required(`${path}.image`)]),
      ...ports.flatMap((port, j) => [
        ...checkPort(port.containerPort, `${at(`${path}.ports`, j)}.containerPort`),
        ...(port.name ? checkPortName(port.name, `${at(`${path}.ports`, j)}.name`) : []),
        ...(port.hostPort ? checkPort(port.hostPort, `${at(`${path}.ports`, j)}.hostPort`) : []),
        ...(port.hostIP ? checkAddress(port.hostIP, `${at(`${path}.ports`, j)}.hostIP`) : []),
      ]),
      ...checkProbes(container, path),
      ...checkUnique(
        ports,
        (port) => port.name || undefined,
        (j) => `${at(`${path}.ports`, j)}.name`,
      ),
      ...(container.env ?? []).flatMap((variable, j) =>
        /^[ -<>-~]+$/.test(variable.name)
          ? []
          : [
              invalid(
                `${at(`${path}.env`, j)}.name`,
                variable.name,
                "a valid environment variable name must consist only of printable ASCII characters other than '='",
              ),
            ],
      ),
      ...(container.env ?? []).flatMap((variable, j) => checkEnvSource(variable, at(`${path}.env`, j))),
    ];
  });
}

/** A container that runs to its end has nothing to probe, and no hook. */
function checkInitContainers(containers: readonly Container[], field: string): Problem[] {
  return containers.flatMap((container, i) => {
    const path = at(field, i);
    const { restartPolicy } = container;
    if (restartPolicy === 'Always') return [];
    if (restartPolicy !== undefined)
      return [notSupported(`${path}.restartPolicy`, restartPolicy, ['Always'])];
    return (['lifecycle', 'livenessProbe', 'readinessProbe', 'startupProbe'] as const).flatMap((name) =>
      container[name]
        ? [forbidden(`${path}.${name}`, 'may not be set for init containers without restartPolicy=Always')]
        : [],
    );
  });
}

/** No two of a pod's containers may have one hostPort; on the host's network it is the containerPort. */
function checkHostPorts(spec: PodSpec, field: string): Problem[] {
  const all = spec.containers.flatMap(({ ports = [] }, i) =>
    ports.flatMap((port, j): [ContainerPort, string][] =>
      port.hostPort ? [[port, at(`${at(field, i)}.ports`, j)]] : [],
    ),
  );
  return [
    ...checkUnique(
      all,
      ([{ protocol = 'TCP', hostIP = '', hostPort }]) => `${protocol}/${hostIP}/${hostPort}`,
      (i) => `${all[i]![1]}.hostPort`,
    ),
    ...all.flatMap(([{ hostPort, containerPort }, path]) =>
      spec.hostNetwork && hostPort !== containerPort
        ? [
            invalid(
              `${path}.containerPort`,
              containerPort,
              'must match `hostPort` when `hostNetwork` is true',
            ),
          ]
        : [],
    ),
  ];
}

/** A spec without the fields that a running pod's owner may change. */
function withoutMutable(spec: PodSpec): unknown {
  const rest = clone(spec) as PodSpec & Record<string, unknown>;
  delete rest['activeDeadlineSeconds'];
  delete rest['tolerations'];
  for (const container of [...rest.containers, ...((rest['initContainers'] ?? []) as Container[])]) {
    delete container.image;
    delete (container as Container & Record<string, unknown>)['imagePullPolicy'];
  }
  return rest;
}
