/**
 * Two threads, shared memory and a wake-up: what the packet worker and its handle rely on.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import { createEventfd, drain, signal } from '../../src/sys/eventfd.js';
import * as io from '../../src/sys/io.js';
import { addressOf } from '../../src/sys/memory.js';

const sys = (file: string): string => new URL(`../../src/sys/${file}`, import.meta.url).href;

t.test('shared memory has one address in all threads, and keeps it', async (t) => {
  const shared = new Uint8Array(new SharedArrayBuffer(1 << 16));
  const own = new Uint8Array(new ArrayBuffer(1 << 16));
  const before = [addressOf(shared), addressOf(own)];
  const worker = new Worker(
    `const { parentPort, workerData } = require('node:worker_threads');
     import('${sys('memory.js')}').then(({ addressOf }) => parentPort.postMessage(addressOf(workerData)));`,
    { eval: true, workerData: shared },
  );
  const [address] = await once(worker, 'message');
  await worker.terminate();
  t.equal(address, before[0]);
  const garbage: Uint8Array[] = [];
  for (let i = 0; i < 2000; i++) garbage.push(new Uint8Array(1 << 14)); // enough for several collections
  t.equal(garbage.length, 2000);
  t.same([addressOf(shared), addressOf(own)], before);
});

t.test('an eventfd wakes a worker that blocks in epoll, and it finds its message', async (t) => {
  const fd = createEventfd();
  t.teardown(() => io.close(fd));
  const modules = JSON.stringify(['epoll.js', 'eventfd.js', 'memory.js'].map(sys));
  const worker = new Worker(
    `const { parentPort, receiveMessageOnPort, workerData } = require('node:worker_threads');
     Promise.all(${modules}.map((url) => import(url))).then(([epoll, eventfd, { addressOf }]) => {
       const events = new Uint8Array(64);
       const address = addressOf(events);
       const epfd = epoll.createEpoll();
       epoll.add(epfd, workerData, epoll.EPOLLIN, 1);
       parentPort.postMessage('blocking');
       const n = epoll.wait(epfd, address, 4, 10000);
       parentPort.postMessage([n, eventfd.drain(workerData), receiveMessageOnPort(parentPort)?.message]);
     });`,
    { eval: true, workerData: fd },
  );
  await once(worker, 'message');
  worker.postMessage('table');
  t.equal(signal(fd), 0);
  const [answer] = await once(worker, 'message');
  await worker.terminate();
  t.same(answer, [1, 1, 'table']);
  t.equal(drain(fd), 0, 'one thread drained it for all');
});
