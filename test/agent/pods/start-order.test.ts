import t from 'tap';
import { initContainersDue, restartPolicyOf } from '../../../src/agent/pods/start-order.js';
import type { Container, ContainerState, PodSpec } from '../../../src/api/types.js';

const running: ContainerState = { running: {} };
const ended = (exitCode: number): ContainerState => ({ terminated: { exitCode } });
const waiting: ContainerState = { waiting: {} };

const a: Container = { name: 'a' };
const side: Container = { name: 'side', restartPolicy: 'Always' };
const b: Container = { name: 'b' };
const main: Container = { name: 'main' };
const spec: PodSpec = { initContainers: [a, side, b], containers: [main] };

t.test('each waits for those before it', async (t) => {
  for (const [states, due, isOver] of [
    [[waiting, waiting, waiting], 'a', false],
    [[running, waiting, waiting], 'a', false],
    [[ended(1), waiting, waiting], 'a', false],
    [[ended(0), waiting, waiting], 'a side', false],
    [[ended(0), running, waiting], 'a side b', false],
    [[ended(0), running, ended(0)], 'a side b', true],
    [[ended(0), waiting, ended(0)], 'a side', false],
  ] as [ContainerState[], string, boolean][]) {
    const progress = states.map((state, i) => ({ name: spec.initContainers![i]!.name, state }));
    const found = initContainersDue(spec, progress);
    t.equal(found.due.map(({ name }) => name).join(' '), due, JSON.stringify(states));
    t.equal(found.isOver, isOver);
  }
  const slow = [
    { name: 'a', state: ended(0) },
    { name: 'side', state: running, isStarted: false },
  ];
  t.match(initContainersDue(spec, slow), { isOver: false, due: [a, side] }, 'its startup probe counts');
  t.match(initContainersDue({ containers: [main] }, []), { due: [], isOver: true });
});

t.test('what follows an end depends on the kind of container', async (t) => {
  for (const [policy, init, other] of [
    [undefined, 'OnFailure', 'Always'],
    ['OnFailure', 'OnFailure', 'OnFailure'],
    ['Never', 'Never', 'Never'],
  ] as const) {
    const these = { ...spec, restartPolicy: policy };
    t.equal(restartPolicyOf(these, a), init);
    t.equal(restartPolicyOf(these, main), other);
    t.equal(restartPolicyOf(these, side), 'Always');
  }
});
