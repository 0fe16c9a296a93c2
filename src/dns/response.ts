/**
 * Reading what an upstream says: the frame of its records, how long they hold, and whether it answers what was asked.
 * RFC 1035 §4.1, RFC 2308 §5, RFC 5452 §9.1.
 *
 * What records hold is passed on as it is; only OPT, which is between neighbours, stays behind.
 */
import {
  AD,
  ANCOUNT,
  ARCOUNT,
  flags,
  HEADER_LEN,
  i32,
  NSCOUNT,
  opcode,
  QDCOUNT,
  QR,
  RCODE,
  rcode,
  skipPlainName,
  TC,
  TYPE,
  u16,
  walkRecords,
} from '../wire/dns.js';
import type { Body } from './message.js';

/** What a well-formed response says. */
export interface Response {
  readonly body: Body;
  readonly isTruncated: boolean;
  /** Whether it says that there is no such name, or no such record. */
  readonly isDenial: boolean;
  /** How long it may be kept, in seconds; 0: not at all. */
  readonly ttl: number;
  /** Where the TTLs of its records stand in the message. */
  readonly ttlOffsets: readonly number[];
}

/** @returns undefined when it is not whole */
export function readResponse(message: Uint8Array): Response | undefined {
  const end = message.length;
  if (end < HEADER_LEN || u16(message, QDCOUNT) !== 1) return undefined;
  const nameEnd = skipPlainName(message, HEADER_LEN, end);
  if (nameEnd < 0) return undefined;
  const start = nameEnd + 4;
  const answers = u16(message, ANCOUNT);
  const authority = u16(message, NSCOUNT);
  const total = answers + authority + u16(message, ARCOUNT);
  const ends: number[] = [];
  const ttlOffsets: number[] = [];
  let least = Infinity;
  let denial: number | undefined;
  let opt = -1;
  const stop = walkRecords(message, start, end, total, (_owner, fields, data, dataLen, i) => {
    const type = u16(message, fields);
    if (type === TYPE.OPT) {
      opt = opt < 0 ? i : opt;
      return;
    }
    // RFC 2181 §8: the first bit set means 0.
    const ttl = Math.max(0, i32(message, fields + 4));
    if (opt < 0) {
      ends.push(data + dataLen - start);
      ttlOffsets.push(fields + 4);
      least = Math.min(least, ttl);
    }
    if (type === TYPE.SOA && i >= answers && i < answers + authority && dataLen >= 4)
      denial = Math.min(ttl, Math.max(0, i32(message, data + dataLen - 4)));
  });
  if (stop < 0 || (opt >= 0 && opt < answers + authority)) return undefined;
  const code = rcode(message);
  const isDenial = code === RCODE.NXDOMAIN || (code === RCODE.NOERROR && answers === 0);
  const isKept = (code === RCODE.NOERROR || code === RCODE.NXDOMAIN) && !(flags(message) & TC);
  const held = isDenial ? Math.min(least, denial ?? 0) : least;
  return {
    body: {
      rcode: code,
      flags: flags(message) & (AD | TC),
      bytes: message.subarray(start, start + (ends.at(-1) ?? 0)),
      answers,
      authority,
      additional: ends.length - answers - authority,
      ends,
      turn: 0,
    },
    isTruncated: (flags(message) & TC) !== 0,
    isDenial,
    ttl: isKept && held !== Infinity ? held : 0,
    ttlOffsets,
  };
}

/** How a response fits a query. */
export type Fit =
  /** Its id, or its question, is another's. */
  | 'no'
  /** All but the case of letters. */
  | 'but-case'
  | 'yes'
  /** It could not read the query, and so gives no question back. */
  | 'complaint';

export function fits(query: Uint8Array, response: Uint8Array): Fit {
  if (response.length < HEADER_LEN || u16(query, 0) !== u16(response, 0)) return 'no';
  if (!(flags(response) & QR) || opcode(response) !== 0) return 'no';
  const code = rcode(response);
  const count = u16(response, QDCOUNT);
  if (count === 0) return code === RCODE.FORMERR || code === RCODE.NOTIMP ? 'complaint' : 'no';
  if (count !== 1) return 'no';
  const end = skipPlainName(query, HEADER_LEN, query.length) + 4;
  if (response.length < end) return 'no';
  let fit: Fit = 'yes';
  for (let i = HEADER_LEN; i < end; i++) {
    if (query[i] === response[i]) continue;
    const isLetter =
      i < end - 4 && (query[i]! ^ response[i]!) === 0x20 && /[a-z]/i.test(String.fromCharCode(query[i]!));
    if (!isLetter) return 'no';
    fit = 'but-case';
  }
  return fit;
}
