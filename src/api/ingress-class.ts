/**
 * IngressClass: the row. It is stored; nothing listens for it yet.
 *
 * Source: k8s.io/kubernetes, pkg/apis/networking/validation/validation.go, ValidateIngressClass.
 */
import { AGE_COLUMN, column, NAME_COLUMN, type Kind } from './kind.js';
import { fieldImmutable, invalid, notSupported, required } from './problem.js';
import { checkDnsSubdomain } from './rules.js';
import { object, objectSchema, STRING } from './schema.js';
import type { IngressClass } from './types.js';

export const INGRESS_CLASS: Kind<IngressClass> = {
  group: 'networking.k8s.io',
  versions: ['v1'],
  kind: 'IngressClass',
  plural: 'ingressclasses',
  singular: 'ingressclass',
  shortNames: [],
  namespaced: false,
  subresources: [],
  schema: objectSchema({
    spec: object({
      controller: STRING,
      parameters: object({ apiGroup: STRING, kind: STRING, name: STRING, namespace: STRING, scope: STRING }, [
        'kind',
        'name',
      ]),
    }),
  }),
  columns: [
    NAME_COLUMN,
    column('Controller', ({ spec }) => spec?.controller ?? ''),
    column('Parameters', ({ spec }) => {
      if (!spec?.parameters) return '<none>';
      const { apiGroup, kind, name } = spec.parameters;
      return `${kind}${apiGroup ? `.${apiGroup}` : ''}/${name}`;
    }),
    AGE_COLUMN,
  ],
  selectable: [],
  hasEffect: false,
  defaults({ spec }) {
    if (spec?.parameters) spec.parameters.scope ??= 'Cluster';
  },
  validate({ metadata, spec }) {
    const problems = metadata.name ? checkDnsSubdomain(metadata.name, 'metadata.name') : [];
    const { controller = '', parameters } = spec ?? {};
    if (!/^[^/]+\/.+$/.test(controller))
      problems.push(
        controller
          ? invalid('spec.controller', controller, 'must be a domain-prefixed path (such as "acme.io/foo")')
          : required('spec.controller'),
      );
    const field = 'spec.parameters';
    if (parameters?.scope === 'Namespace' && !parameters.namespace)
      problems.push(required(`${field}.namespace`, "`parameters.scope` is set to 'Namespace'"));
    if (parameters && !['Cluster', 'Namespace'].includes(parameters.scope!))
      problems.push(notSupported(`${field}.scope`, parameters.scope, ['Cluster', 'Namespace']));
    return problems;
  },
  validateUpdate: (next, old) =>
    next.spec?.controller === old.spec?.controller
      ? []
      : [fieldImmutable('spec.controller', next.spec?.controller)],
};
