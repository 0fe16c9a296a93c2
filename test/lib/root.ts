/**
 * Where things are. Tests run compiled, from dist/test; fixtures stay in the source tree.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The checkout's root folder, with a trailing slash. */
export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

/** Path of a file of the source tree, by its path from the root. */
export const inRoot = (path: string): string => ROOT + path;

/** The folder of conformance cases beside the checkout, or undefined where there is none. */
export const CONFORMANCE: string | undefined = [ROOT + '../shared/conformance/'].find((path) =>
  existsSync(path),
);
