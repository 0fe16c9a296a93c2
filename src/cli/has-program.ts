/** Whether a program can be called here. */

import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** As root's shell finds it: /sbin counts, though it is not on everybody's path. */
export function hasProgram(name: string): boolean {
  const path = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return path.some((dir) => {
    try {
      accessSync(join(dir || '.', name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
