/**
 * Error numbers and the error that set-up calls throw.
 *
 * Hot calls return −errno and never throw; `errnoName` puts a name to it. Set-up calls throw a {@link SysError}.
 */
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';

export const EPERM = constants.errno.EPERM;
export const ENOENT = constants.errno.ENOENT;
export const EINTR = constants.errno.EINTR;
export const EIO = constants.errno.EIO;
export const EBADF = constants.errno.EBADF;
export const EAGAIN = constants.errno.EAGAIN;
export const ENOMEM = constants.errno.ENOMEM;
export const EACCES = constants.errno.EACCES;
export const EBUSY = constants.errno.EBUSY;
export const EEXIST = constants.errno.EEXIST;
export const ENODEV = constants.errno.ENODEV;
export const EINVAL = constants.errno.EINVAL;
export const EMFILE = constants.errno.EMFILE;
export const EMSGSIZE = constants.errno.EMSGSIZE;
export const ENOPROTOOPT = constants.errno.ENOPROTOOPT;
export const EADDRINUSE = constants.errno.EADDRINUSE;
export const EADDRNOTAVAIL = constants.errno.EADDRNOTAVAIL;
export const ENETDOWN = constants.errno.ENETDOWN;
export const ENETUNREACH = constants.errno.ENETUNREACH;
export const ENOBUFS = constants.errno.ENOBUFS;
export const ECONNREFUSED = constants.errno.ECONNREFUSED;
export const EHOSTUNREACH = constants.errno.EHOSTUNREACH;

const names = new Map<number, string>();
for (const [name, errno] of Object.entries(constants.errno)) if (!names.has(errno)) names.set(errno, name);

/** The name of a positive errno, `EAGAIN` for 11; `errno 999` for one that has none. */
export function errnoName(errno: number): string {
  return names.get(errno) ?? `errno ${errno}`;
}

/** What failed, for {@link SysError}. */
export interface SysFailure {
  /** What we wanted, to follow "Cannot": `open TAP "eth0"`. */
  action: string;
  /** The system call, with the request for ioctls and the like: `ioctl(TUNSETIFF)`. */
  call: string;
  /** The positive error number. */
  errno: number;
  /** What to do about it, a phrase: `run as root`. */
  advice?: string;
}

/** A set-up call failed. The message names the aim, the call, the error and, where we know it, what to do. */
export class SysError extends Error {
  readonly call: string;
  readonly errno: number;
  readonly code: string;

  constructor({ action, call, errno, advice }: SysFailure) {
    const code = errnoName(errno);
    const words = getSystemErrorMap().get(-errno)?.[1];
    super(
      `Cannot ${action}: ${call} failed with ${code}` +
        (words === undefined ? '' : ` (${words})`) +
        (advice === undefined ? '' : `; ${advice}`),
    );
    this.name = 'SysError';
    this.call = call;
    this.errno = errno;
    this.code = code;
  }
}

/**
 * Pass a result ≥ 0 through, throw a {@link SysError} for −errno.
 *
 * @param result   what a call of sys/ returned
 * @param failure  makes the words; called only on failure
 */
export function must(result: number, failure: (errno: number) => Omit<SysFailure, 'errno'>): number {
  if (result < 0) throw new SysError({ ...failure(-result), errno: -result });
  return result;
}
