/**
 * Reading a query, strictly: all of it must be well formed before any of it counts. RFC 1035 §4.1, RFC 6891 §6.1, RFC 9619.
 *
 * Records that a query brings along in its other sections are looked at for their form only. Options of EDNS are passed over:
 * cookies, NSID and client subnets mean nothing here, which is how RFC 6891 §6.1.2 wants unknown ones treated.
 */
import {
  ANCOUNT,
  ARCOUNT,
  HEADER_LEN,
  NSCOUNT,
  opcode,
  QDCOUNT,
  QR,
  RCODE,
  flags,
  skipPlainName,
  TYPE,
  u16,
  walkRecords,
} from '../wire/dns.js';

/** A query, as far as it was read. One object is used for all. */
export interface Query {
  id: number;
  /** The second word of the header. */
  flags: number;
  type: number;
  class: number;
  /** Length of the name in bytes; it begins behind the header. */
  nameLen: number;
  /** Where the question ends; 0 when there is none that can be given back. */
  questionEnd: number;
  hasEdns: boolean;
  /** The longest datagram that the asker takes. */
  udpSize: number;
  /** The flags of EDNS. */
  ednsFlags: number;
}

export const newQuery = (): Query => ({
  id: 0,
  flags: 0,
  type: 0,
  class: 0,
  nameLen: 0,
  questionEnd: 0,
  hasEdns: false,
  udpSize: 512,
  ednsFlags: 0,
});

/** What becomes of a message that is no query to be answered by its name: nothing at all. */
export const DROP = -1;

/** The shortest datagram that everybody takes. RFC 1035 §4.2.1. */
export const MIN_UDP_SIZE = 512;

const OPT_LEN = 11;

/**
 * Read a message into `query`.
 *
 * @returns {@link DROP}, or the rcode of the answer: NOERROR when the query is to be answered by its name
 */
export function readQuery(message: Uint8Array, query: Query): number {
  const end = message.length;
  if (end < HEADER_LEN) return DROP;
  query.id = u16(message, 0);
  query.flags = flags(message);
  query.questionEnd = 0;
  query.nameLen = 0;
  query.hasEdns = false;
  query.udpSize = MIN_UDP_SIZE;
  query.ednsFlags = 0;
  // An answer to an answer, and two servers talk for ever.
  if (query.flags & QR) return DROP;
  if (opcode(message) !== 0) return RCODE.NOTIMP;
  if (u16(message, QDCOUNT) !== 1) return RCODE.FORMERR;
  const nameEnd = skipPlainName(message, HEADER_LEN, end);
  if (nameEnd < 0 || nameEnd + 4 > end) return RCODE.FORMERR;
  query.type = u16(message, nameEnd);
  query.class = u16(message, nameEnd + 2);
  query.nameLen = nameEnd - HEADER_LEN;
  let rest = nameEnd + 4;
  const records = u16(message, ANCOUNT) + u16(message, NSCOUNT);
  if (records > 0) {
    rest = walkRecords(message, rest, end, records, nothing);
    if (rest < 0) return RCODE.FORMERR;
  }
  const additional = u16(message, ARCOUNT);
  let version = 0;
  if (additional === 1 && isOpt(message, rest, end)) {
    // As nearly all are.
    version = readOpt(message, rest + 1, query);
    if (version < 0) return RCODE.FORMERR;
    rest = end;
  } else if (additional > 0) {
    let opts = 0;
    rest = walkRecords(message, rest, end, additional, (owner, fields) => {
      if (u16(message, fields) !== TYPE.OPT) return;
      opts++;
      version = fields === owner + 1 && message[owner] === 0 ? readOpt(message, fields, query) : -1;
    });
    if (rest < 0 || opts > 1 || version < 0) return RCODE.FORMERR;
  }
  if (rest !== end) return RCODE.FORMERR;
  query.questionEnd = nameEnd + 4;
  return version > 0 ? RCODE.BADVERS : RCODE.NOERROR;
}

const nothing = (): void => undefined;

/** Whether all that is left is one OPT record. */
function isOpt(message: Uint8Array, at: number, end: number): boolean {
  return (
    at + OPT_LEN <= end &&
    message[at] === 0 &&
    u16(message, at + 1) === TYPE.OPT &&
    at + OPT_LEN + u16(message, at + 9) === end
  );
}

/** @returns the version, or -1 when the options are not well formed */
function readOpt(message: Uint8Array, fields: number, query: Query): number {
  query.hasEdns = true;
  query.udpSize = Math.max(MIN_UDP_SIZE, u16(message, fields + 2));
  query.ednsFlags = u16(message, fields + 6);
  const data = fields + 10;
  const end = data + u16(message, fields + 8);
  let option = data;
  while (option < end) {
    if (option + 4 > end) return -1;
    option += 4 + u16(message, option + 2);
  }
  return option === end ? message[fields + 5]! : -1;
}
