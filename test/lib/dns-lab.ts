/** A lab whose upstream is the test, for tests of what pods see of DNS. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import * as dnsPacket from 'dns-packet';
import { inRoot } from './root.js';
import type { TestScope } from './scope.js';
import { start } from './spawn.js';
import { serveUpstream } from './upstream.js';

/** What the upstream says of every name, and of no name below `missing`. */
export const UPSTREAM_ADDRESS = '192.0.2.80';

export interface DnsLab {
  readonly name: string;
  /** Run podwire; nothing here blocks, for the upstream is in this very process. */
  run(
    words: readonly string[],
    input?: string,
  ): Promise<{ status: number | null; stdout: string; stderr: string }>;
  /** A call that must succeed; what it printed. */
  must(...words: string[]): Promise<string>;
  /** Run a program in a pod. */
  inPod(pod: string, ...argv: string[]): Promise<string>;
  apply(text: string): Promise<string>;
}

/** Bring a lab of two hosts up, with the objects of a text. */
export async function dnsLab(t: TestScope, objects: string): Promise<DnsLab> {
  const name = `pwt-${process.pid}`;
  const dir = mkdtempSync(join(tmpdir(), `${name}-`));
  const env = { PODWIRE_RUN: dir };
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const upstream = await serveUpstream(t, {
    udp(message, reply) {
      const { id, questions } = dnsPacket.decode(message);
      const { name: asked, type } = questions![0]!;
      const isMissing = asked.toLowerCase().endsWith('missing');
      reply(
        dnsPacket.encode({
          type: 'response',
          id,
          flags: 0x0180 | (isMissing ? 3 : 0),
          questions,
          answers:
            !isMissing && type === 'A' ? [{ type: 'A', name: asked, ttl: 60, data: UPSTREAM_ADDRESS }] : [],
        }),
      );
    },
  });

  const run: DnsLab['run'] = async (words, input = '') => {
    const child = start(t, [inRoot('scripts/podwire'), ...words], { env });
    const said = { stdout: '', stderr: '' };
    for (const stream of ['stdout', 'stderr'] as const)
      child[stream]!.setEncoding('utf8').on('data', (chunk: string) => (said[stream] += chunk));
    child.stdin!.on('error', () => undefined);
    child.stdin!.end(input);
    const [status] = (await once(child, 'close')) as [number | null];
    return { status, ...said };
  };
  const must: DnsLab['must'] = async (...words) => {
    const { status, stdout, stderr } = await run(words);
    if (status !== 0) throw new Error(`podwire ${words.join(' ')} ended with ${status}: ${stdout}${stderr}`);
    return stdout;
  };
  t.teardown(() => run(['down', '--lab', name]));
  const file = join(dir, 'lab.yaml');
  const lab = {
    apiVersion: 'podwire.dev/v1alpha1',
    kind: 'Lab',
    metadata: { name },
    spec: { dns: { upstreams: [`127.0.0.1:${upstream.port}`] } },
  };
  writeFileSync(file, `${JSON.stringify(lab)}\n---\n${objects}`);
  await must('up', '-f', file);
  const apply: DnsLab['apply'] = async (text) => {
    const { status, stdout, stderr } = await run(['apply', '--lab', name, '-f', '-'], text);
    if (status !== 0) throw new Error(`podwire apply ended with ${status}: ${stderr}`);
    return stdout;
  };
  return {
    name,
    run,
    must,
    inPod: (pod, ...argv) => must('exec', '--lab', name, pod, '--', ...argv),
    apply,
  };
}
