/**
 * What a user types, in the order in which it is typed: each call finds what those before it have left. They run against a
 * server alone, so nothing here waits for a pod to run.
 */
export interface Call {
  readonly line: string;
  /** Expected exit code; default 0. */
  readonly code?: number;
  /** What is fed to its standard input. */
  readonly input?: string;
  /** The first minor version that can do it; older ones do not try. */
  readonly since?: number;
  /** In the short list, which every kubectl runs. */
  readonly isShort?: boolean;
  /** What it prints depends on time or on the machine: only its exit code counts. */
  readonly isLoose?: boolean;
}

const NODE = 'apiVersion: v1\nkind: Node\nmetadata: {name: n1}\n';
const SERVICE = `
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  clusterIP: 10.96.7.7
  selector: {app: web}
  ports:
  - {name: http, port: 80, targetPort: 8080}
`;
const SERVICE_2 = `${SERVICE}  - {name: https, port: 443, targetPort: 8443}\n`;
const SLICE = `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: outside-1, labels: {kubernetes.io/service-name: outside}}
addressType: IPv4
ports: [{name: http, port: 80, protocol: TCP}]
endpoints: [{addresses: [192.0.2.7]}]
`;
const POD = `
apiVersion: v1
kind: Pod
metadata: {name: web-1, labels: {app: web, tier: front}}
spec:
  containers:
  - name: nginx
    image: nginx
    ports: [{containerPort: 80}]
`;
const MAP = `
apiVersion: v1
kind: ConfigMap
metadata: {name: applied}
data: {a: "1", b: "2"}
`;
const MAP_2 = `
apiVersion: v1
kind: ConfigMap
metadata: {name: applied}
data: {a: "1", c: "3"}
`;
const LAB = `
apiVersion: podwire.dev/v1alpha1
kind: Lab
metadata: {name: lab}
spec: {podCIDR: 10.244.0.0/16}
`;

const short = { isShort: true } as const;

