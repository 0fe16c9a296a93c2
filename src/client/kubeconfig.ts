/**
 * The file by which kubectl, and podwire's own verbs, find a server, trust it and are let in.
 *
 * Of what a kubeconfig can say, programs that get credentials (`exec`, `auth-provider`), passwords, proxies and files of
 * tokens are not read.
 *
 * Source: https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
 */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parse as parseYaml } from 'yaml';
import { isMap } from '../api/json.js';
import type { KeyAndCertificate, TlsAddress } from './server-address.js';

export interface KubeconfigOptions {
  /** Of the context and of the cluster in it. */
  readonly name: string;
  /** `https://127.0.0.1:6443`. */
  readonly url: string;
  /** PEM of the authority. */
  readonly authority: string;
  /** What the user is called in the file. */
  readonly user: string;
  /** How he comes in; by neither: a file that only says whom to trust. */
  readonly identity?: { readonly token: string } | KeyAndCertificate;
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** A kubeconfig with one cluster, one user and one context, which is the current one. */
export function formatKubeconfig({ name, url, authority, user, identity }: KubeconfigOptions): string {
  const cluster = `apiVersion: v1
kind: Config
clusters:
- name: ${name}
  cluster:
    server: ${url}
    certificate-authority-data: ${base64(authority)}
`;
  if (!identity) return cluster;
  const credentials =
    'token' in identity
      ? `token: ${identity.token}`
      : `client-certificate-data: ${base64(identity.certificate)}\n    client-key-data: ${base64(identity.key)}`;
  return `${cluster}users:
- name: ${user}
  user:
    ${credentials}
contexts:
- name: ${name}
  context:
    cluster: ${name}
    user: ${user}
current-context: ${name}
`;
}

/** A cluster, as a kubeconfig names it. */
export interface KnownCluster {
  readonly name: string;
  readonly url: string;
  readonly authority: string;
}

/**
 * The first cluster of a kubeconfig that says only whom to trust.
 *
 * @throws Error with what is wrong with the text
 */
export function readCluster(text: string): KnownCluster {
  const config = parseConfig(text);
  return clusterOf(entries(config, 'clusters')[0], 'cluster', undefined);
}

/**
 * How the current context of a kubeconfig leads to a server.
 *
 * @throws Error that names the file, and what is wrong in it
 */
export function readKubeconfig(path: string): TlsAddress {
  try {
    const config = parseConfig(readFileSync(path, 'utf8'));
    const current = config['current-context'];
    const context = entries(config, 'contexts').find(({ name }) => name === current)?.['context'];
    if (!isMap(context))
      throw new Error(`it has no context "${String(current ?? '')}", which is its current one`);
    const byName = (list: string, name: unknown): Record<string, unknown> | undefined =>
      entries(config, list).find((entry) => entry['name'] === name);
    const { url, authority } = clusterOf(
      byName('clusters', context['cluster']),
      String(context['cluster']),
      dirname(path),
    );
    const user = byName('users', context['user'])?.['user'];
    if (!isMap(user)) throw new Error(`it has no user "${String(context['user'])}"`);
    const folder = dirname(path);
    const certificate = textAt(user, 'client-certificate', folder);
    const key = textAt(user, 'client-key', folder);
    const { token } = user;
    if (certificate !== undefined && key !== undefined)
      return { url, authority, identity: () => ({ key, certificate }) };
    if (typeof token === 'string') return { url, authority, bearer: token };
    throw new Error(`its user "${String(context['user'])}" has neither a token nor a client certificate`);
  } catch (error) {
    throw new Error(`Cannot use the kubeconfig ${path}: ${(error as Error).message}`, { cause: error });
  }
}

function parseConfig(text: string): Record<string, unknown> {
  const config: unknown = parseYaml(text, { maxAliasCount: 0 });
  if (!isMap(config) || config['kind'] !== 'Config') throw new Error('it is of no kind "Config"');
  return config;
}

const entries = (config: Record<string, unknown>, list: string): Record<string, unknown>[] =>
  Array.isArray(config[list]) ? config[list].filter(isMap) : [];

function clusterOf(
  entry: Record<string, unknown> | undefined,
  name: string,
  folder: string | undefined,
): KnownCluster {
  const cluster = entry?.['cluster'];
  if (!isMap(cluster) || typeof cluster['server'] !== 'string')
    throw new Error(`it has no server of "${name}"`);
  const authority = textAt(cluster, 'certificate-authority', folder);
  if (authority === undefined) throw new Error(`it has no certificate-authority-data of "${name}"`);
  return { name: String(entry!['name']), url: cluster['server'], authority };
}

/** A text that stands in `KEY-data` in base64, or in the file that `KEY` names. */
function textAt(map: Record<string, unknown>, key: string, folder: string | undefined): string | undefined {
  const data = map[`${key}-data`];
  if (typeof data === 'string') return Buffer.from(data, 'base64').toString();
  const file = map[key];
  return typeof file === 'string' && folder !== undefined
    ? readFileSync(resolve(folder, file), 'utf8')
    : undefined;
}
