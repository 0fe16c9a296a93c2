/**
 * A pod's volumes and the sources of its containers' environment, as far as we read them.
 */

/** Where a value of the environment, or a file of a downwardAPI volume, comes from. */
export interface FieldRef {
  apiVersion?: string;
  fieldPath: string;
}

export interface ResourceFieldRef {
  containerName?: string;
  resource: string;
  divisor?: string | number;
}

/** One key of a ConfigMap or a Secret. */
export interface KeySelector {
  name?: string;
  key: string;
  optional?: boolean;
}

export interface EnvVarSource {
  fieldRef?: FieldRef;
  resourceFieldRef?: ResourceFieldRef;
  configMapKeyRef?: KeySelector;
  secretKeyRef?: KeySelector;
}

export interface EnvVar {
  name: string;
  value?: string;
  valueFrom?: EnvVarSource;
}

/** All keys of a ConfigMap or a Secret. */
export interface EnvFromSource {
  prefix?: string;
  configMapRef?: { name?: string; optional?: boolean };
  secretRef?: { name?: string; optional?: boolean };
}

export interface KeyToPath {
  key: string;
  path: string;
  mode?: number;
}

/** The files that a ConfigMap becomes. */
export interface ConfigMapSource {
  name?: string;
  items?: KeyToPath[];
  optional?: boolean;
}

export interface DownwardApiFile {
  path: string;
  mode?: number;
  fieldRef?: FieldRef;
  resourceFieldRef?: ResourceFieldRef;
}

export interface TokenSource {
  audience?: string;
  expirationSeconds?: number;
  path: string;
}

/** A part of a projected volume. */
export interface VolumeProjection {
  configMap?: ConfigMapSource;
  secret?: ConfigMapSource;
  downwardAPI?: { items?: DownwardApiFile[] };
  serviceAccountToken?: TokenSource;
}

export interface Volume {
  name: string;
  emptyDir?: { medium?: string; sizeLimit?: string | number };
  hostPath?: { path: string; type?: string };
  configMap?: ConfigMapSource & { defaultMode?: number };
  secret?: Omit<ConfigMapSource, 'name'> & { secretName?: string; defaultMode?: number };
  downwardAPI?: { items?: DownwardApiFile[]; defaultMode?: number };
  projected?: { sources?: VolumeProjection[]; defaultMode?: number };
}

export interface VolumeMount {
  name: string;
  mountPath: string;
  readOnly?: boolean;
  subPath?: string;
  subPathExpr?: string;
}
