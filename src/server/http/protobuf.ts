/**
 * Kubernetes' protobuf bodies, read into the objects that JSON would have given. From 1.32 on kubectl sends what it creates
 * this way and takes no 415 for an answer; it takes JSON for one, so nothing is written here.
 *
 *     "k8s\0"  Unknown { 1 typeMeta { 1 apiVersion, 2 kind }, 2 raw }
 *
 * Go's encoder writes every field that is no pointer, also when it is zero; zeros are left out again. A field that
 * protobuf-messages.ts does not know is refused unless it is zero: to drop it silently would store another object than was
 * sent. What the objects mean is for others, this is bytes to fields.
 *
 * Source: https://protobuf.dev/programming-guides/encoding/; k8s.io/apimachinery, pkg/runtime/serializer/protobuf.
 */
import { timestamp } from '../../api/age.js';
import { badRequest } from '../../api/error.js';
import { setKey } from '../../api/json.js';
import { MESSAGES } from './protobuf-messages.js';

export const PROTOBUF = 'application/vnd.kubernetes.protobuf';

const MAGIC = Buffer.from('k8s\0');
const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

/** Deeper than any object; a bound on what a hostile body can do to the stack. */
const MAX_DEPTH = 32;

interface Field {
  /** '' : the message's fields stand in the object itself. */
  readonly name: string;
  readonly type: string;
  readonly shape: 'one' | 'list' | 'map';
  /** Zero is not absence. */
  readonly keepsZero: boolean;
}

type Message = ReadonlyMap<number, Field>;

const messages = new Map<string, Message>(
  Object.entries(MESSAGES).map(([name, lines]) => [name, new Map(lines.map(parseField))]),
);

function parseField(line: string): [number, Field] {
  const match = /^(\d+) (\w*)(\?)?\s*(?:: (?:(list|map) )?(\w+))?$/.exec(line);
  if (!match) throw new SyntaxError(`Cannot read "${line}" as a field of a message`);
  const [, number, name, question, shape, type] = match;
  return [
    Number(number),
    {
      name: name!,
      type: type ?? 'string',
      shape: (shape ?? 'one') as Field['shape'],
      keepsZero: question !== undefined,
    },
  ];
}

/** @throws ApiError 400 when it is no such body, or of a kind or with a field that is not known here */
export function decodeProtobuf(body: Buffer): Record<string, unknown> {
  if (!body.subarray(0, 4).equals(MAGIC))
    throw badRequest('the body is no Kubernetes protobuf: it must begin with "k8s\\0"');
  let apiVersion = '';
  let kind = '';
  let raw: Buffer = Buffer.alloc(0);
  for (const { number, bytes } of fieldsOf(body.subarray(4))) {
    if (number === 1 && bytes) {
      for (const inner of fieldsOf(bytes)) {
        if (inner.number === 1) apiVersion = (inner.bytes ?? '').toString();
        if (inner.number === 2) kind = (inner.bytes ?? '').toString();
      }
    } else if (number === 2 && bytes) raw = bytes;
  }
  const message = Object.hasOwn(MESSAGES, kind) ? messages.get(kind) : undefined;
  if (!message) throw badRequest(`Cannot read an object of kind "${kind}" as protobuf; send it as JSON`);
  const object: Record<string, unknown> = { apiVersion, kind };
  readMessage(raw, message, kind, object, 0);
  return object;
}

/** A field as it stands on the wire. */
interface WireField {
  readonly number: number;
  /** Of types 0, 1 and 5. */
  readonly integer: bigint;
  /** Of type 2. */
  readonly bytes: Buffer | undefined;
}

function* fieldsOf(bytes: Buffer): Generator<WireField> {
  let at = 0;
  const cut = (): Error => badRequest('the body is no protobuf: it ends in the middle of a field');
  const varint = (): bigint => {
    let result = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      if (at >= bytes.length) throw cut();
      const byte = bytes[at++]!;
      result |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return result;
    }
    throw badRequest('the body is no protobuf: a number has more than ten bytes');
  };
  while (at < bytes.length) {
    const key = Number(varint());
    const number = Math.floor(key / 8);
    const type = key % 8;
    if (type === VARINT) yield { number, integer: varint(), bytes: undefined };
    else if (type === BYTES) {
      const length = Number(varint());
      if (length > bytes.length - at) throw cut();
      yield { number, integer: 0n, bytes: bytes.subarray(at, (at += length)) };
    } else if (type === FIXED64 || type === FIXED32) {
      const size = type === FIXED64 ? 8 : 4;
      if (size > bytes.length - at) throw cut();
      const integer = type === FIXED64 ? bytes.readBigUInt64LE(at) : BigInt(bytes.readUInt32LE(at));
      at += size;
      yield { number, integer, bytes: undefined };
    } else throw badRequest(`the body is no protobuf: there is no wire type ${type}`);
  }
}

