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

t.test('a token goes with a server elsewhere', async (t) => {
  const token = `abcdef.0123456789abcdef.${'0'.repeat(64)}`;
  const server = 'https://192.0.2.1:6443';
  t.match(await run('--server', 'http://192.0.2.1:6443', '--token', token), {
    code: 2,
    err: /Cannot use server "http:\/\/192\.0\.2\.1:6443": expected https:\/\/HOST:PORT/,
  });
  t.match(await run('--server', '/run/a.sock', '--token', token), {
    code: 2,
    err: /a path socket needs none/,
  });
  t.match(await run('--objects', 'f', '--token', token), { code: 2, err: /--token goes with --server/ });
  t.match(await run('--server', server, '--token', token, '--token-file', 'f'), {
    code: 2,
    err: /Give either --token or --token-file/,
  });
  t.match(await run('--server', server, '--token-file', '/nowhere/token'), {
    code: 1,
    err: /Cannot read the join token: ENOENT/,
  });
  const short = await run('--server', server, '--token', 'abcdef.0123456789abcde.00');
  t.match(short, { code: 2, err: /Cannot read the join token: its second part must be 16/ });
  t.notMatch(short.err, '0123456789abcde', 'a secret is not repeated');
  t.match(await run('--forget'), { code: 2, err: /--forget goes with --cleanup/ });
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
