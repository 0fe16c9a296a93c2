/**
 * From a message to its answer, whatever it came by. The order of the request path:
 *
 *     read ─► form, class, type ─► prepared? ─► fixed entries ─► cluster ─► others' names: cache ─► upstreams
 *
 * Theory of operation. An answer about names of ours is written once and kept as a body (message.ts) under the bytes of its
 * question, until a name changes: the next query for it costs one look-up and one copy. What is kept is bounded in bytes; when
 * it is full all of it is dropped, as when a name changes. `prepare: false` leaves this out: both ways answer alike.
 *
 * An answer that needs others comes later; until then nothing of the message is kept but a copy.
 */
import type { Authority } from '../names/authority.js';
import { CLASS_IN, HEADER_LEN, nameText, RCODE, TYPE } from '../wire/dns.js';
import { lookUp } from './look-up.js';
import { writeAnswer, writeBody, writeRefusal, type Asker, type Body } from './message.js';
import type { Answerer, Metrics } from './metrics.js';
import { DROP, newQuery, readQuery, type Query } from './query.js';
import type { Resolver } from './resolver.js';

export interface ResponderOptions {
  /** What we know by ourselves; undefined: nothing. */
  readonly authority?: Authority;
  readonly resolver?: Resolver;
  readonly metrics?: Metrics;
  readonly prepare?: boolean;
}

export interface Responder {
  /**
   * Answer a message, or drop it.
   *
   * @param send  called once, at once or later, unless the message is dropped
   * @returns     false when it is dropped
   */
  answer(message: Uint8Array, isUdp: boolean, send: (answer: Buffer) => void): boolean;
}

/** Bodies that are kept, in bytes with what they cost beside. */
const MAX_PREPARED_BYTES = 16 << 20;
const ENTRY_BYTES = 400;

export function createResponder(options: ResponderOptions): Responder {
  const { authority, resolver, metrics } = options;
  const query = newQuery();
  const askers = [false, true].map((isUdp): Asker => ({ isUdp, canRecurse: resolver !== undefined }));
  const prepared = options.prepare === false ? undefined : new PreparedBodies();
  let turn = 0;

  const finish = (
    isUdp: boolean,
    by: Answerer,
    rcode: number,
    start: number,
    bytes: Buffer,
    send: (answer: Buffer) => void,
  ): void => {
    metrics?.response(isUdp ? 'udp' : 'tcp', by, rcode, bytes.length, performance.now() - start);
    send(bytes);
  };

  return {
    answer(message, isUdp, send) {
      const start = metrics ? performance.now() : 0;
      const asker = askers[isUdp ? 1 : 0]!;
      let rcode = readQuery(message, query);
      if (rcode === DROP) return false;
      metrics?.request(isUdp ? 'udp' : 'tcp', query.type, message.length);
      if (rcode === RCODE.NOERROR && !isLookup(query)) rcode = RCODE.REFUSED;
      if (rcode !== RCODE.NOERROR) {
        finish(isUdp, '', rcode, start, writeRefusal(message, query, rcode, asker), send);
        return true;
      }
      const known = prepared?.get(message, query, authority?.generation ?? 0);
      if (known) {
        const bytes = writeAnswer(message, query, known, asker, turn++);
        finish(isUdp, 'kubernetes', known.rcode, start, bytes, send);
        return true;
      }
      const name = nameText(message, HEADER_LEN);
      const own = authority?.answer(name, query.type);
      if (own && (own.chase === undefined || !resolver)) {
        const body = writeBody(own, name);
        const by = own.meaning === 'host-entry' ? 'hosts' : 'kubernetes';
        if (authority!.cluster.isSynced && by === 'kubernetes') prepared?.put(message, query, body);
        finish(isUdp, by, body.rcode, start, writeAnswer(message, query, body, asker, turn++), send);
        return true;
      }
      if (!resolver) {
        const refusal = writeRefusal(message, query, RCODE.REFUSED, asker);
        finish(isUdp, '', RCODE.REFUSED, start, refusal, send);
        return true;
      }
      const asked = { message: Uint8Array.from(message), query: { ...query }, asker, name };
      void lookUp(resolver, authority, asked, own).then(({ bytes, by, rcode: code }) =>
        finish(isUdp, by, code, start, bytes, send),
      );
      return true;
    },
  };
}

/** Zones are not handed out, and there is no class but IN. */
const isLookup = ({ class: klass, type }: Query): boolean =>
  klass === CLASS_IN && type !== TYPE.AXFR && type !== TYPE.IXFR;

/** Bodies by the bytes of their question, letters small. */
class PreparedBodies {
  readonly #bodies = new Map<string, Body>();
  readonly #scratch = Buffer.alloc(HEADER_LEN + 260);
  #generation = -1;
  #bytes = 0;

  get(message: Uint8Array, query: Query, generation: number): Body | undefined {
    if (generation !== this.#generation) {
      this.#clear();
      this.#generation = generation;
    }
    return this.#bodies.get(this.#key(message, query));
  }

  put(message: Uint8Array, query: Query, body: Body): void {
    const cost = body.bytes.length + ENTRY_BYTES;
    if (cost > MAX_PREPARED_BYTES / 64) return;
    if ((this.#bytes += cost) > MAX_PREPARED_BYTES) {
      this.#clear();
      this.#bytes = cost;
    }
    this.#bodies.set(this.#key(message, query), body);
  }

  /** Name and type. Length bytes are below 64 and so never letters. */
  #key(message: Uint8Array, { nameLen }: Query): string {
    const scratch = this.#scratch;
    const end = HEADER_LEN + nameLen;
    let at = 0;
    for (let i = HEADER_LEN; i < end; i++) {
      const byte = message[i]!;
      scratch[at++] = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
    }
    scratch[at++] = message[end]!;
    scratch[at++] = message[end + 1]!;
    return scratch.toString('latin1', 0, at);
  }

  #clear(): void {
    this.#bodies.clear();
    this.#bytes = 0;
  }
}
