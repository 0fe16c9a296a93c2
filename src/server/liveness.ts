/**
 * Which agents are there: those that have a connection.
 *
 * Theory of operation. An agent names its node in `user-agent`, and holds watches open as long as it lives. ALIVE, while
 * one of its connections is open → LOST, when none has been for {@link GRACE_MS} (an agent that lists anew closes one
 * before it opens the next) → the node's Ready becomes Unknown, so that control gives what the node did to another. The
 * agent itself says Ready again when it is back. A server that has just started waits {@link START_MS} for all agents.
 *
 * A host that loses its power closes no connection: that takes a heartbeat, once agents dial over a network.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import { timestamp } from '../api/age.js';
import { ApiError } from '../api/error.js';
import { NODE } from '../api/kinds.js';
import { isReady } from '../api/node.js';
import { AGENT_ANNOTATION, AGENT_USER, NODE_LOST, type ApiObject, type Node } from '../api/types.js';
import { MASTERS, type User } from '../api/user.js';
import { nodeOf } from '../authorization/node-authorizer.js';
import type { Registry } from './registry/registry.js';

const GRACE_MS = 500;
const START_MS = 10_000;

export interface Liveness {
  /** Look at who sends a request. Nobody is taken for the agent of a node but the node's own user, and administrators. */
  seen(request: IncomingMessage, user: User): void;
  close(): void;
}

/** Watch over the agents that are connected. */
export function watchAgents(registry: Registry, log: Logger): Liveness {
  const sockets = new Map<string, Set<Socket>>();
  const known = new WeakSet<Socket>();
  const timers = new Set<NodeJS.Timeout>();
  let isClosed = false;
  const place = { kind: NODE, namespace: undefined };

  const after = (ms: number, act: () => Promise<void>): void => {
    const timer = setTimeout(() => {
      timers.delete(timer);
      act().catch((error: unknown) => {
        // A node that is gone needs no word; a store that cannot be written to has said so itself.
        if (!(error instanceof ApiError)) log.error({ err: error }, 'cannot say that an agent is lost');
      });
    }, ms);
    timers.add(timer);
  };
  const isConnected = (name: string): boolean => (sockets.get(name)?.size ?? 0) > 0;
  const lose = async (name: string): Promise<void> => {
    if (isConnected(name) || isClosed) return;
    const node = (await registry.get(place, name)) as Node;
    // Without the annotation it is somebody else who says how the node is.
    if (!isReady(node) || node.metadata.annotations?.[AGENT_ANNOTATION] === undefined) return;
    log.warn({ node: name }, 'the agent of a node is lost');
    await registry.modify(place, name, (old) => withoutAgent(old as Node), 'status');
  };
  after(START_MS, async () => {
    const { items } = await registry.objects.list(place);
    for (const { metadata } of items) await lose(metadata.name);
  });

  return {
    seen({ headers, socket }, user) {
      const agent = headers['user-agent'] ?? '';
      if (!agent.startsWith(AGENT_USER) || known.has(socket)) return;
      known.add(socket);
      const name = agent.slice(AGENT_USER.length);
      if (nodeOf(user) !== name && !user.groups.includes(MASTERS)) return;
      const own = sockets.get(name) ?? new Set();
      sockets.set(name, own.add(socket));
      socket.once('close', () => {
        own.delete(socket);
        if (own.size === 0 && !isClosed) after(GRACE_MS, () => lose(name));
      });
    },
    close() {
      isClosed = true;
      for (const timer of timers) clearTimeout(timer);
    },
  };
}

function withoutAgent(node: Node): ApiObject {
  const lastTransitionTime = timestamp(Date.now());
  const message = 'The agent of this node has no connection to the server';
  const conditions = (node.status?.conditions ?? []).map((condition) =>
    condition.type === 'Ready'
      ? { type: 'Ready', status: 'Unknown' as const, reason: NODE_LOST, message, lastTransitionTime }
      : condition,
  );
  return { ...node, status: { ...node.status, conditions } } as Node;
}
