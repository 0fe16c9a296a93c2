/**
 * Answers as bytes.
 *
 * Theory of operation. All that follows the question in an answer is a *body*: records that name the question by a pointer
 * to offset 12, wherever the question's letters are large or small. One body fits every query for the same name and type,
 * whoever asks, and is copied behind the asker's own question. Where it is too long for a datagram, records are left out from
 * the end, all of them whole: those beyond the answers silently, answers with TC (RFC 2181 §9).
 *
 * What records hold is written by dns-packet; it does not compress, which RFC 3597 §4 wants of SRV and costs little elsewhere.
 */
import type { Answer, DnsRecord } from '../names/records.js';
import { AA, CLASS_IN, HEADER_LEN, QR, RA, RCODE, RD, setU16, setU32, TC, TYPE } from '../wire/dns.js';
import { dataCodec, nameCodec } from './codec.js';
import type { Query } from './query.js';

/** What follows the question. */
export interface Body {
  readonly rcode: number;
  /** Bits of the header that belong to the answer: AA. */
  readonly flags: number;
  readonly bytes: Uint8Array;
  /** Records by section. */
  readonly answers: number;
  readonly authority: number;
  readonly additional: number;
  /** Where each record ends in `bytes`. */
  readonly ends: readonly number[];
  /** Length of each answer, when they are two or more of one length that may stand in any order; else 0. */
  readonly turn: number;
}

/** The largest datagram that we send: what crosses every network in one piece. https://dnsflagday.net/2020/ */
export const MAX_UDP_SIZE = 1232;
const MAX_TCP_SIZE = 65535;
const OPT_LEN = 11;
const DO = 0x8000;
const POINTER_TO_QUESTION = 0xc000 | HEADER_LEN;
/** Room for one record: a name, and what the largest of ours holds, two names and five words. */
const MAX_RECORD_LEN = 1024;

/**
 * Write the body of an answer.
 *
 * @param name  the question's name as text
 */
export function writeBody(answer: Answer, name: string): Body {
  const { answers, authority, additional, rcode } = answer;
  const records = [...answers, ...authority, ...additional];
  const bytes = Buffer.alloc(records.length * MAX_RECORD_LEN);
  const ends: number[] = [];
  let at = 0;
  for (const record of records) {
    const end = writeRecord(bytes, at, record, name);
    if (end > MAX_TCP_SIZE) break;
    at = end;
    ends.push(at);
  }
  const isSet = answers.length > 1 && answers.every(({ type }) => type === answers[0]!.type);
  const isAddress = answers[0]?.type === 'A' || answers[0]?.type === 'AAAA';
  return {
    rcode: RCODE[rcode],
    flags: rcode === 'SERVFAIL' || rcode === 'REFUSED' ? 0 : AA,
    bytes: Uint8Array.prototype.slice.call(bytes, 0, at),
    answers: answers.length,
    authority: authority.length,
    additional: additional.length,
    ends,
    turn: isSet && isAddress && ends.length === records.length ? ends[0]! : 0,
  };
}

/** @returns where the record ends */
function writeRecord(bytes: Buffer, at: number, record: DnsRecord, name: string): number {
  let next = writeOwner(bytes, at, record.name, name);
  setU16(bytes, next, TYPE[record.type]);
  setU16(bytes, next + 2, CLASS_IN);
  setU32(bytes, next + 4, record.ttl);
  next += 8;
  const codec = dataCodec(record.type);
  codec.encode(record.data, bytes, next);
  return next + codec.encode.bytes;
}

/** A name as a pointer into the question where it ends like it. */
function writeOwner(bytes: Buffer, at: number, owner: string, name: string): number {
  if (owner === name || name.endsWith(`.${owner}`)) {
    setU16(bytes, at, POINTER_TO_QUESTION + escapedLength(name.slice(0, name.length - owner.length)));
    return at + 2;
  }
  nameCodec.encode(owner, bytes, at);
  return at + nameCodec.encode.bytes;
}

/** Bytes that text stands for: what has a backslash before it is one. */
const escapedLength = (text: string): number => text.replace(/\\./g, '.').length;

/** For whom an answer is written. */
export interface Asker {
  readonly isUdp: boolean;
  /** Whether names of others are looked up for those who ask. */
  readonly canRecurse: boolean;
}

