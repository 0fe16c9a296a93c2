/**
 * Several Node streams on one connection, in the frames of wire/channel-frame.ts. Server and agent both use it, on the
 * body of a request one way and of its response the other.
 *
 * Theory of operation. An output writes a frame a chunk and waits until the connection has taken it. An input that is
 * full stops the whole connection until it is read again, so that memory is bounded; who reads one input must not wait
 * for another. An input that nobody wants any more is read and forgotten. When the connection ends, inputs whose end has
 * not come break with an error: what is not whole never looks so.
 */
import { Readable, Writable } from 'node:stream';
import { createReader, header, MAX_LEN } from '../wire/channel-frame.js';

export interface Channels {
  /** What the other side sends on a channel. */
  input(channel: number): Readable;
  /** What we send on a channel; ending it tells the other side. */
  output(channel: number): Writable;
}

/**
 * Open channels.
 *
 * @param source  carries what comes; it is the channels' from now on
 * @param sink    carries what goes; ending it is the caller's
 * @param inputs  channels that are expected; others break the connection
 */
export function openChannels(source: Readable, sink: Writable, inputs: readonly number[]): Channels {
  /** Inputs that are full. */
  const full = new Set<number>();
  /** Inputs whose end has come, read or not yet. */
  const whole = new Set<number>();
  const readables = new Map<number, Readable>();
  for (const channel of inputs) {
    const readable = new Readable({
      read() {
        if (full.delete(channel) && full.size === 0) source.resume();
      },
      destroy(error, done) {
        this.resume();
        if (full.delete(channel) && full.size === 0) source.resume();
        done(error);
      },
    });
    readable.on('error', () => {}); // whoever reads it hears of it too
    readables.set(channel, readable);
  }
  const read = createReader((channel, bytes) => {
    const readable = readables.get(channel);
    if (!readable) throw new RangeError(`Cannot read channel ${channel}: it was not agreed on`);
    if (readable.destroyed || whole.has(channel)) return;
    if (bytes === undefined) whole.add(channel);
    if (readable.push(bytes ?? null) || bytes === undefined) return;
    full.add(channel);
    source.pause();
  });
  const finish = (why: string): void => {
    for (const [channel, readable] of readables) if (!whole.has(channel)) readable.destroy(new Error(why));
  };
  source.on('data', (chunk: Buffer) => {
    try {
      read(chunk);
    } catch (error) {
      source.destroy(error as Error);
    }
  });
  source.on('error', (error) => finish(error.message));
  source.once('end', () => finish('The connection ended'));
  source.once('close', () => finish('The connection ended'));
  sink.on('error', () => {}); // every output hears of it

  return {
    input: (channel) => readables.get(channel)!,
    output(channel) {
      return new Writable({
        highWaterMark: MAX_LEN,
        write(chunk: Buffer, _encoding, done) {
          for (let at = 0; at < chunk.length; at += MAX_LEN) {
            const part = chunk.subarray(at, at + MAX_LEN);
            const frame = Buffer.concat([header(channel, part.length), part]);
            if (at + MAX_LEN < chunk.length) sink.write(frame);
            else sink.write(frame, done);
          }
          if (chunk.length === 0) done();
        },
        final(done) {
          sink.write(header(channel, 0), done);
        },
      }).on('error', () => {});
    },
  };
}
