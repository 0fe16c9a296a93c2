/**
 * The schema of a pod's spec and status. All fields Kubernetes has stand here, so that manifests from anywhere are
 * accepted; those of which we store the whole and read nothing are ANY below their first level.
 *
 * Source: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/; merge keys from the
 * patchMergeKey tags of k8s.io/api/core/v1.
 */
import { AFFINITY, TOLERATIONS, TOPOLOGY_SPREAD } from './pod-scheduling-schema.js';
import {
  ANY,
  BOOLEAN,
  CONDITIONS,
  INT32,
  INT64,
  INT_OR_STRING,
  listOf,
  mapOf,
  METADATA,
  named,
  object,
  oneOf,
  QUANTITY,
  STRING,
  STRINGS,
  STRING_MAP,
  TIME,
  type Schema,
} from './schema.js';

/** Kubernetes' name for what is in the group without a name. */
const CORE = 'io.k8s.api.core.v1';

const HTTP_GET = named(
  `${CORE}.HTTPGetAction`,
  {
    host: STRING,
    path: STRING,
    port: INT_OR_STRING,
    scheme: STRING,
    httpHeaders: listOf(object({ name: STRING, value: STRING }, ['name'])),
  },
  ['port'],
);
const EXEC = object({ command: STRINGS });
const TCP_SOCKET = object({ host: STRING, port: INT_OR_STRING }, ['port']);
const HANDLER = { exec: EXEC, httpGet: HTTP_GET, tcpSocket: TCP_SOCKET };

const PROBE = named(`${CORE}.Probe`, {
  ...HANDLER,
  grpc: object({ port: INT32, service: STRING }, ['port']),
  failureThreshold: INT32,
  initialDelaySeconds: INT32,
  periodSeconds: INT32,
  successThreshold: INT32,
  timeoutSeconds: INT32,
  terminationGracePeriodSeconds: INT64,
});

const LIFECYCLE_HANDLER = named(`${CORE}.LifecycleHandler`, {
  ...HANDLER,
  sleep: object({ seconds: INT64 }, ['seconds']),
});

const KEY_SELECTOR = object({ key: STRING, name: STRING, optional: BOOLEAN }, ['key']);
const OBJECT_SOURCE = object({ name: STRING, optional: BOOLEAN });

const FIELD_REF = object({ apiVersion: STRING, fieldPath: STRING }, ['fieldPath']);
const RESOURCE_FIELD_REF = object({ containerName: STRING, divisor: QUANTITY, resource: STRING }, [
  'resource',
]);

const ENV = listOf(
  object(
    {
      name: STRING,
      value: STRING,
      valueFrom: object({
        configMapKeyRef: KEY_SELECTOR,
        secretKeyRef: KEY_SELECTOR,
        fieldRef: FIELD_REF,
        resourceFieldRef: RESOURCE_FIELD_REF,
        fileKeyRef: ANY,
      }),
    },
    ['name'],
  ),
  'name',
);

const RESOURCES = named(`${CORE}.ResourceRequirements`, {
  limits: mapOf(QUANTITY),
  requests: mapOf(QUANTITY),
  claims: listOf(object({ name: STRING, request: STRING }, ['name'])),
});

