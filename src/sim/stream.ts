/**
 * A reliable byte stream with real TCP headers: enough of RFC 9293 to move bytes over a link that loses, duplicates and
 * reorders, and to show what the packet path does with them.
 *
 * Theory of operation. Sequence numbers are kept relative to their initial one: 0 is the SYN, data begins at 1, the FIN
 * comes behind it. `una` is what the peer has acknowledged, `nxt` what was sent, `sentMax` what ever was. A timer runs while
 * something is unacknowledged; when it ends, sending goes back to `una` (RFC 6298). Three equal acknowledgements send the
 * segment at `una` again, and each partial one after that the next (RFC 6582). What comes too early is kept until the gap
 * closes. Every segment with data is acknowledged at once.
 *
 * Not here: options, window scaling, flow control (who receives reads at once), simultaneous open, urgent data.
 */
import * as tcp from '../wire/tcp.js';

export type StreamState = 'syn-sent' | 'syn-received' | 'established' | 'closed' | 'reset';

/** A segment as it was received. */
export interface Segment {
  readonly seq: number;
  readonly ack: number;
  readonly flags: number;
  readonly payload: Uint8Array;
}

/** How a stream reaches the world. */
export interface StreamWire {
  send(seq: number, ack: number, flags: number, payload: Uint8Array, mss: number): void;
  after(ms: number, act: () => void): void;
  now(): number;
}

const MIN_RTO_MS = 50;
const MAX_RTO_MS = 5000;
const WINDOW = 65535;
const MAX_TRIES = 20;

export class Stream {
  state: StreamState;
  /** Payload of a segment. */
  mss: number;
  /** Largest payload given to the wire in one piece: more than the MSS where the endpoint has TSO. */
  readonly maxPayload: number;
  /** What has arrived in order. */
  readonly chunks: Uint8Array[] = [];
  receivedLen = 0;
  /** The peer has sent all it will. */
  hasEnded = false;
  retransmissions = 0;
  /** Called with each piece that arrives in order. */
  onData: ((bytes: Uint8Array) => void) | undefined;

  readonly #wire: StreamWire;
  #data = new Uint8Array(1024);
  #dataLen = 0;
  #isClosing = false;
  readonly #iss: number;
  #una = 0;
  #nxt = 0;
  #sentMax = 0;
  #cwnd: number;
  #ssthresh = WINDOW;
  #equalAcks = 0;
  #recover = 0;
  #irs = 0;
  #rcvNxt = 0;
  #early: { rel: number; payload: Uint8Array; hasFin: boolean }[] = [];
  #rtoMs = 200;
  #srttMs = 0;
  #rttvarMs = 0;
  #timed: { rel: number; at: number } | undefined;
  #timer = 0;
  #isArmed = false;
  #tries = 0;

  /** @param syn  the SYN that this stream answers; without one it begins by itself */
  constructor(wire: StreamWire, iss: number, mss: number, maxPayload: number, syn?: Segment) {
    this.#wire = wire;
    this.#iss = iss >>> 0;
    this.mss = mss;
    this.maxPayload = maxPayload;
    this.#cwnd = 10 * mss;
    this.state = syn ? 'syn-received' : 'syn-sent';
    if (syn) {
      this.#irs = syn.seq;
      this.#rcvNxt = 1;
    }
    this.#sendSyn();
  }

