/** The Kubernetes release whose API ours is a part of, as the server and the nodes tell it. */
export const RELEASE = { major: '1', minor: '33' };
/** As `kubectl version` and `kubectl get nodes` show it. */
export const RELEASE_NAME = `v${RELEASE.major}.${RELEASE.minor}.0+podwire`;
