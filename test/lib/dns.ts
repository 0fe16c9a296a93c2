/**
 * DNS for tests: a server of ours on loopback, and a client that sends just the bytes a test wants.
 */
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { readFileSync } from 'node:fs';
import * as dnsPacket from 'dns-packet';
import { labSpec } from '../../src/api/lab.js';
import type { ApiObject, DnsSpec } from '../../src/api/types.js';
import { parseManifest } from '../../src/client/manifest.js';
import { startDnsServer, type DnsServer, type DnsServerOptions } from '../../src/dns/dns-server.js';
import { viewOf } from '../../src/explain/view.js';
import { reverseZones } from '../../src/names/address-names.js';
import type { Authority } from '../../src/names/authority.js';
import { labAuthority } from '../../src/names/lab-names.js';
import type { EndpointNames } from '../../src/names/service-names.js';
import type { TestScope } from './scope.js';

export interface TestServer extends DnsServer {
  readonly authority: Authority;
}

/** A server of ours on a free port of 127.0.0.1, until the test ends. */
export async function serveNames(
  t: TestScope,
  objects: readonly ApiObject[],
  options: Omit<Partial<DnsServerOptions>, 'udp'> & {
    dns?: DnsSpec;
    endpointNames?: EndpointNames;
    reverse?: readonly string[];
    isUnsynced?: boolean;
  } = {},
): Promise<TestServer> {
  const { dns, endpointNames, reverse = [], isUnsynced, ...rest } = options;
  const given = Object.fromEntries(Object.entries(dns ?? {}).filter(([, value]) => value !== undefined));
  const view = viewOf(objects);
  const lab = { ...view.lab, spec: { ...view.lab.spec, dns: { ...view.lab.spec?.dns, ...given } } };
  const authority = labAuthority(labSpec(lab), {
    servers: ['127.0.0.1'],
    endpointNames,
    reverseZones: reverse.flatMap((cidr) => reverseZones(cidr) ?? []),
  });
  if (!isUnsynced) authority.cluster.sync(view);
  const server = await startDnsServer({ authority, ...rest, udp: { address: '127.0.0.1', port: 0 } });
  t.teardown(() => server.close());
  return { ...server, authority };
}

export const objectsIn = (path: string): ApiObject[] =>
  parseManifest(readFileSync(path, 'utf8'), path).map(({ object }) => object);

export const objectsOf = (text: string): ApiObject[] =>
  parseManifest(text, 'objects').map(({ object }) => object);

/** A name as bytes, from text without escapes. */
export const nameBytes = (name: string): Buffer =>
  Buffer.concat([
    ...name
      .split('.')
      .filter(Boolean)
      .map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label, 'latin1')])),
    Buffer.from([0]),
  ]);

export interface QueryParts {
  name?: string;
  type?: number;
  class?: number;
  id?: number;
  /** The second word of the header. */
  flags?: number;
  /** Question bytes in the place of name, type and class. */
  question?: Uint8Array;
  counts?: readonly [qd: number, an: number, ns: number, ar: number];
  edns?: { version?: number; size?: number; flags?: number; options?: Uint8Array };
  /** Bytes behind everything. */
  tail?: Uint8Array;
}

/** A query, as wrong as a test wants it. */
export function query(parts: QueryParts): Buffer {
  const { name = '', type = 1, class: klass = 1, id = 0x1234, flags = 0x0100, edns, tail } = parts;
  const head = Buffer.alloc(12);
  const counts = parts.counts ?? [1, 0, 0, edns ? 1 : 0];
  [id, flags, ...counts].forEach((word, i) => head.writeUInt16BE(word, 2 * i));
  const fixed = Buffer.alloc(4);
  fixed.writeUInt16BE(type, 0);
  fixed.writeUInt16BE(klass, 2);
  const opt = Buffer.alloc(edns ? 11 : 0);
  if (edns) {
    const options = edns.options ?? new Uint8Array(0);
    opt.writeUInt16BE(41, 1);
    opt.writeUInt16BE(edns.size ?? 1232, 3);
    opt[6] = edns.version ?? 0;
    opt.writeUInt16BE(edns.flags ?? 0, 7);
    opt.writeUInt16BE(options.length, 9);
  }
  return Buffer.concat([
    head,
    parts.question ?? Buffer.concat([nameBytes(name), fixed]),
    opt,
    edns?.options ?? new Uint8Array(0),
    tail ?? new Uint8Array(0),
  ]);
}

