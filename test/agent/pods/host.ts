/**
 * A host with real pods for tests: a runtime whose network does nothing but remember what it was asked. Its lab is
 * called `pwt-PID-N`, and all of it is removed with the test.
 */
import { resolverFiles } from '../../../src/agent/pods/pod-dns.js';
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import type { Test } from 'tap';
import type { PodObjects } from '../../../src/api/container-environment.js';
import type { ConfigMap, Container, Pod, PodSpec, PodStatus, Secret } from '../../../src/api/types.js';
import { enterArgv, findPod } from '../../../src/agent/pods/enter.js';
import { processesWithEnv } from '../../../src/agent/pods/procfs.js';
import {
  createPodRuntime,
  type PodNetwork,
  type PodRuntime,
  type PodRuntimeOptions,
} from '../../../src/agent/pods/runtime.js';
import { uidOf, type PodState } from '../../../src/agent/pods/state.js';
import { needsRoot, testName } from '../../lib/netns.js';
import { cleanArgv, type Result } from '../../lib/spawn.js';

export const skip = needsRoot();

/** Quick, so that tests see several rounds of it. */
export const QUICK = { baseMs: 200, maxMs: 800, resetMs: 600_000 };

/** A pod with one container `main`, on node `n1`. */
export const podOf = (name: string, container: Partial<Container>, spec: Partial<PodSpec> = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default', uid: `uid-${name}` },
  spec: { nodeName: 'n1', containers: [{ name: 'main', ...container }], ...spec },
  status: { phase: 'Pending', podIP: '10.244.1.2' },
});

/** The same pod, as after DELETE. */
export const deleted = (pod: Pod, seconds = 1): Pod => ({
  ...pod,
  metadata: {
    ...pod.metadata,
    deletionTimestamp: '2025-01-01T00:00:00Z',
    deletionGracePeriodSeconds: seconds,
  },
});

