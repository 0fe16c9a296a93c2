/**
 * The packet worker: the thread that moves packets. It blocks in `epoll_wait`, reads what its ports have, takes it through
 * the host's pipeline and sends what comes out.
 *
 *     turn:  STOP? · updates · messages · each ready port → ingest · run
 *
 * It borrows every file descriptor from the main thread and closes none. It has no event loop: no timers, no console, no
 * await. Its clock is read once a batch. docs/threads.md tells the contract.
 */
import { readlinkSync } from 'node:fs';
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import * as epoll from '../../sys/epoll.js';
import { nowUs } from '../../sys/clock.js';
import * as eventfd from '../../sys/eventfd.js';
import { read } from '../../sys/io.js';
import { EPOLL_DATA, EPOLL_EVENT_SIZE } from '../../sys/layout.js';
import { addressOf } from '../../sys/memory.js';
import { yieldProcessor } from '../../sys/scheduler.js';
import { DROP_PORT_SEND_FAILED, DROP_TUNNEL_SEND_FAILED } from '../../dataplane/verdict.js';
import { BATCH, createHost, MAX_TAP_READ, type Driver } from '../../host/host.js';
import {
  EVENT_TAP_FRAMES,
  EVENT_TAP_READS,
  EVENT_TAP_WRITES,
  EVENT_TUNNEL_READS,
  EVENT_TUNNEL_TRAINS,
  EVENT_TUNNEL_WRITES,
  EVENT_YIELDS,
} from '../../tables/counters.js';
import { PORT_HOST, PORT_TUNNEL } from '../../tables/ports.js';
import { UpdateRing } from '../../tables/update-ring.js';
import * as virtioNet from '../../wire/virtio-net.js';
import {
  LONGEST_WAIT_MS,
  STOP,
  TUNNEL_SOCKETS,
  TURNS,
  type FromWorker,
  type ToWorker,
  type WorkerData,
} from './contract.js';
import { allocPool } from './pool-memory.js';
import { TapWriter } from './tap-writer.js';
import { ENOUGH_BYTES, TunnelReceiver } from './tunnel-receiver.js';
import { TunnelSender } from './tunnel-sender.js';
import { createWaiter } from './waiter.js';

/** Events of one epoll_wait, and frames read from one TAP a turn. */
const MAX_EVENTS = 64;
const TAP_BURST = 64;
/**
 * After a turn of so many frames others may run: a program's socket holds two or three hundred small datagrams, and on a busy machine it
 * is this thread that keeps it from reading them.
 */
const CROWD = 16;
/** After so many readings of a single frame from a TAP the next is expected to be one too. */
const SINGLES = 4;
/** epoll's data for the eventfd; ports have their ids, from 1. */
const WAKE = 0;

const data = workerData as WorkerData;
const main = parentPort!;
const say = (message: FromWorker): void => main.postMessage(message);