/** The longest answer that an asker takes. */
export const limitOf = ({ udpSize }: Query, { isUdp }: Asker): number =>
  isUdp ? Math.min(udpSize, MAX_UDP_SIZE) : MAX_TCP_SIZE;

/**
 * The whole answer to a query.
 *
 * @param message  what was asked; its question is given back as it is
 * @param turn     any number: which of several addresses comes first
 */
export function writeAnswer(
  message: Uint8Array,
  query: Query,
  body: Body,
  asker: Asker,
  turn: number,
): Buffer {
  const { questionEnd, hasEdns } = query;
  const room = limitOf(query, asker) - questionEnd - (hasEdns ? OPT_LEN : 0);
  const isWhole = body.bytes.length <= room;
  const count = isWhole ? body.ends.length : countThatFit(body, room);
  const bodyLen = isWhole ? body.bytes.length : count === 0 ? 0 : body.ends[count - 1]!;
  const out = Buffer.allocUnsafe(questionEnd + bodyLen + (hasEdns ? OPT_LEN : 0));
  const answers = Math.min(count, body.answers);
  const isCut = answers < body.answers;
  writeHeader(out, query, body.flags | (isCut ? TC : 0), body.rcode, asker);
  copy(message, HEADER_LEN, questionEnd, out, HEADER_LEN);
  const turned = body.turn === 0 ? 0 : (turn % body.answers) * body.turn;
  if (turned === 0) copy(body.bytes, 0, bodyLen, out, questionEnd);
  else {
    const set = body.answers * body.turn;
    const all = Buffer.allocUnsafe(set);
    copy(body.bytes, turned, set, all, 0);
    copy(body.bytes, 0, turned, all, set - turned);
    const head = Math.min(set, bodyLen);
    copy(all, 0, head, out, questionEnd);
    copy(body.bytes, head, bodyLen, out, questionEnd + head);
  }
  setU16(out, 4, 1);
  setU16(out, 6, answers);
  const rest = count - answers;
  setU16(out, 8, Math.min(rest, body.authority));
  setU16(out, 10, Math.max(0, rest - body.authority) + (hasEdns ? 1 : 0));
  if (hasEdns) writeOpt(out, questionEnd + bodyLen, query, body.rcode);
  return out;
}

function countThatFit({ ends }: Body, room: number): number {
  let count = ends.length;
  while (count > 0 && ends[count - 1]! > room) count--;
  return count;
}

/** Copies of some fifty bytes: a loop is faster than a call into the runtime. */
function copy(from: Uint8Array, start: number, end: number, to: Uint8Array, at: number): void {
  if (end - start > 256) to.set(from.subarray(start, end), at);
  else for (let i = start; i < end; i++) to[at++] = from[i]!;
}

function writeHeader(out: Buffer, query: Query, flags: number, rcode: number, asker: Asker): void {
  setU16(out, 0, query.id);
  const opcode = query.flags & 0x7800;
  setU16(out, 2, QR | opcode | flags | (query.flags & RD) | (asker.canRecurse ? RA : 0) | (rcode & 15));
}

/** RFC 6891 §6.1.3: of the flags only DO comes back (RFC 3225 §3). */
export function writeOpt(out: Uint8Array, at: number, query: Query, rcode: number): void {
  out[at] = 0;
  setU16(out, at + 1, TYPE.OPT);
  setU16(out, at + 3, MAX_UDP_SIZE);
  out[at + 5] = rcode >>> 4;
  out[at + 6] = 0;
  setU16(out, at + 7, query.ednsFlags & DO);
  setU16(out, at + 9, 0);
}

/**
 * An answer that says only that there is none: with the question where it could be read, else the header alone.
 */
export function writeRefusal(message: Uint8Array, query: Query, rcode: number, asker: Asker): Buffer {
  if (query.questionEnd > 0) return writeAnswer(message, query, { ...NO_BODY, rcode }, asker, 0);
  const out = Buffer.alloc(HEADER_LEN);
  // Who asks in a way that we cannot read is not told what we could do.
  writeHeader(out, query, 0, rcode, { ...asker, canRecurse: false });
  return out;
}

const NO_BODY: Omit<Body, 'rcode'> = {
  flags: 0,
  bytes: new Uint8Array(0),
  answers: 0,
  authority: 0,
  additional: 0,
  ends: [],
  turn: 0,
};
