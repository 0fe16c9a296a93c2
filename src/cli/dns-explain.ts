/** `podwire dns explain NAME --from POD`: what a name costs a pod on the wire, and why each answer is what it is. */
import { DEFAULT_NAMESPACE } from '../api/defaults.js';
import { labSpec } from '../api/lab.js';
import { dnsAddress } from '../control/dns-service.js';
import { readManifests } from '../client/manifest.js';
import { viewOf } from '../explain/view.js';
import { explainName } from '../names/explain-name.js';
import { labAuthority } from '../names/lab-names.js';
import { podResolvConf } from '../names/pod-files.js';
import { objectsOfLab, takeObjects } from './offline-objects.js';
import { formatTable, outputFormat, printJson, readStdin } from './output.js';
import { CommandError, UsageError, type Io } from './verb.js';

export interface ExplainFlags {
  readonly filename?: readonly string[] | undefined;
  readonly from?: string | undefined;
  readonly namespace?: string | undefined;
  readonly lab?: string | undefined;
  readonly output?: string | undefined;
}

/** Print the explanation of a name. */
export async function explainDns(name: string, flags: ExplainFlags, io: Io): Promise<number> {
  const format = outputFormat(flags.output, ['json']);
  if (flags.from === undefined) throw new UsageError('Who asks? Name a pod with --from');
  if (flags.filename && flags.lab !== undefined) throw new UsageError('Either -f or --lab');
  const objects = flags.filename
    ? takeObjects(await readManifests(flags.filename, () => readStdin(io)), io)
    : await objectsOfLab(flags.lab);
  const view = viewOf(objects);
  const namespace = flags.namespace ?? DEFAULT_NAMESPACE;
  const pod = view.pods.find(
    ({ metadata }) => metadata.name === flags.from && (metadata.namespace ?? DEFAULT_NAMESPACE) === namespace,
  );
  if (!pod) throw new CommandError(`There is no pod "${flags.from}" in namespace "${namespace}"`);
  const spec = labSpec(view.lab);
  // As on a host of a lab, whose own resolver is its responder.
  const server = dnsAddress(view.lab) ?? 'the gateway';
  const host = { nameservers: [server], searches: [], options: [] };
  const conf = podResolvConf(pod, { zone: spec.dns.zone, server, host });
  const authority = labAuthority(spec, { servers: [server] });
  authority.cluster.sync(view);
  const { queries, result } = explainName(name, conf, authority, server);
  if (format === 'json') {
    printJson(io, { name, from: `${namespace}/${flags.from}`, resolvConf: conf, queries, result });
    return 0;
  }
  const { nameservers, searches, options } = conf;
  io.stdout.write(
    `Pod ${namespace}/${flags.from} asks ${nameservers.join(', ') || 'nobody'}; search ${searches.join(' ') || 'nothing'}; ` +
      `options ${options.join(' ') || 'none'}\n\n`,
  );
  const rows = queries.map(({ name: full, type, rcode, records, why }) => [
    full,
    type,
    records.join(', ') || (rcode === 'forward' ? '…' : rcode === 'NOERROR' ? 'no record' : rcode),
    why,
  ]);
  io.stdout.write(`${formatTable([['QUERY', 'TYPE', 'ANSWER', 'WHY'], ...rows], '  ')}\n${result}\n`);
  return 0;
}
