/**
 * Where a server is, and how to come in: its path socket, for who may open it, or TLS, with the authority that signed its
 * certificate and something that says who we are. What every request to a server begins with; how names and errors of
 * either kind are told.
 *
 * A path socket leads to this machine's own server; over TLS the server may be anywhere, so whoever uses that must not
 * take silence for an answer.
 */
import {
  request as httpRequest,
  type ClientRequest,
  type IncomingMessage,
  type RequestOptions,
} from 'node:http';
import { request as httpsRequest } from 'node:https';

/** A key and the certificate of it, both PEM. */
export interface KeyAndCertificate {
  readonly key: string;
  readonly certificate: string;
}

/** A server over TLS. */
export interface TlsAddress {
  /** `https://192.168.56.11:6443` */
  readonly url: string;
  /** PEM of the authority that must have signed its certificate. */
  readonly authority: string;
  /** Who we are, asked anew for each connection: a certificate may have been renewed. */
  identity?(): KeyAndCertificate | undefined;
  /** A token that says who we are. RFC 6750. */
  readonly bearer?: string;
}

export type ServerAddress = { readonly socketPath: string } | TlsAddress;

/** What follows from a URL for a connection. @throws TypeError with what is wrong with the URL */
export function hostAndPort(url: string): { host: string; port: number } {
  const { protocol, hostname, port, pathname, search, username } = parse(url);
  if (protocol !== 'https:') throw new TypeError(`Cannot use server "${url}": expected https://HOST:PORT`);
  if (pathname !== '/' || search !== '' || username !== '')
    throw new TypeError(`Cannot use server "${url}": expected https://HOST:PORT and nothing behind it`);
  return { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port || 443) };
}

function parse(url: string): URL {
  try {
    return new URL(url);
  } catch {
    throw new TypeError(`Cannot use server "${url}": expected https://HOST:PORT`);
  }
}

/** The server in words, for errors: its socket or its URL. */
export const nameOf = (address: ServerAddress): string =>
  'socketPath' in address ? address.socketPath : address.url;

/** Begin a request; `options` say which, and which agent of `node:http` or `node:https` holds its connection. */
export function requestTo(
  address: ServerAddress,
  options: RequestOptions,
  answered?: (response: IncomingMessage) => void,
): ClientRequest {
  if ('socketPath' in address) return httpRequest({ ...options, socketPath: address.socketPath }, answered);
  const identity = address.identity?.();
  return httpsRequest(
    {
      ...options,
      ...hostAndPort(address.url),
      ca: address.authority,
      // Connections of different certificates are kept apart, for these options are part of their name in an agent.
      ...(identity && { key: identity.key, cert: identity.certificate }),
      headers: {
        ...(options.headers as Record<string, string | number>),
        ...(address.bearer !== undefined && { authorization: `Bearer ${address.bearer}` }),
      },
    },
    answered,
  );
}

/** What a connection that failed means, for a person. */
export function explainFailure({ code, message }: NodeJS.ErrnoException): string {
  switch (code) {
    case 'ENOENT':
      return 'there is no such socket; is the lab up?';
    case 'ECONNREFUSED':
      return 'nobody listens there; has the server ended?';
    case 'EACCES':
      return 'permission denied; it belongs to another user, perhaps root';
    case 'ENETUNREACH':
      return 'this host has no route to it; is its NIC up?';
    case 'EHOSTUNREACH':
      return 'no such host answers on the way to it; is it up, and on the same network?';
    case 'ETIMEDOUT':
      return 'it does not answer; is it up, and does a firewall between let TCP through?';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'its name cannot be resolved; give its address';
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'CERT_SIGNATURE_FAILURE':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
      return 'another authority has signed its certificate: it is not the server that we trust';
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return `its certificate is for other names: ${message}`;
    default:
      return message;
  }
}
