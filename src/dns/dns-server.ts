/**
 * A DNS server: one responder on UDP and TCP, and its metrics by HTTP.
 *
 * It loads nothing that knows the kernel: sockets in other namespaces are made by whoever calls, and come as fds.
 */
import { createServer } from 'node:http';
import type { Authority } from '../names/authority.js';
import { Metrics } from './metrics.js';
import { createResponder } from './responder.js';
import type { Resolver } from './resolver.js';
import { serveStream, type StreamLimits } from './stream-server.js';
import { serveUdp, type Listener, type Place } from './udp-server.js';

export interface DnsServerOptions {
  readonly authority?: Authority;
  readonly resolver?: Resolver;
  readonly metrics?: Metrics;
  readonly udp: Place;
  /** Undefined: the port that UDP got, on the same address. */
  readonly tcp?: Place;
  readonly limits?: Partial<StreamLimits>;
  readonly prepare?: boolean;
}

export interface DnsServer {
  readonly port: number;
  close(): Promise<void>;
}

const MOST_TRIES = 20;

/** @throws when a place cannot be had; nothing is left open then */
export async function startDnsServer(options: DnsServerOptions): Promise<DnsServer> {
  const responder = createResponder(options);
  const isAnyPort = 'port' in options.udp && options.udp.port === 0;
  let udp: Listener;
  let tcp: Listener;
  for (let tries = 1; ; tries++) {
    udp = await serveUdp(responder, options.udp);
    try {
      tcp = await serveStream(responder, options.tcp ?? { ...options.udp, port: udp.port }, options.limits);
      break;
    } catch (error) {
      await udp.close();
      // A port that is free for UDP need not be for TCP.
      if (!isAnyPort || tries === MOST_TRIES) throw error;
    }
  }
  return {
    port: udp.port,
    close: async () => {
      await Promise.all([udp.close(), tcp.close()]);
    },
  };
}

/** Serve the metrics at `/metrics`. */
export async function serveMetrics(metrics: Metrics, place: Place): Promise<Listener> {
  const server = createServer((request, response) => {
    request.resume();
    const isThere = request.url?.split('?')[0] === '/metrics';
    response.writeHead(isThere ? 200 : 404, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' });
    response.end(isThere ? metrics.text() : 'Only /metrics is here\n');
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.once('listening', () => {
      server.off('error', reject);
      server.on('error', () => undefined);
      resolve();
    });
    if ('fd' in place) server.listen({ fd: place.fd });
    else server.listen(place.port, place.address);
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
