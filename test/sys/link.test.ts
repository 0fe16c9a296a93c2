import t from 'tap';
import { ip } from '../../src/sys/iproute2.js';
import { findLink } from '../../src/sys/link.js';
import { makeNetns, needsRoot } from '../lib/netns.js';

const skip = needsRoot();

t.test('a link is found by its name, with what the kernel knows of it', { skip }, async (t) => {
  const netns = makeNetns(t);
  ip(['link add d0 address 0a:58:0a:f4:01:02 mtu 1450 type bridge'], { netns });
  const link = findLink('d0', netns);
  t.match(link, { name: 'd0', mac: '0a:58:0a:f4:01:02', mtu: 1450, isUp: false, address: undefined });
  t.ok(link && link.ifindex > 0);
  ip(['addr add 10.244.1.1/32 dev d0', 'link set d0 up'], { netns });
  t.match(findLink('d0', netns), { ifindex: link?.ifindex, isUp: true, address: '10.244.1.1' });
});

t.test('every namespace has its lo', async (t) => {
  t.match(findLink('lo'), { ifindex: 1, mac: '00:00:00:00:00:00', address: '127.0.0.1' });
});

t.test('a link that is not there is undefined, as is a name none can have', async (t) => {
  t.equal(findLink('pwt-none'), undefined);
  t.equal(findLink('a-name-of-sixteen'), undefined);
});
