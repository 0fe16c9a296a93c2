/**
 * A virtual machine: QEMU in software emulation, and commands run in it.
 *
 * Theory of operation. QEMU is a child of ours, and the kernel kills it when we die in whatever way (PR_SET_PDEATHSIG). A
 * wire between the NICs of two machines is a path socket. (UDP sockets would do too, but they lose frames when a machine
 * is not scheduled for a while: 0.5 % on a busy machine, and TCP crawled at 5 Mbit/s.) The console goes to a file. Commands
 * and their answers are JSON lines over a virtio serial port, of which our end is a path socket too (see control.ts).
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { PORT_NAME, type Request, type Response } from './protocol.js';

/** Emulated: ten seconds are usual, forty with systemd, on a busy machine ninety. */
const BOOT_LIMIT_MS = 400_000;
const MEMORY_MB = 1024;
/**
 * What emulation is worst at is left out: `rep movsb` goes byte by byte, and with it (erms, fsrm) the kernel copies. Without
 * these TCP over a VM's loopback is five times as fast: 0.4 → 2.0 Gbit/s.
 */
const CPU = 'max,-erms,-fsrm,-avx,-avx2';

export interface MachineOptions {
  /** 1 or 2. */
  id: number;
  /** Folder with `vmlinuz`, `initrd.gz`, `debian.squashfs`. */
  image: string;
  /** Where the console's log and the control socket go. */
  dir: string;
  /** What is laid over the system: a squashfs. */
  disk: string;
  /** Path sockets that wire this machine's NICs eth1 and eth2 to another's: one end waits there, the other connects. */
  wires: readonly { path: string; waits: boolean }[];
  /**
   * A machine as Vagrant makes them: systemd runs it, eth0 is a NIC with the address that all of them have (10.0.2.15, a way to
   * nowhere here), and what is written is on a disk of its own, which a reboot keeps. Its file.
   */
  systemdWrites?: string;
}

export interface Machine {
  readonly name: string;
  /** The kernel's release. */
  readonly kernel: string;
  /**
   * Run a command in bash.
   *
   * @param seconds  after so many it is killed, code 124; default 60
   * @throws {Error} when the machine has ended
   */
  run(command: string, seconds?: number): Promise<Response>;
  /** The same for one that must succeed. @returns its standard output */
  output(command: string, seconds?: number): Promise<string>;
  /** Boot it anew. What runs in it, and what waits for an answer, ends. Resolves when it takes commands again. */
  reboot(): Promise<void>;
  /** End it, as by pulling the plug. */
  stop(): Promise<void>;
}

/** The NICs' models, eth1 and eth2, as vm-init tells them apart: without transmit checksum offload, and with it. */
const NICS = ['virtio-net-pci', 'vmxnet3'];

