/**
 * An agent in a process of its own, to be killed: runs the pods given as JSON in argv and prints every status as a
 * line. With `attach-hangs` as third argument its network never comes up; with `exec` it runs programs in the first pod once
 * that is there.
 */
import { pino } from 'pino';
import type { Pod } from '../../../src/api/types.js';
import { createPodRuntime } from '../../../src/agent/pods/runtime.js';
import { startExec } from '../../../src/agent/pods/exec.js';
import { uidOf } from '../../../src/agent/pods/state.js';
import { filesOf, QUICK, type TestLab } from './host.js';

const { lab, dir } = JSON.parse(process.argv[2]) as TestLab;
const pods = JSON.parse(process.argv[3]) as Pod[];
const hangs = process.argv[4] === 'attach-hangs';
let mayExec = process.argv[4] === 'exec';

/** Programs that neither read nor write. */
function exec(): void {
  mayExec = false;
  const uid = uidOf(pods[0]!);
  const state = runtime.state(uid);
  const argv = ['sh', '-c', 'sleep 2001 & sleep 2002; true'];
  startExec(runtime.folder(uid), state, state.containers[0]!, { argv, stdin: true });
}

const runtime = createPodRuntime({
  lab,
  node: 'n1',
  dir,
  hostAddress: '192.168.50.1',
  resolverFiles: filesOf,
  backoff: QUICK,
  log: pino({ level: 'silent' }),
  network: {
    attach: () => (hangs ? new Promise(() => console.log('attaching')) : Promise.resolve()),
    detach: () => Promise.resolve(),
  },
  report: ({ metadata }, status) => {
    console.log(metadata.name, JSON.stringify(status));
    if (mayExec && status.containerStatuses?.[0]?.ready) exec();
  },
  removed: ({ metadata }) => console.log('removed', metadata.name),
});
runtime.sync(pods);
