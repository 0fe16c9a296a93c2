/**
 * How a program ended, as the Status that Kubernetes' clients read on the error stream.
 *
 * Source: k8s.io/kubelet pkg/cri/streaming/remotecommand/exec.go; k8s.io/apimachinery pkg/util/remotecommand.
 */

/** Of a program that has run. */
export function exitStatus(exitCode: number): object {
  if (exitCode === 0) return { metadata: {}, status: 'Success' };
  return {
    metadata: {},
    status: 'Failure',
    message: `command terminated with non-zero exit code: exit status ${exitCode}`,
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: String(exitCode) }] },
  };
}

/** Of something that could not be done. */
export const failureStatus = (message: string): object => ({
  metadata: {},
  status: 'Failure',
  message: `Internal error occurred: ${message}`,
  reason: 'InternalError',
  details: { causes: [{ message }] },
  code: 500,
});
