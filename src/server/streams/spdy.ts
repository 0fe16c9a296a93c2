/**
 * SPDY/3.1 frames, as kubectl speaks them: exec and attach until 1.29, port-forward in every version.
 *
 *     control frame                              data frame
 *     +-+-------------+---------------+          +-+-----------------------------+
 *     |1| version (15)|   type (16)   |          |0|       stream id (31)        |
 *     +-+------+------+---------------+          +-+------+----------------------+
 *     | flags 8|      length (24)     |          | flags 8|      length (24)     |
 *     +--------+----------------------+          +--------+----------------------+
 *     | SYN_STREAM: id, associated id, priority (16 bits), header block          |
 *     | SYN_REPLY, HEADERS: id, header block     RST_STREAM: id, status          |
 *     | PING: id     GOAWAY: last id, status     WINDOW_UPDATE: id, delta        |
 *
 * A header block is a count, and so many names and values, each with its length before it (32 bits each): all blocks of
 * one direction are one zlib stream with a dictionary, flushed to a byte boundary after each block. So each block is
 * inflated by itself, with what came before as its dictionary. What we send is in stored blocks, which every reader of
 * zlib takes and which need no state.
 *
 * Not handled: SETTINGS, flow control (kubectl's library has none), pushed streams.
 *
 * Source: draft-mbelshe-httpbis-spdy-00; github.com/moby/spdystream.
 */
import { constants, inflateRawSync } from 'node:zlib';

export const SYN_STREAM = 1;
export const SYN_REPLY = 2;
export const RST_STREAM = 3;
export const PING = 6;
export const GOAWAY = 7;

export const FLAG_FIN = 1;

/* Of RST_STREAM. */
export const PROTOCOL_ERROR = 1;
export const REFUSED_STREAM = 3;
export const CANCEL = 5;

const VERSION = 3;
/** Frames that are no data are small; spdystream sends data in pieces of what was written. */
const MAX_CONTROL_LEN = 1 << 16;
const MAX_HEADERS_BYTES = 1 << 16;
const WINDOW_BYTES = 32_768;

/** A frame that has been read; data comes in parts as the connection brings it, the last one with the frame's flags. */
export type Frame =
  | { readonly type: 'data'; readonly id: number; readonly bytes: Uint8Array; readonly isLast: boolean }
  | { readonly type: 'syn-stream'; readonly id: number; readonly headers: Headers; readonly isLast: boolean }
  | { readonly type: 'rst-stream'; readonly id: number }
  | { readonly type: 'ping'; readonly id: number }
  | { readonly type: 'goaway' };

export type Headers = ReadonlyMap<string, string>;

/** The dictionary's words, in its order: each has its length before it. */
const WORDS =
  'options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow ' +
  'authorization cache-control connection content-base content-encoding content-language content-length ' +
  'content-location content-md5 content-range content-type date etag expect expires from host if-match ' +
  'if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma ' +
  'proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade ' +
  'user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie ' +
  'keep-alive origin';

/** The text behind them. */
const TEXT =
  '100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritative ' +
  'Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 ' +
  'Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec ' +
  '00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,' +
  'application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=' +
  'iso-8859-1,utf-,*,enq=0.';

/** 1423 bytes that both sides know before the first block. §2.6.10.1 */
export const DICTIONARY = Buffer.concat([
  ...WORDS.split(' ').flatMap((word) => [uint32(word.length), Buffer.from(word.replace('_', ' '))]),
  Buffer.from(TEXT),
]);

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** A reader of header blocks, in the order in which they come. @throws RangeError for what is none */
export function createHeaderReader(): (block: Uint8Array) => Headers {
  let window: Buffer | undefined;
  return (block) => {
    let deflated = Buffer.from(block.buffer, block.byteOffset, block.length);
    if (!window) {
      // RFC 1950: two bytes, and with FDICT four that name the dictionary.
      if (deflated.length < 2 || (deflated[0] & 15) !== 8 || deflated.readUInt16BE(0) % 31 !== 0)
        throw new RangeError('Cannot read a header block: it is not compressed by zlib');
      const hasDictionary = (deflated[1] & 32) !== 0;
      window = hasDictionary ? DICTIONARY : Buffer.alloc(0);
      deflated = deflated.subarray(hasDictionary ? 6 : 2);
    }
    let text: Buffer;
    try {
      text = inflateRawSync(deflated, {
        finishFlush: constants.Z_SYNC_FLUSH,
        maxOutputLength: MAX_HEADERS_BYTES,
        ...(window.length > 0 && { dictionary: window }),
      });
    } catch (error) {
      throw new RangeError(`Cannot read a header block: ${(error as Error).message}`);
    }
    window = Buffer.concat([window, text]).subarray(-WINDOW_BYTES);
    return parseHeaders(text);
  };
}

function parseHeaders(text: Buffer): Headers {
  let at = 0;
  const number = (): number => {
    if (at + 4 > text.length) throw new RangeError('Cannot read a header block: it is cut short');
    at += 4;
    return text.readUInt32BE(at - 4);
  };
  const word = (): string => {
    const end = number() + at;
    if (end > text.length) throw new RangeError('Cannot read a header block: it is cut short');
    const found = text.toString('utf8', at, end);
    at = end;
    return found;
  };
  const headers = new Map<string, string>();
  for (let count = number(); count > 0; count--) headers.set(word().toLowerCase(), word());
  return headers;
}

