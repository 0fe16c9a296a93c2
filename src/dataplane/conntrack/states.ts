/**
 * States of a flow and how long each may be silent.
 *
 *     TCP:    syn-sent ─► syn-received ─► established ─► closing ─► time-wait
 *                                │  a reset from any of them: closed
 *     others: unreplied ─► replied
 *
 * Times are those of Linux's conntrack with the values kube-proxy sets (established 24 h, close-wait 1 h).
 * Sequence numbers are not followed: a reset with a wrong one ends our entry and not the connection, and the next packet
 * picks the flow up again.
 */
import * as ipv4 from '../../wire/ipv4.js';
import * as tcp from '../../wire/tcp.js';
import {
  CLOSED,
  CLOSING,
  ESTABLISHED,
  FLAG_FIN_INI,
  FLAG_FIN_TGT,
  FROM_INI,
  SYN_RECEIVED,
  SYN_SENT,
  TIME_WAIT,
  UNREPLIED,
} from '../../tables/conntrack.js';

const SECOND = 1000;

/** Milliseconds a flow in `state` may be silent. */
export function timeoutMs(state: number, proto: number): number {
  switch (state) {
    case SYN_SENT:
      return 120 * SECOND;
    case SYN_RECEIVED:
      return 60 * SECOND;
    case ESTABLISHED:
      return 86_400 * SECOND;
    case CLOSING:
      return 3600 * SECOND;
    case TIME_WAIT:
      return 120 * SECOND;
    case CLOSED:
      return 10 * SECOND;
    case UNREPLIED:
      return proto === ipv4.UDP || proto === ipv4.ICMP ? 30 * SECOND : 600 * SECOND;
    default:
      return proto === ipv4.UDP ? 120 * SECOND : proto === ipv4.ICMP ? 30 * SECOND : 600 * SECOND;
  }
}

/** The state of a TCP flow that begins with a segment of these flags, or 0: such a segment begins none. */
export function firstTcpState(flags: number): number {
  if ((flags & tcp.RST) !== 0) return 0;
  if ((flags & (tcp.SYN | tcp.ACK)) === tcp.SYN) return SYN_SENT;
  // Picked up in mid-stream: the daemon was away while the connection was not.
  return (flags & tcp.ACK) !== 0 ? ESTABLISHED : 0;
}

/** The bit for a FIN from a side. */
export const finFlag = (direction: number): number => (direction === FROM_INI ? FLAG_FIN_INI : FLAG_FIN_TGT);

/**
 * The next state of a TCP flow. RFC 9293 §3.3.2, seen from the middle.
 *
 * @param fins  FINs seen so far, this segment's included
 */
export function nextTcpState(state: number, flags: number, direction: number, fins: number): number {
  if ((flags & tcp.RST) !== 0) return CLOSED;
  const synAck = flags & (tcp.SYN | tcp.ACK);
  switch (state) {
    case SYN_SENT:
      if (direction !== FROM_INI && synAck === (tcp.SYN | tcp.ACK)) return SYN_RECEIVED;
      break;
    case SYN_RECEIVED:
      if (direction === FROM_INI && synAck === tcp.ACK) state = ESTABLISHED;
      break;
  }
  if (state === ESTABLISHED || state === CLOSING || state === SYN_RECEIVED) {
    if (fins === (FLAG_FIN_INI | FLAG_FIN_TGT)) return TIME_WAIT;
    if (fins !== 0) return CLOSING;
  }
  return state;
}
