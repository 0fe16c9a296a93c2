/**
 * How a pod finds and proves itself to the API: a volume that every container gets at a place that clients know, with a
 * token of the pod's service account, the authority to trust, and the pod's namespace.
 *
 * The server writes it into a pod when it creates it, as Kubernetes does, so that whoever asks sees it. An agent gives
 * it to a pod that came to be without: one that an older server has stored.
 *
 * Source: k8s.io/kubernetes, plugin/pkg/admission/serviceaccount
 */
import { clone } from './json.js';
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

/** What the volume is called; at the server, with a dash and some letters. */
const NAME = 'kube-api-access';

const VOLUME: Omit<Volume, 'name'> = {
  projected: {
    defaultMode: 0o644,
    sources: [
      { serviceAccountToken: { path: 'token', expirationSeconds: TOKEN_SECONDS } },
      { configMap: { name: ROOT_CA, items: [{ key: CA_FILE, path: CA_FILE }] } },
      {
        downwardAPI: {
          items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }],
        },
      },
    ],
  },
};

/** The account that a pod runs as. */
export const accountNameOf = ({ spec }: Pod): string => spec.serviceAccountName || DEFAULT_ACCOUNT;

/** Whether a pod wants a token: what it says itself counts before what its account says. */
export const wantsToken = ({ spec }: Pod, account: ServiceAccount | undefined): boolean =>
  spec.automountServiceAccountToken ?? account?.automountServiceAccountToken ?? true;

/**
 * The pod with the volume, in every container that mounts nothing at that place; the same pod when there is none. The
 * pod itself is unchanged. A copy of a pod has the volume of its original, for containers that were added to it too.
 *
 * @param suffix  what makes the volume's name one of its own
 */
export function withAccountVolume(pod: Pod, suffix?: string): Pod {
  const { volumes = [], containers, initContainers } = pod.spec;
  if (![...containers, ...(initContainers ?? [])].some(lacksMount)) return pod;
  const there = volumes.find(isAccountVolume);
  const volume = there ?? { name: suffix ? `${NAME}-${suffix}` : NAME, ...clone(VOLUME) };
  const mount = { name: volume.name, mountPath: MOUNT_PATH, readOnly: true };
  const mounted = (container: Container): Container =>
    lacksMount(container)
      ? { ...container, volumeMounts: [...(container.volumeMounts ?? []), { ...mount }] }
      : container;
  return {
    ...pod,
    spec: {
      ...pod.spec,
      volumes: there ? volumes : [...volumes, volume],
      containers: containers.map(mounted),
      ...(initContainers && { initContainers: initContainers.map(mounted) }),
    },
  };
}

/** A pod as it is to become, with the volume that it has been given since it was written. */
export function keepAccountVolume(pod: Pod, live: Pod): Pod {
  const there = live.spec.volumes?.find(isAccountVolume);
  return there ? withAccountVolume(pod, there.name.slice(NAME.length + 1)) : pod;
}

const isAccountVolume = ({ name, projected }: Volume): boolean =>
  name.startsWith(`${NAME}-`) && projected !== undefined;

const lacksMount = ({ volumeMounts = [] }: Container): boolean =>
  !volumeMounts.some(({ mountPath }) => mountPath.replace(/\/+$/, '') === MOUNT_PATH);
