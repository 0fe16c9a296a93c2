import t from 'tap';
import { readFileSync } from 'node:fs';
import { inRoot } from '../lib/root.js';
import { commandsOf, isSetting } from './page.js';

t.test('commands are the lines with a prompt in console blocks', async (t) => {
  const page = [
    '## One',
    'vm1# not in a block',
    '```console',
    'vm1# export A=1',
    'vm2# ls -l',
    'total 0',
    '# no prompt',
    '```',
    '```yaml',
    'vm1# not a console',
    '```',
  ].join('\n');
  t.same(commandsOf(page), [
    { host: 'vm1', command: 'export A=1', line: 4, section: 'One' },
    { host: 'vm2', command: 'ls -l', line: 5, section: 'One' },
  ]);
  t.ok(isSetting('export A=1'));
  t.notOk(isSetting('ls; export A=1'));
});

t.test('every block of the page about real hosts that looks typed is one that is run', async (t) => {
  const text = readFileSync(inRoot('docs/real-hosts.md'), 'utf8');
  const commands = commandsOf(text);
  t.ok(commands.length > 10, `${commands.length} commands`);
  const blocks = [...text.matchAll(/^```(\w*)$/gm)].map(([, name]) => name).filter((_name, i) => i % 2 === 0);
  t.same([...new Set(blocks)], ['console'], 'there are no other blocks');
  t.notMatch(text, /^ {4}\S/m, 'nor indented ones');
});
