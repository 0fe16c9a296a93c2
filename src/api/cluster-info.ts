/**
 * `cluster-info`, the ConfigMap in `kube-public` that says where a server is reached and by which authority it is known:
 * a kubeconfig without a user. Source: https://kubernetes.io/docs/reference/setup-tools/kubeadm/implementation-details/
 */
export const CLUSTER_INFO = { name: 'cluster-info', namespace: 'kube-public', key: 'kubeconfig' } as const;
