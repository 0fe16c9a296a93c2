/**
 * Frames by which several byte streams share one: what server and agent send each other for exec, attach and
 * port-forward. Our own format; the simplest that does it.
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +---------------+-----------------------------------------------
 *     |    channel    |                   length …
 *     +---------------+---------------+-------------------------------
 *       … length      |   that many bytes of the channel …
 *     +---------------+-----------------------------------------------
 *
 * A frame of length 0 ends its channel. Flow control is that of the connection below.
 */

export const HEADER_LEN = 5;
/** The longest payload that is sent, and accepted. */
export const MAX_LEN = 1 << 16;

/* Channels, numbered as in Kubernetes' own WebSocket protocol. */
export const STDIN = 0;
export const STDOUT = 1;
export const STDERR = 2;
/** How it ended: a Status as JSON, the last of all. */
export const ERROR = 3;
/** A terminal's size, each time it changes: `{"Width":80,"Height":24}`. */
export const RESIZE = 4;

/** The header of a frame of `length` bytes, or of the one that ends a channel. */
export function header(channel: number, length: number): Uint8Array {
  return Uint8Array.of(channel, length >>> 24, length >>> 16, length >>> 8, length);
}

/** What a reader found: bytes of a channel, or its end. */
export type Found = (channel: number, bytes: Uint8Array | undefined) => void;

/**
 * A reader of frames, however they are cut: to be called with each chunk in order. Payload is handed on as it comes,
 * as parts of the chunks, so that nothing is collected.
 *
 * @throws {RangeError} when a frame is longer than {@link MAX_LEN}: then it is no frame
 */
export function createReader(found: Found): (chunk: Uint8Array) => void {
  let channel = 0;
  /** Of the header, and its bytes so far as a number. */
  let have = 0;
  let length = 0;
  /** Of the payload, still to come. */
  let left = 0;
  return (chunk) => {
    let at = 0;
    while (at < chunk.length) {
      if (left > 0) {
        const end = Math.min(at + left, chunk.length);
        found(channel, chunk.subarray(at, end));
        left -= end - at;
        at = end;
        continue;
      }
      const byte = chunk[at++];
      if (have === 0) channel = byte;
      else length = length * 256 + byte;
      have += 1;
      if (have < HEADER_LEN) continue;
      if (length > MAX_LEN)
        throw new RangeError(`Cannot read a frame of ${length} bytes: at most ${MAX_LEN}`);
      left = length;
      have = 0;
      length = 0;
      if (left === 0) found(channel, undefined);
    }
  };
}
