/** `podwire token`: tokens by which other hosts join. */

import { age, timestamp } from '../api/age.js';
import {
  BOOTSTRAP_TOKEN_TYPE,
  bootstrapTokenSecret,
  isExpired,
  PODWIRE_BOOTSTRAPPERS,
  readBootstrapToken,
  TOKEN_NAMESPACE,
  tokenSecretName,
  type BootstrapToken,
} from '../api/bootstrap-token.js';
import { SECRET } from '../api/kinds.js';
import type { Client } from '../client/client.js';
import { formatJoinToken, hashAuthority, newTokenWords } from '../client/join-token.js';
import { connect, findCluster, SERVER_FLAGS } from './connect.js';
import { parseLifetime } from './lifetime.js';
import { formatTable, OUTPUT, outputFormat, printJson } from './output.js';
import { CommandError, defineVerb, UsageError, type Io } from './verb.js';

const DEFAULT_TTL = '24h';
const LOOPBACK = /^https:\/\/(127\.|localhost[:/]|\[::1\])/;

export const token = defineVerb({
  usage: [
    'token create [--ttl TIME] [--description TEXT] [--print-join-command]',
    'token list',
    'token delete ID…',
  ],
  description:
    'A join token lets another host ask for a certificate: podwire agent --server URL --token TOKEN. It carries the hash of ' +
    "the server's authority, so that host needs nothing else. Whoever has a token may join a host until it expires or is " +
    'deleted; hosts that have joined stay.',
  options: {
    ttl: {
      type: 'string',
      value: 'TIME',
      help: `how long it lets in: 30m, 24h, 7d, or 0 for ever (default: ${DEFAULT_TTL})`,
    },
    description: { type: 'string', value: 'TEXT', help: 'what it is for, shown by list' },
    'print-join-command': { type: 'boolean', help: 'print the whole line to type on the other host' },
    output: OUTPUT,
    ...SERVER_FLAGS,
  },
  args: { min: 1, max: 100 },
  example: [
    'podwire token create --ttl 1h --print-join-command',
    'podwire token list --socket /run/podwire/server.sock',
    'podwire token delete abc123',
  ],
  async run({ flags, args, io }) {
    const [act, ...ids] = args;
    if (act !== 'create' && act !== 'list' && act !== 'delete')
      throw new UsageError(`There is no "podwire token ${act}"; there are create, list and delete`);
    if (act !== 'delete' && ids.length > 0) throw new UsageError(`Unexpected argument "${ids[0]}"`);
    if (act === 'delete' && ids.length === 0)
      throw new UsageError('Which token? Name its ID, as list shows it');
    const format = outputFormat(flags.output, ['json'] as const);
    const ttlMs = flags.ttl === '0' ? undefined : parseLifetime(flags.ttl ?? DEFAULT_TTL, '--ttl');
    if (ttlMs === 0)
      throw new UsageError('--ttl must be longer than nothing; 0, without a unit, is for ever');
    const client = connect(flags, io);
    try {
      if (act === 'list') return await list(client, io, format === 'json');
      if (act === 'delete') return await remove(client, io, ids);
      return await create(client, io, {
        ttlMs,
        description: flags.description ?? '',
        isWholeLine: flags['print-join-command'] ?? false,
      });
    } finally {
      client.close();
    }
  },
});

async function create(
  client: Client,
  io: Io,
  options: { ttlMs: number | undefined; description: string; isWholeLine: boolean },
): Promise<number> {
  const { url, authority } = await findCluster(client);
  const { ttlMs, description, isWholeLine } = options;
  const words = newTokenWords();
  await client.create(
    bootstrapTokenSecret({
      ...words,
      expiration: ttlMs === undefined ? undefined : Date.now() + ttlMs,
      groups: [PODWIRE_BOOTSTRAPPERS],
      description,
      isForAuthentication: true,
    }),
  );
  const text = formatJoinToken({ ...words, authorityHash: hashAuthority(authority) });
  io.stdout.write(isWholeLine ? `podwire agent --server ${url} --token ${text}\n` : `${text}\n`);
  if (LOOPBACK.test(url))
    io.stderr.write(
      `podwire token: the server is reached at ${url}, on this host alone; others can join when it is started with ` +
        '--listen :6443, or --advertise ADDRESS.\n',
    );
  return 0;
}

async function list(client: Client, io: Io, isJson: boolean): Promise<number> {
  const { items } = await client.list(SECRET, {
    namespace: TOKEN_NAMESPACE,
    fieldSelector: `type=${BOOTSTRAP_TOKEN_TYPE}`,
  });
  const tokens = items.flatMap((secret) => readBootstrapToken(secret) ?? []);
  tokens.sort((a, b) => (a.expiration ?? Infinity) - (b.expiration ?? Infinity));
  const now = Date.now();
  if (isJson) {
    // Without the secret: a list is for looking.
    const shown = tokens.map(({ secret: _, expiration, ...rest }) => ({
      ...rest,
      ...(expiration !== undefined && !Number.isNaN(expiration) && { expiration: timestamp(expiration) }),
      isExpired: isExpired({ secret: '', expiration, ...rest }, now),
    }));
    printJson(io, shown);
    return 0;
  }
  if (tokens.length === 0) {
    io.stderr.write('No join tokens; podwire token create makes one.\n');
    return 0;
  }
  const rows = tokens.map((one) => [one.id, endOf(one, now), one.groups.join(','), one.description]);
  io.stdout.write(formatTable([['ID', 'EXPIRES', 'GROUPS', 'DESCRIPTION'], ...rows]));
  return 0;
}

/** `in 23h`, `expired`, `never`. */
function endOf(token: BootstrapToken, now: number): string {
  if (token.expiration === undefined) return 'never';
  return isExpired(token, now) ? 'expired' : `in ${age(timestamp(now), token.expiration)}`;
}

async function remove(client: Client, io: Io, words: readonly string[]): Promise<number> {
  for (const word of words) {
    // A whole token, as create prints it, names itself too.
    const id = word.split('.')[0]!;
    if (!/^[a-z0-9]{6}$/.test(id))
      throw new UsageError(`"${id}" is no ID of a token: it has 6 letters or digits`);
    if (!(await client.get(SECRET, tokenSecretName(id), TOKEN_NAMESPACE)))
      throw new CommandError(`There is no join token "${id}"; podwire token list shows them`);
    await client.remove(SECRET, tokenSecretName(id), TOKEN_NAMESPACE);
    io.stdout.write(`join token "${id}" deleted\n`);
  }
  return 0;
}
