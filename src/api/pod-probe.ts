/**
 * The probes of a container: their defaults, and what may stand in them.
 *
 * gRPC probes are refused: nothing here speaks gRPC.
 *
 * Source: k8s.io/kubernetes, pkg/apis/core/v1/defaults.go (SetDefaults_Probe), pkg/apis/core/validation (validateProbe).
 */
import { at, forbidden, invalid, notSupported, required, type Problem } from './problem.js';
import { checkPort, checkPortName } from './rules.js';
import type { Container, HttpGetAction, LifecycleHandler, Probe, TcpSocketAction } from './types.js';

/** The probes a container may have, by the word that stands before `Probe`. */
export const PROBE_KINDS = ['startup', 'liveness', 'readiness'] as const;
export type ProbeKind = (typeof PROBE_KINDS)[number];

/** A container's probe of one kind. */
export const probeOf = (container: Container, kind: ProbeKind): Probe | undefined =>
  container[`${kind}Probe`];

/** A probe's times and thresholds, all of them: seconds, and results in a row. */
export interface ProbeTiming {
  initialDelaySeconds: number;
  timeoutSeconds: number;
  periodSeconds: number;
  successThreshold: number;
  failureThreshold: number;
}

/** A probe's timing; as in Kubernetes, zero asks for the default. */
export const probeTiming = (probe: Probe): ProbeTiming => ({
  initialDelaySeconds: probe.initialDelaySeconds ?? 0,
  timeoutSeconds: probe.timeoutSeconds || 1,
  periodSeconds: probe.periodSeconds || 10,
  successThreshold: probe.successThreshold || 1,
  failureThreshold: probe.failureThreshold || 3,
});

/** Fill in a container's probes and hooks. */
export function defaultProbes(container: Container): void {
  for (const kind of PROBE_KINDS) {
    const probe = probeOf(container, kind);
    if (!probe) continue;
    const { initialDelaySeconds: _, ...timing } = probeTiming(probe);
    Object.assign(probe, timing);
    defaultHttpGet(probe.httpGet);
  }
  defaultHttpGet(container.lifecycle?.postStart?.httpGet);
  defaultHttpGet(container.lifecycle?.preStop?.httpGet);
}

function defaultHttpGet(action: HttpGetAction | undefined): void {
  if (!action) return;
  action.path ||= '/';
  action.scheme ||= 'HTTP';
}

/** Rules for the probes of a container whose path is `field`. */
export const checkProbes = (container: Container, field: string): Problem[] =>
  PROBE_KINDS.flatMap((kind) => {
    const probe = probeOf(container, kind);
    return probe ? checkProbe(probe, kind, `${field}.${kind}Probe`) : [];
  });

function checkProbe(probe: Probe, kind: ProbeKind, field: string): Problem[] {
  const problems = checkHandler(probe, field);
  if (probe.grpc)
    problems.push(
      forbidden(`${field}.grpc`, 'gRPC probes cannot be run here; use httpGet, tcpSocket or exec instead'),
    );
  for (const name of Object.keys(probeTiming(probe)) as (keyof ProbeTiming)[]) {
    const value = probe[name] ?? 0;
    if (value < 0) problems.push(invalid(`${field}.${name}`, value, 'must be greater than or equal to 0'));
  }
  const { terminationGracePeriodSeconds: grace, successThreshold } = probe;
  if (kind === 'readiness') {
    if (grace !== undefined)
      problems.push(
        invalid(`${field}.terminationGracePeriodSeconds`, grace, 'must not be set for readinessProbes'),
      );
  } else {
    if (grace !== undefined && grace <= 0)
      problems.push(invalid(`${field}.terminationGracePeriodSeconds`, grace, 'must be greater than 0'));
    if (successThreshold && successThreshold !== 1)
      problems.push(invalid(`${field}.successThreshold`, successThreshold, 'must be 1'));
  }
  return problems;
}

function checkHandler(handler: Probe & LifecycleHandler, field: string): Problem[] {
  const { exec, httpGet, tcpSocket, grpc } = handler;
  const problems: Problem[] = [];
  let count = grpc ? 1 : 0;
  const one = (name: string, check: () => Problem[]): void => {
    count += 1;
    problems.push(
      ...(count > 1 ? [forbidden(`${field}.${name}`, 'may not specify more than 1 handler type')] : check()),
    );
  };
  if (exec) one('exec', () => ((exec.command ?? []).length > 0 ? [] : [required(`${field}.exec.command`)]));
  if (httpGet) one('httpGet', () => checkHttpGet(httpGet, `${field}.httpGet`));
  if (tcpSocket) one('tcpSocket', () => checkActionPort(tcpSocket, `${field}.tcpSocket`));
  if (count === 0) problems.push(required(field, 'must specify a handler type'));
  return problems;
}

const checkHttpGet = (action: HttpGetAction, field: string): Problem[] => [
  ...checkActionPort(action, field),
  ...(action.scheme && !/^HTTPS?$/.test(action.scheme)
    ? [notSupported(`${field}.scheme`, action.scheme, ['HTTP', 'HTTPS'])]
    : []),
  ...(action.httpHeaders ?? []).flatMap(({ name }, i) =>
    /^[-A-Za-z0-9]+$/.test(name)
      ? []
      : [
          invalid(
            at(`${field}.httpHeaders`, i),
            name,
            "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used " +
              "for validation is '[-A-Za-z0-9]+')",
          ),
        ],
  ),
];

const checkActionPort = ({ port }: TcpSocketAction, field: string): Problem[] =>
  typeof port === 'number' ? checkPort(port, `${field}.port`) : checkPortName(port, `${field}.port`);
