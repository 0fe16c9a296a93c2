/**
 * Links, addresses, routes, rules and neighbours by iproute2, in batches: one process for many lines (4 ms each
 * otherwise). Also sysctls, and NIC features by ethtool.
 *
 * A namespace is given by its `ip netns` name or by an absolute path; undefined means where we are.
 */
import { CommandError, run, runSync, succeed } from './command.js';
import type { Outcome } from './command.js';
import { ENOENT, EACCES, SysError } from './errno.js';
import { readText, writeText } from './file.js';
import { NETNS_DIR, inNetns, netnsPath } from './netns.js';

export interface IpOptions {
  netns?: string;
  /** Go on after a line that failed, and return the failures instead of throwing: for taking things down. */
  force?: boolean;
}

/** A line of a batch that failed, with ip's own words. */
export interface IpFailure {
  readonly line: string;
  readonly words: string;
}

/**
 * Run lines such as `link set eth0 up` with one `ip -batch`. It stops at the first that fails, unless `force`.
 *
 * @returns the lines that failed; without `force` there are none
 * @throws {CommandError} that names the failing line and says what ip said
 */
export function ip(commands: readonly string[], options: IpOptions = {}): IpFailure[] {
  if (commands.length === 0) return [];
  const argv = batchArgv(options);
  return batchResult(commands, options, argv, runSync(argv, batchInput(commands)));
}

/** As {@link ip}, without blocking. */
export async function ipAsync(commands: readonly string[], options: IpOptions = {}): Promise<IpFailure[]> {
  if (commands.length === 0) return [];
  const argv = batchArgv(options);
  return batchResult(commands, options, argv, await run(argv, batchInput(commands)));
}

/**
 * What `ip -j ARGS` prints, parsed: `ipJson<Route[]>(['route', 'show', 'table', 'all'])`. Nothing printed is an empty list.
 *
 * @throws {CommandError} with ip's words, e.g. when a named device is not there
 */
export function ipJson<T>(args: readonly string[], options: { netns?: string } = {}): T {
  const argv = jsonArgv(args, options);
  return parseJson<T>(argv, runSync(argv));
}

/** As {@link ipJson}, without blocking. */
export async function ipJsonAsync<T>(args: readonly string[], options: { netns?: string } = {}): Promise<T> {
  const argv = jsonArgv(args, options);
  return parseJson<T>(argv, await run(argv));
}

/**
 * What several `show` commands print, parsed, by one `ip -j -batch`: starting a process is the dear part of asking.
 *
 * @param commands  each prints one line of JSON, as all that show lists do
 * @returns         the lists, in the order of the commands
 * @throws {CommandError} with ip's words when one fails; none of the answers counts then
 */
export async function ipJsonBatchAsync<T extends unknown[]>(
  commands: readonly string[],
  options: { netns?: string } = {},
): Promise<T> {
  const argv = ipArgv(options.netns, '-j', '-batch', '-');
  const outcome = await run(argv, batchInput(commands));
  batchResult(commands, options, argv, outcome);
  const lines = outcome.stdout.split('\n').filter((line) => line.trim() !== '');
  if (lines.length !== commands.length)
    throw new CommandError(
      `Cannot read what ip says: ${lines.length} answers to ${commands.length} questions`,
      argv,
      outcome,
    );
  return lines.map((line) => JSON.parse(line) as unknown) as T;
}

/**
 * Set a sysctl.
 *
 * @param name  with dots, as in `net.ipv4.ip_forward`; with slashes where a link's name has dots: `net/ipv4/conf/eth0.1/rp_filter`
 * @returns     the value before; equal to `value` when there was nothing to do
 * @throws {SysError} when there is no such sysctl, or it does not take the value
 */
export function sysctl(name: string, value: string, netns?: string): string {
  return inNetns(netns, () => {
    const before = readSysctl(name);
    if (before !== value) {
      try {
        writeText(sysctlPath(name), `${value}\n`); // the new line alone empties a list
      } catch (error) {
        throw sysctlError(`set sysctl "${name}" to "${value}"`, error);
      }
    }
    return before;
  });
}

/** A sysctl's value, with single blanks between its words. */
export function readSysctl(name: string, netns?: string): string {
  return inNetns(netns, () => {
    try {
      return readText(sysctlPath(name)).trim().replace(/\s+/g, ' ');
    } catch (error) {
      throw sysctlError(`read sysctl "${name}"`, error);
    }
  });
}

