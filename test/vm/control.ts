/**
 * Runs inside a virtual machine: takes commands from the test outside by a virtio serial port and answers each
 * (protocol.ts). Commands run side by side. Uses nothing but Node's own modules.
 */
import { spawn } from 'node:child_process';
import { openSync, readdirSync, readFileSync, readSync, writeSync } from 'node:fs';
import { constants, release } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { PORT_NAME, TIMED_OUT, type Request, type Response } from './protocol.js';

const CHUNK = 65_536;
/** What a command left in the background may hold its output open for ever: so long we read on. */
const REST_MS = 300;

/** The port's device; there is no udev that would link it under /dev/virtio-ports. */
function findPort(): string {
  const ports = '/sys/class/virtio-ports';
  const port = readdirSync(ports).find(
    (one) => readFileSync(`${ports}/${one}/name`, 'latin1').trim() === PORT_NAME,
  );
  if (port === undefined) throw new Error(`Cannot find the virtio port ${PORT_NAME}`);
  return `/dev/${port}`;
}

async function run(id: number, command: string, seconds: number): Promise<Response> {
  const child = spawn('bash', ['-c', command], { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text: string) => (output[name] += text));
  let isTooLong = false;
  const limit = setTimeout(() => {
    isTooLong = true;
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  }, seconds * 1000);
  const closed = new Promise((resolve) => child.on('close', resolve));
  const status = await new Promise<number>((resolve) => {
    child.on('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal!]));
  });
  clearTimeout(limit);
  await Promise.race([closed, pause(REST_MS)]);
  child.stdout.destroy();
  child.stderr.destroy();
  return { id, code: isTooLong ? TIMED_OUT : status, ...output };
}

/** Reading the port blocks: it has a thread of its own, which posts whole lines. */
function readLines(fd: number): void {
  const buffer = Buffer.alloc(CHUNK);
  let bytes = Buffer.alloc(0);
  for (;;) {
    const length = readSync(fd, buffer);
    if (length === 0) break; // nobody is outside any more
    bytes = Buffer.concat([bytes, buffer.subarray(0, length)]);
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10)) {
      parentPort!.postMessage(JSON.parse(bytes.toString('utf8', 0, end)));
      bytes = bytes.subarray(end + 1);
    }
  }
}

if (isMainThread) {
  const fd = openSync(findPort(), 'r+');
  const send = (response: Response): void => {
    const bytes = Buffer.from(`${JSON.stringify(response)}\n`);
    for (let sent = 0; sent < bytes.length;) sent += writeSync(fd, bytes, sent);
  };
  new Worker(new URL(import.meta.url), { workerData: fd }).on(
    'message',
    ({ id, command, seconds }: Request) => void run(id, command, seconds).then(send),
  );
  send({ id: 0, code: 0, stdout: release(), stderr: '' });
} else readLines(workerData as number);
