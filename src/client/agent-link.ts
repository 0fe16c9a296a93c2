/**
 * The link between an agent and the server, as both sides see it.
 *
 * An agent listens on nothing, so it dials: `POST /podwire/agents/NODE` with `Upgrade: podwire-agent`. After the 101 the
 * roles turn: the connection carries HTTP/2, with the server as the client of the agent's own API.
 */
import type { Http2Session, Settings } from 'node:http2';
import type { Duplex } from 'node:stream';

/** The token of the Upgrade header. */
export const AGENT_LINK = 'podwire-agent';

const PATH = '/podwire/agents/';

/** Where the agent of a node dials. */
export const agentLinkPath = (node: string): string => PATH + encodeURIComponent(node);

/** The node whose agent dials at this path; undefined: it is another path. */
export function nodeOfLinkPath(path: string): string | undefined {
  if (!path.startsWith(PATH)) return undefined;
  try {
    return decodeURIComponent(path.slice(PATH.length)) || undefined;
  } catch {
    return undefined;
  }
}

/**
 * Both sides' HTTP/2 settings. The connection's window stays at the 65,535 bytes it has without any: Node stops reading
 * a session's socket while a write to it waits, so two sides that each fill the other's socket would wait for ever
 * (tried: 5 MB through `cat` stood still after 196 KB, with a window of 4 MB). What one window holds fits into the
 * buffers of any socket. Node consumes it as bytes arrive, whatever the streams' readers do, so a slow stream keeps no
 * other one waiting: its own window does that.
 */
export const LINK_SETTINGS: Settings = { maxConcurrentStreams: 1000, enablePush: false };

/** A link is looked at so often, and given up when it stays silent as long again. */
export const LINK_PING_MS = 10_000;

/** End a session, and with it its socket, when the other side answers no ping: its host may have lost its power. */
export function keepAlive(session: Http2Session, socket: Duplex, everyMs = LINK_PING_MS): void {
  let isAnswered = true;
  const timer = setInterval(() => {
    if (!isAnswered) {
      session.destroy(new Error(`no answer to a ping for ${everyMs / 1000} s`));
      socket.destroy(); // else the session lives until its last stream has ended
      return;
    }
    isAnswered = false;
    if (!session.destroyed && !session.closed) session.ping(() => (isAnswered = true));
  }, everyMs);
  timer.unref();
  session.once('close', () => clearInterval(timer));
}
