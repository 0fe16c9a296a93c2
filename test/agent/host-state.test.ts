import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { hostItems } from '../../src/agent/host-items.js';
import { undoJournal } from '../../src/agent/host-state.js';
import type { HostItem } from '../../src/agent/host-state.js';
import { PLAN, makeHost, picture } from '../lib/host-state.js';
import { needsRoot, testName } from '../lib/netns.js';

t.test('on a host', { skip: needsRoot() }, async (t) => {
  t.test('all items are made, recognised, and taken back', async (t) => {
    const host = makeHost(t);
    host.sysctl('eth0/rp_filter', '2');
    const before = picture(host);
    const state = host.open();
    await state.apply(hostItems(PLAN));
    t.match(host.ip('rule'), /^5:\s+from all iif pw0 lookup local/m);
    t.match(host.ip('route'), /^10\.244\.0\.0\/16 via 169\.254\.1\.1 dev pw0 src 10\.244\.1\.1 onlink/m);
    t.match(host.ip('route'), /^10\.96\.0\.0\/12 via 169\.254\.1\.1 dev pw0 src 10\.244\.1\.1 onlink/m);
    t.match(host.ip('neigh'), /169\.254\.1\.1 dev pw0 lladdr 0a:58:0a:f4:01:fe PERMANENT/);
    t.match(host.ip('link', 'show', 'pw0'), /mtu 1450.*state UP(.|\n)*0a:58:0a:f4:01:01/);
    t.equal(host.sysctl('eth0/rp_filter'), '0');
    t.equal(host.sysctl('pw0/accept_local'), '1');
    t.equal(host.sysctl('eth0/forwarding'), '1');
    t.equal(host.sysctl('all/forwarding'), '0', 'the global switch stays as it was');
    t.same(await state.check(), [], 'nothing is missing');
    t.ok(state.status().items.every((item) => item.isThere));
    await state.close();
    t.equal(picture(host), before);
    t.notOk(existsSync(host.journal), 'nothing to take back, so no journal');
  });

  t.test('what somebody else removes or changes is made again', async (t) => {
    const host = makeHost(t);
    const state = host.open();
    await state.apply(hostItems(PLAN));
    const good = picture(host);
    host.ip('rule', 'del', 'pref', '5');
    host.sysctl('pw0/rp_filter', '1');
    host.ip(
      'neigh',
      'replace',
      '169.254.1.1',
      'lladdr',
      '02:00:00:00:00:01',
      'dev',
      'pw0',
      'nud',
      'permanent',
    );
    t.same(await state.check(), [
      'rule pref 5 iif pw0 lookup local',
      'sysctl net/ipv4/conf/pw0/rp_filter=0',
      'neigh 169.254.1.1 lladdr 0a:58:0a:f4:01:fe dev pw0',
    ]);
    t.equal(picture(host), good);
    host.ip('link', 'set', 'pw0', 'down'); // takes routes and neighbours along
    t.equal((await state.check()).length, 5);
    t.equal(picture(host), good);
    t.equal(state.status().repairs, 8);
    await state.close();
  });

  t.test('what a dead agent left is taken back from its journal', async (t) => {
    const host = makeHost(t);
    host.sysctl('eth0/rp_filter', '1');
    const before = picture(host);
    await host.open().apply(hostItems(PLAN)); // and never closed: killed
    appendFileSync(host.journal, '{"will":"rule cut sh'); // in the middle of a line
    t.same(await undoJournal(host.journal, host.netns), []);
    t.equal(picture(host), before);
    t.notOk(existsSync(host.journal));
    t.same(await undoJournal(host.journal, host.netns), [], 'a second time there is nothing to do');
  });

  t.test('the next agent goes on with the journal and keeps the oldest values', async (t) => {
    const host = makeHost(t);
    host.sysctl('eth0/rp_filter', '1');
    const before = picture(host);
    await host.open().apply(hostItems(PLAN));
    host.ip('rule', 'del', 'pref', '5');
    const next = host.open();
    await next.apply(hostItems(PLAN));
    t.match(host.ip('rule'), /iif pw0/);
    await next.close();
    t.equal(picture(host), before);
  });

  t.test('an item that is desired no longer is taken back, the others stay', async (t) => {
    const host = makeHost(t);
    const state = host.open();
    await state.apply(hostItems(PLAN));
    await state.apply(hostItems({ ...PLAN, serviceCidr: '10.32.0.0/16' }));
    t.notMatch(host.ip('route'), /10\.96/);
    t.match(host.ip('route'), /10\.32\.0\.0\/16 via/);
    t.match(host.ip('route'), /10\.244\.0\.0\/16 via/);
    await state.close();
  });

  t.test('the journal knows of a change before it is made', async (t) => {
    const host = makeHost(t);
    let text = '';
    const [first] = hostItems(PLAN);
    const spy: HostItem = {
      ...first!,
      get make() {
        text = readFileSync(host.journal, 'utf8');
        return first!.make;
      },
    };
    const state = host.open();
    await state.apply([spy]);
    t.match(text, /"will":"link pw0 /);
    await state.close();
  });

  t.test('an item that cannot be made is named with the words of ip, the others are made', async (t) => {
    const host = makeHost(t);
    const state = host.open();
    await t.rejects(state.apply(hostItems({ ...PLAN, mtu: 10_000_000 })), {
      message:
        /Cannot make host state "link pw0 address .* mtu 10000000 up": .*mtu greater than device maximum/,
    });
    const problems = state.status().items.filter((item) => item.problem);
    t.match(problems[0]?.id, /^link pw0/);
    t.match(host.ip('rule'), /iif pw0/);
    await state.close();
  });

  t.test('when the namespace is gone there is nothing to take back', async (t) => {
    const host = makeHost(t);
    await host.open().apply(hostItems(PLAN));
    t.same(await undoJournal(host.journal, `${host.netns}-gone`), []);
    t.notOk(existsSync(host.journal));
  });
});

t.test('a journal that somebody edited is refused with its line', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), testName('')));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const file = join(dir, 'journal.jsonl');
  appendFileSync(file, '{"will":"a","undo":null}\nnonsense\n');
  await t.rejects(undoJournal(file), { message: new RegExp(`Cannot read journal ${file}, line 2`) });
});