function start(): void {
  const control = new Int32Array(data.control);
  const ring = new UpdateRing(data.ring);
  let nextBuffer = 0;
  const senders = new Map<number, TunnelSender>();

  const driver: Driver = {
    send(outbox) {
      let tunnel = 0;
      for (let m = 0; m < outbox.count; m++) {
        const port = outbox.port[m]!;
        if (ports.kind[port] === PORT_TUNNEL) {
          tunnel = port;
          continue;
        }
        counters.events[EVENT_TAP_WRITES]!++;
        if (taps.send(outbox, m, ports.handle[port]!) < 0) {
          counters.drops[-DROP_PORT_SEND_FAILED]! += outbox.packets[m]!;
          counters.portDrops[port]! += outbox.packets[m]!;
        }
      }
      if (tunnel === 0) return;
      const sender = senders.get(ports.handle[tunnel]!);
      const lost = sender ? sender.send(outbox, tunnel) : outbox.count;
      if (sender) counters.events[EVENT_TUNNEL_WRITES] = sender.calls;
      if (lost === 0) return;
      counters.drops[-DROP_TUNNEL_SEND_FAILED]! += lost;
      counters.portDrops[tunnel]! += lost;
    },
  };

  const host = createHost({
    alloc: () => data.tables[nextBuffer++]!,
    allocFrames: (bytes) => new ArrayBuffer(bytes),
    allocPool,
    seed: data.seed,
    driver,
    tunnelSockets: TUNNEL_SOCKETS,
    capacities: data.capacities,
  });
  const { ports, counters, fdb } = host.dp;
  const pool = addressOf(host.frames.b.u8);
  const taps = new TapWriter(pool);
  const receiver = new TunnelReceiver(host, pool, BATCH.slots);

  const epfd = epoll.createEpoll();
  epoll.add(epfd, data.wake, epoll.EPOLLIN, WAKE);
  const events = new DataView(new ArrayBuffer(MAX_EVENTS * EPOLL_EVENT_SIZE));
  const eventsAddress = addressOf(events);

  /** Ports whose rows a transaction changes, with the handles they had. */
  const changed = new Map<number, number>();
  function applyUpdates(): void {
    takeMessages();
    ring.apply(host.dp.statics, (table, row) => {
      if (host.dp.statics[table] === ports && !changed.has(row))
        changed.set(row, ports.kind[row] === 0 ? -1 : ports.handle[row]!);
    });
    for (const [port, before] of changed) {
      const after = ports.kind[port] === 0 ? -1 : ports.handle[port]!;
      if (after === before) continue;
      if (before >= 0) {
        epoll.remove(epfd, before);
        fdb.forgetPort(port);
      }
      if (after >= 0) epoll.add(epfd, after, epoll.EPOLLIN, port);
    }
    changed.clear();
    say({ type: 'seen' });
  }

  function takeMessages(): void {
    eventfd.drain(data.wake);
    for (let item = receiveMessageOnPort(main); item; item = receiveMessageOnPort(main)) {
      const message = item.message as ToWorker;
      if (message.type === 'inject') {
        inject(message.frame);
        continue;
      }
      senders.set(
        message.handle,
        new TunnelSender(message.sockets, message.peerPort, pool, host.dp.vteps, (text) =>
          say({ type: 'notice', text }),
        ),
      );
    }
  }

  /** A frame in the name of the host's kernel. Rare: an ICMP message that answers a masqueraded pod. */
  function inject(frame: Uint8Array): void {
    const port = ports.kind.indexOf(PORT_HOST);
    const at = host.tapRoom();
    if (port < 0 || at < 0 || frame.length > MAX_TAP_READ - virtioNet.HEADER_LEN) return;
    host.frames.b.u8.fill(0, at, at + virtioNet.HEADER_LEN);
    host.frames.b.u8.set(frame, at + virtioNet.HEADER_LEN);
    host.ingestTap(port, virtioNet.HEADER_LEN + frame.length);
  }

  /** How often in a row a port had a single frame, and the turn in which it was read last. */
  const singles = new Int32Array(ports.capacity);
  const readIn = new Int32Array(ports.capacity);
  let turn = 0;

  /**
   * Read what a TAP has. Where it was a single frame several times, a second read would find nothing once more: it is left
   * out, and if there is a frame after all, epoll says so at once.
   */
  function readTap(port: number): void {
    const fd = ports.handle[port]!;
    if (readIn[port] === turn - 1) singles[port] = 0;
    readIn[port] = turn;
    const burst = singles[port]! < SINGLES ? TAP_BURST : 1;
    let frames = 0;
    let bytes = 0;
    while (frames < burst && bytes < ENOUGH_BYTES) {
      const at = host.tapRoom();
      if (at < 0) break;
      const len = read(fd, pool + at, MAX_TAP_READ);
      counters.events[EVENT_TAP_READS]!++;
      if (len <= 0) break;
      host.ingestTap(port, len);
      frames++;
      bytes += len;
    }
    counters.events[EVENT_TAP_FRAMES]! += frames;
    singles[port] = frames === 1 ? singles[port]! + 1 : 0;
  }

  const wait = createWaiter({
    limitUs: data.spinUs,
    longestSleepMs: LONGEST_WAIT_MS,
    poll: (timeoutMs) => epoll.wait(epfd, eventsAddress, MAX_EVENTS, timeoutMs),
    yieldProcessor,
    nowUs,
    events: counters.events,
  });

  say({ type: 'ready', tid: threadId() });
  while (Atomics.load(control, STOP) === 0) {
    control[TURNS]!++;
    const count = wait();
    if (count < 0) throw new Error(`Cannot wait for packets: epoll_wait returned ${count}`);
    turn = (turn + 1) | 0;
    let tunnel = 0;
    // One batch for all that is ready; the tunnel has its own, since its slots are used once a run.
    host.begin((Date.now() - data.startMs) | 0);
    if (ring.hasNews()) applyUpdates();
    for (let i = 0; i < count; i++) {
      const port = events.getUint32(i * EPOLL_EVENT_SIZE + EPOLL_DATA, true);
      if (port === WAKE) takeMessages();
      else if (ports.kind[port] === PORT_TUNNEL) tunnel = port;
      else if (ports.kind[port] !== 0) readTap(port);
    }
    if (tunnel !== 0) {
      const trains = receiver.receive(ports.handle[tunnel]!, tunnel);
      counters.events[EVENT_TUNNEL_READS] = receiver.calls;
      if (trains > 0) counters.events[EVENT_TUNNEL_TRAINS]! += trains;
    }
    const frames = host.frames.count;
    host.run();
    if (frames >= CROWD) {
      counters.events[EVENT_YIELDS]!++;
      yieldProcessor();
    }
  }
}

/** This thread, as /proc names it: PID/task/TID. */
const threadId = (): number => Number(readlinkSync('/proc/thread-self').split('/').at(-1));

try {
  start();
} catch (error) {
  say({ type: 'fatal', text: error instanceof Error ? (error.stack ?? error.message) : String(error) });
}
main.close();
