/**
 * The first word between a host and its server. The host trusts nobody yet: it takes the authority's certificate from the
 * server's own handshake and compares its key with the hash in the join token. Only who has the authority's private key
 * can pass the second handshake, which trusts that certificate and no other; before it, nothing is sent.
 */
import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { connect } from 'node:tls';
import { timestamp } from '../../api/age.js';
import { hashAuthority } from '../../client/join-token.js';
import { explainFailure, hostAndPort, requestTo, type TlsAddress } from '../../client/server-address.js';

/** A server that takes the connection and says nothing. */
const HANDSHAKE_LIMIT_MS = 10_000;
/** Clocks further apart than this spoil leases and certificates: a node is given up 40 s after its last word. */
const MOST_SKEW_MS = 20_000;

/** Something that trying again does not change. */
export class JoinRefused extends Error {}

/**
 * The authority of the server at `url`, PEM.
 *
 * @param hash  what its key must have, as the token says
 * @throws JoinRefused when it is another; another Error when the server cannot be reached
 */
export async function fetchAuthority(url: string, hash: string): Promise<string> {
  const chain = await chainOf(url);
  const found = chain.find((certificate) => hashAuthority(certificate.raw) === hash);
  if (found) return found.toString();
  const last = chain.at(-1);
  throw new JoinRefused(
    last === undefined
      ? `Cannot trust the server at ${url}: it shows no certificate; nothing was sent to it`
      : `Cannot trust the server at ${url}: its authority is ${hashAuthority(last.raw)}, the token's is ${hash}; ` +
          'it is another server, or a stranger is between you and it; nothing was sent. Compare with what ' +
          '"podwire token create" prints on the server’s host',
  );
}

/** The certificates that a server shows, its own first, whoever signed them. */
function chainOf(url: string): Promise<X509Certificate[]> {
  const { host, port } = hostAndPort(url);
  return new Promise((resolve, reject) => {
    // Nothing is believed and nothing is sent: this connection is for looking at certificates.
    const socket = connect({
      host,
      port,
      rejectUnauthorized: false,
      ...(isIP(host) === 0 && { servername: host }),
    });
    socket.setTimeout(HANDSHAKE_LIMIT_MS, () =>
      socket.destroy(new Error(`it says nothing for ${HANDSHAKE_LIMIT_MS / 1000} s`)),
    );
    socket.once('secureConnect', () => {
      const chain: X509Certificate[] = [];
      for (
        let next = socket.getPeerX509Certificate();
        next && !chain.some(({ raw }) => raw.equals(next!.raw));
        next = next.issuerCertificate
      )
        chain.push(next);
      socket.destroy();
      resolve(chain);
    });
    socket.once('error', (error) =>
      reject(new Error(`Cannot reach the server at ${url}: ${explainFailure(error)}`, { cause: error })),
    );
  });
}

/**
 * Make sure that this host and the server agree what time it is, as far as certificates and leases need.
 *
 * @returns what is wrong, with both times; undefined when all is well
 * @throws  Error when the server cannot be reached, or is not the one that is trusted
 */
export async function clockProblem(address: TlsAddress, now: () => number): Promise<string | undefined> {
  const date = await new Promise<string | undefined>((resolve, reject) => {
    const request = requestTo(address, { path: '/healthz', agent: false }, (response) => {
      response.resume();
      resolve(response.headers.date);
    });
    request.setTimeout(HANDSHAKE_LIMIT_MS, () => request.destroy(new Error('it does not answer')));
    request.once('error', (error: NodeJS.ErrnoException) => {
      const times = ['CERT_NOT_YET_VALID', 'CERT_HAS_EXPIRED'].includes(error.code ?? '');
      reject(
        times
          ? new JoinRefused(
              `Cannot trust the server at ${address.url}: its certificate is ` +
                `${error.code === 'CERT_HAS_EXPIRED' ? 'no longer' : 'not yet'} good at ${timestamp(now())}, which is the time on this host; ` +
                'set the clocks, for example with systemd-timesyncd',
            )
          : new Error(`Cannot reach the server at ${address.url}: ${explainFailure(error)}`, {
              cause: error,
            }),
      );
    });
    request.end();
  });
  const theirs = Date.parse(date ?? '');
  const ours = now();
  if (Number.isNaN(theirs) || Math.abs(theirs - ours) <= MOST_SKEW_MS) return undefined;
  return (
    `The clocks are ${Math.round(Math.abs(theirs - ours) / 1000)} s apart: it is ${timestamp(theirs)} on the server and ${timestamp(ours)} ` +
    'on this host; certificates and leases need them to agree, so set them, for example with systemd-timesyncd'
  );
}
