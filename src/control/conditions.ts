/**
 * Conditions of objects: what is said of them, and since when.
 */
import { timestamp } from '../api/age.js';
import type { ApiObject, Condition } from '../api/types.js';

/**
 * An object with a condition; the very same object when it has it already.
 *
 * @param isSame  whether the condition that stands there says the same; default: in the same words
 */
export function withCondition<T extends ApiObject & { status?: { conditions?: Condition[] } }>(
  object: T,
  condition: Condition,
  now: number,
  isSame = (old: Condition): boolean =>
    old.status === condition.status && old.reason === condition.reason && old.message === condition.message,
): T {
  const conditions = object.status?.conditions ?? [];
  const old = conditions.find(({ type }) => type === condition.type);
  if (old && isSame(old)) return object;
  const lastTransitionTime =
    old?.status === condition.status && old.lastTransitionTime ? old.lastTransitionTime : timestamp(now);
  const entry = { ...condition, lastTransitionTime };
  const next = old ? conditions.map((other) => (other === old ? entry : other)) : [...conditions, entry];
  return { ...object, status: { ...object.status, conditions: next } };
}
