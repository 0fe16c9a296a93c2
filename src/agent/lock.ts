/**
 * One agent a host. The lock is a listening socket in Linux's abstract namespace (unix(7)): the kernel takes it away
 * with the process, however that ends, so it can be neither stale nor stolen. The pid file beside it only tells
 * people whom to ask.
 */
import { createHash } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';

export interface AgentLock {
  release(): Promise<void>;
}

const pidIn = (file: string): string => {
  try {
    return `process ${readFileSync(file, 'utf8').trim()}`;
  } catch {
    return 'another process';
  }
};

/**
 * Take the lock of the host whose state is in `dir`.
 *
 * @param dir      absolute path; two agents with the same one exclude each other
 * @param pidFile  gets our pid
 * @param who      the host in words, for the message: `node "node1" of lab "demo"`
 * @throws         an Error that names the process that has it
 */
export const takeLock = async (dir: string, pidFile: string, who: string): Promise<AgentLock> => {
  // The name of a socket has at most 107 bytes; a path may have more.
  const name = `\0podwire-agent-${createHash('sha256').update(dir).digest('hex').slice(0, 32)}`;
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        error.code === 'EADDRINUSE'
          ? new Error(`Cannot run an agent for ${who}: ${pidIn(pidFile)} does so already; end that one first`)
          : error,
      );
    });
    server.listen(name, resolve);
  });
  server.unref();
  writeFileSync(pidFile, `${process.pid}\n`, { mode: 0o600 });
  return {
    release: () =>
      new Promise((resolve) => {
        rmSync(pidFile, { force: true });
        server.close(() => resolve());
      }),
  };
};