const LIMIT_MS = 20_000;

/**
 * Send a datagram and take one.
 *
 * @param silentMs  how long to wait for nothing; an answer that may not come is looked for by a second query instead
 */
export async function askUdp(port: number, bytes: Uint8Array, count = 1): Promise<Buffer[]> {
  const socket = createSocket('udp4');
  try {
    return await new Promise<Buffer[]>((resolve, reject) => {
      const answers: Buffer[] = [];
      const timer = setTimeout(() => reject(new Error('no answer over UDP')), LIMIT_MS);
      socket.on('error', reject);
      socket.on('message', (message) => {
        answers.push(message);
        if (answers.length < count) return;
        clearTimeout(timer);
        resolve(answers);
      });
      socket.send(bytes, port, '127.0.0.1');
    });
  } finally {
    socket.close();
  }
}

export const askOnce = async (port: number, bytes: Uint8Array): Promise<Buffer> =>
  (await askUdp(port, bytes))[0]!;

/** Whether a datagram is answered, and with what: behind it goes a query that is, and what comes before its answer counts. */
export async function answerOrNothing(port: number, bytes: Uint8Array): Promise<Buffer | undefined> {
  const socket = createSocket('udp4');
  try {
    return await new Promise<Buffer | undefined>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('no answer over UDP')), LIMIT_MS);
      let answer: Buffer | undefined;
      socket.on('error', reject);
      socket.on('message', (message) => {
        if (message.readUInt16BE(0) !== 0xfffe) return void (answer = message);
        clearTimeout(timer);
        resolve(answer);
      });
      socket.send(bytes, port, '127.0.0.1', () =>
        socket.send(query({ name: 'cluster.local', type: 6, id: 0xfffe }), port, '127.0.0.1'),
      );
    });
  } finally {
    socket.close();
  }
}

/** Send bytes on a connection, and take so many messages. */
export function askTcp(port: number, bytes: Uint8Array, count = 1, isHalfClosed = false): Promise<Buffer[]> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error('no answer over TCP'));
    }, LIMIT_MS);
    let held: Buffer = Buffer.alloc(0);
    const answers: Buffer[] = [];
    const finish = (error?: Error): void => {
      clearTimeout(timer);
      socket.destroy();
      if (error) reject(error);
      else resolve(answers);
    };
    socket.on('error', finish);
    socket.on('end', () =>
      finish(answers.length < count ? new Error('closed before all answers') : undefined),
    );
    socket.on('data', (chunk) => {
      held = Buffer.concat([held, chunk]);
      while (held.length >= 2 && held.length >= 2 + held.readUInt16BE(0)) {
        answers.push(held.subarray(2, 2 + held.readUInt16BE(0)));
        held = held.subarray(2 + held.readUInt16BE(0));
      }
      if (answers.length >= count) finish();
    });
    if (isHalfClosed) socket.end(bytes);
    else socket.write(bytes);
  });
}

export function framed(...messages: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    messages.flatMap((message) => {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(message.length);
      return [length, message];
    }),
  );
}

/** A record as text, without its TTL. */
export function recordText(record: dnsPacket.Answer): string {
  const name = `${record.name.toLowerCase()}.`.replace(/^\.\.$/, '.');
  const dotted = (text: string): string => `${text.toLowerCase().replace(/\.$/, '')}.`;
  switch (record.type) {
    case 'SRV':
      return `${name} SRV ${record.data.port} ${dotted(record.data.target)}`;
    case 'SOA':
      return `${name} SOA`;
    case 'CNAME':
    case 'PTR':
    case 'NS':
      return `${name} ${record.type} ${dotted(record.data)}`;
    case 'TXT':
      return `${name} TXT ${[record.data].flat().map(String).join('')}`;
    default:
      return `${name} ${record.type} ${String((record as { data?: unknown }).data)}`;
  }
}

/** Records of a section without OPT. */
export const recordsOf = (records: readonly dnsPacket.Answer[] | undefined): dnsPacket.Answer[] =>
  (records ?? []).filter(({ type }) => type !== 'OPT');

/** A message; its type declarations leave the rcode out, which dns-packet reads from the header. */
export const decode = (bytes: Buffer): dnsPacket.DecodedPacket & { rcode: string } =>
  dnsPacket.decode(bytes) as dnsPacket.DecodedPacket & { rcode: string };
