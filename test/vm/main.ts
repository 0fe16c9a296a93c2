/**
 * The body of scripts/test-vm, which says what it is about. Arguments: the folder of the image, a folder of its own for
 * this run, and the names of parts, each with its squashfs in that folder.
 */
import { createChecks } from './checks.js';
import { join as joinPart } from './join.js';
import type { Machine } from './machine.js';
import { offload } from './offload.js';
import type { Part } from './part.js';

const PARTS: Readonly<Record<string, { run: Part; logs: string }>> = {
  offload: { run: offload, logs: 'tail -n 40 /var/log/podwire.log' },
  join: { run: joinPart, logs: 'journalctl -n 60 -o cat -u podwire-agent -u podwire-server --no-pager' },
};

const [image, dir, ...names] = process.argv.slice(2);
if (image === undefined || dir === undefined || !names.every((name) => PARTS[name]))
  throw new RangeError('Two folders and names of parts are expected: see scripts/test-vm');

const checks = createChecks((line) => console.log(line));
const { check, say } = checks;
const machines: Machine[] = [];
const stopAll = (): Promise<unknown> => Promise.all(machines.splice(0).map((vm) => vm.stop()));

/** What one wants to read when something failed. */
async function showLogs(command: string): Promise<void> {
  for (const vm of machines) {
    say(`the end of podwire's log in ${vm.name}, and of its kernel's:`);
    const { stdout } = await vm
      .run(`${command}; dmesg | tail -n 15`)
      .catch((error: Error) => ({ stdout: error.message }));
    console.log(stdout.replace(/^/gm, '    '));
  }
}

for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(name, () => {
    void check('the test runs to its end', () => Promise.reject(new Error(`It was ended by ${name}`)));
    void stopAll().finally(() => process.exit(1));
  });
process.on('exit', () => console.log(`${checks.passed} passed, ${checks.failed.length} failed`));

for (const name of names) {
  const part = PARTS[name]!;
  const before = checks.failed.length;
  say(`part ${name}`);
  try {
    await part.run({ checks, image, dir, machines });
  } catch (error) {
    await check('the test itself', () => Promise.reject(error as Error));
  }
  if (checks.failed.length > before) await showLogs(part.logs);
  await stopAll();
}
if (checks.failed.length > 0)
  say(`failed:\n${checks.failed.map((name) => `    not ok - ${name}`).join('\n')}`);
process.exitCode = checks.failed.length === 0 ? 0 : 1;
