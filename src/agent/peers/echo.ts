/**
 * Asking peers whether they are there: ICMP echoes of a given size that may not be fragmented. RFC 792, RFC 1191.
 *
 * To a peer's *router* an echo goes through the tunnel, so that its answer says that packets of that size get through both
 * ways, VXLAN header and all; the router answers whatever the peer's kernel thinks of pings. To a peer's own address it goes
 * beside the tunnel. What else the host hears by ICMP about its tunnel (a port where nobody listens, a firewall that says
 * so) is kept as a hint.
 *
 * While an answer is awaited the socket is looked at every few milliseconds; else nothing happens.
 */
import { close as closeFd } from '../../sys/io.js';
import { openIcmp, receiveIcmp, sendIcmp } from '../../sys/icmp.js';
import * as checksum from '../../wire/checksum.js';
import * as icmp from '../../wire/icmp.js';
import * as ipv4 from '../../wire/ipv4.js';

const LOOK_MS = 5;
const LARGEST = 65_536;
/** More packets than this at a look are somebody else's; the next look takes the rest. */
const MOST_A_LOOK = 256;

/** So long a hint says something of now. */
const HINT_MS = 30_000;
const MOST_HINTS = 1000;

export interface Echoes {
  /**
   * Send an echo that makes an IP packet of `bytes`, and wait.
   *
   * @param to  an IPv4 address, a word
   * @returns   whether the answer came in time; false at once when the kernel did not send it
   */
  ask(to: number, bytes: number, waitMs: number): Promise<boolean>;
  /** The code of an "unreachable" that was heard lately of a datagram to this address and port; undefined: none. */
  refusal(to: number, udpPort: number): number | undefined;
  close(): void;
}

interface Question {
  readonly to: number;
  readonly done: (isAnswered: boolean) => void;
  readonly endMs: number;
}

/** @param netns  the host's namespace  @param id  the echoes' identifier, 16 bits. @throws SysError without CAP_NET_RAW */
export function openEchoes(netns: string | undefined, id: number): Echoes {
  const fd = openIcmp(netns, [icmp.ECHO_REPLY, icmp.UNREACHABLE]);
  const buffer = new Uint8Array(new ArrayBuffer(LARGEST));
  const view = new DataView(buffer.buffer);
  const questions = new Map<number, Question>();
  const refusals = new Map<string, { code: number; atMs: number }>();
  let sequence = 0;
  let timer: NodeJS.Timeout | undefined;

  const settle = (number: number, isAnswered: boolean): void => {
    const question = questions.get(number);
    questions.delete(number);
    if (questions.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
    question?.done(isAnswered);
  };

  const hear = (len: number): void => {
    if (!ipv4.check(view, 0, len)) return;
    const l4 = ipv4.headerLen(view, 0);
    if (!icmp.check(len - l4)) return;
    if (icmp.type(view, l4) === icmp.ECHO_REPLY) {
      const number = icmp.seq(view, l4);
      if (icmp.id(view, l4) === id && questions.get(number)?.to === ipv4.src(view, 0)) settle(number, true);
      return;
    }
    const quoted = l4 + icmp.HEADER_LEN;
    if (len < quoted + ipv4.MIN_HEADER_LEN + 4 || ipv4.proto(view, quoted) !== ipv4.UDP) return;
    const udp = quoted + ipv4.headerLen(view, quoted);
    if (len < udp + 4) return;
    const key = `${ipv4.dst(view, quoted)}:${view.getUint16(udp + 2)}`;
    if (refusals.size < MOST_HINTS || refusals.has(key))
      refusals.set(key, { code: icmp.code(view, l4), atMs: performance.now() });
  };

  const look = (): void => {
    for (let i = 0; i < MOST_A_LOOK; i++) {
      const len = receiveIcmp(fd, buffer);
      if (len < 0) break;
      hear(len);
    }
    const now = performance.now();
    for (const [number, { endMs }] of questions) if (now >= endMs) settle(number, false);
  };

  return {
    ask(to, bytes, waitMs) {
      sequence = (sequence + 1) & 0xffff;
      const number = sequence;
      if (questions.has(number)) return Promise.resolve(false); // 65,536 at once: somebody asks too much
      const sent = sendIcmp(fd, to, echo(bytes - ipv4.MIN_HEADER_LEN, id, number));
      if (sent < 0) return Promise.resolve(false);
      return new Promise((done) => {
        questions.set(number, { to, done, endMs: performance.now() + waitMs });
        timer ??= setInterval(look, LOOK_MS);
      });
    },
    refusal(to, udpPort) {
      const heard = refusals.get(`${to}:${udpPort}`);
      return heard && performance.now() - heard.atMs < HINT_MS ? heard.code : undefined;
    },
    close() {
      for (const number of [...questions.keys()]) settle(number, false);
      closeFd(fd);
    },
  };
}

/** An echo request of `len` bytes from its type on, at least a header. */
function echo(len: number, id: number, sequence: number): Uint8Array {
  const bytes = Math.max(len, icmp.HEADER_LEN);
  const packet = new Uint8Array(new ArrayBuffer((bytes + 3) & ~3));
  const view = new DataView(packet.buffer);
  view.setUint8(0, icmp.ECHO_REQUEST);
  view.setUint16(4, id);
  view.setUint16(6, sequence);
  const b = checksum.bytesOf(packet.buffer);
  checksum.store(b, icmp.CHECKSUM, checksum.finish(checksum.sum(b, 0, bytes)));
  return packet.subarray(0, bytes);
}
