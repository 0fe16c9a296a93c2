/**
 * The packet worker as the main thread sees it: shared memory, the update ring, and its end.
 *
 * Theory of operation. The main thread never waits for the worker but by promise: {@link WorkerHandle.update} writes a
 * transaction into the ring, wakes the worker, and resolves when the ring's tail has passed it. Then, and only then, the
 * caller closes file descriptors or gives ids away again.
 *
 * The worker blocks in `epoll_wait`, where neither `process.exit` nor `terminate` reaches it: so the `exit` hook sets STOP
 * and writes the eventfd, and the worker never waits longer than a second. A worker that makes no turn for
 * {@link HANG_MS} while an update waits hangs for good: the process ends itself by SIGKILL, and whoever started it starts
 * it again.
 */
import { randomInt } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { REASONS } from '../../dataplane/verdict.js';
import * as eventfd from '../../sys/eventfd.js';
import { close } from '../../sys/io.js';
import { CAPACITIES, createTables, type Tables } from '../../tables/tables.js';
import { UpdateRing, type RowChange } from '../../tables/update-ring.js';
import {
  CONTROL_WORDS,
  SPIN_US,
  STOP,
  TURNS,
  type FromWorker,
  type ToWorker,
  type WorkerData,
} from './contract.js';

/** Words of the update ring: a transaction of 100 000 rows fits. */
const RING_WORDS = 1 << 20;
/** More than that waits for the worker's next turn, which packets are waiting for too. */
const TRANSACTION_WORDS = RING_WORDS / 4;
/** A worker that takes no update for so long hangs. */
export const HANG_MS = 2000;
/** Looks in that time. They are counted, and not the time: while the whole machine stood still, so did the worker. */
const HANG_LOOKS = 4;

export interface WorkerEvents {
  /** Something a person should know. */
  notice(text: string): void;
  /** The worker ended by an error: nothing forwards packets any more. */
  fatal(reason: string): void;
  /** The worker takes no updates. The default ends the process by SIGKILL. */
  hung?(reason: string): void;
}

export class WorkerHandle {
  /** The worker's tables, to be read only. */
  readonly tables: Tables;
  readonly #control: Int32Array;
  readonly #ring: UpdateRing;
  readonly #wake: number;
  readonly #worker: Worker;
  readonly #startMs: number;
  readonly #events: WorkerEvents;
  readonly #waiting = new Set<{ mark: number; resolve(): void }>();
  readonly #exit: Promise<void>;
  readonly #onProcessExit = (): void => this.#stop();
  readonly #watch: NodeJS.Timeout;
  #tid = 0;
  #lastTurn = -1;
  #quietLooks = 0;
  #isStopping = false;

  /** Start a worker; resolves when it takes packets. */
  static async start(events: WorkerEvents, { spinUs = SPIN_US } = {}): Promise<WorkerHandle> {
    const handle = new WorkerHandle(events, spinUs);
    await handle.#ready();
    return handle;
  }

