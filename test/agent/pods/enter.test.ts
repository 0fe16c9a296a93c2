import t from 'tap';
import { join } from 'node:path';
import { enterArgv, findPod } from '../../../src/agent/pods/enter.js';
import { refOf } from '../../../src/agent/pods/procfs.js';
import { writeState, type PodState } from '../../../src/agent/pods/state.js';
import { podOf } from './host.js';

/** A pod whose holder is this very process. */
const self = refOf(process.pid);
const state: PodState = {
  lab: 'demo',
  node: 'node1',
  namespace: 'default',
  name: 'web-1',
  uid: 'u1',
  netns: 'demo.node1.default.web-1',
  hostname: 'web-1',
  holderPid: self?.pid,
  holderStart: self?.startTime,
  startTime: '2025-01-01T00:00:00Z',
  containers: [
    { name: 'main', env: { COLOR: 'red' }, run: 1, state: {} },
    { name: 'side', env: { PATH: '/opt' }, workingDir: '/srv', run: 1, state: {} },
  ],
  initContainers: [],
  pod: podOf('web-1', {}),
};

t.test('a pod is found by its name while its holder lives', async (t) => {
  const runDir = t.testdir();
  const dir = join(runDir, 'demo', 'node1', 'pods', 'u1');
  t.equal(findPod(runDir, 'demo', 'default', 'web-1'), undefined, 'no lab of that name');
  writeState(dir, state);
  t.match(findPod(runDir, 'demo', 'default', 'web-1'), { node: 'node1', holderPid: process.pid });
  t.equal(findPod(runDir, 'demo', 'other', 'web-1'), undefined);
  writeState(dir, { ...state, holderStart: 1 });
  t.equal(findPod(runDir, 'demo', 'default', 'web-1'), undefined, 'its pid is somebody else’s by now');
});

t.test('a program enters all namespaces, with the container’s environment', async (t) => {
  const line = enterArgv(state, ['ls', '-l'], { env: { TERM: 'xterm' } }).join(' ');
  t.match(line, new RegExp(`^nsenter -t ${process.pid} -m -u -i -n -p -r -w -- env -i PATH=`));
  t.match(line, / HOSTNAME=web-1 TERM=xterm COLOR=red ls -l$/);
  const side = enterArgv(state, ['ls'], { container: 'side' }).join(' ');
  t.match(side, / env --chdir=\/srv -i PATH=\/opt HOME=\/root HOSTNAME=web-1 ls$/);
  t.throws(() => enterArgv(state, ['ls'], { container: 'no' }), /no container "no"; it has main, side/);
  t.throws(() => enterArgv({ ...state, holderPid: undefined }, ['ls']), /not running yet/);
});
