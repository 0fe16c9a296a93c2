/**
 * The hosts of `src/bench/overlay.ts` for end-to-end tests, and one that the test itself plays, frame by frame.
 */
import * as bench from '../../src/bench/overlay.js';
import { vtepMacOf, type Host, type PodPlace } from '../../src/bench/overlay.js';
import { close as closeFd } from '../../src/sys/io.js';
import { ip } from '../../src/sys/iproute2.js';
import { openTap, type Tap } from '../../src/sys/tap.js';
import { BYTE_STREAM } from './byte-stream.js';
import { makeNetns } from './netns.js';
import type { TestScope } from './scope.js';
import { printed, runSync, start, type Result } from './spawn.js';

export type { Host };
export type TestPod = PodPlace;

/** A host that the test plays. Its NIC is a TAP on the underlay's bridge: frames are read and written as they are on the wire. */
export interface PlayedHost extends Host {
  readonly tap: Tap;
  /** Of its NIC. Other hosts know it without asking. */
  readonly mac: string;
}

const isPlayed = (host: Host): host is PlayedHost => 'tap' in host;

export class Overlay extends bench.Overlay {
  readonly #t: TestScope;

  /** @param isWireTrue  false: a plain veth, across which the kernel passes super-frames and unfinished checksums */
  constructor(t: TestScope, isWireTrue = true, options: Omit<bench.OverlayOptions, 'wire'> = {}) {
    super(
      {
        teardown: (ending) => t.teardown(ending),
        folder: () => t.testdir(),
        makeNetns: () => makeNetns(t),
        fail: (reason) => t.fail(reason),
      },
      { ...options, wire: isWireTrue ? 'wire-true' : 'super-frames' },
    );
    this.#t = t;
  }

  /** A host that the test plays. It has no pods but those that the test speaks for. */
  async addPlayedHost(): Promise<PlayedHost> {
    const host = this.newHost(this.underlay, vtepMacOf(this.hosts.length + 1));
    const port = `w${host.number}`;
    const tap = openTap({ name: port, netns: this.underlay, offload: 'none' });
    this.#t.teardown(() => void closeFd(tap.fd));
    ip([`link set ${port} master br0`, `link set ${port} up`], { netns: this.underlay });
    const played = Object.assign(host, { tap, mac: `02:00:00:00:01:0${host.number}` });
    await this.setViews();
    return played;
  }

  protected override async setViews(): Promise<void> {
    for (const host of this.hosts.filter((one) => !isPlayed(one)))
      for (const other of this.hosts.filter(isPlayed))
        ip([`neigh replace ${other.address} lladdr ${other.mac} dev eth0 nud permanent`], {
          netns: host.netns,
        });
    await super.setViews();
  }

  protected override isKernel(host: Host): boolean {
    return super.isKernel(host) && !isPlayed(host);
  }
}

/** Run a program inside a namespace. */
export const within = (netns: string, ...argv: string[]): Result =>
  runSync(['ip', 'netns', 'exec', netns, ...argv]);

/** Pings that came back, of the first `count`. However late: with a deadline, ping waits for as many answers. */
export function pings(from: TestPod | Host, to: string, count = 3): number {
  const { stdout } = within(from.netns, 'ping', '-n', '-i', '0.2', '-w', '20', '-c', String(count), to);
  const answered = [...stdout.matchAll(/icmp_seq=(\d+) ttl=/g)].map(([, number]) => Number(number));
  return new Set(answered.filter((number) => number <= count)).size;
}

/**
 * Send bytes from one pod to another over TCP.
 *
 * @returns what the sender and what the receiver saw: `BYTES SHA256`, equal when all is well
 */
export async function transfer(
  t: TestScope,
  from: TestPod,
  to: TestPod,
  bytes: number,
  port = 5000,
): Promise<{ sent: string; received: string; seconds: number }> {
  const receiver = start(t, [
    'ip',
    'netns',
    'exec',
    to.netns,
    process.execPath,
    BYTE_STREAM,
    'receive',
    String(port),
  ]);
  await printed(receiver, /ready/);
  const done = printed(receiver, /^\d+ [0-9a-f]{64}$/m);
  const began = performance.now();
  const sent = within(
    from.netns,
    process.execPath,
    BYTE_STREAM,
    'send',
    to.ip,
    String(port),
    String(bytes),
    '7',
  );
  const received = sent.status === 0 ? (await done).trim() : sent.stderr;
  done.catch(() => undefined);
  return { sent: sent.stdout.trim(), received, seconds: (performance.now() - began) / 1000 };
}