const CONTAINER_FIELDS: Record<string, Schema> = {
  name: STRING,
  image: STRING,
  imagePullPolicy: oneOf('Always', 'IfNotPresent', 'Never'),
  command: STRINGS,
  args: STRINGS,
  workingDir: STRING,
  env: ENV,
  envFrom: listOf(object({ prefix: STRING, configMapRef: OBJECT_SOURCE, secretRef: OBJECT_SOURCE })),
  ports: listOf(
    object(
      {
        name: STRING,
        containerPort: INT32,
        protocol: oneOf('SCTP', 'TCP', 'UDP'),
        hostPort: INT32,
        hostIP: STRING,
      },
      ['containerPort'],
    ),
    'containerPort',
    { containerPort: undefined, protocol: 'TCP' },
  ),
  lifecycle: object({ postStart: LIFECYCLE_HANDLER, preStop: LIFECYCLE_HANDLER, stopSignal: STRING }),
  livenessProbe: PROBE,
  readinessProbe: PROBE,
  startupProbe: PROBE,
  resources: RESOURCES,
  resizePolicy: listOf(ANY),
  restartPolicy: STRING,
  restartPolicyRules: listOf(ANY),
  securityContext: ANY,
  stdin: BOOLEAN,
  stdinOnce: BOOLEAN,
  tty: BOOLEAN,
  terminationMessagePath: STRING,
  terminationMessagePolicy: STRING,
  volumeDevices: listOf(object({ name: STRING, devicePath: STRING }, ['name', 'devicePath']), 'devicePath'),
  volumeMounts: listOf(
    object(
      {
        name: STRING,
        mountPath: STRING,
        mountPropagation: STRING,
        readOnly: BOOLEAN,
        recursiveReadOnly: STRING,
        subPath: STRING,
        subPathExpr: STRING,
      },
      ['name', 'mountPath'],
    ),
    'mountPath',
  ),
};

const CONTAINERS = listOf(named(`${CORE}.Container`, CONTAINER_FIELDS, ['name']), 'name');

const KEYS_TO_PATHS = listOf(object({ key: STRING, path: STRING, mode: INT32 }, ['key', 'path']));
const VOLUME_FILES = { defaultMode: INT32, optional: BOOLEAN, items: KEYS_TO_PATHS };

const PROJECTED_FILES = { name: STRING, optional: BOOLEAN, items: KEYS_TO_PATHS };
const DOWNWARD_FILES = listOf(
  object({ path: STRING, mode: INT32, fieldRef: FIELD_REF, resourceFieldRef: RESOURCE_FIELD_REF }, ['path']),
);
const PROJECTIONS = listOf(
  object({
    configMap: object(PROJECTED_FILES),
    secret: object(PROJECTED_FILES),
    downwardAPI: object({ items: DOWNWARD_FILES }),
    serviceAccountToken: object({ audience: STRING, expirationSeconds: INT64, path: STRING }, ['path']),
    clusterTrustBundle: ANY,
    podCertificate: ANY,
  }),
);

const VOLUMES: Schema = {
  ...listOf(
    object(
      {
        name: STRING,
        emptyDir: object({ medium: STRING, sizeLimit: QUANTITY }),
        configMap: object({ ...VOLUME_FILES, name: STRING }),
        secret: object({ ...VOLUME_FILES, secretName: STRING }),
        hostPath: object({ path: STRING, type: STRING }, ['path']),
        projected: object({ defaultMode: INT32, sources: PROJECTIONS }),
        downwardAPI: object({ defaultMode: INT32, items: DOWNWARD_FILES }),
        persistentVolumeClaim: object({ claimName: STRING, readOnly: BOOLEAN }, ['claimName']),
        ...Object.fromEntries(
          [
            'awsElasticBlockStore',
            'azureDisk',
            'azureFile',
            'cephfs',
            'cinder',
            'csi',
            'ephemeral',
            'fc',
            'flexVolume',
            'flocker',
            'gcePersistentDisk',
            'gitRepo',
            'glusterfs',
            'image',
            'iscsi',
            'nfs',
            'photonPersistentDisk',
            'portworxVolume',
            'quobyte',
            'rbd',
            'scaleIO',
            'storageos',
            'vsphereVolume',
          ].map((source) => [source, ANY]),
        ),
      },
      ['name'],
    ),
    'name',
  ),
  retainKeys: true,
};

