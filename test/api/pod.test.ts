import t from 'tap';
import { withDefaults } from '../../src/api/defaults.js';
import { hostPorts } from '../../src/api/pod.js';
import { describeProblem, validate } from '../../src/api/validate.js';
import type { ContainerPort, Pod, PodSpec, PodStatus } from '../../src/api/types.js';

const podWith = (ports: ContainerPort[], spec: Partial<PodSpec> = {}, status: PodStatus = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web' },
  spec: { containers: [{ name: 'web', image: 'nginx', ports }], ...spec },
  status: { podIP: '10.244.1.2', ...status },
});

t.test('the host ports of a pod lead to its address', async (t) => {
  const ports: ContainerPort[] = [
    { containerPort: 80, hostPort: 8080 },
    { containerPort: 81 },
    { containerPort: 53, hostPort: 53, protocol: 'UDP', hostIP: '192.168.50.1' },
    { containerPort: 82, hostPort: 82, hostIP: '0.0.0.0' },
  ];
  const podIP = '10.244.1.2';
  t.strictSame(hostPorts(podWith(ports)), [
    { hostPort: 8080, protocol: 'TCP', podIP, containerPort: 80 },
    { hostIP: '192.168.50.1', hostPort: 53, protocol: 'UDP', podIP, containerPort: 53 },
    { hostPort: 82, protocol: 'TCP', podIP, containerPort: 82 },
  ]);
  t.strictSame(hostPorts(podWith(ports, {}, { podIP: undefined })), [], 'no address yet');
  t.strictSame(hostPorts(podWith(ports, {}, { phase: 'Failed' })), [], 'nothing of it runs any more');
  t.strictSame(hostPorts(podWith(ports, { hostNetwork: true })), [], 'its programs have them already');
});

t.test('on the host’s network a port is the host’s', async (t) => {
  const pod = withDefaults(podWith([{ containerPort: 80 }], { hostNetwork: true }));
  t.match(pod.spec.containers[0]?.ports, [{ hostPort: 80 }]);
  t.strictSame(
    validate(podWith([{ containerPort: 80, hostPort: 81 }], { hostNetwork: true })).map(describeProblem),
    [
      'spec.containers[0].ports[0].containerPort: Invalid value: 80: must match `hostPort` when `hostNetwork` is true',
    ],
  );
});

t.test('a host port is a port, and only one container’s', async (t) => {
  const problems = (ports: ContainerPort[]) => validate(podWith(ports)).map(describeProblem);
  const ports: ContainerPort[] = [
    { containerPort: 1, hostPort: 8080 },
    { containerPort: 2, hostPort: 8080, protocol: 'UDP' },
    { containerPort: 3, hostPort: 8080, hostIP: '127.0.0.1' },
  ];
  t.strictSame(problems(ports), []);
  t.strictSame(problems([...ports, { containerPort: 4, hostPort: 8080 }]), [
    'spec.containers[0].ports[3].hostPort: Duplicate value: "TCP//8080"',
  ]);
  t.match(problems([{ containerPort: 1, hostPort: 70000, hostIP: 'here' }]), [
    /ports\[0\]\.hostPort: Invalid value: 70000: must be between/,
    /ports\[0\]\.hostIP: Invalid value: "here": must be a valid IP address/,
  ]);
});

t.test('an init container has neither probes nor hooks, unless it is a sidecar', async (t) => {
  const readinessProbe = { tcpSocket: { port: 80 } };
  const problems = (restartPolicy?: string) =>
    validate(
      podWith([], { initContainers: [{ name: 'init', image: 'busybox', readinessProbe, restartPolicy }] }),
    ).map(describeProblem);
  t.strictSame(problems(), [
    'spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without restartPolicy=Always',
  ]);
  t.strictSame(problems('Always'), []);
  t.match(problems('Never'), [/^spec.initContainers\[0\].restartPolicy: Unsupported value: "Never"/]);
});
