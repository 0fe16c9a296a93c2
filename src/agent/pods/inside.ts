/**
 * Find a file as a program inside a pod would, from outside.
 *
 * A path below /proc/PID/root is followed by the kernel with our own root: an absolute link inside the pod would lead to the
 * machine's files. So links are followed here, step by step. Not handled: a link that is changed while we look; a
 * pod's programs are root on the machine and need no such trick.
 */
import { lstatSync, readlinkSync } from 'node:fs';

const MOST_LINKS = 40;

/**
 * Follow a path in another root.
 *
 * @param root  the root, such as /proc/PID/root
 * @param path  absolute, as seen from inside
 * @returns     a path without links below `root`; undefined when there is nothing
 */
export function resolveInside(root: string, path: string): string | undefined {
  const steps = path.split('/');
  const done: string[] = [];
  for (let links = 0; steps.length > 0;) {
    const step = steps.shift()!;
    if (step === '' || step === '.') continue;
    if (step === '..') {
      done.pop();
      continue;
    }
    const place = [root, ...done, step].join('/');
    const stat = lstatSync(place, { throwIfNoEntry: false });
    if (!stat) return undefined;
    if (!stat.isSymbolicLink()) done.push(step);
    else {
      if ((links += 1) > MOST_LINKS) return undefined;
      const target = readlinkSync(place);
      if (target.startsWith('/')) done.length = 0;
      steps.unshift(...target.split('/'));
    }
  }
  return [root, ...done].join('/');
}
