import t from 'tap';
import { agent } from '../../src/cli/agent.js';
import { dispatch } from '../../src/cli/dispatch.js';
import { testIo } from '../lib/io.js';

const run = async (...words: string[]): Promise<{ code: number; err: string }> => {
  const io = testIo();
  const code = await dispatch(['agent', ...words], io, [
    { name: 'agent', summary: 'run one host', load: () => Promise.resolve(agent) },
  ]);
  return { code, err: io.err() };
};

t.test('an agent must know where its objects come from, and only one place', async (t) => {
  t.match(await run('--node', 'a'), {
    code: 2,
    err: /Say where the objects come from: --server SOCKET or --objects/,
  });
  t.match(await run('--server', 's', '--objects', 'f'), {
    code: 2,
    err: /Give either --server or --objects, not both/,
  });
  t.match(await run('--server', 's', 'more'), { code: 2, err: /Unexpected argument "more"/ });
});

t.test('bad names and values are refused before anything is touched', async (t) => {
  t.match(await run('--node', 'A_b', '--objects', 'f'), { code: 2, err: /Cannot use --node "A_b": / });
  t.match(await run('--lab', '../x', '--objects', 'f'), { code: 2, err: /Cannot use --lab "..\/x": / });
  t.match(await run('--spin-us', '1001', '--objects', 'f'), {
    code: 2,
    err: /Unknown value "1001" of --spin-us: expected microseconds, 0..1000/,
  });
  t.match(await run('--offload', 'some', '--objects', 'f'), {
    code: 2,
    err: /Unknown value "some" of --offload: expected one of all, tso, none/,
  });
  t.match(await run('--cleanup', '--objects', 'f'), { code: 2, err: /--cleanup takes neither/ });
  t.match(await run('--keep-pods', '--objects', 'f'), { code: 2, err: /--keep-pods goes with --cleanup/ });
});
