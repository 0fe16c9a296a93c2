import t from 'tap';
import { dispatch } from '../../src/cli/dispatch.js';
import { VERBS } from '../../src/cli/verbs.js';
import { testIo } from '../lib/io.js';

t.test('every verb loads, and its help has a usage line and an example', async (t) => {
  for (const { name, load } of VERBS) {
    const verb = await load();
    t.ok(
      verb.usage.every((line) => line.startsWith(name)),
      `${name}: usage begins with the verb`,
    );
    t.ok(
      verb.example.length > 0 && verb.example.every((line) => line.includes('podwire')),
      `${name}: example`,
    );
    const io = testIo();
    t.equal(await dispatch([name, '--help'], io), 0);
    t.equal(io.err(), '');
    for (const line of io.out().split('\n')) t.ok(line.length <= 120, `${name}: "${line}" fits a terminal`);
  }
});

t.test('bad usage of any verb is exit code 2 before anything is touched', async (t) => {
  for (const [words, message] of [
    [['up', '--nodes', '0'], /Cannot read --nodes "0"; need a whole number, 1 to 253/],
    [['up', '--timeout', 'soon'], /Cannot read --timeout "soon"/],
    [['up', 'demo'], /Unexpected argument "demo"/],
    [['down', '--all', '--lab', 'x'], /Either --lab or --all/],
    [['status', '-o', 'xml'], /no output format "xml"; choose json/],
    [['top', '--interval', '0'], /Cannot read --interval "0"; need seconds, 0.1 to 3600/],
    [['apply'], /Which file\? Name it with -f/],
    [['get'], /An argument is missing/],
    [['get', 'sandwiches'], /There is no kind "sandwiches"; there are /],
    [['get', 'pods', '-o', 'html'], /choose json, yaml, wide, name/],
    [['get', 'pods,nodes', 'x'], /Names fit one kind only/],
    [['get', 'pod/a', 'b'], /Cannot read "b"/],
    [['delete'], /What\? Name KIND NAME/],
    [['delete', 'pod', 'x', '--grace-period', '-1'], /--grace-period/],
    [['exec'], /Where\? Name a pod, or a host with --node/],
    [['exec', 'a', '--node', 'b'], /Where\?/],
    [['exec', 'a', '--'], /Which command\?/],
    [['logs', 'a', '--tail', 'x'], /Cannot read --tail/],
    [['logs', 'a', '--since', '5'], /Cannot read --since "5"; need a duration/],
    [['logs', 'a', '--since-time', 'monday'], /Cannot read --since-time "monday"/],
    [['logs', 'a', '--since', '1h30m', '--since-time', '2026-01-01T00:00:00Z'], /give one of them/],
    [['server'], /Say where to listen/],
    [['supervise'], /Which lab\?/],
  ] as const) {
    const io = testIo();
    t.equal(await dispatch(words, io), 2, words.join(' '));
    t.match(io.err(), message, words.join(' '));
  }
});