/** Start a machine. Resolves when it takes commands. */
export async function startMachine(options: MachineOptions): Promise<Machine> {
  const { id, image, dir, disk, wires, systemdWrites } = options;
  const name = `vm${id}`;
  const consoleLog = join(dir, `${name}.console.log`);
  const control = join(dir, `${name}.control`);
  const argv = [
    ...['-accel', 'tcg,thread=multi', '-cpu', CPU, '-smp', '1', '-m', String(MEMORY_MB)],
    ...['-nodefaults', '-nographic', '-serial', 'stdio'],
    ...['-kernel', join(image, 'vmlinuz'), '-initrd', join(image, 'initrd.gz')],
    ...[
      '-append',
      `console=ttyS0 quiet loglevel=4 panic=-1 net.ifnames=0 vm=${id}${systemdWrites ? ' systemd' : ''}`,
    ],
    ...[join(image, 'debian.squashfs'), disk, ...(systemdWrites ? [systemdWrites] : [])].flatMap(
      (file, i) => [
        '-drive',
        `file=${file},if=none,id=disk${i},format=raw,file.locking=off` +
          (i < 2 ? ',readonly=on' : ',cache=unsafe'),
        ...['-device', `virtio-blk-pci,drive=disk${i}`],
      ],
    ),
    ...(systemdWrites
      ? [
          // A kernel that panics must not boot again and again.
          ...['-action', 'panic=shutdown', '-netdev', 'user,id=nat,restrict=on'],
          ...['-device', 'virtio-net-pci,netdev=nat,mac=52:54:00:00:00:15,romfile='],
        ]
      : ['-no-reboot']),
    ...wires.flatMap(({ path, waits }, i) => [
      '-netdev',
      `stream,id=wire${i},server=${waits ? 'on' : 'off'},addr.type=unix,addr.path=${path}`,
      '-device',
      `${NICS[i]},netdev=wire${i},mac=52:54:00:00:0${i + 1}:0${id},romfile=`,
    ]),
    ...['-device', 'virtio-serial-pci', '-chardev', `socket,id=control,path=${control},server=on,wait=off`],
    ...['-device', `virtserialport,chardev=control,name=${PORT_NAME}`],
  ];
  while (!wires.every(({ path, waits }) => waits || existsSync(path))) await pause(20);
  const log = openSync(consoleLog, 'a');
  const qemu = spawn('setpriv', ['--pdeathsig', 'KILL', 'qemu-system-x86_64', ...argv], {
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  const exited = once(qemu, 'exit').catch(() => undefined);
  const lastWords = (): string => readFileSync(consoleLog, 'latin1').split('\n').slice(-15).join('\n');

  const waiting = new Map<number, { resolve(response: Response): void; reject(error: Error): void }>();
  let isOver = false;
  void exited.then(() => {
    isOver = true;
    for (const { reject } of waiting.values()) reject(ended());
    waiting.clear();
  });
  const ended = (): Error => new Error(`${name} has ended; its console says:\n${lastWords()}`);
  const answer = (requestId: number): Promise<Response> =>
    new Promise((resolve, reject) => {
      if (isOver) reject(ended());
      else waiting.set(requestId, { resolve, reject });
    });

  const kill = async (): Promise<void> => {
    qemu.kill('SIGKILL');
    await exited;
  };

  let socket: Socket;
  let hello: Response;
  try {
    const up = answer(0);
    up.catch(() => undefined);
    socket = await dial(control, () => isOver);
    createInterface({ input: socket }).on('line', (line) => {
      const response = JSON.parse(line) as Response;
      waiting.get(response.id)?.resolve(response);
      waiting.delete(response.id);
    });
    hello = await within(
      BOOT_LIMIT_MS,
      up,
      () => `${name} does not come up; its console says:\n${lastWords()}`,
    );
  } catch (error) {
    await kill();
    throw error;
  }
  socket.on('error', () => undefined); // its end is seen by `exited`

  let lastId = 0;
  const run = (command: string, seconds = 60): Promise<Response> => {
    const request: Request = { id: ++lastId, command, seconds };
    const response = answer(request.id);
    socket.write(`${JSON.stringify(request)}\n`);
    return response;
  };
  return {
    name,
    kernel: hello.stdout,
    run,
    async reboot() {
      const again = answer(0);
      again.catch(() => undefined);
      void run('systemctl reboot').catch(() => undefined);
      await within(BOOT_LIMIT_MS, again, () => `${name} does not come up again:\n${lastWords()}`);
      for (const { reject } of waiting.values()) reject(new Error(`${name} was rebooted`));
      waiting.clear();
    },
    async output(command, seconds) {
      const { code, stdout, stderr } = await run(command, seconds);
      if (code !== 0) throw new Error(`\`${command}\` in ${name} ended with ${code}: ${stderr || stdout}`);
      return stdout;
    },
    async stop() {
      await kill();
      socket.destroy();
    },
  };
}

/** Connect as soon as the socket is there. */
async function dial(path: string, isOver: () => boolean): Promise<Socket> {
  for (;;) {
    const socket = connect(path);
    try {
      await once(socket, 'connect');
      return socket;
    } catch (error) {
      if (isOver()) throw error;
      await pause(50);
    }
  }
}

async function within<T>(ms: number, work: Promise<T>, message: () => string): Promise<T> {
  let timer: NodeJS.Timeout;
  const limit = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(message())), ms);
  });
  return Promise.race([work, limit]).finally(() => clearTimeout(timer));
}
