/**
 * The scene of all cases: two hosts of ours with pods, and a third that the test plays.
 *
 *     a 10.244.1.2, b .3      c 10.244.2.2        (10.244.3.2 is spoken for by the test)
 *        one 192.0.2.1 ───── two 192.0.2.2 ───── peer 192.0.2.3
 *
 * Whether something was *not* delivered is told by a marker: a datagram that is certainly right, sent behind it on the same
 * way. What has not come before the marker does not come.
 */
import type { Test } from 'tap';
import { close } from '../../../src/sys/io.js';
import { openUdp } from '../../../src/sys/udp.js';
import { capture, type Capture } from '../../lib/capture.js';
import * as mmsg from '../../lib/mmsg.js';
import { Overlay, transfer, within, type Host, type TestPod } from '../../lib/overlay.js';
import { packetSocket } from '../../lib/packet-socket.js';
import { parseFrame, udpFrame, type ParsedFrame, type UdpFields } from '../../lib/packets.js';
import { until } from '../../lib/until.js';
import { parseDatagram, Vtep, type Datagram } from './vtep.js';

/** Where test datagrams go: a socket that takes them in silence. */
export const SINK = 7000;
const MARKER = 7001;
export const PEER_POD = '10.244.3.2';
const ETHERTYPE_ARP = 0x0806;
const KIB = 1 << 10;
const DATA = Uint8Array.from({ length: 1500 }, (_, i) => i * 7);

const TEXT = new TextEncoder();
/** Payload that can be told from all others. */
export const text = (words: string): Uint8Array => TEXT.encode(words);

export interface ActingPod extends TestPod {
  readonly mac: string;
  readonly host: Host;
  /** What its NIC is given. */
  readonly seen: Capture;
  /** Send a whole frame by its NIC. */
  sendFrame(frame: Uint8Array): void;
  /** Send datagrams from a socket of its own, in one call: the kernel may hand them on as one super-frame. */
  sendUdp(messages: readonly mmsg.Outgoing[]): void;
}

/** A frame that a pod's NIC was given. */
export interface Delivered extends ParsedFrame {
  readonly bytes: Uint8Array;
}

export class Stage {
  readonly overlay: Overlay;
  readonly one: Host;
  readonly two: Host;
  readonly peer: Vtep;
  readonly a: ActingPod;
  readonly b: ActingPod;
  readonly c: ActingPod;
  /** What two and one are given by the wire. */
  readonly toTwo: Capture;
  readonly toOne: Capture;
  #markers = 0;
  #recorded: Promise<readonly Datagram[]> | undefined;
  readonly #t: Test;

  private constructor(
    t: Test,
    parts: Pick<Stage, 'overlay' | 'one' | 'two' | 'peer' | 'a' | 'b' | 'c' | 'toOne' | 'toTwo'>,
  ) {
    this.#t = t;
    this.overlay = parts.overlay;
    this.one = parts.one;
    this.two = parts.two;
    this.peer = parts.peer;
    this.a = parts.a;
    this.b = parts.b;
    this.c = parts.c;
    this.toOne = parts.toOne;
    this.toTwo = parts.toTwo;
  }

  static async open(t: Test): Promise<Stage> {
    const overlay = new Overlay(t);
    const one = await overlay.addHost();
    const two = await overlay.addHost();
    const peer = new Vtep(await overlay.addPlayedHost());
    const a = await actingPod(t, overlay, one);
    const b = await actingPod(t, overlay, one);
    const c = await actingPod(t, overlay, two);
    // On the bridge's side, on the way out: frames as they are on the wire, and no captured mode at the hosts.
    const toOne = await capture(t, overlay.underlay, `w${one.number}`, 'out');
    const toTwo = await capture(t, overlay.underlay, `w${two.number}`, 'out');
    return new Stage(t, { overlay, one, two, peer, a, b, c, toOne, toTwo });
  }

  /** An inner UDP frame from the peer's pod to one of ours. */
  innerUdp(to: ActingPod, fields: Partial<UdpFields> = {}): Uint8Array {
    return udpFrame({
      srcMac: this.peer.host.vtepMac,
      dstMac: to.host.vtepMac,
      src: PEER_POD,
      dst: to.ip,
      srcPort: SINK,
      dstPort: SINK,
      ...fields,
    });
  }

  /** A frame of a pod of ours to the peer's pod. */
  podUdp(from: ActingPod, fields: Partial<UdpFields> = {}): Uint8Array {
    return udpFrame({
      srcMac: from.mac,
      dstMac: routerMac(from.host),
      src: from.ip,
      dst: PEER_POD,
      srcPort: SINK,
      dstPort: SINK,
      ...fields,
    });
  }

  /** What pods are given from now until a marker that follows `act` through the tunnel; ARP is left out. */
  async delivered(act: () => void | Promise<void>, pods: readonly ActingPod[] = [this.a, this.b]) {
    // A capture shows frames later than they came: one marker at the beginning too.
    const begin = await this.#markThroughTunnel(pods);
    await act();
    const end = await this.#markThroughTunnel(pods);
    return pods.flatMap((pod, i) =>
      pod.seen.frames
        .slice(begin[i]! + 1, end[i])
        .map((bytes): Delivered => ({ ...parseFrame(bytes), bytes }))
        .filter(({ etherType }) => etherType !== ETHERTYPE_ARP),
    );
  }

