/**
 * Hosts that join a server as they would on real machines: the real program in namespaces on one underlay, a server that
 * listens with TLS in the first of them, agents in all. Each has folders of its own; all is gone at the end of the test.
 */
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bootstrapTokenSecret, PODWIRE_BOOTSTRAPPERS } from '../../src/api/bootstrap-token.js';
import { NODE } from '../../src/api/kinds.js';
import type { Condition, Node } from '../../src/api/types.js';
import { createClient, type Client } from '../../src/client/client.js';
import { formatJoinToken, hashAuthority, newTokenWords } from '../../src/client/join-token.js';
import { makeNetns, testName } from './netns.js';
import { inRoot } from './root.js';
import type { TestScope } from './scope.js';
import { output, printed, runSync, start, type Result } from './spawn.js';

const PORT = 6443;

export interface JoinedHost {
  readonly node: string;
  readonly netns: string;
  readonly address: string;
  /** Where its identity is. */
  readonly state: string;
  readonly run: string;
  /** All that its agents have logged. */
  log(): string;
  agent: ChildProcess | undefined;
}

/** Longer than anything here takes on a machine that is busy. */
const LONG_MS = 90_000;

export class JoinedHosts {
  readonly underlay: string;
  readonly url = `https://192.0.2.1:${PORT}`;
  readonly hosts: JoinedHost[] = [];
  /** The administrator's, by the server's path socket. */
  readonly client: Client;
  readonly socketPath: string;
  readonly lab = testName('j');
  serverLog = '';
  readonly #t: TestScope;
  readonly #folder: string;
  #server: ChildProcess | undefined;

