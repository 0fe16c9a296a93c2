/**
 * References to a pod's own fields and resources, and the sources of variables: their defaults, and what may stand in
 * them.
 *
 * Source: k8s.io/kubernetes, pkg/apis/core/validation/validation.go (validateEnvVarValueFrom)
 */
import { ENV_FIELDS, isSubscript, RESOURCE_FIELD } from './pod-fields.js';
import { forbidden, invalid, notSupported, required, type Problem } from './problem.js';
import { parseQuantity } from './quantity.js';
import type { EnvVar, FieldRef, ResourceFieldRef } from './types.js';

export const defaultField = (ref: FieldRef | undefined): void => {
  if (ref) ref.apiVersion ||= 'v1';
};

/** Fill in where a container's variables come from. */
export function defaultEnv(env: readonly EnvVar[]): void {
  for (const { valueFrom } of env) {
    defaultField(valueFrom?.fieldRef);
    if (valueFrom?.resourceFieldRef) valueFrom.resourceFieldRef.divisor ??= '0';
  }
}

/** @param supported  the paths that are known where it stands */
export function checkFieldRef(
  { fieldPath }: FieldRef,
  field: string,
  supported: readonly string[],
): Problem[] {
  if (!fieldPath) return [required(`${field}.fieldPath`)];
  if (isSubscript(fieldPath) || supported.includes(fieldPath)) return [];
  return [notSupported(`${field}.fieldPath`, fieldPath, supported)];
}

export function checkResourceRef({ resource, divisor = 0 }: ResourceFieldRef, field: string): Problem[] {
  const problems: Problem[] = [];
  if (!resource) problems.push(required(`${field}.resource`));
  else if (!RESOURCE_FIELD.test(resource))
    problems.push(
      notSupported(`${field}.resource`, resource, [
        'limits.cpu',
        'limits.ephemeral-storage',
        'limits.memory',
        'requests.cpu',
        'requests.ephemeral-storage',
        'requests.memory',
      ]),
    );
  if ((parseQuantity(divisor) ?? -1) < 0)
    problems.push(invalid(`${field}.divisor`, divisor, 'must be a quantity greater than or equal to 0'));
  return problems;
}

/** Rules for a variable's source. */
export function checkEnvSource({ value, valueFrom }: EnvVar, field: string): Problem[] {
  if (!valueFrom) return [];
  const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef } = valueFrom;
  const named = Object.keys(valueFrom);
  if (named.length === 0)
    return [
      invalid(
        `${field}.valueFrom`,
        '',
        'must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`',
      ),
    ];
  if (value) return [invalid(`${field}.valueFrom`, '', 'may not be specified when `value` is not empty')];
  if (named.length > 1)
    return [invalid(`${field}.valueFrom`, '', 'may not have more than one field specified at a time')];
  if (fieldRef) return checkFieldRef(fieldRef, `${field}.valueFrom.fieldRef`, ENV_FIELDS);
  if (resourceFieldRef) return checkResourceRef(resourceFieldRef, `${field}.valueFrom.resourceFieldRef`);
  const keyRef = configMapKeyRef ?? secretKeyRef;
  if (!keyRef) return [forbidden(`${field}.valueFrom.${named[0]}`, 'is not supported here')];
  return keyRef.key ? [] : [required(`${field}.valueFrom.${named[0]}.key`)];
}
