/**
 * What the agent of a node may do.
 *
 * Source: https://kubernetes.io/docs/reference/access-authn-authz/node/ and admission-controllers/#noderestriction
 */
import t from 'tap';
import { LEASE, NODE, POD } from '../../src/api/kinds.js';
import type { Node, Pod } from '../../src/api/types.js';
import { NodeAuthorizer, nodeOf } from '../../src/authorization/node-authorizer.js';
import { checkNodeDelete, checkNodeToken, checkNodeWrite } from '../../src/authorization/node-restriction.js';
import { request, user } from '../lib/roles.js';

const pod = (name: string, spec: Partial<Pod['spec']>, namespace = 'default'): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace },
  spec: { containers: [{ name: 'c' }], ...spec },
});

const AGENT = user('system:node:n1+system:nodes+system:authenticated');
const PREFIX = '/podwire/agents/';
const nodeOfPath = (path: string): string | undefined =>
  path.startsWith(PREFIX) ? path.slice(PREFIX.length) : undefined;

t.test('who is the agent of a node', async (t) => {
  t.equal(nodeOf(AGENT), 'n1');
  t.equal(nodeOf(user('system:node:n1')), undefined, 'not without the group');
  t.equal(nodeOf(user('n1+system:nodes')), undefined);
  t.equal(nodeOf(user('system:node:+system:nodes')), undefined);
});

t.test('what it may do', async (t) => {
  const nodes = new NodeAuthorizer(nodeOfPath);
  nodes.set(
    pod('own', {
      nodeName: 'n1',
      serviceAccountName: 'robot',
      volumes: [
        { name: 'a', secret: { secretName: 'volume' } },
        { name: 'b', configMap: { name: 'settings' } },
        {
          name: 'c',
          projected: { sources: [{ secret: { name: 'part' } }, { configMap: { name: 'piece' } }] },
        },
      ],
      initContainers: [{ name: 'i', envFrom: [{ secretRef: { name: 'first' } }] }],
      containers: [
        {
          name: 'c',
          env: [
            { name: 'X', valueFrom: { secretKeyRef: { name: 'one', key: 'k' } } },
            { name: 'Y', valueFrom: { configMapKeyRef: { name: 'entry', key: 'k' } } },
          ],
          envFrom: [{ configMapRef: { name: 'all' } }],
        },
      ],
    }),
  );
  nodes.set(pod('other', { nodeName: 'n2', volumes: [{ name: 'a', secret: { secretName: 'theirs' } }] }));
  nodes.set(pod('nowhere', { volumes: [{ name: 'a', secret: { secretName: 'unplaced' } }] }));
  for (const [what, isAllowed] of [
    ['list pods', true],
    ['watch services', true],
    ['list nodes', true],
    ['list endpointslices@discovery.k8s.io', true],
    ['watch namespaces', true],
    ['list serviceaccounts', true],
    ['list labs@podwire.dev', true],
    ['list networkpolicies@networking.k8s.io', true],
    ['create events in default', true],
    ['update events e in default', true],
    ['delete events e in default', false],
    ['create pods in default', false],
    ['update pods own in default', false],
    ['delete pods own in default', true],
    ['deletecollection pods in default', false],
    ['update pods/status own in default', true],
    ['create pods/exec own in default', false],
    ['get pods/log own in default', false],
    ['create pods/binding own in default', false],
    ['update nodes n1', true],
    ['update nodes/status n1', true],
    ['create nodes', true],
    ['delete nodes n1', false],
    ['update nodes n2', false],
    ['patch nodes/status n2', false],
    ['get leases@coordination.k8s.io n1 in kube-node-lease', true],
    ['update leases@coordination.k8s.io n1 in kube-node-lease', true],
    ['create leases@coordination.k8s.io in kube-node-lease', true],
    ['update leases@coordination.k8s.io n2 in kube-node-lease', false],
    ['update leases@coordination.k8s.io n1 in default', false],
    ['list leases@coordination.k8s.io in kube-node-lease', false],
    ['get secrets volume in default', true],
    ['watch secrets part in default', true],
    ['list secrets first in default', true],
    ['get secrets one in default', true],
    ['get secrets theirs in default', false],
    ['get secrets unplaced in default', false],
    ['get secrets volume in kube-system', false],
    ['list secrets in default', false],
    ['list secrets', false],
    ['update secrets volume in default', false],
    ['get configmaps settings in default', true],
    ['get configmaps piece in default', true],
    ['get configmaps entry in default', true],
    ['get configmaps all in default', true],
    ['watch configmaps kube-root-ca.crt in default', true],
    ['get configmaps kube-root-ca.crt in kube-system', false],
    ['list configmaps', false],
    ['create serviceaccounts/token robot in default', true],
    ['create serviceaccounts/token default in default', false],
    ['create certificatesigningrequests@certificates.k8s.io', true],
    ['create certificatesigningrequests/approval@certificates.k8s.io x', false],
    ['create roles@rbac.authorization.k8s.io in default', false],
    ['post /podwire/agents/n1', true],
    ['post /podwire/agents/n2', false],
    ['get /podwire/agents/n1', false],
    ['get /podwire/tls', false],
  ] as const)
    t.equal(nodes.decide(AGENT, request(what))?.isAllowed, isAllowed, what);
  t.equal(nodes.decide(user('jane'), request('list pods')), undefined, 'others are none of its business');
  t.equal(
    nodes.decide(AGENT, request('get secrets theirs in default'))?.reason,
    "no relationship found between node 'n1' and this object",
  );
});

