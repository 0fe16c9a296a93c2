/**
 * An agent in a process of its own, to be killed: runs the pods given as JSON in argv and prints every status as a
 * line. With `attach-hangs` as third argument its network never comes up.
 */
import { pino } from 'pino';
import type { Pod } from '../../../src/api/types.js';
import { createPodRuntime } from '../../../src/agent/pods/runtime.js';
import { filesOf, QUICK, type TestLab } from './host.js';

const { lab, dir } = JSON.parse(process.argv[2]) as TestLab;
const pods = JSON.parse(process.argv[3]) as Pod[];
const hangs = process.argv[4] === 'attach-hangs';

createPodRuntime({
  lab,
  node: 'n1',
  dir,
  hostAddress: '192.168.50.1',
  resolverFiles: filesOf,
  backoff: QUICK,
  log: pino({ level: 'silent' }),
  network: {
    attach: () => (hangs ? new Promise(() => console.log('attaching')) : Promise.resolve()),
    detach: () => Promise.resolve(),
  },
  report: ({ metadata }, status) => console.log(metadata.name, JSON.stringify(status)),
  removed: ({ metadata }) => console.log('removed', metadata.name),
}).sync(pods);
