/**
 * Bootstrap tokens that have expired are taken away, some time after: until then who still tries one can be told that it has
 * expired, and when.
 */
import { BOOTSTRAP_TOKEN_TYPE, readBootstrapToken } from '../api/bootstrap-token.js';
import type { Secret } from '../api/types.js';
import type { Agenda } from './agenda.js';

/** So long it is kept after its end. */
const KEPT_MS = 3_600_000;

/** Take away tokens that ended long ago. */
export function forgetTokens(secrets: readonly Secret[], agenda: Agenda): void {
  for (const secret of secrets) {
    if (secret.type !== BOOTSTRAP_TOKEN_TYPE || secret.metadata.deletionTimestamp) continue;
    const expiration = readBootstrapToken(secret)?.expiration;
    if (expiration === undefined) continue;
    const end = expiration + KEPT_MS;
    if (end > agenda.now) agenda.lookAgain(end);
    else agenda.delete(secret);
  }
}
