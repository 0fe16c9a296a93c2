/** What the parts of scripts/test-vm share: two machines that are wired together, and waiting for something in them. */
import { join } from 'node:path';
import { expect, type Checks } from './checks.js';
import { startMachine, type Machine } from './machine.js';

/** Where a part finds what its machines are made of. */
export interface Place {
  /** Folder of the image. */
  readonly image: string;
  /** Folder of its own for this run, with a squashfs and disks of its name. */
  readonly dir: string;
  /** Every machine that it starts, for whoever ends them. */
  readonly machines: Machine[];
}

/** A part of the test: checks what it has to check. It throws only when it cannot go on. */
export type Part = (given: Place & { readonly checks: Checks }) => Promise<void>;

export interface TwoOptions extends Place {
  /** The kernel's release begins so. */
  kernel: string;
  /** The squashfs of this name, and `vmN.NAME.disk` for what is written, if systemd runs there. */
  name?: string;
  hasSystemd?: boolean;
}

/** Start vm1 and vm2. @returns undefined when that fails, which then is a failed check */
export async function bootTwo(checks: Checks, options: TwoOptions): Promise<[Machine, Machine] | undefined> {
  const { image, dir, machines, kernel, name = 'offload', hasSystemd = false } = options;
  const started: Machine[] = [];
  const isUp = await checks.check(
    `two machines come up with Linux ${kernel}*${hasSystemd ? ' and systemd' : ''}`,
    async () => {
      const starting = [1, 2].map((id) =>
        startMachine({
          id,
          image,
          dir,
          disk: join(dir, `${name}.squashfs`),
          wires: (hasSystemd ? ['eth1'] : ['eth1', 'eth2']).map((nic) => ({
            path: join(dir, `${name}.${nic}.wire`),
            waits: id === 1,
          })),
          ...(hasSystemd && { systemdWrites: join(dir, `vm${id}.disk`) }),
        }),
      );
      for (const one of await Promise.allSettled(starting)) {
        if (one.status === 'rejected') throw one.reason as Error;
        machines.push(one.value);
        started.push(one.value);
        expect(one.value.kernel.startsWith(kernel), `${one.value.name} runs Linux ${one.value.kernel}`);
      }
      return started.map((one) => one.kernel).join(', ');
    },
  );
  return isUp ? (started as [Machine, Machine]) : undefined;
}

/** Ask again and again until there is an answer. */
export async function until<T>(
  seconds: number,
  ask: () => Promise<T | undefined>,
  otherwise: () => string,
): Promise<T> {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    expect(performance.now() < end, otherwise());
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}
