/** `podwire server`: the API on a path socket, over TLS, or both, until SIGTERM. */

import { homedir } from 'node:os';
import { isIP } from 'node:net';
import { join, resolve } from 'node:path';
import { createLogger } from '../agent/log.js';
import { isEveryAddress, parseListenAddress, type ListenAddress } from '../server/listen.js';
import { createServer } from '../server/server.js';
import { defineVerb, UsageError } from './verb.js';

/** Below a user's home. */
const STATE = ['.local', 'state', 'podwire'];

export const server = defineVerb({
  usage: [
    'server [--listen HOST:PORT] [--socket PATH] [--data FOLDER] [--write-kubeconfig FILE]',
    'server --listen :6443 --advertise ADDRESS [--tls-san NAME]…',
  ],
  description:
    'Serve the Kubernetes API: over TLS for who has a token or a certificate, on a path socket for this user. Needs no root. ' +
    'It logs JSON lines to standard error and runs until SIGTERM. Other hosts join by the line that podwire token create ' +
    '--print-join-command prints.',
  options: {
    listen: {
      type: 'string',
      value: 'HOST:PORT',
      help: 'where to listen with TLS; port 0: a free one, the same again next time',
    },
    advertise: {
      type: 'string',
      value: 'HOST[:PORT]',
      help: 'where other hosts reach it (default: where it listens, or the first address of a NIC)',
    },
    'tls-san': {
      type: 'string',
      multiple: true,
      value: 'NAME',
      help: 'a name or address that its certificate has besides; may be given again',
    },
    socket: { type: 'string', value: 'PATH', help: 'the path socket to make' },
    data: {
      type: 'string',
      value: 'FOLDER',
      help: `where store and credentials live; made if it is missing (default: ${join('~', ...STATE)})`,
    },
    'write-kubeconfig': {
      type: 'string',
      value: 'FILE',
      help: 'write how to come in, once requests are answered',
    },
    name: { type: 'string', value: 'NAME', help: 'the cluster in the kubeconfig (default: podwire)' },
  },
  example: [
    'podwire server --listen 127.0.0.1:6443 --write-kubeconfig podwire.kubeconfig',
    'podwire server --socket /run/podwire/api.sock --data /var/lib/podwire',
  ],
  async run({ flags, io }) {
    const { socket, name = 'podwire' } = flags;
    const listen = flags.listen === undefined ? undefined : listenAddress(flags.listen);
    if (listen === undefined && socket === undefined)
      throw new UsageError('Say where to listen: --listen 127.0.0.1:6443, or --socket PATH');
    const advertise = flags.advertise === undefined ? undefined : advertised(flags.advertise);
    const names = flags['tls-san'] ?? [];
    for (const one of names) checkName(one, '--tls-san');
    if (listen === undefined && (advertise || names.length > 0))
      throw new UsageError('--advertise and --tls-san need --listen');
    const kubeconfig = flags['write-kubeconfig'];
    if (kubeconfig !== undefined && listen === undefined)
      throw new UsageError('--write-kubeconfig needs --listen: a kubeconfig names a port');
    if (!/^[a-zA-Z0-9]([-.a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$/.test(name))
      throw new UsageError(`Cannot use --name "${name}": letters, digits, hyphens and dots`);
    const data = resolve(flags.data ?? join(io.env['HOME'] ?? homedir(), ...STATE));
    const log = createLogger({ process: 'server' });
    const ended = new Promise<string>((done) => {
      for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => done(signal));
    });
    const api = await createServer({
      data,
      log,
      ...(socket !== undefined && { socketPath: socket }),
      ...(listen && { listen, names }),
      ...(advertise && { advertise }),
      ...(kubeconfig !== undefined && { kubeconfig: { path: resolve(kubeconfig), name } }),
    });
    log.info({ signal: await ended }, 'Server ends');
    await api.close();
    return 0;
  },
});

function listenAddress(text: string): ListenAddress {
  const address = parseListenAddress(text);
  if (address) return address;
  throw new UsageError(`Cannot listen on "${text}"; need HOST:PORT, for example 127.0.0.1:6443`);
}

/** `192.168.56.11`, `lab.example:16443`, `[fd00::1]:6443`. */
function advertised(text: string): Partial<ListenAddress> {
  const address = isIP(text) ? undefined : parseListenAddress(text);
  const host = address?.host ?? text.replace(/^\[(.*)\]$/, '$1');
  checkName(host, '--advertise');
  if (isEveryAddress(host)) throw new UsageError(`Cannot advertise "${text}": no host is reached there`);
  return { host, ...(address && { port: address.port }) };
}

function checkName(name: string, flag: string): void {
  if (isIP(name) || /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/i.test(name)) return;
  throw new UsageError(`Cannot use ${flag} "${name}": need an IP address or the name of a host`);
}
