/**
 * What must be true of a machine before an agent can do anything on it. Asked by the agent before its first
 * change, and by `up` and `doctor`. Every answer is one sentence that says what to do.
 */
import { accessSync, closeSync, constants, openSync } from 'node:fs';
import { delimiter, join } from 'node:path';

export interface PreflightOptions {
  /** The agent's namespace, by its name for `ip netns`. */
  netns?: string;
  /** Replaced by tests: who we are, where the TAP driver and the programs are. */
  uid?: number;
  tun?: string;
  path?: string;
}

/** Errno names of a failed system call of Node. */
const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? String(error);

const tunProblem = (tun: string): string | undefined => {
  try {
    closeSync(openSync(tun, constants.O_RDWR));
    return undefined;
  } catch (error) {
    switch (codeOf(error)) {
      case 'ENOENT':
        return `Cannot open ${tun}: it does not exist; run "modprobe tun", or give the container the device with "--device ${tun}"`;
      case 'ENODEV':
      case 'ENXIO':
        return `Cannot open ${tun}: the kernel has no TAP driver; run "modprobe tun" or boot a kernel with CONFIG_TUN`;
      case 'EACCES':
      case 'EPERM':
        return `Cannot open ${tun}: permission denied; run as root, and in a container with "--device ${tun} --cap-add NET_ADMIN"`;
      default:
        return `Cannot open ${tun}: ${codeOf(error)}; it must be the character device 10:200`;
    }
  }
};

/** Whether a program of this name is on the path. */
const hasProgram = (name: string, path: string): boolean =>
  path.split(delimiter).some((dir) => {
    try {
      accessSync(join(dir || '.', name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });

/**
 * What keeps an agent from running here, the first cause first; empty when nothing does.
 */
export const preflight = (options: PreflightOptions = {}): string[] => {
  const problems: string[] = [];
  const uid = options.uid ?? process.geteuid?.();
  if (uid !== 0) {
    problems.push(`Cannot make network devices as user ${uid}: run podwire as root, for example with sudo`);
    return problems; // all else would fail for the same reason
  }
  const tun = tunProblem(options.tun ?? '/dev/net/tun');
  if (tun) problems.push(tun);
  // The folders where sys/ looks too: /sbin is not on everybody's path.
  const path = options.path ?? `${process.env['PATH'] ?? ''}:/usr/sbin:/usr/bin:/sbin:/bin`;
  if (!hasProgram('ip', path))
    problems.push(
      'Cannot find the program "ip" on the PATH: install iproute2, for example "apt-get install iproute2"',
    );
  if (options.netns !== undefined) {
    const file = options.netns.startsWith('/') ? options.netns : `/run/netns/${options.netns}`;
    try {
      accessSync(file);
    } catch {
      problems.push(
        `Cannot enter network namespace "${options.netns}": ${file} does not exist; make it with "ip netns add", or correct --netns`,
      );
    }
  }
  return problems;
};
