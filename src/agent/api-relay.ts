/**
 * The way from pods to the API: a TCP port on the gateway address, behind the Service `default/kubernetes`. What comes in
 * is piped, byte for byte, to the server's TLS side: who it is, the server finds out. The agent's own right to speak to the
 * server goes to nobody.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { pipeline } from 'node:stream';
import { API_PORT } from '../control/api-service.js';
import { bindTcp } from '../sys/listen.js';
import { formatIpv4 } from '../wire/address.js';
import type { Logger } from './log.js';

/** Connections at once; each is a file descriptor here twice and one in the server. */
const MOST_CONNECTIONS = 512;

export interface ApiRelayOptions {
  readonly netns: string | undefined;
  /** The gateway address, a word. */
  readonly address: number;
  /** A raw connection to the server's TLS side. */
  connect(): Promise<Socket>;
  readonly log: Logger;
}

export interface ApiRelay {
  /** Listen, if that was not possible before. */
  sync(): void;
  problems(): string[];
  close(): void;
}

/** A relay; it listens after the first {@link ApiRelay.sync}, when the host has the address. */
export function createApiRelay({ netns, address, connect, log }: ApiRelayOptions): ApiRelay {
  const sockets = new Set<Socket>();
  let server: Server | undefined;
  let problem: string | undefined;
  let isClosed = false;

  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  };

  const accept = async (pod: Socket): Promise<void> => {
    keep(pod);
    pod.on('error', () => pod.destroy());
    let api: Socket;
    try {
      api = await connect();
    } catch (error) {
      // The pod sees its connection end; its client tries again.
      log.warn({ err: error }, 'A pod asked for the API, and the server does not answer');
      pod.destroy();
      return;
    }
    keep(api);
    api.on('error', () => api.destroy());
    if (pod.destroyed || isClosed) return void api.destroy();
    const ended = (error: unknown): void => {
      if (!error) return;
      pod.destroy();
      api.destroy();
    };
    pipeline(pod, api, ended);
    pipeline(api, pod, ended);
  };

  const failed = (error: unknown): void => {
    const text = `Pods cannot reach the API at ${formatIpv4(address)}:${API_PORT}: ${(error as Error).message}`;
    if (problem !== text) log.warn(text);
    problem = text;
    server = undefined;
  };

  return {
    sync() {
      if (server || isClosed) return;
      try {
        const fd = bindTcp(netns, API_PORT, address);
        server = createServer({ allowHalfOpen: true }, (pod) => void accept(pod));
        server.maxConnections = MOST_CONNECTIONS;
        server.on('error', failed);
        server.listen({ fd });
        problem = undefined;
      } catch (error) {
        failed(error);
      }
    },
    problems: () => (problem === undefined ? [] : [problem]),
    close() {
      isClosed = true;
      server?.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
