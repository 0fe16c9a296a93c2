import t from 'tap';
import type { Node, Pod, PodStatus } from '../../src/api/types.js';
import { notReady } from '../../src/lab/readiness.js';

const pod = (status: PodStatus, nodeName: string | undefined = 'node1'): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web', namespace: 'default' },
  spec: { ...(nodeName && { nodeName }), containers: [{ name: 'c' }] },
  status,
});
const node = (status: Node['status']): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: 'node1' },
  status,
});
const why = (object: Pod | Node): string | undefined => notReady([object])[0]?.why;

const container = { name: 'c', image: 'x', imageID: '', ready: false, restartCount: 0 };

t.test('what is Ready, or has done its work, is no trouble', async (t) => {
  t.equal(why(pod({ conditions: [{ type: 'Ready', status: 'True' }] })), undefined);
  t.equal(why(pod({ phase: 'Succeeded', conditions: [{ type: 'Ready', status: 'False' }] })), undefined);
  t.equal(why(node({ conditions: [{ type: 'Ready', status: 'True' }] })), undefined);
});

t.test('trouble names the object and the nearest known cause', async (t) => {
  t.equal(notReady([pod({})])[0]!.what, 'pod default/web');
  t.equal(notReady([node({})])[0]!.what, 'node node1');
  t.equal(why(node({})), 'its agent has not reported yet');
  t.equal(
    why(
      node({
        conditions: [
          { type: 'Ready', status: 'Unknown', reason: 'NodeStatusUnknown', message: 'agent stopped posting' },
        ],
      }),
    ),
    'NodeStatusUnknown: agent stopped posting',
  );
  t.equal(why(pod({}, '')), 'no node was chosen for it yet');
  t.equal(
    why(
      pod(
        {
          conditions: [
            { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: 'no node is Ready' },
          ],
        },
        '',
      ),
    ),
    'Unschedulable: no node is Ready',
  );
  t.equal(why(pod({})), 'no address was given to it yet');
  t.equal(why(pod({ podIP: '10.244.1.2', phase: 'Pending' })), 'Pending on node1');
  t.equal(
    why(
      pod({
        containerStatuses: [
          { ...container, state: { waiting: { reason: 'CrashLoopBackOff', message: 'back-off 10s' } } },
        ],
      }),
    ),
    'container c: CrashLoopBackOff: back-off 10s',
  );
  t.equal(
    why(
      pod({
        phase: 'Failed',
        containerStatuses: [{ ...container, state: { terminated: { exitCode: 3, reason: 'Error' } } }],
      }),
    ),
    'container c: Error: exit code 3',
  );
});