  private constructor(events: WorkerEvents, spinUs: number) {
    this.#events = events;
    const tables: SharedArrayBuffer[] = [];
    const seed = randomInt(2 ** 31);
    this.tables = createTables(
      (bytes) => {
        const memory = new SharedArrayBuffer(bytes);
        tables.push(memory);
        return memory;
      },
      seed,
      REASONS.length,
      CAPACITIES,
    );
    const control = new SharedArrayBuffer(CONTROL_WORDS * 4);
    this.#control = new Int32Array(control);
    const ring = UpdateRing.alloc((bytes) => new SharedArrayBuffer(bytes), RING_WORDS) as SharedArrayBuffer;
    this.#ring = new UpdateRing(ring);
    this.#wake = eventfd.createEventfd();
    this.#startMs = Date.now();
    const workerData: WorkerData = {
      tables,
      ring,
      control,
      wake: this.#wake,
      seed,
      capacities: CAPACITIES,
      startMs: this.#startMs,
      spinUs,
    };
    this.#worker = new Worker(new URL('./packet-worker.js', import.meta.url), { workerData });
    this.#worker.on('message', (message: FromWorker) => this.#onMessage(message));
    this.#worker.on('error', (error: unknown) =>
      this.#fail(error instanceof Error ? (error.stack ?? error.message) : String(error)),
    );
    this.#exit = new Promise((resolve) =>
      this.#worker.once('exit', (code) => {
        if (!this.#isStopping) this.#fail(`it ended with code ${code}`);
        resolve();
      }),
    );
    process.once('exit', this.#onProcessExit);
    this.#watch = setInterval(() => this.#lookForHang(), HANG_MS / HANG_LOOKS);
    this.#watch.unref();
  }

  #ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#worker.once('message', (first: FromWorker) => {
        if (first.type === 'ready') this.#tid = first.tid;
        resolve();
      });
      this.#worker.once('error', reject);
      this.#worker.once('exit', (code) =>
        reject(new Error(`Cannot start the packet worker: it ended with code ${code}`)),
      );
    });
  }

  /** The worker's thread, as the kernel numbers it. */
  get tid(): number {
    return this.#tid;
  }

  /** Milliseconds since the worker's start, as its tables count them. */
  nowMs(): number {
    return (Date.now() - this.#startMs) | 0;
  }

  /** Give the worker a message; it takes it before the next update. */
  post(message: ToWorker): void {
    this.#worker.postMessage(message);
    eventfd.signal(this.#wake);
  }

  /**
   * Send rows that changed; resolves when the worker has put them. They are one transaction, unless they are more than the ring
   * takes at once: then several.
   *
   * @param cuts  places in `changes` before which a transaction may end, in order
   */
  async update(changes: readonly RowChange[], cuts: readonly number[] = []): Promise<void> {
    for (const [from, to] of transactions(changes, cuts)) await this.#send(changes.slice(from, to));
  }

  async #send(changes: readonly RowChange[]): Promise<void> {
    let mark = this.#ring.write(changes);
    while (mark === undefined) {
      // The ring is full of what the worker has not seen yet: its next turn empties it.
      eventfd.signal(this.#wake);
      await new Promise((resolve) => setTimeout(resolve, 1));
      if (this.#isStopping) return;
      mark = this.#ring.write(changes);
    }
    const written = mark;
    eventfd.signal(this.#wake);
    if (this.#ring.isSeen(written)) return;
    await new Promise<void>((resolve) => this.#waiting.add({ mark: written, resolve }));
  }

  #onMessage(message: FromWorker): void {
    if (message.type === 'seen') this.#release((mark) => this.#ring.isSeen(mark));
    else if (message.type === 'notice') this.#events.notice(message.text);
    else if (message.type === 'fatal') this.#fail(message.text);
  }

  #release(isDue: (mark: number) => boolean): void {
    for (const waiter of [...this.#waiting]) {
      if (!isDue(waiter.mark)) continue;
      this.#waiting.delete(waiter);
      waiter.resolve();
    }
  }

  #fail(reason: string): void {
    if (this.#isStopping) return;
    this.#isStopping = true;
    this.#events.fatal(`The packet worker ended: ${reason}`);
    this.#release(() => true);
  }

  /** While updates wait, the worker has to make turns. */
  #lookForHang(): void {
    const turn = Atomics.load(this.#control, TURNS);
    if (this.#waiting.size === 0 || turn !== this.#lastTurn) {
      this.#lastTurn = turn;
      this.#quietLooks = 0;
      return;
    }
    if (++this.#quietLooks < HANG_LOOKS) return;
    const reason = `The packet worker took no update for ${HANG_MS / 1000} s`;
    if (this.#events.hung) this.#events.hung(reason);
    else {
      this.#events.notice(`${reason}: the agent ends itself, to be started again`);
      process.kill(process.pid, 'SIGKILL');
    }
  }

  #stop(): void {
    Atomics.store(this.#control, STOP, 1);
    eventfd.signal(this.#wake);
  }

  /** End the worker; resolves when its thread is gone and nothing reads the ports any more. */
  async close(): Promise<void> {
    this.#isStopping = true;
    clearInterval(this.#watch);
    this.#stop();
    await this.#exit;
    process.off('exit', this.#onProcessExit);
    this.#release(() => true);
    close(this.#wake);
  }
}

/** Where to cut changes into transactions of at most {@link TRANSACTION_WORDS}, by the places where they may be cut. */
function* transactions(
  changes: readonly RowChange[],
  cuts: readonly number[],
): Generator<[from: number, to: number]> {
  let from = 0;
  let end = 0;
  let words = 0;
  for (const cut of [...cuts, changes.length]) {
    let more = 0;
    for (let i = end; i < cut; i++) more += 1 + changes[i]!.words.length;
    if (words + more > TRANSACTION_WORDS && end > from) {
      yield [from, end];
      from = end;
      words = 0;
    }
    words += more;
    end = cut;
  }
  if (end > from) yield [from, end];
}
