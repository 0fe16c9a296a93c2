/** Verbs that need an agent, on a machine that has its server alone: they reach it by the link that it dialled. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { bringUp } from '../lib/lab.js';
import { needsRoot } from '../lib/netns.js';
import { printed, runSync, start } from '../lib/spawn.js';

t.setTimeout(600_000); // a whole lab, on a machine that has more to do

const LAB = `
apiVersion: podwire.dev/v1alpha1
kind: Lab
metadata: {name: any}
spec: {nodes: [{name: node1}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {containers: [{name: c, image: nginx}]}
`;

t.test('agents that are not on this host', { skip: needsRoot() }, async (t) => {
  const lab = bringUp(t, LAB);
  await lab.ready();
  // Another run directory, with what the machine of the server has: no agent's socket, no pod's state.
  const elsewhere = mkdtempSync(join(tmpdir(), `${lab.name}-far-`));
  t.teardown(() => rmSync(elsewhere, { recursive: true, force: true }));
  const [from, to] = [join(lab.env['PODWIRE_RUN']!, lab.name), join(elsewhere, lab.name)];
  mkdirSync(to);
  for (const file of ['lab.json', 'supervisor.pid']) copyFileSync(join(from, file), join(to, file));
  symlinkSync(join(from, 'server.sock'), join(to, 'server.sock'));
  const env = { PODWIRE_RUN: elsewhere };
  const far = (words: string[], input?: string) =>
    runSync(lab.argv(...words), { env, ...(input !== undefined && { input }) });

  t.match(far(['tables', 'ports', '--node', 'node1']), { status: 0, stdout: /pod default\/web/ });
  const rows = JSON.parse(far(['tables', 'ports', '--node', 'node1', '-o', 'json']).stdout) as object;
  t.match(rows, { node1: [{ port: String, mtu: Number, rxPackets: Number }] });
  t.match(far(['tables', 'nothing', '--node', 'node1']), { status: 1, stderr: /nothing/ }, 'its own words');
  t.match(far(['top', '--once', '--interval', '0.1', '-o', 'json']), { status: 0, stdout: /"node1"/ });
  t.match(far(['logs', 'web']), { status: 0, stdout: /listening on/ });
  t.match(far(['tables', '--node', 'node9']), { status: 1, stderr: /has no host "node9"; it has node1/ });

  t.match(
    far(['exec', 'web', '--', 'sh', '-c', 'read line; echo got $line; echo err >&2; exit 3'], 'hello\n'),
    {
      status: 3,
      stdout: 'got hello\n',
      stderr: 'err\n',
    },
  );
  const cat = `head -c 3000000 /dev/zero | ${lab.argv('exec', 'web', '--', 'cat').join(' ')} | wc -c`;
  t.equal(runSync(['sh', '-c', cat], { env }).stdout.trim(), '3000000', '3 MB there and back');
  t.match(far(['exec', 'web', '--', 'pwt-no-such']), { status: 1, stderr: /executable file not found/ });
  t.match(far(['exec', 'nobody', '--', 'true']), { status: 1, stderr: /pods "nobody" not found/ });
  // The size comes after the program has begun, as with kubectl.
  const size = `'until stty size | grep -v "^0 0"; do :; done'`;
  const typed = `stty rows 33 cols 77; exec ${lab.argv('exec', 'web', '--', 'sh', '-c', size).join(' ')}`;
  const terminal = runSync(['script', '-qefc', typed, '/dev/null'], { env });
  t.match(terminal, { status: 0, stdout: /33 77/ }, 'a terminal, as large as ours');

  const child = start(t, lab.argv('logs', '-f', 'web'), { env });
  await printed(child, /listening on/);
  lab.must('exec', 'web', '--', 'curl', '-s', 'http://127.0.0.1/');
  await printed(child, /GET \/ HTTP/);
});
