/** Logs, exec, attach, cp and port-forward as real kubectls do them, the oldest and the newest there is. */
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { Exec, KubeConfig, Log, PortForward, type V1Status } from '@kubernetes/client-node';
import t from 'tap';
import { random } from '../lib/random.js';
import { findKubectls } from '../lib/kubectl.js';
import { needsRoot } from '../lib/netns.js';
import { needsPython, startPython } from '../lib/python.js';
import { inRoot } from '../lib/root.js';
import { printed, runSync, start } from '../lib/spawn.js';
import { until } from '../lib/until.js';

t.setTimeout(600_000); // a whole lab, on a machine that has more to do
const lab = `pwt-${process.pid}s`;
const run = mkdtempSync(join(tmpdir(), `${lab}-`));
const found = findKubectls();
const kubectls = found.map(({ path }) => path);
const skip = needsRoot() || (kubectls.length === 0 && 'needs a kubectl');

t.test('streams by kubectl', { skip }, async (t) => {
  const podwire = (...words: string[]) =>
    runSync([inRoot('scripts/podwire'), ...words], { env: { PODWIRE_RUN: run } });
  t.teardown(() => {
    podwire('down', '--lab', lab);
    rmSync(run, { recursive: true, force: true });
  });
  const up = podwire('up', '-f', inRoot('examples/demo.yaml'), '--lab', lab);
  t.equal(up.status, 0, up.stderr);
  const env = { KUBECONFIG: join(run, lab, 'kubeconfig') };
  const bytes = Buffer.from(random(9).bytes(5_000_000));
  const file = join(run, 'bytes');
  writeFileSync(file, bytes);

  for (const kubectl of [...new Set([kubectls[0]!, kubectls.at(-1)!])]) {
    const k = (...words: string[]) => runSync([kubectl, ...words], { env });
    const { minor } = found.find(({ path }) => path === kubectl)!;
    const name = kubectl.replace(/.*kubectl\.?/, 'v').replaceAll('.', '-');
    await t.test(kubectl, async (t) => {
      t.match(k('logs', 'web-1', '--tail=1'), { status: 0, stdout: /\S+\n$/ });
      const timed = k('logs', 'web-1', '--tail=1', '--timestamps', '--since=1h').stdout;
      t.match(timed, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z \S.*\n$/);
      t.ok(Math.abs(Date.now() - Date.parse(timed.split(' ')[0]!)) < 600_000, 'the time is real');
      t.equal(k('logs', 'web-1', '--since-time=2099-01-01T00:00:00Z').stdout, '');
      t.match(k('logs', 'web-1', '--since-time=2020-01-01T00:00:00+02:00').stdout, /listening/);
      const exec = k('exec', 'client', '--', 'sh', '-c', 'echo out; echo err >&2; exit 3');
      t.match(exec, { status: 3, stdout: 'out\n', stderr: /^err$/m });
      t.match(k('exec', 'client', '--', 'pwt-no-such'), { status: 1, stderr: /executable file not found/ });
      t.match(
        k('exec', '-c', 'no', 'client', '--', 'true').stderr,
        /container no is not valid for pod client/,
      );

      const cat = `${kubectl} exec -i client -- cat <${file} | cmp - ${file} && echo same`;
      t.equal(runSync(['sh', '-c', cat], { env }).stdout, 'same\n', '5 MB there and back');
      const [there, back] = [`/root/${name}`, join(run, name)];
      t.equal(k('cp', file, `client:${there}`).status, 0);
      t.equal(k('cp', `client:${there}`, back).status, 0);
      t.ok(readFileSync(back).equals(bytes), 'cp both ways');

      const sized = 'until [ "$(stty size)" = "33 77" ]; do sleep 0.05; done; stty size; exit 4';
      const typed = `stty rows 33 cols 77; exec ${kubectl} exec -it client -- sh -c '${sized}'`;
      const terminal = runSync(['script', '-qefc', typed, '/dev/null'], { env });
      t.match(terminal, { status: 4, stdout: /33 77/ });

      const attached = runSync(
        [
          kubectl,
          'run',
          '-i',
          '--rm',
          `run-${name}`,
          '--image=busybox',
          '--restart=Never',
          '--',
          'sh',
          '-c',
          'cat; echo three >&2; exit 7',
        ],
        { env, input: 'one\ntwo\n' },
      );
      t.match(attached, { status: 7, stdout: /one\ntwo\n/, stderr: /^three$/m });
      t.notMatch(attached.stdout, 'three', 'stderr comes as stderr');
    });

    await t.test(`${kubectl} follows a log`, async (t) => {
      const pod = `log-${name}`;
      const script = 'while ! [ -e /tmp/go ]; do echo tick; sleep 0.1; done; echo last';
      k('run', pod, '--image=busybox', '--restart=Never', '--', 'sh', '-c', script);
      k('wait', `pod/${pod}`, '--for=condition=Ready', '--timeout=120s');
      const child = start(t, [kubectl, 'logs', '-f', '--timestamps', '--since=1m', pod], { env });
      await printed(child, /\.\d{9}Z tick\n/);
      t.equal(k('exec', pod, '--', 'touch', '/tmp/go').status, 0);
      await printed(child, /last\n/);
      if (child.exitCode === null) await once(child, 'exit');
      t.equal(child.exitCode, 0, 'it ends with its container');
    });

    await t.test(
      `${kubectl} debugs a pod`,
      { skip: minor < 23 && 'it has the API of 1.20 alone' },
      async (t) => {
        const dbg = `dbg-${name}`;
        const words = ['debug', '-i', 'web-1', '-c', dbg, '--image=busybox', '--target=nginx', '--', 'sh'];
        const said = runSync([kubectl, ...words], {
          env,
          input: 'hostname\necho no >&2\ncurl -s localhost\nexit 4\n',
        });
        t.match(said, { status: 0, stdout: /^web-1\n[^]*This is pod web-1/m, stderr: /^no$/m });
        const path = `{.status.ephemeralContainerStatuses[?(@.name=="${dbg}")].state.terminated.exitCode}`;
        // kubectl ends with the stream, the agent reports behind it.
        const code = await until('its end is told', () => {
          const { stdout } = k('get', 'pod', 'web-1', '-o', `jsonpath=${path}`);
          return stdout === '' ? undefined : stdout;
        });
        t.equal(code, '4');
        t.match(k('logs', 'web-1', '-c', dbg).stdout, 'web-1\n');
        const tty = `${kubectl} debug -it web-1 -c ${dbg}t --image=busybox -- sh -c 'read x; tty; echo got $x'`;
        const typed = runSync(['script', '-qefc', tty, '/dev/null'], { env, input: 'a\n' });
        t.match(typed.stdout, /\/dev\/pts\/\d+\s+got/);
        const copy = `copy-${name}`;
        t.match(k('debug', 'web-1', '--image=busybox', `--copy-to=${copy}`, '--', 'sleep', '300'), {
          status: 0,
        });
        t.match(k('wait', `pod/${copy}`, '--for=condition=Ready', '--timeout=120s'), { status: 0 });
        const volumes = '{.spec.volumes[*].name}';
        t.equal(
          k('get', 'pod', copy, '-o', `jsonpath=${volumes}`).stdout,
          k('get', 'pod', 'web-1', '-o', `jsonpath=${volumes}`).stdout,
          'the volume of its account came along',
        );
      },
    );

    await t.test(`${kubectl} forwards a port`, async (t) => {
      const child = start(t, [kubectl, 'port-forward', 'pod/web-1', ':80'], { env });
      const [, port] = /127\.0\.0\.1:(\d+) -> 80/.exec(await printed(child, /127\.0\.0\.1:\d+ -> 80/))!;
      const pages = await Promise.all(
        Array.from({ length: 8 }, async () => {
          const socket = connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true });
          socket.end('GET / HTTP/1.0\r\n\r\n');
          return Buffer.concat((await socket.toArray()) as Buffer[]).toString();
        }),
      );
      t.ok(
        pages.every((page) => /200 OK[^]*This is pod web-1/.test(page)),
        'eight connections at once, each with its own end',
      );
    });
  }

  await t.test('Kubernetes’ JavaScript client: exec, log, and port-forward in the older form', async (t) => {
    const config = new KubeConfig();
    config.loadFromFile(env.KUBECONFIG);
    const text = new PassThrough();
    const status = await new Promise<V1Status>((resolve, reject) => {
      const words = ['sh', '-c', 'echo hi; exit 3'];
      new Exec(config)
        .exec('default', 'client', 'main', words, text, null, null, false, resolve)
        .catch(reject);
    });
    t.match(status.details?.causes, [{ reason: 'ExitCode', message: '3' }]);
    t.equal(String(text.read()), 'hi\n');
    const log = new PassThrough();
    await new Log(config).log('default', 'web-1', '', log, { tailLines: 1 });
    t.match(Buffer.concat((await log.toArray()) as Buffer[]).toString(), /^[^\n]+\n$/);
    const [typed, page] = [new PassThrough(), new PassThrough()];
    await new PortForward(config).portForward('default', 'web-1', [80], page, null, typed);
    typed.write('GET / HTTP/1.0\r\n\r\n');
    let received = '';
    for await (const chunk of page) if ((received += String(chunk)).includes('pod web-1')) break;
    t.match(received, '200 OK');
  });

  await t.test('Kubernetes’ Python client: exec, log and port-forward', { skip: needsPython }, async (t) => {
    const child = startPython(
      t,
      env.KUBECONFIG,
      `
words = ["sh", "-c", "read line; echo got $line; echo err >&2; exit 3"]
run = stream.stream(core.connect_get_namespaced_pod_exec, "client", "default", command=words, stdin=True,
                    stdout=True, stderr=True, tty=False, _preload_content=False)
run.write_stdin("hello\\n")
run.run_forever(timeout=60)
print(run.read_stdout().strip(), run.read_stderr().strip(), run.returncode)
print("log", len(core.read_namespaced_pod_log("web-1", "default", tail_lines=1).strip().splitlines()))
ports = stream.portforward(core.connect_get_namespaced_pod_portforward, "web-1", "default", ports="80")
http = ports.socket(80)
http.setblocking(True)
http.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
page = b""
while chunk := http.recv(4096):
    page += chunk
print(page.decode().splitlines()[0], b"This is pod web-1" in page)
print("done")
`,
    );
    const lines = (await printed(child, /^done$/m)).trimEnd().split('\n');
    t.match(lines, ['got hello err 3', 'log 1', /^HTTP\/1.. 200 OK True$/, 'done']);
  });

  await t.test('an agent that dies ends a stream with a sentence, and the next one serves', async (t) => {
    const kubectl = kubectls.at(-1)!;
    const child = start(t, [kubectl, 'exec', 'client', '--', 'sh', '-c', 'echo up; exec sleep 1000'], {
      env,
    });
    await printed(child, /up/);
    const status = JSON.parse(podwire('status', '-o', 'json').stdout) as {
      nodes: { name: string; agentPid: number }[];
    };
    process.kill(status.nodes.find(({ name }) => name === 'node1')!.agentPid, 'SIGKILL');
    t.match(await printed(child, /broke/), /the stream from the agent of node "node1" broke/);
    const again = `for i in $(seq 60); do ${kubectl} exec client -- true && exit 0; sleep 0.5; done; exit 1`;
    t.equal(runSync(['sh', '-c', again], { env }).status, 0);
  });
});