/** Read a message's fields into `into`. */
function readMessage(
  bytes: Buffer,
  message: Message,
  path: string,
  into: Record<string, unknown>,
  depth: number,
): void {
  if (depth > MAX_DEPTH) throw badRequest(`the body is nested deeper than ${MAX_DEPTH} messages`);
  for (const wire of fieldsOf(bytes)) {
    const field = message.get(wire.number);
    if (!field) {
      if (isZero(wire)) continue;
      throw badRequest(`Cannot read field ${wire.number} of ${path} as protobuf; send the object as JSON`);
    }
    const { name, type, shape, keepsZero } = field;
    const inner = `${path}.${name}`;
    if (name === '') readMessage(wire.bytes ?? Buffer.alloc(0), messages.get(type)!, path, into, depth + 1);
    else if (shape === 'map') {
      const [key, value] = readEntry(wire.bytes ?? Buffer.alloc(0), type, inner, depth);
      setKey((into[name] ??= {}) as Record<string, unknown>, key, value);
    } else if (shape === 'list') ((into[name] ??= []) as unknown[]).push(readValue(wire, type, inner, depth));
    else {
      const value = readValue(wire, type, inner, depth);
      if (keepsZero || !isAbsent(value)) into[name] = value;
    }
  }
}

/** An entry of a map: field 1 is its key, field 2 its value; either may be left out when it is zero. */
function readEntry(bytes: Buffer, type: string, path: string, depth: number): [string, unknown] {
  let key = '';
  let value = readValue({ number: 2, integer: 0n, bytes: Buffer.alloc(0) }, type, path, depth);
  for (const wire of fieldsOf(bytes)) {
    if (wire.number === 1) key = (wire.bytes ?? '').toString();
    if (wire.number === 2) value = readValue(wire, type, path, depth);
  }
  return [key, value];
}

function readValue(
  { integer, bytes = Buffer.alloc(0) }: WireField,
  type: string,
  path: string,
  depth: number,
): unknown {
  switch (type) {
    case 'string':
      return bytes.toString();
    case 'bytes':
      return bytes.toString('base64');
    case 'int':
      return Number(BigInt.asIntN(64, integer));
    case 'bool':
      return integer !== 0n;
    case 'Quantity':
      return textOf(bytes, 1);
    case 'Time':
      return readTime(bytes);
    case 'IntOrString':
      return readIntOrString(bytes);
    case 'FieldsV1':
      return readFields(bytes, path);
    default: {
      const result: Record<string, unknown> = {};
      readMessage(bytes, messages.get(type)!, path, result, depth + 1);
      return result;
    }
  }
}

/** Time { 1 seconds, 2 nanos }. An empty one is the zero time, which JSON writes as null. */
function readTime(bytes: Buffer): string {
  for (const { number, integer } of fieldsOf(bytes)) {
    const seconds = Number(BigInt.asIntN(64, integer));
    if (number === 1 && seconds > 0) return timestamp(seconds * 1000);
  }
  return '';
}

/** IntOrString { 1 type, 2 intVal, 3 strVal }; type 1 is a string. */
function readIntOrString(bytes: Buffer): string | number {
  let isString = false;
  let number = 0;
  for (const wire of fieldsOf(bytes)) {
    if (wire.number === 1) isString = wire.integer === 1n;
    if (wire.number === 2) number = Number(BigInt.asIntN(32, wire.integer));
  }
  return isString ? textOf(bytes, 3) : number;
}

/** FieldsV1 { 1 raw }, which is JSON. */
function readFields(bytes: Buffer, path: string): unknown {
  try {
    return JSON.parse(textOf(bytes, 1) || '{}');
  } catch (error) {
    throw badRequest(`Cannot read ${path} as JSON: ${(error as Error).message}`);
  }
}

function textOf(bytes: Buffer, number: number): string {
  for (const wire of fieldsOf(bytes)) if (wire.number === number) return (wire.bytes ?? '').toString();
  return '';
}

/** Nothing but zeros, however deep; of a type nobody knows, so bytes that read as a message are taken for one. */
function isZero({ integer, bytes }: WireField): boolean {
  if (!bytes) return integer === 0n;
  try {
    for (const inner of fieldsOf(bytes)) if (!isZero(inner)) return false;
    return true;
  } catch {
    return false; // a text
  }
}

const isAbsent = (value: unknown): boolean =>
  value === '' ||
  value === 0 ||
  value === false ||
  (typeof value === 'object' && value !== null && Object.keys(value).length === 0);