  /** Send a marker to each pod through the tunnel; the numbers of the frames that they are. */
  #markThroughTunnel(pods: readonly ActingPod[]): Promise<number[]> {
    const payload = text(`marker ${++this.#markers}`);
    const isMarker = (frame: Uint8Array): boolean => isSame(parseFrame(frame).payload, payload);
    return Promise.all(
      pods.map((pod) => {
        const from = pod.seen.frames.length;
        this.peer.send(pod.host, this.innerUdp(pod, { srcPort: MARKER, dstPort: MARKER, payload }));
        return pod.seen.until('the marker comes through the tunnel', isMarker, from);
      }),
    );
  }

  /** What the peer's VTEP receives from now until a marker that follows `act` out of pod a. */
  async sentToPeer(act: () => void | Promise<void>): Promise<readonly Uint8Array[]> {
    const before = this.peer.received().length;
    await act();
    const payload = text(`marker ${++this.#markers}`);
    this.a.sendFrame(this.podUdp(this.a, { srcPort: MARKER, dstPort: MARKER, payload }));
    await this.peer.until(
      'the marker leaves by the tunnel',
      (one) => isSame(one.inner.payload, payload),
      before,
    );
    return this.peer
      .received()
      .slice(before)
      .filter((frame) => !isSame(parseDatagram(frame)?.inner.payload ?? frame, payload));
  }

  /** How often a host has dropped for a reason. */
  drops(host: Host, reason: string): number {
    const line = new RegExp(`drop +${reason} +(\\d+)`).exec(host.path!.dump('counters'));
    return Number(line?.[1] ?? 0);
  }

  /** Wait until the captures of the wires show all that our hosts have sent to each other so far. */
  async wiresSeen(): Promise<void> {
    const { a, c } = this;
    const payload = text(`marker ${++this.#markers}`);
    const isMarker = (frame: Uint8Array): boolean =>
      isSame(parseDatagram(frame)?.inner.payload ?? frame, payload);
    const before = [this.toTwo, this.toOne].map(({ frames }) => frames.length);
    a.sendUdp([{ data: payload, to: [c.ip, MARKER] }]);
    c.sendUdp([{ data: payload, to: [a.ip, MARKER] }]);
    await this.toTwo.until('the marker is on the wire', isMarker, before[0]);
    await this.toOne.until('the marker is on the wire', isMarker, before[1]);
  }

  /** All datagrams of much and varied traffic out of our hosts, recorded once. */
  recorded(): Promise<readonly Datagram[]> {
    return (this.#recorded ??= this.#record());
  }

  async #record(): Promise<readonly Datagram[]> {
    const { a, c, peer } = this;
    const before = {
      one: this.toOne.frames.length,
      two: this.toTwo.frames.length,
      peer: peer.received().length,
    };
    for (const [from, to] of [
      [a, c],
      [c, a],
    ] as const) {
      const { sent, received } = await transfer(this.#t, from, to, 512 * KIB);
      if (sent !== received) throw new Error(`${sent} were sent, ${received} came`);
    }
    for (const size of ['0', '56', '1422', '4000'])
      within(a.netns, 'ping', '-n', '-c', '2', '-i', '0.01', '-W', '1', '-s', size, c.ip);
    for (const size of [0, 1, 17, 999, 1422])
      a.sendUdp([PEER_POD, c.ip].map((ip) => ({ data: DATA.subarray(0, size), to: [ip, SINK] as const })));
    // Trains: the kernel hands them over as one, the wire must show each.
    for (const [ip, bytes] of [
      [PEER_POD, 20_000],
      [c.ip, 20_333],
    ] as const)
      a.sendUdp([{ data: new Uint8Array(bytes), to: [ip, SINK], segment: 1000 }]);
    await this.sentToPeer(() => undefined);
    await this.wiresSeen();
    return [
      ...this.toOne.frames.slice(before.one),
      ...this.toTwo.frames.slice(before.two),
      ...peer.received().slice(before.peer),
    ].flatMap((frame) => parseDatagram(frame) ?? []);
  }
}

/** The router's MAC address follows from the base of the host's pod CIDR: 0a:58 and its last address but one. */
export const routerMac = (host: Host): string => host.vtepMac.replace(/^0e/, '0a').replace(/00$/, 'fe');

export const isSame = (one: Uint8Array, other: Uint8Array): boolean => Buffer.compare(one, other) === 0;

async function actingPod(t: Test, overlay: Overlay, host: Host): Promise<ActingPod> {
  const pod = await overlay.addPod(host);
  const sink = openUdp({ netns: pod.netns, address: '0.0.0.0', port: SINK, gro: false });
  const marker = openUdp({ netns: pod.netns, address: '0.0.0.0', port: MARKER, gro: false });
  t.teardown(() => [sink, marker].forEach((socket) => close(socket.fd)));
  return {
    ...pod,
    host,
    mac: ['0a:58', ...pod.ip.split('.').map((byte) => Number(byte).toString(16).padStart(2, '0'))].join(':'),
    seen: await capture(t, pod.netns, 'eth0', 'in'),
    sendFrame: packetSocket(t, pod.netns, 'eth0'),
    sendUdp(messages) {
      const sent = mmsg.send(sink.fd, messages);
      if (sent !== messages.length) throw new Error(`Cannot send from pod ${pod.ip}: ${sent}`);
    },
  };
}

/** Wait until a host's counter has grown beyond what it was. */
export const untilDropped = (stage: Stage, host: Host, reason: string, before: number): Promise<unknown> =>
  until(`${reason} is counted`, () => stage.drops(host, reason) > before);
