import t from 'tap';
import { withDefaults } from '../../src/api/defaults.js';
import { describeProblem, validate } from '../../src/api/validate.js';
import type { Container, Pod } from '../../src/api/types.js';

const podWith = (container: object): Pod =>
  ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web' },
    spec: { containers: [{ name: 'web', image: 'nginx', ...container }] },
  }) as Pod;
const lines = (container: object): string[] => validate(podWith(container)).map(describeProblem);
const at = 'spec.containers[0]';

t.test('a probe gets the times and thresholds that Kubernetes gives it', async (t) => {
  const probes = {
    readinessProbe: { httpGet: { port: 80 } },
    livenessProbe: { tcpSocket: { port: 'http' }, periodSeconds: 3, timeoutSeconds: 0 },
  };
  const [container] = withDefaults(podWith(probes)).spec.containers as [Container];
  t.strictSame(container.readinessProbe, {
    httpGet: { port: 80, path: '/', scheme: 'HTTP' },
    timeoutSeconds: 1,
    periodSeconds: 10,
    successThreshold: 1,
    failureThreshold: 3,
  });
  t.match(container.livenessProbe, { periodSeconds: 3, timeoutSeconds: 1 });
});

t.test('a probe has exactly one way to look, with all it needs', async (t) => {
  t.strictSame(lines({ readinessProbe: {} }), [
    `${at}.readinessProbe: Required value: must specify a handler type`,
  ]);
  t.strictSame(lines({ readinessProbe: { exec: { command: ['true'] }, tcpSocket: { port: 80 } } }), [
    `${at}.readinessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type`,
  ]);
  t.strictSame(lines({ startupProbe: { exec: {} } }), [`${at}.startupProbe.exec.command: Required value`]);
  t.strictSame(lines({ readinessProbe: { tcpSocket: { port: 0 } } }), [
    `${at}.readinessProbe.tcpSocket.port: Invalid value: 0: must be between 1 and 65535, inclusive`,
  ]);
  t.match(lines({ readinessProbe: { httpGet: { port: 'No_Name', scheme: 'FTP' } } }), [
    /httpGet\.port: Invalid value: "No_Name"/,
    /httpGet\.scheme: Unsupported value: "FTP": supported values: "HTTP", "HTTPS"/,
  ]);
  t.match(lines({ readinessProbe: { httpGet: { port: 80, httpHeaders: [{ name: 'a b', value: '' }] } } }), [
    /httpGet\.httpHeaders\[0\]: Invalid value: "a b": a valid HTTP header/,
  ]);
});

t.test('a gRPC probe is refused with a sentence', async (t) => {
  t.strictSame(lines({ livenessProbe: { grpc: { port: 9000 } } }), [
    `${at}.livenessProbe.grpc: Forbidden: gRPC probes cannot be run here; use httpGet, tcpSocket or exec instead`,
  ]);
});

t.test('times are not negative, and only readiness may need several successes', async (t) => {
  const tcpSocket = { port: 80 };
  t.strictSame(lines({ readinessProbe: { tcpSocket, periodSeconds: -1, successThreshold: 2 } }), [
    `${at}.readinessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0`,
  ]);
  t.strictSame(lines({ livenessProbe: { tcpSocket, successThreshold: 2 } }), [
    `${at}.livenessProbe.successThreshold: Invalid value: 2: must be 1`,
  ]);
  t.strictSame(lines({ startupProbe: { tcpSocket, terminationGracePeriodSeconds: 0 } }), [
    `${at}.startupProbe.terminationGracePeriodSeconds: Invalid value: 0: must be greater than 0`,
  ]);
  t.strictSame(lines({ readinessProbe: { tcpSocket, terminationGracePeriodSeconds: 5 } }), [
    `${at}.readinessProbe.terminationGracePeriodSeconds: Invalid value: 5: must not be set for readinessProbes`,
  ]);
});
