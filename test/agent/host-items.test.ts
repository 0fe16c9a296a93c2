import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { hostItems } from '../../src/agent/host-items.js';
import { undoJournal } from '../../src/agent/host-state.js';
import { PLAN, makeHost, picture } from '../lib/host-state.js';
import { needsRoot } from '../lib/netns.js';
import { start } from '../lib/spawn.js';
import { until } from '../lib/until.js';

t.test('on a host', { skip: needsRoot() }, async (t) => {
  t.test('the rows of Services follow the newest plan and are taken back', async (t) => {
    const host = makeHost(t);
    host.sysctl('../ip_local_reserved_ports', '8080,31000');
    const before = picture(host);
    const state = host.open();
    await state.apply(hostItems(PLAN));
    t.same(
      host
        .ip('rule')
        .split('\n')
        .map((line) => line.replace(/\s+/g, ' ').trim()),
      [
        '5: from all iif pw0 lookup local',
        '10: from all to 192.168.50.1 ipproto tcp dport 30000-32767 lookup 100',
        '10: from all to 192.168.50.1 ipproto udp dport 30000-32767 lookup 100',
        '10: from all to 127.0.0.0/8 ipproto tcp dport 30000-32767 lookup 100',
        '10: from all to 127.0.0.0/8 ipproto udp dport 30000-32767 lookup 100',
        '10: from all to 192.168.50.1 ipproto tcp dport 61000-64999 lookup 100',
        '10: from all to 192.168.50.1 ipproto udp dport 61000-64999 lookup 100',
        '100: from all lookup local',
        '32766: from all lookup main',
        '32767: from all lookup default',
        '',
      ],
    );
    t.match(host.ip('route', 'show', 'table', '100'), /^default via 169\.254\.1\.1 dev pw0 onlink/);
    t.equal(host.sysctl('../ip_local_reserved_ports'), '8080,30000-32767,61000-64999');

    const [a, b] = ['192.168.50.200', '192.168.50.201'];
    await state.apply(
      hostItems({
        ...PLAN,
        services: { routed: [a, b], owned: [b], steered: [{ protocol: 'tcp', port: 443 }] },
        hostPorts: [
          { to: '192.168.50.1', protocol: 'tcp', port: 443 },
          { to: '192.168.50.1', protocol: 'udp', port: 53 },
          { to: '127.0.0.0/8', protocol: 'udp', port: 53 },
        ],
      }),
    );
    t.match(host.ip('route'), /192\.168\.50\.200 via 169\.254\.1\.1 dev pw0 src 10\.244\.1\.1 onlink/);
    t.match(host.ip('neigh', 'show', 'proxy'), /^192\.168\.50\.201 dev eth0 *proxy\s*$/);
    t.match(host.ip('rule'), /to 192\.168\.50\.1 ipproto tcp dport 443 lookup 100/);
    t.match(host.ip('rule'), /to 192\.168\.50\.1 ipproto udp dport 53 lookup 100/);
    t.match(host.ip('rule'), /to 127\.0\.0\.0\/8 ipproto udp dport 53 lookup 100/);
    t.equal(host.sysctl('../neigh/eth0/proxy_delay'), '0');
    t.same(await state.check(), [], 'all of it is recognised');

    await state.apply(hostItems({ ...PLAN, services: { routed: [a], owned: [a], steered: [] } }));
    t.match(host.ip('neigh', 'show', 'proxy'), /^192\.168\.50\.200 dev eth0 *proxy\s*$/);
    t.notMatch(host.ip('route'), /192\.168\.50\.201/);
    t.notMatch(host.ip('rule'), /dport (443|53) /);
    await state.close();
    t.equal(picture(host), before);
  });

  t.test('a host needs no /etc/protocols', async (t) => {
    const host = makeHost(t);
    const before = picture(host);
    const bin = t.testdir({
      none: '',
      ip: '#!/bin/sh\nexec unshare --mount sh -c \'mount --bind "${0%/*}/none" /etc/protocols; exec /sbin/ip "$@"\' "$0" "$@"\n',
    });
    chmodSync(`${bin}/ip`, 0o755);
    const path = process.env['PATH'];
    t.teardown(() => (process.env['PATH'] = path));
    process.env['PATH'] = `${bin}:${path}`;

    const state = host.open();
    await state.apply(hostItems(PLAN));
    t.match(host.ip('rule'), /to 192\.168\.50\.1 ipproto ipproto-6 dport 30000-32767/, 'ip has no names');
    t.same(await state.check(), [], 'all of it is recognised');
    await state.close();
    t.equal(picture(host), before);
  });

  t.test('at no moment is the host without the table of its own addresses', async (t) => {
    const host = makeHost(t);
    const monitor = start(t, ['ip', '-n', host.netns, '-o', 'monitor', 'rule']);
    let text = '';
    monitor.stdout!.on('data', (part: Buffer) => (text += part.toString()));
    // Only when it tells of a rule does it listen for sure.
    let seen = 0;
    await until('the monitor listens', () => {
      host.ip('rule', 'add', 'pref', '200', 'lookup', `${(seen += 1)}`);
      return text.includes('200:');
    });
    host.ip('rule', 'add', 'pref', '201', 'lookup', 'main');
    await until('it has told of that', () => text.includes('201:'));
    text = '';
    const state = host.open();
    await state.apply(hostItems(PLAN));
    await state.close();
    host.ip('rule', 'del', 'pref', '201', 'lookup', 'main');
    await until('all was told', () => /^Deleted 201:/m.test(text));
    const places = new Set(['0']);
    const story = text.split('\n').filter((line) => line.includes('from all lookup local'));
    for (const line of story) {
      const [, deleted, pref] = /^(Deleted )?(\d+):/.exec(line)!;
      if (deleted) places.delete(pref!);
      else places.add(pref!);
      t.ok(places.size > 0, line);
    }
    t.equal(story.length, 4, 'there and back');
    t.same([...places], ['0']);
  });

  t.test('killed anywhere on the way, the local table is there, and cleaning up puts it back', async (t) => {
    for (const words of [
      [], // the journal was written, nothing was made
      ['rule add pref 100 lookup local protocol kernel'],
      ['rule add pref 100 lookup local protocol kernel', 'rule del pref 0 lookup local'],
    ]) {
      const host = makeHost(t);
      const before = picture(host);
      await host.open().apply(hostItems(PLAN)); // and never closed
      const journal = readFileSync(host.journal);
      t.same(await undoJournal(host.journal, host.netns), []);
      writeFileSync(host.journal, journal);
      for (const line of words) host.ip(...line.split(' '));
      t.match(host.ip('rule'), /^\d+:\s+from all lookup local/m);
      t.same(await undoJournal(host.journal, host.netns), []);
      t.equal(picture(host), before, words.join(', then '));
    }
  });

  t.test('as long as the local table cannot be put back in its place, its other place stays', async (t) => {
    const host = makeHost(t);
    await host.open().apply(hostItems(PLAN)); // and never closed
    const journal = readFileSync(host.journal, 'utf8');
    writeFileSync(host.journal, journal.replace('rule add pref 0 lookup local', 'rule add pref 0 nonsense'));
    const problems = await undoJournal(host.journal, host.netns);
    t.match(problems, [
      /^Cannot take back host state "no rule pref 0 lookup local": /,
      'Cannot take back host state "rule pref 100 lookup local" as long as "no rule pref 0 lookup local" is not',
    ]);
    t.match(host.ip('rule'), /^100:\s+from all lookup local/m);
    t.notMatch(host.ip('rule'), /lookup 100/, 'all else was taken back');
  });

  t.test('as long as its new place cannot be made, the local table stays in its old one', async (t) => {
    const host = makeHost(t);
    const items = hostItems(PLAN).map((item) =>
      item.id === 'rule pref 100 lookup local'
        ? { ...item, make: { ip: 'rule add pref 100 lookup local iif a-name-too-long-for-a-link' } }
        : item,
    );
    const state = host.open();
    await t.rejects(state.apply(items), { message: /Cannot make host state "rule pref 100 lookup local"/ });
    t.match(host.ip('rule'), /^0:\s+from all lookup local/m);
    const problems = state.status().items.flatMap((item) => item.problem ?? []);
    t.match(problems, [
      /^Cannot make host state "rule pref 100/,
      'Cannot make host state "no rule pref 0 lookup local" as long as "rule pref 100 lookup local" is missing',
    ]);
    await state.close();
    t.match(host.ip('rule'), /^0:\s+from all lookup local/m);
  });

  t.test('a local table that somebody else has moved is left where it is', async (t) => {
    const host = makeHost(t);
    host.ip('rule', 'add', 'pref', '100', 'lookup', 'local');
    host.ip('rule', 'del', 'pref', '0');
    const before = picture(host);
    const state = host.open();
    await state.apply(hostItems(PLAN));
    await state.close();
    t.equal(picture(host), before);
  });
});
