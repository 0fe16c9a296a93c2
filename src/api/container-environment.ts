/**
 * The environment of a container: `env`, `envFrom`, and the variables of Services. It is taken when the container
 * starts; what changes later is seen by its next start.
 *
 * Source: k8s.io/kubernetes, pkg/kubelet/kubelet_pods.go (makeEnvironmentVariables);
 * kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables
 */
import { decodeBase64 } from './base64.js';
import { fieldOf, resourceOf, type Allocatable } from './pod-fields.js';
import type { ConfigMap, Container, EnvFromSource, EnvVarSource, KeySelector, Pod, Secret } from './types.js';

/** Where a pod's ConfigMaps and Secrets are looked up. */
export interface PodObjects {
  configMap(namespace: string, name: string): ConfigMap | undefined;
  secret(namespace: string, name: string): Secret | undefined;
}

/** Nothing is known. */
export const NO_OBJECTS: PodObjects = { configMap: () => undefined, secret: () => undefined };

/** Something that a pod names is not there; the message is the kubelet's. */
export class MissingError extends Error {}

/** What an environment is made of. */
export interface EnvironmentInput {
  /** With the addresses it has. */
  pod: Pod;
  container: Container;
  /** Variables of Services, which all others override. */
  services?: Readonly<Record<string, string>>;
  objects?: PodObjects;
  allocatable?: Allocatable;
}

/**
 * Make the environment.
 *
 * @throws {MissingError} when a ConfigMap, a Secret or a key is not there and is not optional
 */
export function containerEnvironment(input: EnvironmentInput): Record<string, string> {
  const { container, services = {}, objects = NO_OBJECTS } = input;
  const namespace = input.pod.metadata.namespace ?? 'default';
  const env: Record<string, string> = { ...services };
  const set = (name: string, value: string): void => {
    // Not by assignment: a variable may be called __proto__.
    Object.defineProperty(env, name, { value, writable: true, enumerable: true, configurable: true });
  };
  for (const source of container.envFrom ?? [])
    for (const [key, value] of Object.entries(allOf(source, namespace, objects)))
      set(`${source.prefix ?? ''}${key}`, value);
  for (const { name, value, valueFrom } of container.env ?? []) {
    if (!valueFrom) set(name, expand(value ?? '', env));
    else {
      const found = valueOf(valueFrom, input, namespace, objects);
      if (found !== undefined) set(name, found);
    }
  }
  return env;
}

const textsOf = (secret: Secret): Record<string, string> =>
  Object.fromEntries(Object.entries(secret.data ?? {}).map(([key, value]) => [key, decodeBase64(value)]));

function allOf(
  { configMapRef, secretRef }: EnvFromSource,
  namespace: string,
  objects: PodObjects,
): Record<string, string> {
  const ref = configMapRef ?? secretRef;
  const name = ref?.name ?? '';
  if (configMapRef) {
    const found = objects.configMap(namespace, name);
    if (found) return found.data ?? {};
  } else if (secretRef) {
    const found = objects.secret(namespace, name);
    if (found) return textsOf(found);
  }
  if (ref && !ref.optional)
    throw new MissingError(`${configMapRef ? 'configmap' : 'secret'} "${name}" not found`);
  return {};
}

function valueOf(
  { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef }: EnvVarSource,
  { pod, container, allocatable = {} }: EnvironmentInput,
  namespace: string,
  objects: PodObjects,
): string | undefined {
  if (fieldRef) return fieldOf(pod, fieldRef);
  if (resourceFieldRef) return resourceOf(pod, resourceFieldRef, allocatable, container);
  if (configMapKeyRef) {
    const found = objects.configMap(namespace, configMapKeyRef.name ?? '');
    return oneOf(found?.data, found !== undefined, configMapKeyRef, namespace, 'ConfigMap');
  }
  if (secretKeyRef) {
    const found = objects.secret(namespace, secretKeyRef.name ?? '');
    const value = oneOf(found?.data, found !== undefined, secretKeyRef, namespace, 'Secret');
    return value === undefined ? undefined : decodeBase64(value);
  }
  return '';
}

function oneOf(
  data: Readonly<Record<string, string>> = {},
  isThere: boolean,
  { name = '', key, optional }: KeySelector,
  namespace: string,
  kind: string,
): string | undefined {
  if (Object.hasOwn(data, key)) return data[key];
  if (optional) return undefined;
  throw new MissingError(
    isThere
      ? `couldn't find key ${key} in ${kind} ${namespace}/${name}`
      : `${kind.toLowerCase()} "${name}" not found`,
  );
}

/** Replace `$(NAME)`; `$$` stands for one dollar, and an unknown name stays as written. */
export function expand(text: string, env: Readonly<Record<string, string>>): string {
  return text.replace(/\$\$|\$\(([^()]*)\)/g, (match, name: string | undefined) =>
    name === undefined ? '$' : Object.hasOwn(env, name) ? env[name] : match,
  );
}