t.test('what a pod names is its node’s as long as it is there', async (t) => {
  const nodes = new NodeAuthorizer(nodeOfPath);
  const may = (name: string): boolean =>
    nodes.decide(AGENT, request(`get secrets ${name} in default`))!.isAllowed;
  const using = (name: string, secretName: string, nodeName?: string): Pod =>
    pod(name, { nodeName, volumes: [{ name: 'v', secret: { secretName } }] });
  nodes.set(using('a', 's'));
  t.notOk(may('s'), 'not placed');
  nodes.set(using('a', 's', 'n1'));
  t.ok(may('s'));
  nodes.set(using('b', 's', 'n1'));
  nodes.delete(using('a', 's', 'n1'));
  t.ok(may('s'), 'another names it too');
  nodes.set(using('b', 'other', 'n1'));
  t.notOk(may('s'));
  t.ok(may('other'));
  nodes.delete(using('b', 'other', 'n1'));
  t.notOk(may('other'));
});

t.test('what a node writes is its own', async (t) => {
  const node = (name: string, labels: Record<string, string> = {}, spec: Node['spec'] = {}): Node => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels },
    spec,
  });
  const write = (next: Node, old?: Node): string | undefined => checkNodeWrite('n1', NODE, next, old);
  t.equal(write(node('n1')), undefined);
  t.equal(write(node('n2')), 'node "n1" is not allowed to modify node "n2"');
  const own = {
    'kubernetes.io/hostname': 'n1',
    'topology.kubernetes.io/zone': 'z',
    rack: '7',
    'example.com/x': 'y',
  };
  t.equal(write(node('n1', { ...own, 'node.kubernetes.io/x': 'y' })), undefined);
  t.equal(
    write(node('n1', { ...own, 'node-role.kubernetes.io/control-plane': '' })),
    'node "n1" is not allowed to modify labels: node-role.kubernetes.io/control-plane',
  );
  const labelled = node('n1', { 'node-restriction.kubernetes.io/secure': 'yes' });
  t.equal(write(labelled, labelled), undefined, 'what others gave it stays');
  t.match(write(node('n1'), labelled), /not allowed to modify labels: node-restriction/);
  t.match(write(node('n1', {}, { unschedulable: true }), node('n1')), /not allowed to modify taints/);

  const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: 'n2' } };
  t.match(checkNodeWrite('n1', LEASE, lease, undefined), /same name as the requesting node/);
  const [mine, theirs] = [pod('p', { nodeName: 'n1' }), pod('p', { nodeName: 'n2' })];
  t.equal(checkNodeWrite('n1', POD, mine, mine), undefined);
  t.match(checkNodeWrite('n1', POD, mine, theirs), /spec\.nodeName set to itself/);
  t.equal(checkNodeDelete('n1', POD, mine), undefined);
  t.equal(
    checkNodeDelete('n1', POD, theirs),
    'node "n1" can only delete pods with spec.nodeName set to itself',
  );
  t.equal(checkNodeToken('n1', 'default', mine), undefined);
  t.match(checkNodeToken('n1', 'default', undefined), /not bound to a pod/);
  t.match(checkNodeToken('n1', 'default', theirs), /different node/);
  t.match(checkNodeToken('n1', 'robot', mine), /does not use/);
});
