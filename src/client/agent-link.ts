/**
 * The link between an agent and the server, as both sides see it.
 *
 * An agent listens on nothing, so it dials: `POST /podwire/agents/NODE` with `Upgrade: podwire-agent`. After the 101 the
 * roles turn: the connection carries HTTP/2, with the server as the client of the agent's own API.
 */
import type { Http2Session, Settings } from 'node:http2';

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
 * Both sides' HTTP/2 settings. A stream may be so many bytes ahead of its reader; the connection's own window never
 * fills, since Node consumes it as bytes arrive, so that no slow stream keeps another waiting.
 */
export const LINK_SETTINGS: Settings = {
  initialWindowSize: 1 << 18,
  maxConcurrentStreams: 1000,
  enablePush: false,
};

/** The connection's window: what may be under way on all streams together. */
export const LINK_WINDOW_BYTES = 1 << 22;

/** A link is looked at so often, and given up when it stays silent as long again. */
export const LINK_PING_MS = 10_000;

/** End a session, and with it its socket, when the other side answers no ping: its host may have lost its power. */
export function keepAlive(session: Http2Session, everyMs = LINK_PING_MS): void {
  let isAnswered = true;
  const timer = setInterval(() => {
    if (!isAnswered) {
      session.destroy(new Error(`no answer to a ping for ${everyMs / 1000} s`));
      return;
    }
    isAnswered = false;
    if (!session.destroyed && !session.closed) session.ping(() => (isAnswered = true));
  }, everyMs);
  timer.unref();
  session.once('close', () => clearInterval(timer));
}
