/**
 * One request and its answer, as the functions that serve it see them; and what all of them read from a query.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { badRequest } from '../../api/error.js';
import type { User } from '../../api/user.js';
import type { AccountTokens } from '../access/account-tokens.js';
import type { Guard } from '../access/guard.js';
import type { Registry } from '../registry/registry.js';
import type { Target } from './target.js';

export interface Exchange {
  readonly registry: Registry;
  readonly target: Target;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: URLSearchParams;
  readonly user: User;
  readonly guard: Guard;
  readonly tokens: AccountTokens;
  /** Whether who asks may make an object of the target's kind and place; a 403 else. */
  requireCreate(): void;
}

/** Answers one method at one sort of path. */
export type Serve = (exchange: Exchange) => Promise<void>;

/** Answers a request for what a pod's host has and the store has not. */
export type ServeStream = (
  target: Target,
  exchange: Pick<Exchange, 'request' | 'response' | 'query'>,
) => Promise<void>;

/** Go's strconv.ParseBool, which the clients expect; an empty value is true, as in `?watch`. */
export const isTrue = (text: string | null): boolean => text !== null && /^(1|t|true|)$/i.test(text);

/** A number of a query as text, '' when it is not there. @throws ApiError 400 */
export function integerText(query: URLSearchParams, name: string): string {
  const text = query.get(name) ?? '';
  if (!/^[0-9]{0,15}$/.test(text)) throw badRequest(`${name} must be a number, not "${text}"`);
  return text;
}
