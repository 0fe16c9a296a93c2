/**
 * `podwire dns`: the cluster's DNS by itself, from files. Needs no root, and loads nothing that knows the kernel.
 */
import { parseEndpoint, labSpec, POD_NAMES, type FullLabSpec } from '../api/lab.js';
import type { Lab, PodNames } from '../api/types.js';
import { readManifests } from '../client/manifest.js';
import { signature, watchPaths } from '../client/watch-paths.js';
import { serveMetrics, startDnsServer } from '../dns/dns-server.js';
import { createForwarder, type Forwarder } from '../dns/forwarder.js';
import { Metrics } from '../dns/metrics.js';
import type { Listener } from '../dns/udp-server.js';
import { createUpstream, type UpstreamAddress } from '../dns/upstream.js';
import { machineUpstreams, upstreamAddresses } from '../dns/upstream-list.js';
import { viewOf } from '../explain/view.js';
import { reverseZones } from '../names/address-names.js';
import { labAuthority } from '../names/lab-names.js';
import { ENDPOINT_NAMES } from '../names/service-names.js';
import { explainDns } from './dns-explain.js';
import { takeObjects } from './offline-objects.js';
import { OUTPUT, readStdin } from './output.js';
import { LAB_FLAG } from './pick-lab.js';
import { CommandError, defineVerb, UsageError, type Io } from './verb.js';

const DEFAULT_LISTEN = '127.0.0.1:5300';

export const dns = defineVerb({
  usage: [
    'dns -f FILE… [--listen ADDRESS:PORT] [--zone ZONE] [--pods disabled|insecure|verified]',
    'dns explain NAME --from POD [-n NAMESPACE] [-f FILE… | --lab NAME]',
  ],
  description:
    'Answer DNS queries about the objects of files, on UDP and TCP, as the agents of a lab do for their pods. Files that change ' +
    'are read again. A Lab object in them may say more (spec.dns); flags come before it. ' +
    'explain says what looking a name up costs a pod on the wire, and why each answer is what it is.',
  options: {
    filename: {
      type: 'string',
      short: 'f',
      multiple: true,
      value: 'FILE',
      help: 'objects: a YAML or JSON file, a folder, or -; may be repeated',
    },
    listen: { type: 'string', value: 'ADDRESS:PORT', help: `where to; default: ${DEFAULT_LISTEN}` },
    zone: { type: 'string', value: 'ZONE', help: 'the cluster’s zone; default: cluster.local' },
    pods: { type: 'string', value: 'HOW', help: 'names of pods: disabled, insecure (default) or verified' },
    ttl: { type: 'string', value: 'SECONDS', help: 'how long answers may be kept; default: 5' },
    'endpoint-names': {
      type: 'string',
      value: 'HOW',
      help: 'endpoints without a hostname are called by their address (default), or as their pod',
    },
    reverse: {
      type: 'string',
      multiple: true,
      value: 'CIDR',
      help: 'addresses of which nobody else knows names, beside those of pods and Services',
    },
    upstream: {
      type: 'string',
      multiple: true,
      value: 'ADDRESS',
      help: 'whom to ask for other names, or "machine" for its resolvers; nobody when left out',
    },
    from: { type: 'string', value: 'POD', help: 'explain: who looks the name up' },
    namespace: {
      type: 'string',
      short: 'n',
      value: 'NAMESPACE',
      help: 'explain: the pod’s; default: default',
    },
    lab: LAB_FLAG,
    output: OUTPUT,
    metrics: { type: 'string', value: 'ADDRESS:PORT', help: 'serve Prometheus metrics there' },
  },
  args: { min: 0, max: 2 },
  example: [
    'podwire dns explain web --from client',
    'podwire dns -f objects.yaml --listen 127.0.0.1:5300 --upstream machine',
    'podwire dns -f objects.yaml & dig @127.0.0.1 -p 5300 my-nginx.default.svc.cluster.local',
  ],
  async run({ flags, args, io }) {
    if (args.length > 0) {
      const [what, name] = args;
      if (what !== 'explain' || name === undefined)
        throw new UsageError(`Cannot read "${args.join(' ')}"; need explain NAME, or no words`);
      return explainDns(name, flags, io);
    }
    const { filename: files } = flags;
    if (!files) throw new UsageError('Whose names? Give files of objects with -f');
    const listen = place('--listen', flags.listen ?? DEFAULT_LISTEN);
    const endpointNames = oneOf('--endpoint-names', flags['endpoint-names'] ?? 'address', ENDPOINT_NAMES);
    const zones = (flags.reverse ?? []).flatMap((cidr) => zonesOf(cidr));
    const view = await read(files, io);
    const spec = specWith(view.lab, flags);
    const metricsPlace = flags.metrics === undefined ? undefined : place('--metrics', flags.metrics);

    const metrics = new Metrics(`dns://${listen.address}:${listen.port}`);
    const authority = labAuthority(spec, { servers: [listen.address], endpointNames, reverseZones: zones });
    authority.cluster.sync(view);
    const resolver = forwarder(spec.dns.upstreams ?? [], listen, metrics, io);
    const server = await startDnsServer({ authority, resolver, metrics, udp: listen }).catch(taken(listen));
    let metricsServer: Listener | undefined;
    try {
      metricsServer = metricsPlace && (await serveMetrics(metrics, metricsPlace).catch(taken(metricsPlace)));
    } catch (error) {
      await server.close();
      throw error;
    }
    const { zone } = spec.dns;
    io.stdout.write(`DNS for ${zone} on ${listen.address}:${server.port}, UDP and TCP\n`);
    if (metricsServer)
      io.stdout.write(`Metrics on http://${metricsPlace!.address}:${metricsServer.port}/metrics\n`);
    const watching = watch(files, io, (next) => authority.cluster.sync(next));
    await new Promise<void>((resolve) => {
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolve());
    });
    watching?.close();
    resolver?.close();
    await Promise.all([server.close(), metricsServer?.close()]);
    return 0;
  },
});

