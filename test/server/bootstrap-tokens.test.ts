import t from 'tap';
import {
  bootstrapTokenSecret,
  readBootstrapToken,
  PODWIRE_BOOTSTRAPPERS,
  type BootstrapToken,
} from '../../src/api/bootstrap-token.js';
import { SECRET } from '../../src/api/kinds.js';
import type { Secret } from '../../src/api/types.js';
import { createClient } from '../../src/client/client.js';
import { Agenda } from '../../src/control/agenda.js';
import { forgetTokens } from '../../src/control/bootstrap-tokens.js';
import { keptLog } from '../lib/kept-log.js';
import { ask, startTls, type Answer } from '../lib/tls-server.js';

const SECRET_WORD = '0123456789abcdef';
const HOUR = 3_600_000;
const token = (id: string, more: Partial<BootstrapToken> = {}): BootstrapToken => ({
  id,
  secret: SECRET_WORD,
  expiration: Date.now() + HOUR,
  groups: [PODWIRE_BOOTSTRAPPERS],
  description: 'for the test',
  isForAuthentication: true,
  ...more,
});

t.test('a token and its Secret are the same', async (t) => {
  const whole = token('abc123', { expiration: Date.UTC(2030, 0, 1) });
  const secret = bootstrapTokenSecret(whole);
  t.match(secret, {
    type: 'bootstrap.kubernetes.io/token',
    metadata: { name: 'bootstrap-token-abc123', namespace: 'kube-system' },
    data: { expiration: Buffer.from('2030-01-01T00:00:00Z').toString('base64') },
  });
  t.strictSame(readBootstrapToken(secret), whole);
  t.equal(readBootstrapToken({ ...secret, type: 'Opaque' }), undefined);
  t.equal(
    readBootstrapToken({ ...secret, metadata: { ...secret.metadata, namespace: 'default' } }),
    undefined,
    'another namespace',
  );
  const misnamed = { ...secret, metadata: { ...secret.metadata, name: 'bootstrap-token-zzzzzz' } };
  t.equal(readBootstrapToken(misnamed), undefined, 'a name that is not its ID');
  const groups = readBootstrapToken(
    bootstrapTokenSecret({ ...whole, groups: ['system:masters', 'x'] }),
  )!.groups;
  t.strictSame(groups, [], 'groups that no such token may have');
});

t.test('control takes away what expired an hour ago, and looks again in time', async (t) => {
  const now = Date.UTC(2030, 0, 1);
  const at = (id: string, expiration: number | undefined): Secret =>
    bootstrapTokenSecret(token(id, { expiration }));
  const unreadable = at('dddddd', undefined);
  unreadable.data!['expiration'] = Buffer.from('tomorrow').toString('base64');
  const agenda = new Agenda(now, 1);
  forgetTokens(
    [at('aaaaaa', now - HOUR), at('bbbbbb', now - HOUR + 5000), at('cccccc', undefined), unreadable],
    agenda,
  );
  t.strictSame(
    agenda.changes.map(({ type, object }) => [type, object.metadata.name]),
    [
      ['delete', 'bootstrap-token-aaaaaa'],
      ['delete', 'bootstrap-token-dddddd'],
    ],
  );
  t.equal(agenda.again, now + 5000);
});

t.test('who shows a token comes in as a bootstrapper, until it expires or is deleted', async (t) => {
  const { log: kept, lines } = keptLog();
  const lab = await startTls(t, { log: kept });
  const { url = '' } = await lab.start();
  const client = createClient({ socketPath: lab.options.socketPath! });
  t.teardown(() => client.close());
  await client.create(bootstrapTokenSecret(token('aaaaaa')));
  await client.create(bootstrapTokenSecret(token('bbbbbb', { expiration: Date.now() - 1000 })));
  await client.create(bootstrapTokenSecret(token('cccccc', { isForAuthentication: false })));
  const whoami = (bearer: string): Promise<Answer> =>
    ask(url, {
      ca: lab.ca(),
      token: bearer,
      path: '/apis/authentication.k8s.io/v1/selfsubjectreviews',
      method: 'POST',
      body: {},
    });
  const answer = await whoami(`aaaaaa.${SECRET_WORD}`);
  t.equal(answer.code, 201);
  t.strictSame((JSON.parse(answer.body) as { status: object }).status, {
    userInfo: {
      username: 'system:bootstrap:aaaaaa',
      groups: ['system:bootstrappers', 'system:bootstrappers:podwire', 'system:authenticated'],
    },
  });
  const refused = async (bearer: string, why: RegExp): Promise<void> => {
    t.match(await whoami(bearer), { code: 401, body: why }, bearer);
  };
  await refused(
    `bbbbbb.${SECRET_WORD}`,
    /the join token \\"bbbbbb\\" has expired at 20.*; podwire token create/,
  );
  await refused(`cccccc.${SECRET_WORD}`, /is not for authentication/);
  await refused('aaaaaa.ffffffffffffffff', /the join token \\"aaaaaa\\" is not known here/);
  await refused('bbbbbb.ffffffffffffffff', /the join token \\"bbbbbb\\" is not known here/);
  await refused(`zzzzzz.${SECRET_WORD}`, /the join token \\"zzzzzz\\" is not known here/);
  await client.remove(SECRET, 'bootstrap-token-aaaaaa', 'kube-system');
  await refused(`aaaaaa.${SECRET_WORD}`, /is not known here: it was deleted/);
  const log = lines.join('');
  t.match(log, /"why":"Unauthorized: the join token \\"bbbbbb\\" has expired/);
  t.notMatch(log, SECRET_WORD, 'no secret in the log');
  t.notMatch(log, 'ffffffffffffffff');
});
