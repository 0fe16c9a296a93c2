import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { pino } from 'pino';
import t from 'tap';
import type { Test } from 'tap';
import { runAgent } from '../../src/agent/agent.js';
import { cleanUp } from '../../src/agent/cleanup.js';
import type { AgentParts } from '../../src/agent/parts.js';
import { agentPaths } from '../../src/agent/paths.js';
import { createFilesSource } from '../../src/agent/source/files.js';
import type { ClusterSource } from '../../src/agent/source/source.js';
import type { AgentStatus } from '../../src/agent/status.js';
import type { ClusterView, Node, Pod } from '../../src/api/types.js';
import { makeNetns, needsRoot, testName } from '../lib/netns.js';
import { output } from '../lib/spawn.js';

const log = pino({ level: 'silent' });

const node = (name: string, address: string): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name },
  status: { addresses: [{ type: 'InternalIP', address }] },
});
const pod = (name: string, nodeName: string): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: { nodeName, containers: [{ name: 'main', image: 'nginx' }] },
});
const NODES = [node('node1', '192.0.2.1'), node('node2', '192.0.2.2')];

/** Look until `isSo` holds. */
const until = async (isSo: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 5));
};

/** GET from a path socket. */
const get = (socketPath: string, path: string, method = 'GET'): Promise<{ code: number; text: string }> =>
  new Promise((resolve, reject) => {
    request({ socketPath, path, method }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.on('end', () => resolve({ code: response.statusCode ?? 0, text }));
      response.on('error', reject);
    })
      .on('error', reject)
      .end();
  });

/** A host with an underlay NIC, an agent's directory, and parts that do as if: a veth plays pw0. */
const makeHost = (t: Test) => {
  const netns = makeNetns(t);
  const ip = (...args: string[]): string => output(['ip', '-n', netns, ...args]);
  ip('link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0-peer');
  ip('link', 'set', 'eth0', 'up');
  ip('address', 'add', '192.0.2.1/24', 'dev', 'eth0');
  const run = mkdtempSync(join(tmpdir(), testName('')));
  const before = process.env['PODWIRE_RUN'];
  process.env['PODWIRE_RUN'] = run;
  t.teardown(() => {
    if (before === undefined) delete process.env['PODWIRE_RUN'];
    else process.env['PODWIRE_RUN'] = before;
    rmSync(run, { recursive: true, force: true });
  });
  const paths = agentPaths('host', 'node1');
  const file = join(run, 'objects.json');
  const write = (...objects: object[]): void =>
    writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }));

  /** What the parts were told, in order. */
  const told: string[] = [];
  const hooks = {
    fatal: (_reason: string): void => undefined,
    removed: (_pod: Pod): void => undefined,
    view: undefined as ClusterView | undefined,
    setView: (): Promise<void> => Promise.resolve(),
  };
  const parts: AgentParts = {
    startPacketPath: async ({ node: own, iface, fatal }) => {
      told.push(`packet path of ${own.metadata.name} ${own.spec?.podCIDR} on ${iface}`);
      hooks.fatal = fatal;
      ip('link', 'add', 'pw0', 'type', 'veth', 'peer', 'name', 'pw0-peer');
      ip('link', 'set', 'pw0-peer', 'up');
      return {
        async setView(view) {
          await hooks.setView();
          hooks.view = view;
          told.push(`view of ${view.pods.length} pods`);
        },
        dump(table) {
          if (table !== undefined && table !== 'fdb')
            throw new RangeError(`There is no table "${table}": there is fdb`);
          return 'a dump\n';
        },
        rows: () => [{ mac: '0a:58:0a:f4:01:02', age: 2 }],
        network: { attach: () => Promise.resolve(), detach: () => Promise.resolve() },
        status: () => ({ offload: 'all', captures: [], workers: 1, problems: [], batches: 0 }),
        close: async () => {
          told.push('packet path closed');
          ip('link', 'del', 'pw0');
        },
      };
    },
    createPodRuntime: ({ report, removed, hostAddress }) => {
      hooks.removed = removed;
      told.push(`pods on ${hostAddress}`);
      return {
        sync(pods) {
          told.push(`run ${pods.map((one) => `${one.metadata.name}=${one.status?.podIP}`).join(' ')}`);
          for (const one of pods)
            report(one, { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] });
        },
        logs(_uid, { tail }) {
          const stream = new PassThrough();
          stream.end(tail === undefined ? 'one\ntwo\n' : 'two\n');
          return stream;
        },
        state(uid) {
          throw new RangeError(`no pod ${uid} runs in this test`);
        },
        folder: (uid) => uid,
        close: async () => void told.push('pods closed'),
        removeAll: async () => void told.push('pods removed'),
      };
    },
  };
  const begin = (wish: { source?: ClusterSource; node?: string; hasHostRules?: boolean } = {}) => {
    const control = new AbortController();
    const source =
      wish.source ?? createFilesSource({ paths: [file], lab: 'host', log, intervalMs: 3_600_000 });
    const done = runAgent({
      lab: 'host',
      node: wish.node ?? 'node1',
      netns,
      offload: 'all',
      hasHostRules: wish.hasHostRules,
      source,
      parts,
      log,
      stop: control.signal,
    });
    done.catch(() => undefined);
    t.teardown(() => control.abort());
    return {
      done,
      stop: (): Promise<number> => {
        control.abort();
        return done;
      },
    };
  };
  const status = async (): Promise<AgentStatus> =>
    JSON.parse((await get(paths.socket, '/status')).text) as AgentStatus;
  const running = (): Promise<void> =>
    until(async () => existsSync(paths.socket) && (await status()).phase === 'running');
  return { netns, ip, paths, run, write, told, hooks, parts, begin, status, running };
};