  /** Bytes the peer has acknowledged. */
  get ackedLen(): number {
    return Math.min(Math.max(this.#una - 1, 0), this.#dataLen);
  }

  /** All that has arrived so far. */
  received(): Uint8Array {
    const all = new Uint8Array(this.receivedLen);
    this.chunks.reduce((at, chunk) => (all.set(chunk, at), at + chunk.length), 0);
    return all;
  }

  write(bytes: Uint8Array): void {
    const needed = this.#dataLen + bytes.length;
    if (needed > this.#data.length) {
      const grown = new Uint8Array(Math.max(needed, 2 * this.#data.length));
      grown.set(this.#data.subarray(0, this.#dataLen));
      this.#data = grown;
    }
    this.#data.set(bytes, this.#dataLen);
    this.#dataLen = needed;
    this.#pump();
  }

  /** No more will be written. */
  close(): void {
    this.#isClosing = true;
    this.#pump();
  }

  /** The path takes no more than `mss` bytes of payload in a segment. RFC 1191 §6.5. */
  limitMss(mss: number): void {
    if (mss >= this.mss || mss < 100) return;
    this.mss = mss;
    this.#nxt = this.#una;
    this.#pump();
  }

  receive(segment: Segment): void {
    const { flags } = segment;
    if (this.state === 'reset') return;
    if ((flags & tcp.RST) !== 0) {
      this.state = 'reset';
      this.#isArmed = false;
      return;
    }
    if ((flags & tcp.SYN) !== 0) {
      this.#receiveSyn(segment);
      return;
    }
    if (this.state === 'syn-sent') return;
    if ((flags & tcp.ACK) !== 0) this.#receiveAck(segment);
    if (segment.payload.length > 0 || (flags & tcp.FIN) !== 0) this.#receiveData(segment);
    if (this.state === 'established' && this.hasEnded && this.#isClosing && this.#una === this.#end())
      this.state = 'closed';
  }

  #receiveSyn(segment: Segment): void {
    const hasAck = (segment.flags & tcp.ACK) !== 0;
    if (this.state === 'syn-sent' && hasAck && (segment.ack - this.#iss) >>> 0 === 1) {
      this.#irs = segment.seq;
      this.#rcvNxt = 1;
      this.#una = 1;
      this.state = 'established';
      this.#tries = 0;
      this.#isArmed = false;
      this.#acknowledge();
      this.#pump();
    } else if (this.state === 'syn-received' && !hasAck) this.#sendSyn();
    else if (this.state === 'established') this.#acknowledge();
  }

  #receiveAck(segment: Segment): void {
    const rel = (segment.ack - this.#iss) >>> 0;
    if (rel > this.#sentMax) return;
    if (this.state === 'syn-received' && rel >= 1) this.state = 'established';
    if (rel > this.#una) {
      this.#measure(rel);
      const isRecovering = this.#una < this.#recover;
      this.#una = rel;
      this.#nxt = Math.max(this.#nxt, rel);
      this.#equalAcks = 0;
      this.#tries = 0;
      this.#isArmed = false;
      if (isRecovering && rel < this.#recover) this.#resend();
      else
        this.#cwnd = Math.min(
          WINDOW,
          this.#cwnd + (this.#cwnd < this.#ssthresh ? this.mss : (this.mss * this.mss) / this.#cwnd),
        );
    } else if (rel === this.#una && segment.payload.length === 0 && this.#una < this.#sentMax) {
      this.#equalAcks++;
      if (this.#equalAcks === 3 && this.#una >= this.#recover) {
        this.#ssthresh = Math.max((this.#sentMax - this.#una) / 2, 2 * this.mss);
        this.#cwnd = this.#ssthresh;
        this.#recover = this.#sentMax;
        this.#resend();
      }
    }
    this.#pump();
  }

  #receiveData(segment: Segment): void {
    const rel = this.#rcvNxt + ((segment.seq - (this.#irs + this.#rcvNxt)) | 0);
    const hasFin = (segment.flags & tcp.FIN) !== 0;
    this.#early.push({ rel, payload: segment.payload, hasFin });
    this.#early.sort((a, b) => a.rel - b.rel);
    while (this.#early.length > 0 && this.#early[0]!.rel <= this.#rcvNxt) {
      const { rel: from, payload, hasFin: isLast } = this.#early.shift()!;
      const fresh = payload.subarray(Math.min(this.#rcvNxt - from, payload.length));
      if (fresh.length > 0 && !this.hasEnded) {
        this.chunks.push(fresh);
        this.receivedLen += fresh.length;
        this.#rcvNxt += fresh.length;
        this.onData?.(fresh);
      }
      if (isLast && !this.hasEnded && from + payload.length === this.#rcvNxt) {
        this.hasEnded = true;
        this.#rcvNxt++;
      }
    }
    this.#acknowledge();
  }

  /** Relative number behind all that shall be sent. */
  #end(): number {
    return 1 + this.#dataLen + (this.#isClosing ? 1 : 0);
  }

  #pump(): void {
    if (this.state !== 'established') return;
    const dataEnd = 1 + this.#dataLen;
    const limit = this.#una + Math.min(this.#cwnd, WINDOW);
    while (this.#nxt < dataEnd && this.#nxt < limit) {
      const len = Math.min(dataEnd - this.#nxt, Math.floor(limit - this.#nxt), this.#largest());
      // No slivers while something is under way (RFC 9293 §3.8.6.2.1).
      if (len < this.mss && this.#nxt + len < dataEnd && this.#nxt > this.#una) break;
      if (len < 1) break;
      this.#sendData(this.#nxt, len);
      this.#nxt += len;
    }
    if (this.#isClosing && this.#nxt === dataEnd) {
      this.#emit(tcp.FIN | tcp.ACK, dataEnd, new Uint8Array(0));
      this.#nxt++;
    }
    this.#arm();
  }

  /** Whole segments only, so that what a super-frame is cut into is as long as what would have been sent without. */
  #largest(): number {
    return Math.max(this.mss, Math.floor(this.maxPayload / this.mss) * this.mss);
  }

  #sendData(rel: number, len: number): void {
    const isLast = rel + len === 1 + this.#dataLen;
    this.#emit(tcp.ACK | (isLast ? tcp.PSH : 0), rel, this.#data.slice(rel - 1, rel - 1 + len));
  }

  /** The segment at `una` once more. */
  #resend(): void {
    this.retransmissions++;
    this.#timed = undefined;
    const len = Math.min(1 + this.#dataLen - this.#una, this.mss);
    if (len > 0) {
      this.#sendData(this.#una, len);
      this.#nxt = Math.max(this.#nxt, this.#una + len);
    } else if (this.#isClosing) this.#emit(tcp.FIN | tcp.ACK, 1 + this.#dataLen, new Uint8Array(0));
    this.#arm();
  }

  #sendSyn(): void {
    this.#emit(this.state === 'syn-sent' ? tcp.SYN : tcp.SYN | tcp.ACK, 0, new Uint8Array(0));
    this.#nxt = 1;
    this.#arm();
  }

  #acknowledge(): void {
    this.#wire.send(this.#seq(this.#nxt), this.#ackNumber(), tcp.ACK, new Uint8Array(0), this.mss);
  }

  #emit(flags: number, rel: number, payload: Uint8Array): void {
    const end = rel + payload.length + ((flags & (tcp.SYN | tcp.FIN)) === 0 ? 0 : 1);
    if (end > this.#sentMax) this.#timed ??= { rel: end, at: this.#wire.now() };
    this.#sentMax = Math.max(this.#sentMax, end);
    const ack = (flags & tcp.ACK) === 0 ? 0 : this.#ackNumber();
    this.#wire.send(this.#seq(rel), ack, flags, payload, this.mss);
  }

  #seq(rel: number): number {
    return (this.#iss + rel) >>> 0;
  }

  #ackNumber(): number {
    return (this.#irs + this.#rcvNxt) >>> 0;
  }

  /** RFC 6298 §2; never from what was sent twice (§3). */
  #measure(rel: number): void {
    if (!this.#timed || rel < this.#timed.rel) return;
    const rtt = this.#wire.now() - this.#timed.at;
    this.#timed = undefined;
    this.#rttvarMs =
      this.#srttMs === 0 ? rtt / 2 : 0.75 * this.#rttvarMs + 0.25 * Math.abs(this.#srttMs - rtt);
    this.#srttMs = this.#srttMs === 0 ? rtt : 0.875 * this.#srttMs + 0.125 * rtt;
    this.#rtoMs = Math.min(Math.max(this.#srttMs + 4 * this.#rttvarMs, MIN_RTO_MS), MAX_RTO_MS);
  }

  #arm(): void {
    if (this.#isArmed || this.#una >= this.#sentMax) return;
    this.#isArmed = true;
    const timer = ++this.#timer;
    this.#wire.after(this.#rtoMs, () => {
      if (timer !== this.#timer || !this.#isArmed) return;
      this.#isArmed = false;
      this.#expired();
    });
  }

  #expired(): void {
    if (++this.#tries > MAX_TRIES) {
      this.state = 'reset';
      return;
    }
    this.#rtoMs = Math.min(2 * this.#rtoMs, MAX_RTO_MS);
    this.retransmissions++;
    this.#timed = undefined;
    if (this.state === 'syn-sent' || this.state === 'syn-received') {
      this.#sendSyn();
      return;
    }
    this.#ssthresh = Math.max((this.#sentMax - this.#una) / 2, 2 * this.mss);
    this.#cwnd = 2 * this.mss;
    this.#recover = this.#sentMax;
    this.#nxt = this.#una;
    this.#pump();
  }
}
