/**
 * The tunnel's sockets: one receives on the VXLAN port, a few send. A flow keeps to one sender, so the outer source port
 * spreads flows over paths and queues, as RFC 7348 §5 wants.
 *
 * Senders are bound inside 49152-60999: the dynamic ports of RFC 6335 that are also inside Linux's default
 * `ip_local_port_range`, so that they never meet a masquerading range above it.
 */
import { EADDRINUSE, SysError } from '../../sys/errno.js';
import { close } from '../../sys/io.js';
import type { Offload } from '../../sys/tap.js';
import { openUdp, type UdpSocket } from '../../sys/udp.js';
import { TUNNEL_SOCKETS } from './contract.js';

const FIRST_PORT = 49152;
const LAST_PORT = 60999;
/** A burst that waits while the worker is busy: tens of milliseconds at full speed. */
const BUFFER_BYTES = 16 << 20;

export interface Tunnel {
  readonly receiver: UdpSocket;
  readonly senders: readonly UdpSocket[];
  readonly fds: readonly number[];
}

export function openTunnel(options: {
  netns?: string;
  /** Our VTEP's address. */
  address: string;
  /** The VXLAN port. */
  port: number;
  offload: Offload;
}): Tunnel {
  const { netns, address } = options;
  const common = {
    netns,
    address,
    gro: options.offload === 'all',
    gso: options.offload === 'all',
    receiveBuffer: BUFFER_BYTES,
    sendBuffer: BUFFER_BYTES,
    pmtuProbe: true,
  };
  const opened: UdpSocket[] = [];
  try {
    const receiver = openUdp({ ...common, port: options.port, receiveTos: true });
    opened.push(receiver);
    const senders: UdpSocket[] = [];
    for (let port = FIRST_PORT; senders.length < TUNNEL_SOCKETS; port++) {
      try {
        const sender = openUdp({ ...common, gro: false, port });
        senders.push(sender);
        opened.push(sender);
      } catch (error) {
        if (!(error instanceof SysError && error.errno === EADDRINUSE && port < LAST_PORT)) throw error;
      }
    }
    return { receiver, senders, fds: opened.map((socket) => socket.fd) };
  } catch (error) {
    for (const socket of opened) close(socket.fd);
    throw error;
  }
}