t.test('an agent of a host', { skip: needsRoot() }, async (t) => {
  t.test('starts in order, follows the files, and leaves nothing but pods', async (t) => {
    const host = makeHost(t);
    const before = host.ip('rule');
    host.write(...NODES, pod('a', 'node1'), pod('b', 'node2'));
    const agent = host.begin();
    await host.running();
    t.same(host.told, [
      'packet path of node1 10.244.1.0/24 on eth0',
      'pods on 192.0.2.1',
      'view of 2 pods',
      'run a=10.244.1.2',
    ]);
    t.match(host.ip('rule'), /^5:\s+from all iif pw0 lookup local/m);
    t.match(host.ip('route'), /^10\.244\.0\.0\/16 via 169\.254\.1\.1 dev pw0 /m);
    t.ok(existsSync(host.paths.journal));
    t.match(await host.status(), {
      lab: 'host',
      node: 'node1',
      pid: process.pid,
      podCIDR: '10.244.1.0/24',
      underlay: { nic: 'eth0', address: '192.0.2.1', why: "it has the node's address 192.0.2.1" },
      packetPath: { offload: 'all' },
      pods: [{ namespace: 'default', name: 'a', podIP: '10.244.1.2', phase: 'Running', isReady: true }],
      problems: [],
    });

    host.write(...NODES, pod('a', 'node1'), pod('c', 'node1'));
    await until(() => host.told.at(-1) === 'run a=10.244.1.2 c=10.244.1.3');

    host.told.length = 0;
    t.equal(await agent.stop(), 0);
    t.same(host.told, ['pods closed', 'packet path closed']);
    t.equal(host.ip('rule'), before);
    t.notOk(existsSync(host.paths.journal));
    t.notOk(existsSync(host.paths.socket));
    t.notOk(existsSync(host.paths.pid));
  });

  t.test('serves its host over a socket for root alone', async (t) => {
    const host = makeHost(t);
    host.write(...NODES, pod('a', 'node1'));
    const agent = host.begin();
    await host.running();
    const { socket } = host.paths;
    t.equal(statSync(socket).mode & 0o777, 0o600);
    t.same(await get(socket, '/healthz'), { code: 200, text: 'ok\n' });
    t.same(await get(socket, '/tables'), { code: 200, text: 'a dump\n' });
    t.same(await get(socket, '/tables/fdb'), { code: 200, text: 'a dump\n' });
    const { code, text } = await get(socket, '/tables/fdb?output=json');
    t.strictSame([code, JSON.parse(text)], [200, [{ mac: '0a:58:0a:f4:01:02', age: 2 }]]);
    t.match(await get(socket, '/tables?output=xml'), { code: 400, text: /Cannot read \?output=xml/ });
    t.same(await get(socket, '/pods/default/a/log'), { code: 200, text: 'one\ntwo\n' });
    t.same(await get(socket, '/pods/default/a/log?tail=1&container=main&follow'), {
      code: 200,
      text: 'two\n',
    });

    const refused = async (path: string, code: number, reason: string, message: RegExp, method?: string) => {
      const answer = await get(socket, path, method);
      t.equal(answer.code, code, path);
      const body = JSON.parse(answer.text) as Record<string, unknown>;
      t.match(body, { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message });
    };
    await refused('/tables/nat', 404, 'NotFound', /There is no table "nat": there is fdb/);
    await refused('/pods/default/z/log', 404, 'NotFound', /pods "z" not found/);
    await refused('/pods/default/a/log?tail=-1', 400, 'BadRequest', /\?tail=-1: expected a number/);
    await refused('/pods/default/a/log?follow=si', 400, 'BadRequest', /\?follow=si: expected true or false/);
    await refused(
      '/pods/default/a/log?container=x',
      400,
      'BadRequest',
      /container x is not valid for pod a: it has main/,
    );
    await refused('/pods/%zz/a/log', 400, 'BadRequest', /not percent-encoded/);
    await refused('/nothing', 404, 'NotFound', /There is nothing at \/nothing: the agent serves \/healthz/);
    await refused('/status', 405, 'MethodNotAllowed', /Cannot DELETE \/status: only GET/, 'DELETE');
    await agent.stop();
  });

  t.test('is the only one of its host', async (t) => {
    const host = makeHost(t);
    host.write(...NODES);
    const agent = host.begin();
    await host.running();
    await t.rejects(host.begin().done, {
      message: `Cannot run an agent for node "node1" of lab "host": process ${process.pid} does so already; end that one first`,
    });
    t.equal((await host.status()).phase, 'running', 'and the first one goes on');
    await agent.stop();
  });

  t.test('keeps what is in force when the files go wrong, and says so', async (t) => {
    const host = makeHost(t);
    host.write(...NODES, pod('a', 'node1'));
    const agent = host.begin();
    await host.running();
    host.write(...NODES, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'x' },
      spec: { nodeName: 'node1' },
    });
    await until(async () => (await host.status()).problems.length > 0);
    t.match((await host.status()).problems, [/objects\.json:1: spec\.containers: Required value/]);
    t.equal(host.told.at(-1), 'run a=10.244.1.2');
    await agent.stop();
  });

  t.test('waits for its node to appear, and can be stopped meanwhile', async (t) => {
    const host = makeHost(t);
    host.ip('route', 'add', 'default', 'dev', 'eth0');
    host.write(NODES[1]!);
    const agent = host.begin();
    await until(async () => existsSync(host.paths.socket) && (await host.status()).underlay !== undefined);
    t.match(await host.status(), { phase: 'starting', waitsFor: 'a pod CIDR for node "node1"' });
    t.match(await get(host.paths.socket, '/tables'), {
      code: 503,
      text: /The agent of node \\"node1\\" is starting and waits for a pod CIDR/,
    });
    t.equal(await agent.stop(), 0);
    t.same(host.told, []);
  });

  t.test('refuses an underlay address that another live node has', async (t) => {
    const host = makeHost(t);
    host.write(node('node1', '192.0.2.1'), node('node2', '192.0.2.1'));
    await t.rejects(host.begin().done, {
      message: /Cannot join as node "node1" .*live node "node2" has the same/,
    });
    t.notOk(existsSync(host.paths.socket));
  });

  t.test('ends with 1 when the packet path cannot go on, and takes host state back', async (t) => {
    const host = makeHost(t);
    const before = host.ip('rule');
    host.write(...NODES);
    const agent = host.begin();
    await host.running();
    host.hooks.fatal('the worker died');
    t.equal(await agent.done, 1);
    t.equal(host.ip('rule'), before);
  });

  t.test('goes on when a view cannot be put into force, and says so until one can', async (t) => {
    const host = makeHost(t);
    host.write(...NODES);
    const agent = host.begin();
    await host.running();
    host.hooks.setView = () => Promise.reject(new Error('table full'));
    host.write(...NODES, pod('a', 'node1'));
    await until(async () => (await host.status()).problems.length > 0);
    t.same((await host.status()).problems, ['Cannot put the newest objects into force: table full']);
    host.hooks.setView = () => Promise.resolve();
    host.write(...NODES, pod('b', 'node1'));
    await until(() => host.told.at(-1) === 'run b=10.244.1.2');
    t.same((await host.status()).problems, []);
    await agent.stop();
  });

  t.test('reports pods and its node to a source that wants to know', async (t) => {
    const host = makeHost(t);
    const reports: string[] = [];
    let tell: (view: ClusterView) => void = () => undefined;
    const view = (nodes: Node[], pods: Pod[]): ClusterView => ({
      lab: { apiVersion: 'podwire.dev/v1alpha1', kind: 'Lab', metadata: { name: 'host' } },
      namespaces: [],
      nodes,
      pods,
      services: [],
      endpointSlices: [],
      endpoints: [],
    });
    const source: ClusterSource = {
      name: 'a fake',
      saysAddresses: false,
      start(changed) {
        tell = changed;
        changed(view([], []));
        return Promise.resolve();
      },
      reportPod: (one, status) => reports.push(`pod ${one.metadata.name} ${status.phase}`),
      reportEvent: () => undefined,
      reportLease: () => undefined,
      podRemoved: (one) => reports.push(`removed ${one.metadata.name}`),
      reportNode({ metadata, status }) {
        const data = metadata.annotations?.['flannel.alpha.coreos.com/backend-data'] ?? 'no VTEP yet';
        const report = `node ${status?.conditions?.at(-1)?.reason} ${data}`;
        // It says the same again from time to time.
        if (reports.includes(report)) return;
        reports.push(report);
        if (reports.length === 1)
          tell(view([{ ...node('node1', '192.0.2.1'), spec: { podCIDR: '10.244.1.0/24' } }], []));
      },
      problems: () => [],
      close: async () => void reports.push('closed'),
    };
    host.ip('route', 'add', 'default', 'dev', 'eth0');
    const agent = host.begin({ source });
    await host.running();
    const ours = { ...node('node1', '192.0.2.1'), spec: { podCIDR: '10.244.1.0/24' } };
    const one: Pod = { ...pod('a', 'node1'), status: { podIP: '10.244.1.2' } };
    tell(view([ours], [one]));
    await until(() => reports.includes('pod a Running'));
    host.hooks.removed(one);
    await agent.stop();
    const vtep = '{"VNI":1,"VtepMAC":"0e:58:0a:f4:01:00"}';
    t.same(reports, [
      'node AgentStarting no VTEP yet',
      `node AgentStarting ${vtep}`,
      `node AgentReady ${vtep}`,
      'pod a Running',
      'removed a',
      `node AgentStopped ${vtep}`,
      'closed',
    ]);
  });

  t.test('a pod CIDR that changes ends it, so that it begins anew', async (t) => {
    const host = makeHost(t);
    host.write(...NODES);
    const agent = host.begin();
    await host.running();
    host.write({ ...NODES[0], spec: { podCIDR: '10.244.7.0/24' } }, NODES[1]!);
    t.equal(await agent.done, 1);
  });

  t.test(
    'without host rules nothing of the host is touched, and the node says what does not work',
    async (t) => {
      const host = makeHost(t);
      const seen = (): string =>
        ['-4 rule', '-4 route show table all', '-4 neigh', '-4 address']
          .map((words) => host.ip(...words.split(' ')))
          .join('\n');
      const settings = (): string =>
        output([
          'ip',
          'netns',
          'exec',
          host.netns,
          'sysctl',
          '-a',
          '--pattern',
          '^net\\.ipv4\\.(?!conf\\.pw0)',
        ]);
      const before = [seen(), settings()];
      const reasons: string[] = [];
      host.write(...NODES, pod('a', 'node1'));
      const files = createFilesSource({
        paths: [join(host.run, 'objects.json')],
        lab: 'host',
        log,
        intervalMs: 3_600_000,
      });
      const agent = host.begin({
        hasHostRules: false,
        source: {
          ...files,
          reportNode: ({ status }) =>
            reasons.push(...(status?.conditions ?? []).map(({ message }) => message ?? '')),
        },
      });
      await host.running();
      t.same([seen(), settings()], before);
      t.same((await host.status()).host?.items, [
        { id: 'link pw0 address 0a:58:0a:f4:01:01 mtu 1450 up', isThere: true },
      ]);
      t.match(await host.status(), { pods: [{ name: 'a', isReady: true }], host: { icmpFeed: 'off' } });
      t.ok(
        reasons.some((text) => /pods do not reach the host, the API, cluster DNS/.test(text)),
        'in the condition of its DNS',
      );
      t.equal(await agent.stop(), 0);
      t.same([seen(), settings()], before);
    },
  );

  t.test('cleaning up removes what a killed agent left, pods included', async (t) => {
    const host = makeHost(t);
    const before = host.ip('rule');
    host.write(...NODES);
    const agent = host.begin();
    await host.running();
    const { createPodRuntime } = host.parts;
    const wish = { lab: 'host', node: 'node1', netns: host.netns, log, createPodRuntime };
    await t.rejects(cleanUp(wish), { message: /does so already; end that one first/ });
    const journal = readFileSync(host.paths.journal);
    await agent.stop();
    // As if it had been killed: the journal is there, and so is a rule.
    writeFileSync(host.paths.journal, journal);
    host.ip('rule', 'add', 'pref', '5', 'iif', 'pw0', 'lookup', 'local');
    t.same(await cleanUp(wish), []);
    t.equal(host.told.at(-2), 'pods removed');
    t.equal(host.ip('rule'), before);
    t.notOk(existsSync(host.paths.dir));
    t.same(await cleanUp(wish), [], 'a second time there is nothing to do');
    rmSync(join(host.run, 'objects.json'));
    t.same(await cleanUp(wish), []);
    t.notOk(existsSync(host.run), 'the folder of all labs goes with the last one');
  });

  t.test('with its pods kept, cleaning up takes back host state alone', async (t) => {
    const host = makeHost(t);
    const before = host.ip('rule');
    host.write(...NODES, pod('a', 'node1'));
    const agent = host.begin();
    await host.running();
    const { createPodRuntime } = host.parts;
    const wish = { lab: 'host', node: 'node1', netns: host.netns, log, keepPods: true, createPodRuntime };
    await t.rejects(cleanUp(wish), { message: /does so already; end that one first/ });
    const journal = readFileSync(host.paths.journal);
    await agent.stop();
    const ofPod = join(host.paths.pods, 'uid');
    writeFileSync(ofPod, 'a pod');
    writeFileSync(host.paths.journal, journal); // as if it had been killed
    host.ip('rule', 'add', 'pref', '5', 'iif', 'pw0', 'lookup', 'local');
    t.same(await cleanUp(wish), []);
    t.equal(host.ip('rule'), before);
    t.notOk(host.told.includes('pods removed'));
    t.ok(existsSync(ofPod), 'what is known of pods stays');
    t.notOk(existsSync(host.paths.journal));
    rmSync(ofPod);
    t.same(await cleanUp(wish), []);
    t.notOk(existsSync(host.paths.dir), 'without pods nothing stays');
  });
});