  /** @param count  hosts, named n1, n2, …, with 192.0.2.1, .2, … on eth0 and 10.0.2.15 on nat0, as Vagrant's have */
  constructor(t: TestScope, count: number) {
    this.#t = t;
    this.#folder = mkdtempSync(join(tmpdir(), testName('')));
    t.teardown(() => rmSync(this.#folder, { recursive: true, force: true }));
    this.underlay = makeNetns(t);
    ipIn(this.underlay, 'link add br0 type bridge', 'link set br0 up');
    this.socketPath = join(this.#folder, 'api.sock');
    this.client = createClient({ socketPath: this.socketPath });
    t.teardown(() => this.client.close());
    for (let i = 1; i <= count; i++) this.#addHost(i);
  }

  #addHost(i: number): void {
    const netns = makeNetns(this.#t);
    const port = `w${i}`;
    output(
      ['ip', '-batch', '-'],
      `link add eth0 netns ${netns} type veth peer name ${port} netns ${this.underlay}\n`,
    );
    ipIn(this.underlay, `link set ${port} master br0`, `link set ${port} up`);
    ipIn(
      netns,
      `addr add 192.0.2.${i}/24 dev eth0`,
      'link set eth0 up',
      'link add nat0 type veth peer name nat1',
      'addr add 10.0.2.15/24 dev nat0',
      'link set nat0 up',
      'link set nat1 up',
      'route add default via 10.0.2.2 dev nat0',
    );
    const node = `n${i}`;
    const folder = join(this.#folder, node);
    let text = '';
    const host: JoinedHost & { add(more: string): void } = {
      node,
      netns,
      address: `192.0.2.${i}`,
      state: join(folder, 'lib', this.lab, node, 'identity.json'),
      run: join(folder, 'run'),
      log: () => text,
      add: (more) => (text += more),
      agent: undefined,
    };
    this.hosts.push(host);
    this.#t.teardown(async () => {
      await this.stop(host, 'SIGKILL');
      this.podwire(host, 'agent', '--node', node, '--lab', this.lab, '--cleanup', '--forget');
    });
  }

  #argv(host: JoinedHost, words: readonly string[]): string[] {
    return ['nsenter', `--net=/run/netns/${host.netns}`, inRoot('scripts/podwire'), ...words];
  }

  #env(host: JoinedHost): Record<string, string> {
    return { PODWIRE_RUN: host.run, PODWIRE_STATE: join(this.#folder, host.node, 'lib') };
  }

  /** Run the program on a host, to its end. */
  podwire(host: JoinedHost, ...words: string[]): Result {
    return runSync(this.#argv(host, words), { env: this.#env(host) });
  }

  /** Start the server on the first host, or start it again. */
  async startServer(): Promise<void> {
    const server = start(
      this.#t,
      this.#argv(this.hosts[0]!, [
        'server',
        ...['--listen', `192.0.2.1:${PORT}`, '--socket', this.socketPath],
        ...['--data', join(this.#folder, 'data'), '--write-kubeconfig', this.kubeconfig],
      ]),
    );
    this.#server = server;
    for (const stream of [server.stdout!, server.stderr!])
      stream.on('data', (chunk: Buffer) => (this.serverLog += chunk.toString()));
    await printed(server, /the API answers/);
  }

  async stopServer(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const server = this.#server!;
    const ended = new Promise((resolve) => server.once('exit', resolve));
    server.kill(signal);
    await ended;
  }

  get kubeconfig(): string {
    return join(this.#folder, 'kubeconfig');
  }

  /** PEM of the server's authority. */
  get authority(): string {
    const text = readFileSync(this.kubeconfig, 'utf8');
    return Buffer.from(/certificate-authority-data: (.*)/.exec(text)![1]!, 'base64').toString();
  }

  /** A join token that is good for so long. */
  async token(lifeMs = 3_600_000): Promise<string> {
    const words = newTokenWords();
    await this.client.create(
      bootstrapTokenSecret({
        ...words,
        expiration: Date.now() + lifeMs,
        groups: [PODWIRE_BOOTSTRAPPERS],
        description: '',
        isForAuthentication: true,
      }),
    );
    return formatJoinToken({ ...words, authorityHash: hashAuthority(this.authority) });
  }

  /** The words that start an agent. */
  words(host: JoinedHost, ...more: string[]): string[] {
    return ['agent', '--node', host.node, '--lab', this.lab, ...more];
  }

  /** Start an agent; it is not waited for. */
  start(host: JoinedHost, ...more: string[]): void {
    const agent = start(this.#t, this.#argv(host, this.words(host, ...more)), { env: this.#env(host) });
    host.agent = agent;
    for (const stream of [agent.stdout!, agent.stderr!])
      stream.on('data', (chunk: Buffer) =>
        (host as JoinedHost & { add(more: string): void }).add(chunk.toString()),
      );
  }

  /** End an agent, if it runs. */
  async stop(host: JoinedHost, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const { agent } = host;
    host.agent = undefined;
    if (!agent || agent.exitCode !== null || agent.signalCode !== null) return;
    const ended = new Promise((resolve) => agent.once('exit', resolve));
    agent.kill(signal);
    await ended;
  }

  /** Join a host with a token and wait until its node is ready. */
  async join(host: JoinedHost): Promise<void> {
    this.start(host, '--server', this.url, '--token', await this.token());
    await this.ready(host);
  }

  /** Until the node of a host is ready, as the server sees it. */
  async ready({ node, log }: JoinedHost): Promise<Node> {
    return this.eventually(
      `${node} is ready`,
      async () => {
        const found = await this.client.get<Node>(NODE, node);
        return isTrue(found, 'Ready') ? found : undefined;
      },
      log,
    );
  }

  /** A condition of a node. */
  async condition({ node }: JoinedHost, type: string): Promise<Condition | undefined> {
    return (await this.client.get<Node>(NODE, node))?.status?.conditions?.find((one) => one.type === type);
  }

  /** Wait for what may take as long as a busy machine needs. */
  async eventually<T>(
    what: string,
    look: () => T | Promise<T>,
    log: () => string = () => '',
  ): Promise<Exclude<T, false | null | undefined>> {
    const end = performance.now() + LONG_MS;
    for (;;) {
      const value = await look();
      if (value !== false && value !== null && value !== undefined)
        return value as Exclude<T, false | null | undefined>;
      if (performance.now() > end) throw new Error(`waited in vain until ${what}: ${log().slice(-3000)}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

const isTrue = (node: Node | undefined, type: string): boolean =>
  node?.status?.conditions?.some((one) => one.type === type && one.status === 'True') ?? false;

function ipIn(netns: string, ...commands: string[]): void {
  output(['ip', '-n', netns, '-batch', '-'], commands.join('\n') + '\n');
}
