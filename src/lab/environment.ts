/**
 * The environment of what runs in the background: little, and the same whoever started it and from where. A debugger's
 * or a test runner's NODE_OPTIONS must not reach daemons and, through them, pods.
 */

import { LAB_DIR_VAR } from './processes.js';

const KEPT = ['HOME', 'LANG', 'PODWIRE_RUN', 'PODWIRE_LOG', 'TZ'];
/** Not everybody's PATH has what makes links. */
const SBIN = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

/** For a process of the lab in `labDir`; it carries the lab's mark. */
export function daemonEnv(labDir: string): NodeJS.ProcessEnv {
  const path = (process.env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin').split(':');
  return {
    ...Object.fromEntries(
      KEPT.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
    ),
    PATH: [...path, ...SBIN.filter((dir) => !path.includes(dir))].join(':'),
    [LAB_DIR_VAR]: labDir,
  };
}
