/** What a module of ours loads, by its imports. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';

/**
 * Whoever runs this module needs neither koffi nor root.
 *
 * @param module  compiled, by its path from src
 */
export function knowsNoKernel(t: Test, module: string): void {
  const seen = new Set<string>();
  const visit = (file: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    const imports = /^(?:import|export)\s(?:[^'";=(]*?\sfrom\s+)?'([^']+)';$/gm;
    for (const [, path] of readFileSync(file, 'utf8').matchAll(imports))
      if (path!.startsWith('.')) visit(join(dirname(file), path!));
      else t.notMatch(path, /koffi|lmdb|raw-socket/, file);
  };
  visit(fileURLToPath(new URL(`../../src/${module}`, import.meta.url)));
  t.ok(seen.size > 50, 'the whole graph was walked');
  t.same(
    [...seen].filter((file) => file.includes('/src/sys/')),
    [],
  );
}
