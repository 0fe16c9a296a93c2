/**
 * GatewayClass: the row. It is stored; there is no controller for it yet.
 */
import { atMost, GATEWAY_GROUP, OBJECT_REF, OBSERVED_CONDITIONS, pending } from './gateway-schema.js';
import { AGE_COLUMN, column, NAME_COLUMN, type Kind } from './kind.js';
import { fieldImmutable, invalid } from './problem.js';
import { checkDnsSubdomain } from './rules.js';
import { listOf, object, objectSchema, STRING } from './schema.js';
import type { GatewayClass } from './types.js';

export const GATEWAY_CLASS: Kind<GatewayClass> = {
  group: GATEWAY_GROUP,
  versions: ['v1', 'v1beta1'],
  kind: 'GatewayClass',
  plural: 'gatewayclasses',
  singular: 'gatewayclass',
  shortNames: ['gc'],
  categories: ['gateway-api'],
  namespaced: false,
  subresources: ['status'],
  schema: objectSchema({
    spec: object({ controllerName: STRING, description: STRING, parametersRef: OBJECT_REF }, [
      'controllerName',
    ]),
    status: object({
      conditions: OBSERVED_CONDITIONS,
      supportedFeatures: atMost(64, listOf(object({ name: STRING }, ['name']), 'name')),
    }),
  }),
  columns: [
    NAME_COLUMN,
    column('Controller', ({ spec }) => spec.controllerName),
    column(
      'Accepted',
      ({ status }) => status?.conditions?.find(({ type }) => type === 'Accepted')?.status ?? '',
    ),
    AGE_COLUMN,
    column('Description', ({ spec }) => spec.description ?? '', { priority: 1 }),
  ],
  selectable: [],
  isCustom: true,
  hasEffect: false,
  defaults() {},
  validate: ({ metadata, spec }) => [
    ...(metadata.name ? checkDnsSubdomain(metadata.name, 'metadata.name') : []),
    ...(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9/\-._~%!$&'()*+,;=:]+$/.test(
      spec.controllerName,
    )
      ? []
      : [
          invalid(
            'spec.controllerName',
            spec.controllerName,
            'must be a domain-prefixed path (such as "example.net/gateway-controller")',
          ),
        ]),
  ],
  prepareCreate(gatewayClass) {
    gatewayClass.status = { conditions: pending('Accepted') };
  },
  validateUpdate: (next, old) =>
    next.spec.controllerName === old.spec.controllerName
      ? []
      : [fieldImmutable('spec.controllerName', next.spec.controllerName)],
};
