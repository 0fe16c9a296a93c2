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
    { name: 'main', run: 1, state: {} },
    { name: 'side', run: 0, state: {} },
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

t.test('a program enters all namespaces, and the container by its script', async (t) => {
  const line = enterArgv(state, ['ls', '-l'], { env: { TERM: 'xterm' }, limitSeconds: 3 }).join(' ');
  t.equal(
    line,
    `nsenter -t ${process.pid} -m -u -i -n -p -r -w -- timeout -s KILL 3 ` +
      'unshare --mount -- sh /.volumes/.main/enter env TERM=xterm ls -l',
  );
  t.throws(() => enterArgv(state, ['ls'], { container: 'side' }), /"side" of pod "web-1": it is not running/);
  t.throws(() => enterArgv(state, ['ls'], { container: 'no' }), /no container "no"; it has main, side/);
  t.throws(() => enterArgv({ ...state, holderPid: undefined }, ['ls']), /not running yet/);
});