/** An empty stored block, at which readers hand on what they have; Go's waits for it. */
const SYNC_FLUSH = Buffer.of(0, 0, 0, 0xff, 0xff);

/** A writer of header blocks. */
export function createHeaderWriter(): (headers: Headers) => Buffer {
  let isFirst = true;
  return (headers) => {
    const words = [...headers].flatMap(([name, value]) => [name, value].map((word) => Buffer.from(word)));
    const text = Buffer.concat([
      uint32(headers.size),
      ...words.flatMap((word) => [uint32(word.length), word]),
    ]);
    if (text.length > 0xffff) throw new RangeError(`Cannot write ${text.length} bytes of headers`);
    // RFC 1951 §3.2.4: a stored block that is not the last one.
    const stored = Buffer.alloc(5);
    stored.writeUInt16LE(text.length, 1);
    stored.writeUInt16LE(~text.length & 0xffff, 3);
    const start = isFirst ? [Buffer.of(0x78, 0x01)] : [];
    isFirst = false;
    return Buffer.concat([...start, stored, text, SYNC_FLUSH]);
  };
}

/**
 * A reader of frames, to be called with each chunk in order.
 *
 * @throws {RangeError} when what comes is not SPDY: the connection is of no use then
 */
export function createFrameReader(found: (frame: Frame) => void): (chunk: Uint8Array) => void {
  const readHeaders = createHeaderReader();
  /** Bytes of a frame's header, or of a control frame, that is not whole yet. */
  let rest: Buffer = Buffer.alloc(0);
  /** The data frame that is under way. */
  let id = 0;
  let left = 0;
  let isLast = false;
  return (chunk) => {
    let bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    if (rest.length > 0) bytes = Buffer.concat([rest, bytes]);
    let at = 0;
    for (;;) {
      if (left > 0) {
        const end = Math.min(at + left, bytes.length);
        if (end === at) break;
        left -= end - at;
        found({ type: 'data', id, bytes: bytes.subarray(at, end), isLast: isLast && left === 0 });
        at = end;
        continue;
      }
      if (bytes.length - at < 8) break;
      const first = bytes.readUInt32BE(at);
      const flags = bytes[at + 4];
      const length = bytes.readUIntBE(at + 5, 3);
      if (first < 0x8000_0000) {
        at += 8;
        [id, left, isLast] = [first, length, (flags & FLAG_FIN) !== 0];
        if (left === 0) found({ type: 'data', id, bytes: new Uint8Array(0), isLast });
        continue;
      }
      const version = (first >>> 16) & 0x7fff;
      if (version !== VERSION) throw new RangeError(`Cannot read a frame of SPDY version ${version}`);
      if (length > MAX_CONTROL_LEN) throw new RangeError(`Cannot read a control frame of ${length} bytes`);
      if (bytes.length - at < 8 + length) break;
      const frame = control(first & 0xffff, flags, bytes.subarray(at + 8, at + 8 + length), readHeaders);
      at += 8 + length;
      if (frame) found(frame);
    }
    rest = Buffer.from(bytes.subarray(at));
  };
}

function control(
  type: number,
  flags: number,
  body: Buffer,
  readHeaders: (block: Uint8Array) => Headers,
): Frame | undefined {
  const least = type === SYN_STREAM ? 10 : 4;
  if (body.length < least && type !== 4)
    throw new RangeError(`Cannot read a frame of type ${type}: it is too short`);
  const id = body.length < 4 ? 0 : body.readUInt32BE(0) & 0x7fff_ffff;
  switch (type) {
    case SYN_STREAM:
      return {
        type: 'syn-stream',
        id,
        headers: readHeaders(body.subarray(10)),
        isLast: (flags & FLAG_FIN) !== 0,
      };
    case SYN_REPLY:
    case HEADERS:
      readHeaders(body.subarray(4)); // they are part of the one stream
      return undefined;
    case RST_STREAM:
      return { type: 'rst-stream', id };
    case PING:
      return { type: 'ping', id: body.readUInt32BE(0) };
    case GOAWAY:
      return { type: 'goaway' };
    default:
      return undefined;
  }
}

const HEADERS = 8;

/** The header of a data frame. */
export function dataHeader(id: number, length: number, isLast: boolean): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32BE(id, 0);
  bytes[4] = isLast ? FLAG_FIN : 0;
  bytes.writeUIntBE(length, 5, 3);
  return bytes;
}

/** A whole control frame. */
export function controlFrame(type: number, flags: number, ...parts: Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32BE((0x8000_0000 | (VERSION << 16) | type) >>> 0, 0);
  bytes[4] = flags;
  bytes.writeUIntBE(body.length, 5, 3);
  return Buffer.concat([bytes, body]);
}

/** SYN_STREAM, as a client opens a stream. */
export const synStream = (id: number, block: Uint8Array, isLast = false): Buffer =>
  controlFrame(SYN_STREAM, isLast ? FLAG_FIN : 0, uint32(id), Buffer.alloc(6), block);

export const synReply = (id: number, block: Uint8Array): Buffer =>
  controlFrame(SYN_REPLY, 0, uint32(id), block);

export const rstStream = (id: number, status: number): Buffer =>
  controlFrame(RST_STREAM, 0, uint32(id), uint32(status));

export const ping = (id: number): Buffer => controlFrame(PING, 0, uint32(id));

export const goAway = (lastId: number): Buffer => controlFrame(GOAWAY, 0, uint32(lastId), uint32(0));