/** Wait until a condition holds, and return what it returned. */
export async function until<T>(
  what: string,
  condition: () => T | undefined | false | Promise<T | undefined | false>,
  limitMs = 60_000,
): Promise<T> {
  const limit = performance.now() + limitMs;
  for (;;) {
    const value = await condition();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > limit) throw new Error(`it did not happen: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** ConfigMaps and Secrets of namespace default, to be changed while a test runs. */
export class TestObjects {
  readonly configMaps = new Map<string, ConfigMap>();
  readonly secrets = new Map<string, Secret>();

  readonly lookup = (): PodObjects => ({
    configMap: (_namespace, name) => this.configMaps.get(name),
    secret: (_namespace, name) => this.secrets.get(name),
  });

  setConfigMap(name: string, data: Record<string, string>): void {
    this.configMaps.set(name, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data });
  }

  setSecret(name: string, texts: Record<string, string>): void {
    const data = Object.fromEntries(
      Object.entries(texts).map(([key, text]) => [key, Buffer.from(text).toString('base64')]),
    );
    this.secrets.set(name, { apiVersion: 'v1', kind: 'Secret', metadata: { name }, data });
  }
}

export interface TestHost {
  readonly lab: string;
  readonly runDir: string;
  /** The pods' folder. */
  readonly dir: string;
  readonly runtime: PodRuntime;
  /** What the network was asked, `attach NAME NETNS` or `detach NAME`. */
  readonly asked: string[];
  readonly removed: string[];
  status(name: string): PodStatus | undefined;
  /** Every status a pod went through. */
  history(name: string): PodStatus[];
  ready(name: string): Promise<PodStatus>;
  /** Whether a pod's holder lives; it may be away for a moment. */
  isThere(name: string): boolean;
  state(name: string): PodState;
  /** Run a program in a pod as `podwire exec` does. */
  exec(name: string, ...argv: string[]): Promise<Result>;
  execIn(name: string, container: string, ...argv: string[]): Promise<Result>;
  /** The whole log of its container. */
  log(name: string, options?: Parameters<PodRuntime['logs']>[1]): Promise<string>;
  /** What is on the machine of this lab, one line each; empty when nothing is. */
  leftovers(): string[];
}

let made = 0;

/** A lab's names and folders. */
export interface TestLab {
  lab: string;
  runDir: string;
  dir: string;
}

/** Names of a lab that several runtimes in a row, or another process, will use. Removed with the test. */
export function makeLab(t: Test): TestLab {
  const lab = testName((made += 1));
  const runDir = mkdtempSync(join(tmpdir(), `${lab}-`));
  const dir = join(runDir, lab, 'n1', 'pods');
  t.teardown(async () => {
    await sweep(lab, dir);
    rmSync(runDir, { recursive: true, force: true });
  });
  return { lab, runDir, dir };
}

/** Remove a lab's pods, whatever made them. */
async function sweep(lab: string, dir: string): Promise<void> {
  const nothing = () => Promise.resolve();
  const log = pino({ level: 'silent' });
  const network = { attach: nothing, detach: nothing };
  await createPodRuntime({
    lab,
    node: 'n1',
    dir,
    hostAddress: '',
    network,
    resolverFiles: filesOf,
    report: nothing,
    removed: nothing,
    log,
  }).removeAll();
}

/** What resolvers of pods read in a lab with all defaults. */
export const filesOf: PodRuntimeOptions['resolverFiles'] = (pod, hostname) =>
  resolverFiles(pod, hostname, {
    lab: { apiVersion: 'podwire.dev/v1alpha1', kind: 'Lab', metadata: { name: 'test' } },
    gateway: '10.244.1.1',
    isInLab: true,
  });

/** What a test may have otherwise than usual. */
export type HostSettings = Partial<PodNetwork> &
  Partial<Pick<PodRuntimeOptions, 'netns' | 'services' | 'log' | 'objects' | 'requestToken' | 'event'>>;

/** Give pods their address, on the loopback: enough of a network for probes. */
export const attachAddress: PodNetwork['attach'] = async ({ status }, netns) =>
  void (await run(['ip', '-n', netns, 'addr', 'replace', `${status?.podIP}/32`, 'dev', 'lo']));

/** A runtime on a lab; closed with the test. */
export function makeHost(t: Test, where = makeLab(t), settings: HostSettings = {}): TestHost {
  const { lab, runDir, dir } = where;
  const asked: string[] = [];
  const removed: string[] = [];
  const histories = new Map<string, PodStatus[]>();
  const runtime = createPodRuntime({
    lab,
    node: 'n1',
    dir,
    hostAddress: '192.168.50.1',
    netns: settings.netns,
    services: settings.services,
    objects: settings.objects,
    allocatable: { cpu: '2', memory: '4Gi' },
    requestToken: settings.requestToken,
    event: settings.event,
    resolverFiles: filesOf,
    backoff: QUICK,
    log: settings.log ?? pino({ level: process.env.PWT_LOG ?? 'silent' }),
    network: {
      attach: async (pod, netns) => {
        asked.push(`attach ${pod.metadata.name} ${netns}`);
        await settings.attach?.(pod, netns);
      },
      detach: async (pod) => void asked.push(`detach ${pod.metadata.name}`),
    },
    report: (pod, status) => {
      const { name } = pod.metadata;
      histories.set(name, [...(histories.get(name) ?? []), status]);
    },
    removed: (pod) => void removed.push(pod.metadata.name),
  });
  t.teardown(() => runtime.close());
  const history = (name: string) => histories.get(name) ?? [];
  const status = (name: string) => history(name).at(-1);
  const state = (name: string): PodState => {
    const found = findPod(runDir, lab, 'default', name);
    if (!found) throw new Error(`no pod ${name}`);
    return found;
  };
  return {
    lab,
    runDir,
    dir,
    runtime,
    asked,
    removed,
    status,
    history,
    state,
    isThere: (name) => findPod(runDir, lab, 'default', name) !== undefined,
    ready: (name) =>
      until(`${name} is Ready`, () => {
        const now = status(name);
        return now?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') && now;
      }),
    exec: (name, ...argv) => run(enterArgv(state(name), argv)),
    execIn: (name, container, ...argv) => run(enterArgv(state(name), argv, { container })),
    log: async (name, options = {}) => {
      const chunks = await runtime.logs(uidOf(podOf(name, {})), options).toArray();
      return Buffer.concat(chunks as Buffer[]).toString();
    },
    leftovers: () => leftovers(lab, runDir),
  };
}

/** Run a program to its end. Not blocking: built-in servers live in this process. */
export function run(argv: readonly string[]): Promise<Result> {
  return new Promise((resolve, reject) => {
    const [command, ...args] = cleanArgv(argv);
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.on('error', reject);
    child.on('close', (status, signal) => resolve({ status, signal, stdout, stderr }));
  });
}

/** What is on the machine of a lab: namespaces, mounts, processes, pods' folders. */
export function leftovers(lab: string, runDir: string): string[] {
  const folders = readdirSync(runDir, { recursive: true, encoding: 'utf8' });
  return [
    ...readdirSync('/run/netns').filter((name) => name.startsWith(`${lab}.`)),
    ...readFileSync('/proc/mounts', 'utf8')
      .split('\n')
      .filter((line) => line.includes(lab)),
    ...folders.filter((path) => path.includes('/pods/')),
    ...readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
      .filter((pid) => textOf(`/proc/${pid}/environ`).includes(`${runDir}/`))
      .map((pid) => `process ${pid} ${textOf(`/proc/${pid}/cmdline`).replaceAll('\0', ' ')}`),
    ...processesWithEnv(`PWT_LAB=${lab}`).map(({ pid }) => `process ${pid} of a container`),
  ];
}

const textOf = (path: string): string => {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
};
