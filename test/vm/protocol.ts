/** What the test outside and the control program inside a virtual machine say to each other: one JSON object a line. */

/** The name of the virtio serial port. */
export const PORT_NAME = 'podwire.control';

/** What the test sends. */
export interface Request {
  id: number;
  /** For bash. */
  command: string;
  /** After so many seconds it is killed. */
  seconds: number;
}

/** What it gets back. Before any request comes one with id 0: the machine is up, and `stdout` is the kernel's release. */
export interface Response {
  id: number;
  /** Exit code; 128 + N after signal N; {@link TIMED_OUT} when it took too long. */
  code: number;
  stdout: string;
  stderr: string;
}

export const TIMED_OUT = 124;
