/**
 * VXLAN as RFC 7348 has it, case by case, against real hosts of ours on a real underlay. The cases come from outside
 * (`rfc/vxlan.jsonl` beside the checkout); each is one test, named by its id and its requirement.
 */
import t from 'tap';
import { CASE_FILE, readCases, type Driver } from './vxlan/cases.js';
import { CLUSTER, ianaPort } from './vxlan/cluster.js';
import { DECAP } from './vxlan/decap.js';
import { ENCAP, MTU } from './vxlan/encap.js';
import { ROBUSTNESS, fuzz } from './vxlan/robustness.js';
import { Stage } from './vxlan/stage.js';
import { needsRoot } from '../lib/netns.js';

const DRIVERS: Record<string, Driver> = { ...ENCAP, ...MTU, ...DECAP, ...ROBUSTNESS, ...CLUSTER };

const ROUTED = 'routed overlay:';
/** Cases that are not run, and why. */
const SKIPPED: Record<string, string> = {
  'vx-006':
    'the default is 8472, the port of flannel and of the Linux kernel, so that hosts of theirs are peers (a SHOULD); 4789 is selectable, see below',
  'vx-015': 'IPv6 packets come later',
  'vx-032': `${ROUTED} pods' MAC addresses never cross a tunnel, so there is nothing to learn; a node's object says where its pods are`,
  'vx-033': `${ROUTED} an address moves when its node's object changes, never by a packet, which anybody could forge`,
  'vx-035': `${ROUTED} a pod's broadcast ends at its host; its router answers ARP for everything beyond`,
  'vx-036': `${ROUTED} a pod's multicast and unknown unicast end at its host`,
  'vx-037': `${ROUTED} no ARP crosses hosts, neither asked nor answered`,
};

const cases = readCases();
const reason = cases === undefined ? `no ${CASE_FILE} beside the checkout` : needsRoot();

t.test('VXLAN, RFC 7348', { skip: reason }, async (t) => {
  const count = { passed: 0, failed: 0, skipped: 0 };
  const stage = await Stage.open(t);
  for (const item of cases!) {
    const name = `${item.id} ${item.level}: ${item.requirement}`;
    const drive = DRIVERS[item.id];
    const skip = SKIPPED[item.id];
    if (skip !== undefined) {
      count.skipped++;
      await t.test(name, { skip }, () => undefined);
      continue;
    }
    await t.test(name, async (t) => {
      let isPassed = false;
      try {
        if (!drive) throw new Error('Nothing drives this case');
        await drive(t, stage, item);
        isPassed = t.passing();
      } finally {
        count[isPassed ? 'passed' : 'failed']++;
      }
    });
  }
  await t.test('beyond the cases: port 4789 is selectable', (t) => ianaPort(t, stage));
  await t.test('beyond the cases: seeded nonsense leads nowhere', (t) => fuzz(t, stage));
  t.comment(`conformance vxlan: ${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);
});
