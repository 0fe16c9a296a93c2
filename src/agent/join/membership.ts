/**
 * Being a member of a cluster for longer than a certificate lives.
 *
 * Theory of operation. GOOD → DUE, when the time that was chosen at its issue has come: the next certificate is asked for
 * with the one at hand → GOOD, with the new one kept on disk and shown by all new connections; or, when it did not come,
 * DUE again at the next look. → EXPIRED, when it never came: the server refuses us, packets go on, and only a join token
 * helps. The clock is looked at now and then instead of waited for, since hosts sleep and clocks are set.
 */
import { timestamp } from '../../api/age.js';
import type { Client } from '../../client/client.js';
import type { TlsAddress } from '../../client/server-address.js';
import type { Logger } from '../log.js';
import { renewAfter, requestCertificate } from './certificate.js';
import { validityOf, type Identity } from './identity.js';
import { keep, NEW_TOKEN } from './join.js';

const LOOK_MS = 60_000;

export interface MembershipOptions {
  readonly identity: Identity;
  /** The identity's file. */
  readonly path: string;
  readonly log: Logger;
  /** Milliseconds since 1970; default: the clock. */
  now?(): number;
  /** How often to look whether it is time. */
  readonly lookMs?: number;
}

/** What renewing needs of a client. */
type RenewalClient = Pick<Client, 'create' | 'get' | 'reconnect'>;

export interface Membership {
  /** How the server is reached and told who we are. */
  readonly address: TlsAddress;
  /** Renew in good time, by this client. */
  start(client: RenewalClient): void;
  problems(): string[];
  close(): void;
}

/** A membership that begins with an identity. */
export function createMembership(options: MembershipOptions): Membership {
  const { path, log, lookMs = LOOK_MS } = options;
  const now = options.now ?? Date.now;
  const stop = new AbortController();
  let identity = options.identity;
  let problem: string | undefined;
  let isBusy = false;
  let timer: NodeJS.Timeout | undefined;

  const renew = async (client: RenewalClient): Promise<void> => {
    const made = await requestCertificate({ client, node: identity.node, log, stop: stop.signal });
    identity = { ...identity, ...made, renewAfter: renewAfter(made.certificate, now(), Math.random()) };
    keep(path, identity, log);
    client.reconnect();
    problem = undefined;
    log.info({ goodUntil: timestamp(validityOf(made.certificate).to) }, 'The certificate was renewed');
  };

  const look = (client: RenewalClient): void => {
    if (isBusy || now() < Date.parse(identity.renewAfter)) return;
    isBusy = true;
    renew(client)
      .catch((error: Error) => {
        if (stop.signal.aborted) return;
        const { to } = validityOf(identity.certificate);
        const next =
          now() < to
            ? `This host's certificate ends at ${timestamp(to)} and could not be renewed yet: ${error.message}`
            : `This host's certificate has expired at ${timestamp(to)}: the server refuses it, packets go on; ${NEW_TOKEN}, and ` +
              'restart the agent with the line that it prints';
        if (next !== problem) log.warn(next);
        problem = next;
      })
      .finally(() => (isBusy = false));
  };

  return {
    address: { url: identity.url, authority: identity.authority, identity: () => identity },
    start(client) {
      look(client);
      timer = setInterval(look, lookMs, client);
      timer.unref();
    },
    problems: () => (problem === undefined ? [] : [problem]),
    close() {
      clearInterval(timer);
      stop.abort();
    },
  };
}