export const POD_SPEC = object(
  {
    activeDeadlineSeconds: INT64,
    affinity: AFFINITY,
    automountServiceAccountToken: BOOLEAN,
    containers: CONTAINERS,
    dnsConfig: object({
      nameservers: STRINGS,
      options: listOf(object({ name: STRING, value: STRING })),
      searches: STRINGS,
    }),
    dnsPolicy: oneOf('ClusterFirst', 'ClusterFirstWithHostNet', 'Default', 'None'),
    enableServiceLinks: BOOLEAN,
    ephemeralContainers: listOf(
      object({ ...CONTAINER_FIELDS, targetContainerName: STRING }, ['name']),
      'name',
    ),
    hostAliases: listOf(object({ ip: STRING, hostnames: STRINGS }, ['ip']), 'ip'),
    hostIPC: BOOLEAN,
    hostNetwork: BOOLEAN,
    hostPID: BOOLEAN,
    hostUsers: BOOLEAN,
    hostname: STRING,
    hostnameOverride: STRING,
    imagePullSecrets: listOf(object({ name: STRING }), 'name'),
    initContainers: CONTAINERS,
    nodeName: STRING,
    nodeSelector: STRING_MAP,
    os: ANY,
    overhead: mapOf(QUANTITY),
    preemptionPolicy: STRING,
    priority: INT32,
    priorityClassName: STRING,
    readinessGates: listOf(object({ conditionType: STRING }, ['conditionType'])),
    resourceClaims: listOf(ANY, 'name'),
    resources: RESOURCES,
    restartPolicy: oneOf('Always', 'OnFailure', 'Never'),
    runtimeClassName: STRING,
    schedulerName: STRING,
    schedulingGates: listOf(object({ name: STRING }, ['name']), 'name'),
    securityContext: ANY,
    serviceAccount: STRING,
    serviceAccountName: STRING,
    setHostnameAsFQDN: BOOLEAN,
    shareProcessNamespace: BOOLEAN,
    subdomain: STRING,
    terminationGracePeriodSeconds: INT64,
    tolerations: TOLERATIONS,
    topologySpreadConstraints: TOPOLOGY_SPREAD,
    volumes: VOLUMES,
    workloadRef: ANY,
  },
  ['containers'],
);

const CONTAINER_STATE = named(`${CORE}.ContainerState`, {
  waiting: object({ reason: STRING, message: STRING }),
  running: object({ startedAt: TIME }),
  terminated: object(
    {
      exitCode: INT32,
      signal: INT32,
      reason: STRING,
      message: STRING,
      startedAt: TIME,
      finishedAt: TIME,
      containerID: STRING,
    },
    ['exitCode'],
  ),
});

const CONTAINER_STATUSES = listOf(
  object(
    {
      name: STRING,
      image: STRING,
      imageID: STRING,
      containerID: STRING,
      ready: BOOLEAN,
      started: BOOLEAN,
      restartCount: INT32,
      state: CONTAINER_STATE,
      lastState: CONTAINER_STATE,
      allocatedResources: mapOf(QUANTITY),
      allocatedResourcesStatus: listOf(ANY),
      resources: RESOURCES,
      stopSignal: STRING,
      user: ANY,
      volumeMounts: listOf(ANY, 'mountPath'),
    },
    ['name'],
  ),
);

const PHASES = ['Pending', 'Running', 'Succeeded', 'Failed', 'Unknown'];

export const POD_STATUS = object({
  conditions: CONDITIONS,
  containerStatuses: CONTAINER_STATUSES,
  ephemeralContainerStatuses: CONTAINER_STATUSES,
  extendedResourceClaimStatus: ANY,
  hostIP: STRING,
  hostIPs: listOf(object({ ip: STRING }, ['ip']), 'ip'),
  initContainerStatuses: CONTAINER_STATUSES,
  message: STRING,
  nominatedNodeName: STRING,
  observedGeneration: INT64,
  phase: oneOf(...PHASES),
  podIP: STRING,
  podIPs: listOf(object({ ip: STRING }, ['ip']), 'ip'),
  qosClass: STRING,
  reason: STRING,
  resize: STRING,
  resourceClaimStatuses: listOf(ANY, 'name'),
  startTime: TIME,
});

/** What a Deployment and its like make pods from. */
export const POD_TEMPLATE = object({ metadata: METADATA, spec: POD_SPEC });
