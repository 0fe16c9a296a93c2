/**
 * How a host becomes a node of a cluster, and is one again after a restart.
 *
 * Theory of operation. A host that has an identity whose certificate is good uses it; a token that is given as well is
 * then only compared, so that it can stay in a unit file. Without one, a token is needed: the authority is taken from the
 * server and compared with the token (`first-contact.ts`), the clocks are compared, the name is looked up, a certificate
 * asked for (`certificate.ts`), and all of it kept. A server that cannot be reached is waited for; what waiting does not
 * mend is an error.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { timestamp } from '../../api/age.js';
import { ApiError } from '../../api/error.js';
import { NODE } from '../../api/kinds.js';
import { isReady, nodeAddress } from '../../api/node.js';
import { createClient, type Client } from '../../client/client.js';
import { bearerOf, hashAuthority, type JoinToken } from '../../client/join-token.js';
import type { Logger } from '../log.js';
import { renewAfter, requestCertificate } from './certificate.js';
import { clockProblem, fetchAuthority, JoinRefused } from './first-contact.js';
import { readIdentity, validityOf, writeIdentity, type Identity } from './identity.js';

export interface JoinOptions {
  readonly node: string;
  /** The identity's file. */
  readonly path: string;
  /** The server's URL; undefined: where the identity says. */
  readonly url?: string;
  readonly token?: JoinToken;
  /**
   * The address that this host would have on the underlay: with the boot's id, it tells us from another host of our name.
   * What it throws is an answer too.
   */
  address(url: string): Promise<string>;
  readonly log: Logger;
  readonly stop: AbortSignal;
  /** Milliseconds since 1970; default: the clock. */
  now?(): number;
}

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;

/** What to type where the server runs. */
export const NEW_TOKEN = 'type "podwire token create --print-join-command" on the server’s host';

/**
 * The identity of this host, joined now if it has none.
 *
 * @throws JoinRefused, or the signal's reason when told to stop
 */
export async function joinCluster(options: JoinOptions): Promise<Identity> {
  const { node, path, url, token, log } = options;
  const now = options.now ?? Date.now;
  const known = readIdentity(path);
  if (known && known.node !== node)
    throw new JoinRefused(`Cannot use ${path} for node "${node}": it is of node "${known.node}"`);
  if (known && token && hashAuthority(known.authority) !== token.authorityHash)
    throw new JoinRefused(
      `This host is a node of another cluster, whose authority is ${hashAuthority(known.authority)}; the token's is ` +
        `${token.authorityHash}. Leave it with "podwire agent --cleanup --forget" first`,
    );
  const place = url ?? known?.url;
  if (place === undefined) throw new JoinRefused('Say where the server is: --server https://HOST:PORT');
  if (known) {
    const { from, to } = validityOf(known.certificate);
    if (now() < from)
      throw new JoinRefused(
        `This host's certificate is good from ${timestamp(from)}, and it is ${timestamp(now())} on this host: set its clock, for example with systemd-timesyncd`,
      );
    if (now() < to && (!token || (await isAccepted(known, place)))) {
      log.info({ server: place, goodUntil: timestamp(to) }, 'This host has joined before');
      return place === known.url ? known : keep(path, { ...known, url: place }, log);
    }
    if (!token)
      throw new JoinRefused(
        `The certificate of node "${node}" has expired at ${timestamp(to)}: it must join anew; ${NEW_TOKEN}, and the line that it prints here`,
      );
    log.warn('The server does not know this host any more: it joins anew');
  }
  if (!token)
    throw new JoinRefused(
      `This host has not joined the cluster of ${place} yet: that needs --token; ${NEW_TOKEN}, and the line that it prints here`,
    );
  return untilReached(options, () => join(place, token, options, now));
}

/** Whether the server takes who we are; one that does not answer is not asked again. */
async function isAccepted(identity: Identity, url: string): Promise<boolean> {
  const client = createClient({ url, authority: identity.authority, identity: () => identity });
  try {
    await client.get(NODE, identity.node);
    return true;
  } catch (error) {
    return !(error instanceof ApiError && error.code === 401);
  } finally {
    client.close();
  }
}

async function join(
  url: string,
  token: JoinToken,
  options: JoinOptions,
  now: () => number,
): Promise<Identity> {
  const { node, path, log, stop } = options;
  const authority = await fetchAuthority(url, token.authorityHash);
  const address = { url, authority, bearer: bearerOf(token) };
  const problem = await clockProblem(address, now);
  if (problem !== undefined) throw new JoinRefused(problem);
  const client = createClient(address);
  try {
    const own = await options.address(url).catch((error: Error) => {
      throw new JoinRefused(error.message);
    });
    await refuseTakenName(client, node, own);
    log.info({ server: url, token: token.id }, 'Asking the server for a certificate');
    const made = await requestCertificate({ client, node, log, stop });
    const identity = {
      url,
      node,
      authority,
      ...made,
      renewAfter: renewAfter(made.certificate, now(), Math.random()),
    };
    log.info(
      { server: url, goodUntil: timestamp(validityOf(made.certificate).to) },
      `This host has joined as node "${node}"`,
    );
    return keep(path, identity, log);
  } finally {
    client.close();
  }
}

/** Keep it; where it cannot be kept it is good all the same, until the agent ends. */
export function keep(path: string, identity: Identity, log: Logger): Identity {
  try {
    writeIdentity(path, identity);
  } catch (error) {
    log.error(
      { err: error },
      `Cannot keep this host's identity in ${path}: ${(error as Error).message}; the agent goes on, but its next start needs a token`,
    );
  }
  return identity;
}

/** @throws JoinRefused when another host that lives has our name */
async function refuseTakenName(client: Client, node: string, address: string): Promise<void> {
  const other = await client.get(NODE, node);
  if (!other || !isReady(other)) return;
  // The very same host may have lost its identity: it has the same address, and has not been booted since.
  if (other.status?.nodeInfo?.bootID === bootId() && nodeAddress(other) === address) return;
  throw new JoinRefused(
    `Cannot join as node "${node}": a live node of that name is at ${nodeAddress(other) ?? 'an unknown address'}; give this host ` +
      'another name with --node. If it is this very host, wait until the node is NotReady (40 s), or delete it with ' +
      `"kubectl delete node ${node}"`,
  );
}

function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return '';
  }
}

/** Do what needs the server, again and again while it cannot be reached. */
async function untilReached<T>({ log, stop }: JoinOptions, work: () => Promise<T>): Promise<T> {
  let said = '';
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
    stop.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      stop.throwIfAborted();
      if (error instanceof JoinRefused) throw error;
      if (error instanceof ApiError && error.code < 500 && error.code !== 429)
        throw new JoinRefused(
          error.code === 401
            ? `The server does not accept the token: ${error.message}; ${NEW_TOKEN}`
            : `The server refuses this host: ${error.message}`,
        );
      const { message } = error as Error;
      if (message !== said) log.warn(`${message}; trying again`);
      said = message;
    }
    await sleep(pause, undefined, { signal: stop }).catch(() => {}); // told to stop: said above
  }
}
