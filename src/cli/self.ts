/** How podwire calls itself, and how a person calls it. */

import { accessSync, constants, realpathSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of the checkout: this file is dist/src/cli/self.js in it. */
export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

const ENTRY = join(ROOT, 'scripts', 'podwire');

/** Program and arguments that run this very podwire, whatever is on the PATH. */
export const selfArgv = (): string[] => [process.execPath, ENTRY];

/** What to type here: `podwire` where that finds us, else the shortest that does. */
export function typedName(env: NodeJS.ProcessEnv, cwd: string): string {
  if (isOnPath(env)) return 'podwire';
  return join(cwd, 'scripts', 'podwire') === ENTRY ? 'npx podwire' : ENTRY;
}

/** The line that puts podwire on the PATH; undefined when it is. */
export const pathLine = (env: NodeJS.ProcessEnv): string | undefined =>
  isOnPath(env) ? undefined : `export PATH="${dirname(ENTRY)}:$PATH"`;

function isOnPath(env: NodeJS.ProcessEnv): boolean {
  for (const dir of (env['PATH'] ?? '').split(delimiter))
    try {
      const file = join(dir || '.', 'podwire');
      accessSync(file, constants.X_OK);
      return realpathSync(file) === realpathSync(ENTRY);
    } catch {
      // not in this folder
    }
  return false;
}
