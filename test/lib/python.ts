/** Kubernetes' Python client, as Debian has it. */
import { start, runSync } from './spawn.js';
import type { ChildProcess } from 'node:child_process';
import type { TestScope } from './scope.js';

/** Debian's own comes second: another python may stand before it on the PATH. */
const PYTHONS = ['python3', '/usr/bin/python3'];

const python = PYTHONS.find((one) => runSync([one, '-c', 'import kubernetes']).status === 0);

/** Why tests with it are skipped; false: it is there. */
export const needsPython: string | false =
  python === undefined && 'needs python3-kubernetes (apt-get install python3-kubernetes)';

/** What every program begins with: `core`, a client of the cluster of a kubeconfig. */
const PRELUDE = `
import sys
from kubernetes import client, config, stream, watch
config.load_kube_config(sys.argv[1])
core = client.CoreV1Api()
`;

/** Run a program with the client in it. */
export const startPython = (t: TestScope, kubeconfig: string, program: string): ChildProcess =>
  start(t, [python!, '-u', '-c', PRELUDE + program, kubeconfig]);
