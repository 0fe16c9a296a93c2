/**
 * The part of a pod's schema that says which nodes it wants.
 */
import { LABEL_SELECTOR } from './label-selector.js';
import { INT32, INT64, listOf, named, object, STRING, STRINGS } from './schema.js';

const REQUIREMENTS = listOf(object({ key: STRING, operator: STRING, values: STRINGS }, ['key', 'operator']));
const NODE_TERM = named('io.k8s.api.core.v1.NodeSelectorTerm', {
  matchExpressions: REQUIREMENTS,
  matchFields: REQUIREMENTS,
});
const POD_TERM = named(
  'io.k8s.api.core.v1.PodAffinityTerm',
  {
    labelSelector: LABEL_SELECTOR,
    matchLabelKeys: STRINGS,
    mismatchLabelKeys: STRINGS,
    namespaceSelector: LABEL_SELECTOR,
    namespaces: STRINGS,
    topologyKey: STRING,
  },
  ['topologyKey'],
);
const POD_AFFINITY = object({
  preferredDuringSchedulingIgnoredDuringExecution: listOf(
    object({ podAffinityTerm: POD_TERM, weight: INT32 }, ['podAffinityTerm', 'weight']),
  ),
  requiredDuringSchedulingIgnoredDuringExecution: listOf(POD_TERM),
});

export const AFFINITY = object({
  nodeAffinity: object({
    preferredDuringSchedulingIgnoredDuringExecution: listOf(
      object({ preference: NODE_TERM, weight: INT32 }, ['preference', 'weight']),
    ),
    requiredDuringSchedulingIgnoredDuringExecution: object({ nodeSelectorTerms: listOf(NODE_TERM) }, [
      'nodeSelectorTerms',
    ]),
  }),
  podAffinity: POD_AFFINITY,
  podAntiAffinity: POD_AFFINITY,
});

export const TOLERATIONS = listOf(
  object({ effect: STRING, key: STRING, operator: STRING, tolerationSeconds: INT64, value: STRING }),
);

export const TOPOLOGY_SPREAD = listOf(
  object(
    {
      labelSelector: LABEL_SELECTOR,
      matchLabelKeys: STRINGS,
      maxSkew: INT32,
      minDomains: INT32,
      nodeAffinityPolicy: STRING,
      nodeTaintsPolicy: STRING,
      topologyKey: STRING,
      whenUnsatisfiable: STRING,
    },
    ['maxSkew', 'topologyKey', 'whenUnsatisfiable'],
  ),
  'topologyKey',
);
