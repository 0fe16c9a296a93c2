/**
 * A connection that speaks SPDY, as the server has it: each stream that the client opens is a Node Duplex.
 *
 * Theory of operation. SYN_STREAM → open, answered by SYN_REPLY → half closed by FIN, either way → closed by both, or
 * broken by RST_STREAM or the end of the connection. There is no flow control but the connection's: a stream that is
 * more than {@link AHEAD_BYTES} ahead of its reader stops the whole connection until it has been read.
 */
import { Duplex } from 'node:stream';
import {
  CANCEL,
  createFrameReader,
  createHeaderWriter,
  dataHeader,
  goAway,
  ping,
  PROTOCOL_ERROR,
  REFUSED_STREAM,
  rstStream,
  synReply,
  type Frame,
  type Headers,
} from './spdy.js';

const AHEAD_BYTES = 1 << 18;
const MAX_STREAMS = 2000;
const MAX_DATA_BYTES = 1 << 16;

/** A stream that the client has opened. */
export interface SpdyStream {
  readonly id: number;
  readonly headers: Headers;
  readonly duplex: Duplex;
}

export interface SpdyConnection {
  /** Say that there is nothing more, and end the connection when all is sent. */
  end(): void;
}

/**
 * Speak SPDY.
 *
 * @param socket  what carries it
 * @param opened  told of each stream
 */
export function openSpdy(socket: Duplex, opened: (stream: SpdyStream) => void): SpdyConnection {
  const streams = new Map<number, Duplex>();
  /** Streams that are ahead of their readers. */
  const full = new Set<number>();
  const writeHeaders = createHeaderWriter();
  let lastId = 0;

  const send = (bytes: Uint8Array, done?: (error?: Error | null) => void): void => {
    if (socket.writable) socket.write(bytes, done);
    else done?.(new Error('The connection has ended'));
  };
  const drained = (id: number): void => {
    if (full.delete(id) && full.size === 0) socket.resume();
  };

  const open = ({ id, headers, isLast }: Frame & { type: 'syn-stream' }): void => {
    if (id <= lastId || id % 2 === 0) return send(rstStream(id, PROTOCOL_ERROR));
    lastId = id;
    if (streams.size >= MAX_STREAMS) return send(rstStream(id, REFUSED_STREAM));
    const duplex = new Duplex({
      readableHighWaterMark: AHEAD_BYTES,
      read: () => drained(id),
      write(chunk: Buffer, _encoding, done) {
        for (let at = 0; at < chunk.length; at += MAX_DATA_BYTES) {
          const part = chunk.subarray(at, at + MAX_DATA_BYTES);
          const isDone = at + MAX_DATA_BYTES >= chunk.length;
          send(Buffer.concat([dataHeader(id, part.length, false), part]), isDone ? done : undefined);
        }
        if (chunk.length === 0) done();
      },
      final: (done) => send(dataHeader(id, 0, true), done),
      destroy(error, done) {
        const isWhole = this.readableEnded && this.writableFinished;
        if (streams.delete(id) && !isWhole) send(rstStream(id, CANCEL));
        drained(id);
        done(error);
      },
    });
    duplex.on('error', () => {}); // whoever uses it hears of it too
    streams.set(id, duplex);
    send(synReply(id, writeHeaders(new Map())));
    if (isLast) duplex.push(null);
    opened({ id, headers, duplex });
  };

  const take = (frame: Frame): void => {
    if (frame.type === 'syn-stream') open(frame);
    else if (frame.type === 'ping') {
      if (frame.id % 2 === 1) send(ping(frame.id)); // else it answers one of ours, and we send none
    } else if (frame.type === 'rst-stream') {
      const duplex = streams.get(frame.id);
      streams.delete(frame.id);
      duplex?.destroy(new Error('The client has ended the stream'));
    } else if (frame.type === 'data') {
      const duplex = streams.get(frame.id);
      // What is still under way for a stream that was ended is no error.
      if (!duplex || duplex.destroyed || ended.has(duplex)) return;
      if (frame.bytes.length > 0 && !duplex.push(frame.bytes)) {
        full.add(frame.id);
        socket.pause();
      }
      if (frame.isLast) {
        ended.add(duplex);
        duplex.push(null);
      }
    }
  };
  /** Streams whose client has sent FIN. */
  const ended = new WeakSet<Duplex>();

  const read = createFrameReader(take);
  socket.on('data', (chunk: Buffer) => {
    try {
      read(chunk);
    } catch (error) {
      socket.destroy(error as Error);
    }
  });
  const breakAll = (): void => {
    for (const duplex of [...streams.values()]) duplex.destroy(new Error('The connection has ended'));
    streams.clear();
  };
  socket.on('error', () => {}); // its close follows
  socket.once('end', () => socket.destroy());
  socket.once('close', breakAll);

  return {
    end() {
      send(goAway(lastId));
      socket.end();
    },
  };
}
