/**
 * Fields that are a number or a part of something: `maxSurge: 25%`.
 *
 * Source: k8s.io/apimachinery, pkg/util/intstr/intstr.go; pkg/apis/apps/validation, ValidatePositiveIntOrPercent.
 */
import { invalid, type Problem } from './problem.js';
import type { IntOrPercent } from './types.js';

const PERCENT = /^\d+%$/;

/** The number meant. @param total  what 100% is @param round  what to do with half a pod */
export function scaledValue(value: IntOrPercent, total: number, round: 'up' | 'down'): number {
  if (typeof value === 'number') return value;
  const exact = (Number.parseInt(value, 10) * total) / 100;
  return round === 'up' ? Math.ceil(exact) : Math.floor(exact);
}

/** Whether a valid value means zero of any total. */
export const isZero = (value: IntOrPercent | undefined): boolean =>
  value === undefined || Number.parseInt(String(value), 10) === 0;

export function checkIntOrPercent(value: IntOrPercent | undefined, field: string): Problem[] {
  if (value === undefined) return [];
  if (typeof value === 'number')
    return value >= 0 ? [] : [invalid(field, value, 'must be greater than or equal to 0')];
  return PERCENT.test(value)
    ? []
    : [
        invalid(
          field,
          value,
          "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', " +
            "regex used for validation is '[0-9]+%')",
        ),
      ];
}

export const checkAtMostAll = (value: IntOrPercent | undefined, field: string): Problem[] =>
  typeof value === 'string' && Number.parseInt(value, 10) > 100
    ? [invalid(field, value, 'must not be greater than 100%')]
    : [];
