/**
 * Answers for which others are asked: names that are not ours, and where an alias of ours leads.
 */
import * as dnsPacket from 'dns-packet';
import type { Authority } from '../names/authority.js';
import type { Answer } from '../names/records.js';
import { CD, CLASS_IN, flags, HEADER_LEN, RCODE, rcode, setU16, TC } from '../wire/dns.js';
import { nameCodec, recordCodec } from './codec.js';
import { writeAnswer, writeBody, writeRefusal, type Asker, type Body } from './message.js';
import type { Answerer } from './metrics.js';
import type { Query } from './query.js';
import type { Resolved, Resolver } from './resolver.js';
import { readResponse } from './response.js';

/** A message that was asked; nobody else writes into it. */
export interface Asked {
  readonly message: Uint8Array;
  readonly query: Query;
  readonly asker: Asker;
  /** The question's name as text. */
  readonly name: string;
}

export interface Reply {
  readonly bytes: Buffer;
  readonly by: Answerer;
  readonly rcode: number;
}

const DO = 0x8000;

/**
 * Ask others.
 *
 * @param alias  what we know ourselves: an answer that ends in a name of others
 */
export async function lookUp(
  resolver: Resolver,
  authority: Authority | undefined,
  asked: Asked,
  alias: Answer | undefined,
): Promise<Reply> {
  const { message, query, asker, name } = asked;
  if (alias?.chase !== undefined) {
    // It may be the name of a fixed entry.
    const own = authority?.answer(alias.chase, query.type);
    if (own && own.chase === undefined) {
      const body = writeBody({ ...own, answers: [...alias.answers, ...own.answers] }, name);
      return reply(asked, body, 'kubernetes');
    }
  }
  const bytes =
    alias?.chase === undefined
      ? message.subarray(HEADER_LEN, query.questionEnd)
      : questionBytes(alias.chase, query.type);
  const resolved = await resolver.resolve({
    bytes,
    dnssecOk: (query.ednsFlags & DO) !== 0,
    checkingDisabled: (query.flags & CD) !== 0,
  });
  const response = resolved && readResponse(resolved.message);
  if (!response) {
    // The alias is known and its end is not: RFC 6604 §2.1 has the rcode tell of the end.
    if (!alias)
      return {
        bytes: writeRefusal(message, query, RCODE.SERVFAIL, asker),
        by: 'forward',
        rcode: RCODE.SERVFAIL,
      };
    return reply(asked, { ...writeBody(alias, name), rcode: RCODE.SERVFAIL }, 'forward');
  }
  if (!alias) return reply(asked, response.body, resolved.by);
  const body = appended(writeBody(alias, name), resolved);
  return body
    ? reply(asked, body, resolved.by)
    : reply(asked, { ...writeBody(alias, name), rcode: RCODE.SERVFAIL }, 'forward');
}

const reply = ({ message, query, asker }: Asked, body: Body, by: Answerer): Reply => ({
  bytes: writeAnswer(message, query, body, asker, 0),
  by,
  rcode: body.rcode,
});

/** @param name  text, without escapes: an externalName has none */
function questionBytes(name: string, type: number): Uint8Array {
  const bytes = Buffer.concat([nameCodec.encode(name), Buffer.alloc(4)]);
  setU16(bytes, bytes.length - 4, type);
  setU16(bytes, bytes.length - 2, CLASS_IN);
  return bytes;
}

/**
 * Our records and behind them an upstream's, written afresh: their pointers lead into another message.
 *
 * @returns undefined when a record cannot be read
 */
function appended(own: Body, { message }: Resolved): Body | undefined {
  try {
    const packet = dnsPacket.decode(Buffer.from(message));
    const answers = packet.answers ?? [];
    const authority = packet.authorities ?? [];
    const parts: Buffer[] = [];
    const ends = [...own.ends];
    let at = own.bytes.length;
    for (const record of [...answers, ...authority]) {
      const part = recordCodec.encode(record);
      parts.push(part);
      at += part.length;
      ends.push(at);
    }
    return {
      ...own,
      rcode: rcode(message),
      flags: flags(message) & TC,
      bytes: Buffer.concat([own.bytes, ...parts]),
      answers: own.answers + answers.length,
      authority: authority.length,
      additional: 0,
      ends,
      turn: 0,
    };
  } catch {
    return undefined;
  }
}
