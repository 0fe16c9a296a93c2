/**
 * The parts of dns-packet by which single names and records are written; its type declarations know whole messages only.
 */
import * as dnsPacket from 'dns-packet';

interface Codec<T> {
  encode: ((value: T, bytes?: Buffer, at?: number) => Buffer) & {
    /** Length of what was written last. */
    bytes: number;
  };
}

const parts = dnsPacket as unknown as {
  readonly name: Codec<string>;
  readonly answer: Codec<dnsPacket.Answer>;
  record(type: string): Codec<unknown>;
};

/** Names as text, without escapes. */
export const nameCodec = parts.name;
/** Whole records, with their owner. */
export const recordCodec = parts.answer;
/** What a record of a type holds, its length in front. */
export const dataCodec = (type: string): Codec<unknown> => parts.record(type);
