/**
 * What Kubernetes' own end-to-end tests ask of Services, case by case (`service/service.jsonl` beside the checkout). The API
 * and control are the real server's, packets go through real hosts of the simulator: see `service/cluster.ts`. What breaks
 * something of a host needs a real lab: `service/restart.ts`.
 */
import t from 'tap';
import { BALANCER } from './service/balancer.js';
import { readCases, type Case, type Driver } from './service/cases.js';
import { Cluster } from './service/cluster.js';
import { OBJECTS } from './service/objects.js';
import { LAB, RESTART } from './service/restart.js';
import { TRAFFIC, ZONES } from './service/traffic.js';
import { bringUp, type TestLab } from '../lib/lab.js';
import { needsRoot } from '../lib/netns.js';

const DRIVERS: Record<string, Driver> = { ...OBJECTS, ...TRAFFIC, ...BALANCER };

/** Cases that are not run, and why. */
const SKIPPED: Record<string, string> = {
  'svc-073': 'there is no kube-proxy here to ask; an agent says how it is on its own socket',
};

/** Cases that are run, and hold but for one sentence of theirs, which is said; they count as skipped. */
const PARTLY: Record<string, string> = {
  'svc-054':
    'a packet outside of the window is translated and delivered, not dropped: conntrack tracks no windows',
};

function whySkipped({ id, needs }: Case): string | undefined {
  if (DRIVERS[id]) return undefined;
  if (RESTART[id]) return needsRoot() || undefined;
  if (needs.dualStack) return 'needs dual-stack: IPv6 packets come later';
  if (needs.sctp) return 'needs SCTP: its packets are dropped by name';
  return SKIPPED[id];
}

const cases = readCases();

t.test('Services', { skip: cases ? false : 'no conformance cases here' }, async (t) => {
  const all = t;
  let lab: TestLab | undefined;
  const count = { passed: 0, failed: 0, skipped: 0 };
  for (const one of cases!) {
    const name = `${one.id} ${one.area}: ${one.name}${one.upstreamConformance ? ' [Conformance]' : ''}`;
    const skip = whySkipped(one);
    if (skip !== undefined) {
      count.skipped++;
      await t.test(name, { skip }, () => undefined);
      continue;
    }
    await t.test(name, async (t) => {
      let isPassed = false;
      try {
        if (RESTART[one.id]) await RESTART[one.id]!(t, (lab ??= bringUp(all, LAB)));
        else if (DRIVERS[one.id]) {
          const cluster = await Cluster.open(t, one.needs.nodes, ZONES[one.id]);
          await DRIVERS[one.id]!(t, cluster);
          t.strictSame(cluster.sim.violations, []);
        } else throw new Error('Nothing drives this case');
        isPassed = t.passing();
      } finally {
        const partly = PARTLY[one.id];
        if (partly) t.comment(`counts as skipped: ${partly}`);
        count[!isPassed ? 'failed' : partly ? 'skipped' : 'passed']++;
      }
    });
  }
  t.comment(`conformance service: ${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);
});