/** The Lab's words on DNS, flags first. */
function specWith(
  lab: Lab,
  flags: {
    readonly zone?: string | undefined;
    readonly pods?: string | undefined;
    readonly ttl?: string | undefined;
    readonly upstream?: readonly string[] | undefined;
  },
): FullLabSpec {
  const spec = labSpec(lab);
  const { zone, pods, ttl, upstream } = flags;
  const seconds = ttl === undefined ? spec.dns.ttl : Number(ttl);
  if (!Number.isInteger(seconds) || seconds < 0 || seconds > 3600)
    throw new UsageError(`Cannot read --ttl "${ttl}"; need a number of seconds, 0 to 3600`);
  const name = (zone ?? spec.dns.zone).toLowerCase().replace(/\.$/, '');
  if (!/^[a-z0-9_]([-a-z0-9_]*[a-z0-9])?(\.[a-z0-9_]([-a-z0-9_]*[a-z0-9])?)*$/.test(name))
    throw new UsageError(`Cannot read --zone "${zone}"; need a domain name such as cluster.local`);
  const upstreams = (upstream ?? spec.dns.upstreams)?.flatMap((word) =>
    word === 'machine' ? machineUpstreams() : [word],
  );
  return {
    ...spec,
    dns: {
      ...spec.dns,
      zone: name,
      ttl: seconds,
      pods: pods === undefined ? spec.dns.pods : oneOf<PodNames>('--pods', pods, POD_NAMES),
      upstreams,
    },
  };
}

function oneOf<T extends string>(flag: string, word: string, words: readonly T[]): T {
  if (!words.includes(word as T))
    throw new UsageError(`Cannot read ${flag} "${word}"; choose ${words.join(', ')}`);
  return word as T;
}

function place(flag: string, text: string): UpstreamAddress {
  // Port 0 is any free one.
  const [, address = '', digits] = /^(.*):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  const found = parseEndpoint(address.replace(/^\[(.*)\]$/, '$1'), port);
  if (!found || port > 65535) throw new UsageError(`Cannot read ${flag} "${text}"; need ADDRESS:PORT`);
  return found;
}

function zonesOf(cidr: string): string[] {
  const zones = reverseZones(cidr);
  if (!zones) throw new UsageError(`Cannot read --reverse "${cidr}"; need a prefix such as 192.0.2.0/24`);
  return zones;
}

const taken =
  ({ address, port }: UpstreamAddress) =>
  (error: NodeJS.ErrnoException): never => {
    const why =
      error.code === 'EADDRINUSE'
        ? 'another program listens there; choose another port'
        : error.code === 'EACCES'
          ? 'ports below 1024 need root; choose a higher one'
          : error.code === 'EADDRNOTAVAIL'
            ? 'this machine does not have that address'
            : error.message;
    throw new CommandError(`Cannot listen on ${address}:${port}: ${why}`);
  };

const read = async (files: readonly string[], io: Io): Promise<ReturnType<typeof viewOf>> =>
  viewOf(takeObjects(await readManifests(files, () => readStdin(io)), io));

function forwarder(
  words: readonly string[],
  listen: UpstreamAddress,
  metrics: Metrics,
  io: Io,
): Forwarder | undefined {
  const { addresses, problems } = upstreamAddresses(words, [listen]);
  for (const problem of problems) io.stderr.write(`note: ${problem}\n`);
  if (addresses.length === 0) return undefined;
  const log = (line: string): void => void io.stderr.write(`${line}\n`);
  return createForwarder({ upstreams: addresses.map(createUpstream), metrics, log });
}

/** Read files again when they have changed. What is wrong with them is said, and what was there stays. */
function watch(
  files: readonly string[],
  io: Io,
  changed: (view: ReturnType<typeof viewOf>) => void,
): { close(): void } | undefined {
  if (files.includes('-')) return undefined;
  let seen = signature(files);
  let turn: Promise<void> = Promise.resolve();
  const look = async (): Promise<void> => {
    const now = signature(files);
    if (now === seen) return;
    seen = now;
    try {
      changed(await read(files, io));
    } catch (error) {
      io.stderr.write(`${(error as Error).message}\nThe names stay as they were.\n`);
    }
  };
  return watchPaths(files, {
    changed: () => void (turn = turn.then(look)),
    trouble: (message) => void io.stderr.write(`note: ${message}\n`),
  });
}