export const CALLS: readonly Call[] = [
  { line: 'version', isLoose: true, ...short },
  { line: 'cluster-info', isLoose: true },
  { line: 'api-versions', isLoose: true },
  { line: 'api-resources', isLoose: true, ...short },
  { line: 'api-resources --namespaced=false', isLoose: true },
  { line: 'get --raw /healthz', ...short },
  { line: 'get --raw /version', isLoose: true },
  { line: 'auth can-i create pods', ...short },
  { line: 'auth can-i --list', isLoose: true },
  { line: 'auth whoami', since: 28 },
  { line: 'explain pod.spec.containers', since: 27, isLoose: true },
  { line: 'explain service', since: 27, isLoose: true },

  { line: 'create namespace shop', ...short },
  { line: 'create namespace shop', code: 1, ...short },
  { line: 'create namespace Shop', code: 1 },
  { line: 'get namespace shop', ...short },
  { line: 'get ns shop -o name' },
  { line: 'describe namespace shop' },
  { line: 'label namespace shop team=a', ...short },
  { line: 'label namespace shop team=b', code: 1 },
  { line: 'label namespace shop team=b --overwrite' },
  { line: 'get namespaces -l team=b -o name' },
  { line: 'get namespaces -l team=a,!x -o name' },
  { line: 'label namespace shop team-' },
  { line: 'annotate namespace shop note=hello' },
  { line: 'get ns shop -o jsonpath={.metadata.annotations.note}' },

  { line: 'create configmap c --from-literal=k=v --from-literal=x=y', ...short },
  { line: 'get configmap c', ...short },
  { line: 'get configmap c -o jsonpath={.data.k}' },
  { line: 'get cm c -o go-template={{.data.x}}' },
  { line: 'get cm c -o custom-columns=NAME:.metadata.name,K:.data.k' },
  { line: 'get cm nobody', code: 1, ...short },
  { line: 'get cm nobody --ignore-not-found' },
  { line: 'get cm c -n nowhere', code: 1 },
  { line: 'describe configmap c', isLoose: true },
  { line: 'create configmap c --from-literal=k=v', code: 1 },
  { line: 'create configmap dry --from-literal=k=v --dry-run=client -o yaml' },
  { line: 'create configmap dry --from-literal=k=v --dry-run=server' },
  { line: 'get configmap dry', code: 1 },
  { line: 'patch configmap c -p {"data":{"k":"w"}}', ...short },
  { line: 'patch configmap c -p {"data":{"k":"w"}}' },
  { line: 'patch configmap c --type=merge -p {"data":{"x":null}}' },
  { line: 'patch configmap c --type=json -p [{"op":"add","path":"/data/z","value":"1"}]' },
  { line: 'patch configmap c --type=json -p [{"op":"test","path":"/data/z","value":"2"}]', code: 1 },
  { line: 'get configmap c -o jsonpath={.data}' },
  { line: 'create secret generic s --from-literal=password=hunter2', ...short },
  { line: 'get secret s' },
  { line: 'get secret s -o jsonpath={.data.password}' },
  { line: 'describe secret s' },
  { line: 'create serviceaccount robot' },
  { line: 'get serviceaccount robot -o name' },
  { line: 'create token robot', since: 24, isLoose: true },
  { line: 'create token robot --duration=1s', code: 1, since: 24 },

  { line: 'apply -f -', input: MAP, ...short },
  { line: 'apply -f -', input: MAP, ...short },
  { line: 'apply -f -', input: MAP_2, ...short },
  { line: 'get configmap applied -o jsonpath={.data}', ...short },
  { line: 'diff -f -', input: MAP_2 },
  { line: 'diff -f -', input: MAP, code: 1, isLoose: true },
  { line: 'apply -f - --dry-run=server', input: MAP },
  { line: 'apply -f - --dry-run=client', input: MAP },
  { line: 'apply view-last-applied configmap applied' },
  { line: 'replace -f -', input: MAP },
  { line: 'replace -f - --force', input: MAP },
  { line: 'delete -f -', input: MAP, ...short },
  { line: 'delete -f -', input: MAP, code: 1 },
  { line: 'delete -f - --ignore-not-found', input: MAP },
  {
    line: 'create -f -',
    input: 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: odd}\ndatum: {}\n',
    code: 1,
    since: 27,
  },
  {
    line: 'create -f -',
    input: 'apiVersion: v1\nkind: Cat\nmetadata: {name: tom}\n',
    code: 1,
    isLoose: true,
  },

  { line: 'apply -f -', input: NODE },
  { line: 'get nodes -o name' },
  { line: 'cordon n1' },
  { line: 'get node n1 -o jsonpath={.spec.unschedulable}' },
  { line: 'uncordon n1' },
  { line: 'taint node n1 color=red:NoSchedule' },
  { line: 'get node n1 -o jsonpath={.spec.taints}' },
  { line: 'taint node n1 color-' },
  { line: 'cordon n1' },

  { line: 'apply -f -', input: POD, ...short },
  { line: 'get pods', ...short },
  { line: 'get pods -o wide' },
  { line: 'get pod web-1 -o jsonpath={.spec.containers[0].image}' },
  { line: 'get pods -l app=web -o name' },
  { line: 'get pods -l app!=web -o name' },
  { line: 'get pods --field-selector status.phase=Pending -o name' },
  { line: 'get pods --field-selector spec.nosuch=x', code: 1 },
  { line: 'get pods --show-labels' },
  { line: 'get pods -L tier' },
  { line: 'get pods --sort-by=.metadata.name' },
  { line: 'get pods,cm -o name' },
  { line: 'get all', isLoose: true },
  { line: 'get pods -A --no-headers' },
  { line: 'get pods --chunk-size=1 -o name' },
  { line: 'get pod/web-1 cm/c -o name' },
  { line: 'describe pod web-1', isLoose: true, ...short },
  { line: 'run two --image=nginx --labels=app=web', ...short },
  { line: 'run two --image=nginx', code: 1 },
  { line: 'run Bad_Name --image=nginx', code: 1 },
  { line: 'run three --image=busybox --restart=Never --dry-run=client -o name -- sleep 1' },
  { line: 'annotate pod two a=b' },
  { line: 'label pods --all seen=yes' },
  { line: 'set image pod/two two=nginx:1.25' },
  { line: 'get pod two -o jsonpath={.spec.containers[0].image}' },
  { line: 'patch pod two -p {"spec":{"hostname":"h"}}', code: 1 },
  { line: 'wait pod two --for=condition=PodScheduled=False --timeout=20s', since: 23 },
  { line: 'wait pod two --for=condition=Ready --timeout=1s', code: 1 },
  { line: 'wait pod two --for=jsonpath={.status.phase}=Pending --timeout=5s', since: 23 },
  { line: 'logs two --timestamps --since=10s', code: 1, ...short },
  { line: 'logs two --tail=5 --timestamps --since-time=2020-01-01T00:00:00Z', code: 1 },
  { line: 'logs two --since=1s --since-time=2020-01-01T00:00:00Z', code: 1 },
  { line: 'logs two -c other --timestamps', code: 1 },
  { line: 'logs two -p -f --since=1h', code: 1 },
  { line: 'debug two --image=busybox -c dbg --profile=general -- sleep 5', since: 27, ...short },
  { line: 'get pod two -o jsonpath={.spec.ephemeralContainers[*].command}', since: 27 },
  { line: 'debug two --image=busybox -c bad --target=nobody --profile=general', code: 1, since: 27 },
  { line: 'debug two --image=busybox -c dbg --profile=general', code: 1, since: 27 },

  { line: 'apply -f -', input: SERVICE, ...short },
  { line: 'get service web', ...short },
  { line: 'get svc web -o wide' },
  { line: 'describe service web', isLoose: true, ...short },
  { line: 'apply -f -', input: SERVICE_2, ...short },
  { line: 'get svc web -o jsonpath={.spec.ports[*].port}', ...short },
  { line: 'diff -f -', input: SERVICE_2 },
  { line: 'apply -f -', input: SERVICE },
  { line: 'get svc web -o jsonpath={.spec.ports[*].port}' },
  { line: 'patch service web -p {"spec":{"clusterIP":"10.96.7.8"}}', code: 1 },
  { line: 'set selector service web app=other' },
  { line: 'expose pod two --port=8080 --name=two', ...short },
  { line: 'get svc two -o jsonpath={.spec.selector}' },
  { line: 'create service clusterip plain --tcp=80:8080', ...short },
  { line: 'create service nodeport far --tcp=80 --node-port=30123' },
  { line: 'create service nodeport taken --tcp=80 --node-port=30123', code: 1 },
  { line: 'create service externalname out --external-name=a.example' },
  { line: 'get svc out far' },
  { line: 'apply -f -', input: SLICE },
  { line: 'get endpointslice outside-1' },
  { line: 'delete service web two plain', ...short },

  { line: 'create deployment d --image=nginx --replicas=2', ...short },
  { line: 'get deployment d -o jsonpath={.spec.replicas}' },
  { line: 'scale deployment d --replicas=3', ...short },
  { line: 'scale deployment d --replicas=4 --current-replicas=2', code: 1 },
  { line: 'get deployment d -o jsonpath={.spec.replicas}', ...short },
  { line: 'set image deployment/d nginx=nginx:2' },
  { line: 'set env deployment/d A=1' },
  { line: 'get deployment d -o jsonpath={.spec.template.spec.containers[0].env}' },
  { line: 'rollout restart deployment d' },
  { line: 'expose deployment d --port=80' },
  { line: 'create deployment d --image=nginx', code: 1 },
  { line: 'describe deployment d', isLoose: true },
  { line: 'delete deployment d', ...short },
  { line: 'delete service d' },

  { line: 'apply -f -', input: LAB },
  { line: 'get labs' },
  { line: 'get lab lab -o jsonpath={.spec.podCIDR}' },
  { line: 'patch lab lab -p {}', code: 1 },
  { line: 'patch lab lab --type=merge -p {"metadata":{"labels":{"a":"b"}}}' },
  { line: 'delete lab lab' },

  { line: 'get events -A', isLoose: true },
  { line: 'drain n1 --ignore-daemonsets --force', isLoose: true },
  { line: 'delete pod two --now', ...short },
  { line: 'delete pods --all --dry-run=server', isLoose: true },
  { line: 'delete pod web-1 --force --grace-period=0', isLoose: true },
  { line: 'get pods', isLoose: true },
  { line: 'delete configmap c --cascade=orphan --wait=false' },
  { line: 'delete configmap nobody', code: 1, ...short },
  { line: 'delete namespace shop --timeout=20s', ...short },
  { line: 'get namespace shop', code: 1 },
  { line: 'delete namespace default', code: 1 },
  { line: 'delete node n1' },
];
