import t from 'tap';
import { cleanEnv, output, printed, runSync, start } from './spawn.js';

t.test('a child does not get what tap puts into our environment', async (t) => {
  const leaks = { NODE_OPTIONS: '--no-warnings', NODE_V8_COVERAGE: '/tmp/pwt', TAP_CHILD_ID: '7', TAP: '1' };
  const before = Object.keys(leaks).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, leaks);
  t.teardown(() => {
    for (const [name, value] of before)
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
  });
  t.notHas(cleanEnv(), leaks);
  t.match(cleanEnv({ PWT: 'x' }), { PATH: String, PWT: 'x' });
  const seen = JSON.parse(output([process.execPath, '-p', 'JSON.stringify(process.env)'])) as object;
  for (const name of Object.keys(leaks)) t.notOk(name in seen, name);
  t.equal(runSync(['sh', '-c', 'echo $PWT'], { env: { PWT: 'x y' } }).stdout, 'x y\n');
});

t.test('a program that fails is an error that holds its words', async (t) => {
  t.throws(() => output(['sh', '-c', 'echo no such pod >&2; exit 3']), /ended with 3: no such pod/);
  t.match(runSync(['sh', '-c', 'cat; exit 3'], { input: 'in' }), { status: 3, stdout: 'in' });
});

t.test('a started program ends with the test that started it', async (t) => {
  let pid = 0;
  await t.test('inner', async (t) => {
    const child = start(t, ['sh', '-c', 'echo up; exec cat']);
    t.equal(await printed(child, /up\n/), 'up\n');
    pid = child.pid ?? 0;
    t.equal(process.kill(pid, 0), true);
  });
  t.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
});
