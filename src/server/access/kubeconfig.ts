/**
 * The file by which kubectl finds a server, trusts it and is let in.
 *
 * Source: https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
 */

export interface KubeconfigOptions {
  /** Of the context and of the cluster in it. */
  readonly name: string;
  /** `https://127.0.0.1:6443`. */
  readonly url: string;
  /** PEM of the authority. */
  readonly authority: string;
  readonly token: string;
}

/** A kubeconfig with one cluster, one user and one context, which is the current one. */
export const formatKubeconfig = ({
  name,
  url,
  authority,
  token,
}: KubeconfigOptions): string => `apiVersion: v1
kind: Config
clusters:
- name: ${name}
  cluster:
    server: ${url}
    certificate-authority-data: ${Buffer.from(authority).toString('base64')}
users:
- name: ${name}-admin
  user:
    token: ${token}
contexts:
- name: ${name}
  context:
    cluster: ${name}
    user: ${name}-admin
current-context: ${name}
`;
