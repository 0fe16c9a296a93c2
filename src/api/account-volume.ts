/**
 * How a pod finds and proves itself to the API: a volume that every container gets at a place that clients know, with a
 * token of the pod's service account, the authority to trust, and the pod's namespace.
 *
 * A real API server writes it into the pod when it admits it. Here the pod stays as its author wrote it, so that applying
 * the same file again changes nothing; the agent adds the volume to what it runs.
 *
 * Source: k8s.io/kubernetes, plugin/pkg/admission/serviceaccount
 */
import type { Container, Pod, ServiceAccount, Volume } from './types.js';

/** The account of a pod that names none. */
export const DEFAULT_ACCOUNT = 'default';
/** The ConfigMap of every namespace with the authority's certificate. */
export const ROOT_CA = 'kube-root-ca.crt';
/** The key in {@link ROOT_CA}, and the file in the volume. */
export const CA_FILE = 'ca.crt';

/** Where client libraries look. */
const MOUNT_PATH = '/var/run/secrets/kubernetes.io/serviceaccount';
/** As long as Kubernetes gives it; see its TokenExpirationSeconds. */
const TOKEN_SECONDS = 3607;

const VOLUME: Volume = {
  name: 'kube-api-access',
  projected: {
    defaultMode: 0o644,
    sources: [
      { serviceAccountToken: { path: 'token', expirationSeconds: TOKEN_SECONDS } },
      { configMap: { name: ROOT_CA, items: [{ key: CA_FILE, path: CA_FILE }] } },
      { downwardAPI: { items: [{ path: 'namespace', fieldRef: { fieldPath: 'metadata.namespace' } }] } },
    ],
  },
};

/** Whether a pod wants a token: what it says itself counts before what its account says. */
export const wantsToken = ({ spec }: Pod, account: ServiceAccount | undefined): boolean =>
  spec.automountServiceAccountToken ?? account?.automountServiceAccountToken ?? true;

/** The pod with the volume, in every container that mounts nothing at that place. The pod itself is unchanged. */
export function withAccountVolume(pod: Pod): Pod {
  const { volumes = [], containers, initContainers } = pod.spec;
  return {
    ...pod,
    spec: {
      ...pod.spec,
      volumes: [...volumes, VOLUME],
      containers: containers.map(withMount),
      ...(initContainers && { initContainers: initContainers.map(withMount) }),
    },
  };
}

function withMount(container: Container): Container {
  const { volumeMounts = [] } = container;
  if (volumeMounts.some(({ mountPath }) => mountPath.replace(/\/+$/, '') === MOUNT_PATH)) return container;
  const mount = { name: VOLUME.name, mountPath: MOUNT_PATH, readOnly: true };
  return { ...container, volumeMounts: [...volumeMounts, mount] };
}
