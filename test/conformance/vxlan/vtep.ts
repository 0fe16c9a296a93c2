/**
 * The other end of the tunnel, played by the test: what a host with a VTEP would send and receive, as frames on the wire.
 */
import { bytesOf } from '../../../src/wire/checksum.js';
import { findLink } from '../../../src/sys/link.js';
import { L2, readFrame, writeFrame } from '../../lib/frames.js';
import { concat } from '../../lib/hex.js';
import type { Host, PlayedHost } from '../../lib/overlay.js';
import { parseFrame, udpFrame, type ParsedFrame, type UdpFields } from '../../lib/packets.js';
import { until } from '../../lib/until.js';

/** The VXLAN port of flannel and of the Linux kernel. */
export const PORT = 8472;
/** I flag, VNI 1, nothing else. */
export const HEADER: Uint8Array = Uint8Array.of(0x08, 0, 0, 0, 0, 0, 1, 0);
export const HEADER_LEN = 8;

/** One frame of the wire that carries VXLAN. */
export interface Datagram {
  readonly outer: ParsedFrame;
  /** The VXLAN header. */
  readonly header: Uint8Array;
  /** The inner frame's bytes, and what they say. */
  readonly bytes: Uint8Array;
  readonly inner: ParsedFrame;
}

/** A frame of the wire as VXLAN; undefined when it is something else. */
export function parseDatagram(frame: Uint8Array, port = PORT): Datagram | undefined {
  const outer = parseFrame(frame);
  if (outer.proto !== 17 || outer.dstPort !== port || outer.fragmentOffset !== 0) return undefined;
  const bytes = outer.payload.slice(HEADER_LEN);
  return { outer, header: outer.payload.slice(0, HEADER_LEN), bytes, inner: parseFrame(bytes) };
}

/** What may be said of the outer headers. */
export type OuterFields = Pick<UdpFields, 'srcPort' | 'checksum' | 'tos'> & { dstPort?: number };

export class Vtep {
  readonly host: PlayedHost;
  readonly #log: Uint8Array[] = [];

  constructor(host: PlayedHost) {
    this.host = host;
  }

  /** Put a frame on the wire. */
  sendFrame(frame: Uint8Array): void {
    const buffer = new ArrayBuffer((L2 + frame.length + 3) & ~3);
    new Uint8Array(buffer).set(frame, L2);
    const sent = writeFrame(this.host.tap.fd, { b: bytesOf(buffer), len: L2 + frame.length });
    if (sent < 0) throw new Error(`Cannot put a frame on the wire: errno ${-sent}`);
  }

  /** The frame that takes a UDP payload to a host. */
  outerFrame(to: Host, payload: Uint8Array, fields: Partial<OuterFields> = {}): Uint8Array {
    return udpFrame({
      srcMac: this.host.mac,
      dstMac: findLink('eth0', to.netns)!.mac,
      src: this.host.address,
      dst: to.address,
      srcPort: 49152,
      dstPort: PORT,
      ...fields,
      payload,
    });
  }

  /** Send an inner frame through the tunnel. */
  send(to: Host, inner: Uint8Array, fields?: Partial<OuterFields>, header = HEADER): void {
    this.sendFrame(this.outerFrame(to, concat(header, inner), fields));
  }

  /** All frames that have come so far. */
  received(): readonly Uint8Array[] {
    for (let frame = readFrame(this.host.tap.fd); frame; frame = readFrame(this.host.tap.fd))
      this.#log.push(frame.b.u8.slice(L2, frame.len));
    return this.#log;
  }

  /** Datagrams among the frames from number `from` on. */
  datagrams(from = 0): Datagram[] {
    return this.received()
      .slice(from)
      .flatMap((frame) => parseDatagram(frame) ?? []);
  }

  /** Wait for a datagram, among the frames from number `from` on. */
  until(what: string, isWanted: (datagram: Datagram) => boolean, from = 0): Promise<Datagram> {
    let next = from;
    return until(what, () => {
      const frames = this.received();
      while (next < frames.length) {
        const datagram = parseDatagram(frames[next++]!);
        if (datagram && isWanted(datagram)) return datagram;
      }
      return undefined;
    });
  }
}
