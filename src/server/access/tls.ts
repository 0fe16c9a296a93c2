/**
 * The TLS side of the API: a server whose certificate follows the names by which it is reached. Connections come from a
 * TCP port, when it listens on one, and over the path socket, from agents that pipe what pods send to their gateway.
 */
import { createServer, type Server } from 'node:https';
import type { Socket } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';
import type { ServerOptions } from 'node:http';
import { labSpec } from '../../api/defaults.js';
import { LAB } from '../../api/kinds.js';
import { API_OFFSET } from '../../control/service-allocation.js';
import { formatIpv4, parseCidr } from '../../wire/address.js';
import { isEveryAddress } from '../listen.js';
import { prefixOf } from '../registry/place.js';
import type { StoredObjects } from '../registry/stored-objects.js';
import type { Credentials } from './credentials.js';

/** Whoever connects has to say who he is, soon. */
const HANDSHAKE_MS = 10_000;

/** Names that are the same everywhere: this host to itself, and the Service `kubernetes` in the cluster's DNS. */
const STANDARD_NAMES = [
  'localhost',
  '127.0.0.1',
  '::1',
  'kubernetes',
  'kubernetes.default',
  'kubernetes.default.svc',
  'kubernetes.default.svc.cluster.local',
];

export interface TlsServer {
  readonly server: Server;
  /** By what it may be called now. */
  names(): ReadonlySet<string>;
  close(): void;
}

/**
 * A TLS server that listens nowhere yet.
 *
 * @param host  where it will listen, if anywhere
 * @param more  names and addresses by which it is called besides
 */
export async function createTlsServer(
  credentials: Credentials,
  objects: StoredObjects,
  host: string | undefined,
  more: readonly string[],
  options: ServerOptions,
): Promise<TlsServer> {
  let names = new Set<string>();
  const certificate = (): { key: string; cert: string; ca: string } => {
    const { key, certificate: cert } = credentials.serverCertificate([...names]);
    // The authority too, though clients have to know it: a host that joins compares its hash with the one of its token.
    const chain = cert + credentials.authority;
    const keyText = key.export({ type: 'pkcs8', format: 'pem' }) as string;
    return { key: keyText, cert: chain, ca: credentials.authority };
  };
  const currentNames = async (): Promise<Set<string>> =>
    new Set([
      ...STANDARD_NAMES,
      ...ownNames(host),
      ...more.map((name) => name.toLowerCase()),
      await serviceAddress(objects),
    ]);
  names = await currentNames();
  const server = createServer({
    ...options,
    ...certificate(),
    minVersion: 'TLSv1.2',
    // Who shows a bad one is told so in an answer: see client-certificates.ts.
    requestCert: true,
    rejectUnauthorized: false,
    handshakeTimeout: HANDSHAKE_MS,
    // Upgrades need HTTP/1.1; everybody speaks it.
    ALPNProtocols: ['http/1.1'],
  });
  // An address that a NIC got later: before the handshake, for the certificate must have it.
  server.prependListener('connection', ({ localAddress }: Socket) => {
    const address = localAddress?.replace(/^::ffff:/, '');
    if (host === undefined || !isEveryAddress(host) || !address || names.has(address)) return;
    names = new Set([...names, address]);
    server.setSecureContext(certificate());
  });
  // The lab says where Services are; it may come after the server.
  const watch = objects.store.watch({
    prefix: prefixOf({ kind: LAB, namespace: undefined }),
    from: objects.store.revision + 1,
    events: () => {
      void currentNames().then((next) => {
        if ([...next].every((name) => names.has(name))) return;
        names = next;
        server.setSecureContext(certificate());
      });
    },
    failed: () => {},
  });
  return { server, names: () => names, close: () => watch.close() };
}

/** The first address of the Services' range: that of `default/kubernetes`. */
async function serviceAddress(objects: StoredObjects): Promise<string> {
  const range = parseCidr(labSpec(await objects.lab()).serviceCIDR)!;
  return formatIpv4((range.base + API_OFFSET) | 0);
}

/** What a client may call this host by that listens on `host`. */
function ownNames(host: string | undefined): string[] {
  if (host === undefined) return [];
  if (!isEveryAddress(host)) return [host.toLowerCase()];
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return [
    hostname().toLowerCase(),
    ...addresses.filter(({ scopeid }) => !scopeid).map(({ address }) => address),
  ];
}