/** Run `ethtool ARGS`, as in `['-K', 'eth0', 'tso', 'off']`. What it printed. */
export function ethtool(args: readonly string[], options: { netns?: string } = {}): string {
  const argv = ethtoolArgv(args, options);
  return succeed(argv, runSync(argv)).stdout;
}

/** As {@link ethtool}, without blocking. */
export async function ethtoolAsync(
  args: readonly string[],
  options: { netns?: string } = {},
): Promise<string> {
  const argv = ethtoolArgv(args, options);
  return succeed(argv, await run(argv)).stdout;
}

/** `ip -n` knows only names under /run/netns (Debian 12); for another path nsenter helps. */
function ipArgv(netns: string | undefined, ...args: string[]): string[] {
  if (netns === undefined) return ['ip', ...args];
  const path = netnsPath(netns);
  const name = path.startsWith(`${NETNS_DIR}/`) ? path.slice(NETNS_DIR.length + 1) : undefined;
  return name === undefined ? ['nsenter', `--net=${path}`, 'ip', ...args] : ['ip', '-n', name, ...args];
}

const batchArgv = ({ netns, force }: IpOptions): string[] =>
  ipArgv(netns, ...(force === true ? ['-force'] : []), '-batch', '-');

const jsonArgv = (args: readonly string[], { netns }: { netns?: string }): string[] =>
  ipArgv(netns, '-j', ...args);

/** ethtool cannot change namespaces itself. */
const ethtoolArgv = (args: readonly string[], { netns }: { netns?: string }): string[] =>
  netns === undefined ? ['ethtool', ...args] : ['nsenter', `--net=${netnsPath(netns)}`, 'ethtool', ...args];

function batchInput(commands: readonly string[]): string {
  for (const line of commands)
    // A comment or a blank line would be skipped, and a broken line would shift the numbers of all that follow.
    if (/[\n\r#\\]/.test(line) || line.trim() === '')
      throw new TypeError(`Cannot run ip line "${line}": need one command without "#" or "\\"`);
  return commands.join('\n') + '\n';
}

/**
 * ip tells of a failing line as its words, then `Command failed -:LINE`. A line that cannot be parsed at all may have its
 * words on stdout.
 */
function batchResult(
  commands: readonly string[],
  { netns, force }: IpOptions,
  argv: readonly string[],
  outcome: Outcome,
): IpFailure[] {
  const failures: IpFailure[] = [];
  let words: string[] = [];
  for (const text of outcome.stderr.split('\n')) {
    const failed = /^Command failed -:(\d+)$/.exec(text);
    if (failed === null) {
      if (text.trim() !== '') words.push(text.trim());
    } else {
      const line = commands[Number(failed[1]) - 1] ?? `line ${failed[1]}`;
      failures.push({ line, words: words.join('; ').replace(/^RTNETLINK answers: /, '') });
      words = [];
    }
  }
  if (outcome.status === 0) return failures;
  if (force === true && failures.length > 0) return failures;
  const where = netns === undefined ? '' : ` in network namespace "${netns}"`;
  if (failures.length === 0)
    throw new CommandError(
      `Cannot run ip${where}: ${words.join('; ') || outcome.stdout.trim() || `exit status ${outcome.status}`}`,
      argv,
      outcome,
    );
  const [{ line, words: said }] = failures;
  throw new CommandError(`Cannot run \`ip ${line}\`${where}: ${said}`, argv, outcome);
}

function parseJson<T>(argv: readonly string[], outcome: Outcome): T {
  const text = succeed(argv, outcome).stdout.trim();
  return JSON.parse(text === '' ? '[]' : text) as T;
}

function sysctlPath(name: string): string {
  const path = name.includes('/') ? name : name.replaceAll('.', '/');
  if (path.split('/').some((part) => part === '' || part === '..'))
    throw new RangeError(`Cannot use "${name}" as the name of a sysctl`);
  return `/proc/sys/${path}`;
}

function sysctlError(action: string, error: unknown): unknown {
  if (!(error instanceof SysError)) return error;
  const advice: Record<number, string> = {
    [ENOENT]: 'this kernel, or this namespace, has none of that name',
    [EACCES]: 'run as root',
  };
  return new SysError({ action, call: error.call, errno: error.errno, advice: advice[error.errno] });
}
