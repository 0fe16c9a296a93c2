import { readdirSync, readlinkSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { once } from 'node:events';
import t from 'tap';
import * as io from '../../src/sys/io.js';
import { findLink } from '../../src/sys/link.js';
import { inNetns, netnsPath } from '../../src/sys/netns.js';
import { openTap } from '../../src/sys/tap.js';
import { makeNetns, needsRoot } from '../lib/netns.js';
import { runSync } from '../lib/spawn.js';

const skip = needsRoot();
const here = (): string => readlinkSync('/proc/thread-self/ns/net');
/** How many namespaces this process holds open. */
const heldNamespaces = (): number =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith('net:');
    } catch {
      return false; // the one that readdir itself had open
    }
  }).length;

t.test('a name is looked up under /run/netns, a path is taken as it is', async (t) => {
  t.equal(netnsPath('demo.node1'), '/run/netns/demo.node1');
  t.equal(netnsPath('/proc/1/ns/net'), '/proc/1/ns/net');
  for (const name of ['', '..', 'a/b']) t.throws(() => netnsPath(name), RangeError);
});

t.test('without a namespace the function is called where we are', async (t) => {
  t.equal(
    inNetns(undefined, () => 7),
    7,
  );
});

t.test('the function runs inside, and the thread returns', { skip }, async (t) => {
  const netns = makeNetns(t);
  const before = here();
  t.not(inNetns(netns, here), before);
  t.equal(inNetns(`/run/netns/${netns}`, here), inNetns(netns, here));
  t.equal(here(), before);
});

t.test('the thread returns when the function throws', { skip }, async (t) => {
  const netns = makeNetns(t);
  const before = here();
  t.throws(
    () =>
      inNetns(netns, () => {
        throw new Error('inside');
      }),
    /inside/,
  );
  t.equal(here(), before);
  t.equal(heldNamespaces(), 0, 'no descriptor is left open');
});

t.test('calls nest', { skip }, async (t) => {
  const [a, b] = [makeNetns(t), makeNetns(t)];
  const inside = inNetns(a, () => [here(), inNetns(b, here), here()]);
  t.equal(inside[0], inside[2]);
  t.not(inside[0], inside[1]);
});

t.test('a namespace that is not there leaves the thread where it was', { skip }, async (t) => {
  const before = here();
  t.throws(() => inNetns('pwt-nowhere', here), {
    code: 'ENOENT',
    message: /"pwt-nowhere".*none of that name/,
  });
  t.throws(() => inNetns('/proc/self/ns/uts', here), /setns failed with EINVAL/);
  t.equal(here(), before);
  t.equal(heldNamespaces(), 0);
});

t.test('a function that would wait inside is refused, after the return', { skip }, async (t) => {
  const netns = makeNetns(t);
  const before = here();
  t.throws(() => inNetns(netns, async () => {}), TypeError);
  t.equal(here(), before);
});

t.test('a descriptor made inside keeps working outside', { skip }, async (t) => {
  const netns = makeNetns(t);
  const tap = openTap({ name: 'eth0', netns });
  t.teardown(() => io.close(tap.fd));
  t.equal(findLink('eth0', netns)?.isUp, false);
});

t.test('a worker moves alone; the main thread stays', { skip }, async (t) => {
  const netns = makeNetns(t);
  const before = here();
  const module = new URL('../../src/sys/netns.js', import.meta.url).href;
  const worker = new Worker(
    `const { parentPort } = require('node:worker_threads');
     const { readlinkSync } = require('node:fs');
     const here = () => readlinkSync('/proc/thread-self/ns/net');
     import('${module}').then(({ inNetns }) => parentPort.postMessage([inNetns('${netns}', here), here()]));`,
    { eval: true },
  );
  const [[inside, after]] = await once(worker, 'message');
  await worker.terminate();
  t.not(inside, before);
  t.equal(after, before);
  t.equal(here(), before);
});

t.test(
  'a process that cannot return is aborted rather than left in the wrong network',
  { skip },
  async (t) => {
    const netns = makeNetns(t);
    const sys = new URL('../../src/sys/', import.meta.url).href;
    const { status, signal, stdout } = runSync([
      'sh',
      '-c',
      'ulimit -c 0; exec "$@"',
      'sh',
      process.execPath,
      '--input-type=module',
      '-e',
      `import { readdirSync, readlinkSync } from 'node:fs';
     import { inNetns } from '${sys}netns.js';
     import { close } from '${sys}io.js';
     inNetns('${netns}', () => {
       for (const fd of readdirSync('/proc/self/fd')) {
         let to = '';
         try { to = readlinkSync('/proc/self/fd/' + fd); } catch {}
         if (to.startsWith('net:')) close(Number(fd));
       }
     });
     console.log('went on');`,
    ]);
    t.equal(status, null);
    t.equal(signal, 'SIGABRT');
    t.equal(stdout, '');
  },
);
