/** `podwire down`: remove a lab, also what a crash left of it. */

import { listLabs, withLock } from '../lab/record.js';
import { hasTraces, removeLab } from '../lab/remove.js';
import { CommandError, defineVerb, UsageError } from './verb.js';

export const down = defineVerb({
  usage: ['down [--lab NAME | --all]'],
  description:
    'Remove a lab: its processes, namespaces, links, mounts and files. Works after any crash, and does no harm twice.',
  options: {
    lab: { type: 'string', value: 'NAME', help: 'the lab; default: the only one there is' },
    all: { type: 'boolean', help: 'all labs of this machine' },
  },
  example: ['podwire down', 'podwire down --all'],
  async run({ flags, io }) {
    if (flags.lab !== undefined && flags.all) throw new UsageError('Either --lab or --all');
    if (process.geteuid?.() !== 0)
      throw new CommandError('Cannot remove a lab as this user; run podwire as root, for example with sudo');
    const names = flags.lab !== undefined ? [nameOf(flags.lab)] : present(flags.all === true);
    if (names.length === 0) io.stdout.write('There is no lab.\n');
    for (const name of names)
      await withLock(name, async () => {
        if (!hasTraces(name)) return void io.stdout.write(`There is no lab ${name}.\n`);
        await removeLab(name);
        io.stdout.write(`Lab ${name} is removed.\n`);
      });
    return 0;
  },
});

function present(all: boolean): string[] {
  const names = listLabs().map((lab) => lab.name);
  if (names.length > 1 && !all)
    throw new CommandError(
      `There are ${names.length} labs; choose one with --lab (${names.join(', ')}), or --all`,
    );
  return names;
}

/** Names become patterns of what is removed: be strict. */
function nameOf(name: string): string {
  if (name === 'host')
    throw new CommandError('Lab "host" is the agents on real hosts; use podwire agent --cleanup');
  if (!/^[a-z0-9]([-a-z0-9]{0,10}[a-z0-9])?$/.test(name))
    throw new UsageError(`"${name}" cannot be the name of a lab`);
  return name;
}
