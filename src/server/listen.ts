/**
 * Where a server listens: a path socket for this user, and a TCP port.
 */
import { lstatSync, readFileSync, unlinkSync } from 'node:fs';
import { connect, isIPv6, type AddressInfo, type Server } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { writeFileWhole } from '../client/write-file.js';

/** A TCP address to listen on. */
export interface ListenAddress {
  /** A name or an IP address; `0.0.0.0` and `::` are all of this host. */
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
}

/** `127.0.0.1:6443`, `[::1]:6443`, `:6443` for all addresses. @returns undefined when it is none of these */
export function parseListenAddress(text: string): ListenAddress | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]/\s]*)):([0-9]{1,5})$/.exec(text);
  const port = Number(match?.[3] ?? -1);
  if (!match || port < 0 || port > 65535) return undefined;
  return { host: match[1] ?? (match[2] || '0.0.0.0'), port };
}

/**
 * Where other hosts reach a server, if nobody has said.
 *
 * On all addresses: the first of a NIC. VirtualBox gives every machine 10.0.2.15 on its first NIC, and Docker and its like
 * make NICs of their own; such an address is taken only when there is no other.
 */
export function advertisedHost(host: string, nics = networkInterfaces()): string {
  if (!isEveryAddress(host)) return host;
  const found = Object.entries(nics).flatMap(([nic, list = []]) =>
    list
      .filter(({ internal, family }) => !internal && family === 'IPv4')
      .map(({ address }) => ({ address, isPoor: address === '10.0.2.15' || MADE_NICS.test(nic) })),
  );
  return (found.find(({ isPoor }) => !isPoor) ?? found[0])?.address ?? '127.0.0.1';
}

/** Names of NICs that programs make for themselves. */
const MADE_NICS = /^(docker|br-|veth|virbr|cni|flannel|podman|pw)/;

export const isEveryAddress = (host: string): boolean => host === '0.0.0.0' || host === '::';

/** The URL by which a server on this address is reached from this host. */
export const urlOf = ({ host, port }: ListenAddress): string =>
  urlFor({ host: isEveryAddress(host) ? '127.0.0.1' : host, port });

/** The URL of a host and a port. */
export const urlFor = ({ host, port }: ListenAddress): string =>
  `https://${isIPv6(host) ? `[${host}]` : host}:${port}`;

/**
 * Listen on a TCP address. A port that was chosen freely is taken again at the next start, so that clients that know it
 * find the server again.
 *
 * @param folder  where the port is remembered
 * @returns       the port
 */
export async function listenTcp(
  server: Server,
  { host, port }: ListenAddress,
  folder: string,
): Promise<number> {
  if (port !== 0) return tryListen(server, host, port);
  const path = join(folder, 'port');
  const last = readPort(path);
  if (last !== undefined) {
    try {
      return await tryListen(server, host, last);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    }
  }
  const free = await tryListen(server, host, 0);
  writeFileWhole(path, `${free}\n`);
  return free;
}

function readPort(path: string): number | undefined {
  try {
    const port = Number(readFileSync(path, 'utf8'));
    return Number.isInteger(port) && port > 0 && port < 65536 ? port : undefined;
  } catch {
    return undefined; // none has been chosen yet
  }
}

function tryListen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException): void =>
      reject(
        Object.assign(new Error(`Cannot listen on ${host}:${port}: ${explain(error)}`), { code: error.code }),
      );
    server.once('error', fail);
    server.listen({ host, port }, () => {
      server.off('error', fail);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

function explain({ code, message }: NodeJS.ErrnoException): string {
  if (code === 'EADDRINUSE') return 'another program listens there; choose another port';
  if (code === 'EADDRNOTAVAIL') return 'this host has no such address';
  if (code === 'EACCES') return 'ports below 1024 are for root';
  if (code === 'ENOTFOUND') return 'there is no host of this name';
  return message;
}

/**
 * Listen on a path socket that only this user may open. A socket that a killed server left is taken away.
 *
 * @throws Error when another server answers there, or something stands there that is no socket
 */
export async function listenPath(server: Server, path: string): Promise<void> {
  await makeRoom(path);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    // bind() happens inside of listen(), so the socket never has another mode.
    const umask = process.umask(0o177);
    try {
      server.listen(path, () => {
        server.off('error', reject);
        resolve();
      });
    } finally {
      process.umask(umask);
    }
  });
}

async function makeRoom(path: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (!stat) return;
  if (!stat.isSocket()) throw new Error(`Cannot listen on "${path}": there is something that is no socket`);
  const isAlive = await new Promise<boolean>((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
  if (isAlive) throw new Error(`Cannot listen on "${path}": another server answers there`);
  unlinkSync(path);
}
