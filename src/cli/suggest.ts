/** What one may try in a lab that has just come up: commands that work with the pods it has. Pure. */

import type { Pod } from '../api/types.js';
import type { LabPlan } from '../lab/plan.js';

/** @returns command lines without `podwire` in front, at most nine */
export function suggestions(plan: Pick<LabPlan, 'name' | 'nodes'>, pods: readonly Pod[]): string[] {
  const running = pods.filter(({ status, metadata }) => status?.podIP && metadata.namespace === 'default');
  const from = running.find((pod) => !hasServer(pod)) ?? running[0];
  const there = (pod: Pod): boolean => pod !== from && pod.spec.nodeName !== from?.spec.nodeName;
  const near = running.find((pod) => pod !== from && !there(pod));
  const far = running.find((pod) => there(pod) && !hasServer(pod)) ?? running.find(there);
  const server =
    running.find((pod) => there(pod) && hasServer(pod)) ??
    running.find((pod) => pod !== from && hasServer(pod));
  const lines = ['status'];
  const inPod = (command: string): number => lines.push(`exec ${from!.metadata.name} -- ${command}`);
  if (from && near) inPod(`ping -c 3 ${near.status!.podIP}`);
  if (from && far) inPod(`traceroute -n ${far.status!.podIP}`);
  if (from && server) inPod(`curl -s http://${server.status!.podIP}/`);
  if (from && far) {
    lines.push(`exec ${far.metadata.name} -- iperf3 -s -1 -D`);
    inPod(`iperf3 -c ${far.status!.podIP} -t 3`);
  }
  const [first] = plan.nodes;
  if (first) {
    if (far) lines.push(`exec --node ${first.name} -- tcpdump -T vxlan -ni eth0 udp port 8472`);
    lines.push(`tables fdb --node ${first.name}`);
  }
  lines.push('down');
  return lines;
}

/** Images that idle; all others serve something. */
const hasServer = (pod: Pod): boolean =>
  pod.spec.containers.some(
    ({ image, command }) => !command && !/^(alpine|busybox|kubetm\/init)(:|$)/.test(image ?? ''),
  );
