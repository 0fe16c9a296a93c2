/**
 * One upstream: how a question gets to it and its answer back. RFC 5452 §9, RFC 7766 §5, RFC 6891 §6.2.2.
 *
 * Theory of operation. Every question goes out with a random id from a socket of its own, whose random port the kernel
 * chooses and which it connects, so that only datagrams of that upstream come in; the letters of its name have random case. What
 * comes back and does not fit is passed over, and the wait goes on. An upstream that does not keep the case is asked over TCP,
 * and in small letters from then on; one that cannot read EDNS is asked without. A cut answer is asked for again over TCP.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect, type Socket } from 'node:net';
import { CD, flags, HEADER_LEN, RD, setU16, TC, TYPE } from '../wire/dns.js';
import type { Question } from './resolver.js';
import { fits } from './response.js';

export interface Upstream {
  /** For metrics and messages: `192.0.2.1:53`. */
  readonly name: string;
  /**
   * Ask.
   *
   * @returns a response that fits the question
   * @throws  when there is none in time, or the upstream refuses to talk
   */
  ask(question: Question, limitMs: number): Promise<Uint8Array>;
  close(): void;
}

/** Where to send to. */
export interface UpstreamAddress {
  readonly address: string;
  readonly port: number;
}

/** The largest datagram that we take. */
const UDP_SIZE = 1232;
const DO = 0x8000;

interface QueryOptions {
  readonly hasEdns: boolean;
  readonly mixesCase: boolean;
}

/** A query for a question, with a random id. */
export function buildQuery(question: Question, { hasEdns, mixesCase }: QueryOptions): Buffer {
  const { bytes, dnssecOk, checkingDisabled } = question;
  const query = Buffer.alloc(HEADER_LEN + bytes.length + (hasEdns ? 11 : 0));
  setU16(query, 0, randomInt(0x10000));
  setU16(query, 2, RD | (checkingDisabled ? CD : 0));
  setU16(query, 4, 1);
  query.set(bytes, HEADER_LEN);
  mixCase(query, HEADER_LEN, HEADER_LEN + bytes.length - 4, mixesCase);
  if (!hasEdns) return query;
  setU16(query, 10, 1);
  const opt = HEADER_LEN + bytes.length;
  setU16(query, opt + 1, TYPE.OPT);
  setU16(query, opt + 3, UDP_SIZE);
  setU16(query, opt + 7, dnssecOk ? DO : 0);
  return query;
}

/** Give each letter of a name a random case, or all of them the small one. */
function mixCase(query: Buffer, start: number, end: number, isRandom: boolean): void {
  const bits = isRandom ? randomBytes(end - start) : undefined;
  for (let i = start; i < end; i++) {
    const small = query[i]! | 0x20;
    if (small < 0x61 || small > 0x7a || query[i]! < 0x41) continue;
    query[i] = bits && bits[i - start]! & 1 ? small & ~0x20 : small;
  }
}

const late = (name: string, ms: number): Error => new Error(`${name} did not answer in ${ms} ms`);

/** An upstream that is reached by UDP and TCP. */
export function createUpstream({ address, port }: UpstreamAddress): Upstream {
  const name = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
  let hasEdns = true;
  let keepsCase = true;

  /** @returns the response, or how it failed to fit */
  const askUdp = (query: Buffer, limitMs: number): Promise<Uint8Array | 'but-case' | 'complaint'> =>
    new Promise((resolve, reject) => {
      const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
      const timer = setTimeout(() => end(() => reject(late(name, limitMs))), limitMs);
      let isOver = false;
      const end = (settle: () => void): void => {
        if (isOver) return;
        isOver = true;
        clearTimeout(timer);
        socket.close();
        settle();
      };
      socket.on('error', (error) => end(() => reject(error)));
      socket.on('message', (response) => {
        const fit = fits(query, response);
        if (fit === 'yes') end(() => resolve(response));
        else if (fit !== 'no') end(() => resolve(fit));
      });
      socket.connect(port, address, (error?: Error) => {
        if (isOver) return;
        if (error) return end(() => reject(error));
        socket.send(query, (failure) => failure && end(() => reject(failure)));
      });
    });

  const askTcp = async (query: Buffer, limitMs: number): Promise<Uint8Array> => {
    const response = await oneExchange(connect({ host: address, port }), query, name, limitMs);
    const fit = fits(query, response);
    if (fit === 'no' || fit === 'complaint') throw new Error(`${name} answered something else over TCP`);
    return response;
  };

  return {
    name,
    async ask(question, limitMs) {
      const end = performance.now() + limitMs;
      const left = (): number => Math.max(1, Math.ceil(end - performance.now()));
      let query = buildQuery(question, { hasEdns, mixesCase: keepsCase });
      let response = await askUdp(query, left());
      if (response === 'complaint' && hasEdns) {
        hasEdns = false;
        query = buildQuery(question, { hasEdns, mixesCase: keepsCase });
        response = await askUdp(query, left());
      }
      if (response === 'complaint') throw new Error(`${name} cannot read our queries`);
      if (response === 'but-case') {
        // Either it writes names its own way, or somebody guesses: a connection tells.
        response = await askTcp(query, left());
        keepsCase = false;
        return response;
      }
      return flags(response) & TC ? askTcp(query, left()) : response;
    },
    close: () => undefined,
  };
}

/** Send one message on a new connection, take one, and close it. */
function oneExchange(socket: Socket, query: Buffer, name: string, limitMs: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => end(() => reject(late(name, limitMs))), limitMs);
    const end = (settle: () => void): void => {
      clearTimeout(timer);
      socket.destroy();
      settle();
    };
    let held: Buffer = Buffer.alloc(0);
    socket.on('error', (error) => end(() => reject(error)));
    socket.on('close', () => end(() => reject(new Error(`${name} closed the connection`))));
    socket.on('data', (chunk) => {
      held = Buffer.concat([held, chunk]);
      const stop = held.length >= 2 ? 2 + held.readUInt16BE(0) : Infinity;
      if (held.length >= stop) end(() => resolve(held.subarray(2, stop)));
    });
    socket.write(framed(query));
  });
}

/** A message behind its length. RFC 1035 §4.2.2. */
export function framed(message: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(2 + message.length);
  bytes.writeUInt16BE(message.length, 0);
  bytes.set(message, 2);
  return bytes;
}

/**
 * An upstream behind a path socket: a relay of ours in a place from which the real ones are reached. Each question has a
 * connection of its own, which costs little between two processes of one machine.
 */
export function createRelayUpstream(path: string): Upstream {
  const name = `unix:${path}`;
  return {
    name,
    async ask(question, limitMs) {
      const query = buildQuery(question, { hasEdns: true, mixesCase: false });
      const response = await oneExchange(connect({ path }), query, name, limitMs);
      if (fits(query, response) !== 'yes') throw new Error(`${name} answered something else`);
      return response;
    },
    close: () => undefined,
  };
}
