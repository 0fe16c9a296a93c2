/**
 * The commands of a page: in its `console` blocks, the lines that begin with the prompt of a host. What stands below a
 * command is what it printed when the page was written; it is not compared.
 *
 *     vm1# export KUBECONFIG=…      kept, and put before every later command of vm1
 *     vm2# ./provision.sh … TOKEN   words in capitals are filled in from what an earlier command printed
 */

export interface PageCommand {
  /** The prompt's host, or `here` for the machine where podwire is built. */
  readonly host: string;
  readonly command: string;
  /** Line of the page, from 1. */
  readonly line: number;
  /** The heading that it stands under. */
  readonly section: string;
}

/** @param text  a page in Markdown */
export function commandsOf(text: string): PageCommand[] {
  const commands: PageCommand[] = [];
  let isConsole = false;
  let section = '';
  for (const [index, line] of text.split('\n').entries()) {
    section = /^#+ (.*)$/.exec(line)?.[1] ?? section;
    if (line.startsWith('```')) isConsole = line.trim() === '```console';
    const match = isConsole && /^(vm\d|here)# (.+)$/.exec(line);
    if (match) commands.push({ host: match[1]!, command: match[2]!, line: index + 1, section });
  }
  return commands;
}

/** Lines that set a variable for what comes after them. */
export const isSetting = (command: string): boolean => /^export \w+=/.test(command);

/** What some commands of docs/real-hosts.md must print. */
const PROMISES: readonly (readonly [command: RegExp, output: RegExp])[] = [
  [/get nodes/, /vm1 +Ready[^]*192\.168\.56\.11[^]*vm2 +Ready[^]*192\.168\.56\.12/],
  [/provision\.sh .* server/, /install agent --server https:\/\/192\.168\.56\.11:6443 --token \S+/],
  [/provision\.sh .* agent/, /Host vm\d has joined\./],
  [/exec client -- ping/, /3 received, 0% packet loss|VXLAN, flags \[I\] \(0x08\), vni 1/],
  [/curl/, /This is pod web-[12]/],
  [/nslookup/, /Address: 10\.\d+\.\d+\.\d+/],
  [/journalctl/, /"level":30/],
];

/** Follows a page: knows what was set and printed so far. */
export class PageWalk {
  readonly #settings = new Map<string, string>();
  #token = 'TOKEN';

  /**
   * Do what one command says.
   *
   * @param run  runs a script on a host with bash, and gives what it printed; throws when it ends with an error
   * @throws     also when it does not print what it must
   */
  async follow(
    { host, command }: PageCommand,
    run: (host: string, script: string) => string | Promise<string>,
  ): Promise<string> {
    const before = this.#settings.get(host) ?? '';
    if (isSetting(command)) {
      this.#settings.set(host, `${before}${command}; `);
      return '';
    }
    const text = await run(host, `cd /root; ${before}{ ${command.replace(/\bTOKEN\b/, this.#token)}; } 2>&1`);
    this.#token = /--token (\S+)/.exec(text)?.[1] ?? this.#token;
    const promise = PROMISES.find(([pattern]) => pattern.test(command))?.[1];
    if (promise && !promise.test(text)) throw new Error(`It does not print ${promise}: ${text}`);
    return text;
  }
}
