/**
 * The lab's way to DNS servers outside: a path socket on which agents ask for names of others, with messages as on TCP. Hosts in
 * namespaces have no route outside; whoever runs this is in the machine's own.
 *
 * It answers from upstreams only, the lab's or the machine's own resolvers, and keeps nothing: agents do. When the machine's
 * resolv.conf changes, its new resolvers are asked.
 */
import { chmodSync, rmSync } from 'node:fs';
import type { DnsSpec } from '../api/types.js';
import { signature, watchPaths } from '../client/watch-paths.js';
import { createForwarder, type Forwarder } from '../dns/forwarder.js';
import type { Resolver } from '../dns/resolver.js';
import { createResponder } from '../dns/responder.js';
import { serveStream } from '../dns/stream-server.js';
import { createUpstream } from '../dns/upstream.js';
import { machineUpstreams, upstreamAddresses } from '../dns/upstream-list.js';

export interface DnsRelay {
  close(): Promise<void>;
}

const RESOLV_CONF = '/etc/resolv.conf';

/**
 * Listen at `path`.
 *
 * @param log  told in sentences what is wrong with upstreams
 */
export async function startDnsRelay(
  path: string,
  dns: DnsSpec,
  log: (line: string) => void,
): Promise<DnsRelay> {
  let forwarder: Forwarder | undefined;
  const begin = (): void => {
    forwarder?.close();
    const words = dns.upstreams ?? machineUpstreams(RESOLV_CONF);
    const { addresses, problems } = upstreamAddresses(words, []);
    for (const problem of problems) log(problem);
    if (addresses.length === 0) log('There is no DNS server to ask for names outside of the cluster');
    forwarder = createForwarder({ upstreams: addresses.map(createUpstream), log, isUncached: true });
  };
  begin();
  let seen = signature([RESOLV_CONF]);
  const watching = dns.upstreams
    ? undefined
    : watchPaths([RESOLV_CONF], {
        changed() {
          const now = signature([RESOLV_CONF]);
          if (now === seen) return;
          seen = now;
          begin();
        },
        trouble: log,
      });
  const resolver: Resolver = { resolve: (question) => forwarder!.resolve(question) };
  rmSync(path, { force: true });
  // The socket is made with this mask, so there is no moment in which others could connect.
  const mask = process.umask(0o177);
  const listening = serveStream(createResponder({ resolver }), { path });
  process.umask(mask);
  const listener = await listening;
  chmodSync(path, 0o600);
  return {
    async close() {
      watching?.close();
      forwarder?.close();
      await listener.close();
    },
  };
}
