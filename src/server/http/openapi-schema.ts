/**
 * A schema of ours as OpenAPI 3 says it, with Kubernetes' extensions for how lists are merged.
 *
 * What has a name is said once in a document and referred to from everywhere: kubectl's apply reads the whole document again
 * for every object, and a container with its probes stands in a pod twice.
 */
import type { Schema } from '../../api/schema.js';

const done = new WeakMap<Schema, object>();

/** A schema in OpenAPI's words; the same object for the same schema. */
export function openApiSchema(schema: Schema): object {
  let result = done.get(schema);
  if (!result) done.set(schema, (result = convert(schema)));
  return result;
}

/** Kubernetes refers in this way, so that a place may have a default and a description of its own. */
const partSchema = (schema: Schema): object =>
  schema.title === undefined
    ? openApiSchema(schema)
    : { allOf: [{ $ref: `#/components/schemas/${schema.title}` }] };

/** The schemas with names that a schema refers to, however far down. */
export function namedSchemas(schema: Schema, found = new Map<string, object>()): Map<string, object> {
  const { properties = {}, additionalProperties, items } = schema;
  for (const part of [...Object.values(properties), additionalProperties, items]) {
    if (!part || (part.title !== undefined && found.has(part.title))) continue;
    if (part.title !== undefined) found.set(part.title, openApiSchema(part));
    namedSchemas(part, found);
  }
  return found;
}

function convert(schema: Schema): object {
  const { type, format, description, properties, additionalProperties, required, items } = schema;
  return {
    ...(description !== undefined && { description }),
    ...typeOf(schema),
    ...(type !== undefined && format !== undefined && { format }),
    ...(properties && {
      properties: Object.fromEntries(
        Object.entries(properties).map(([name, property]) => [name, partSchema(property)]),
      ),
    }),
    ...(additionalProperties && { additionalProperties: partSchema(additionalProperties) }),
    ...(required && required.length > 0 && { required }),
    ...(items && { items: partSchema(items) }),
    ...(schema.enum && { enum: schema.enum }),
    ...mergeExtensions(schema),
  };
}

function typeOf({ type, format }: Schema): object {
  if (type !== undefined) return { type };
  if (format === 'int-or-string') return { format, oneOf: [{ type: 'integer' }, { type: 'string' }] };
  if (format === 'quantity') return { oneOf: [{ type: 'string' }, { type: 'number' }] };
  return { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
}

function mergeExtensions({ type, mergeKey, mapKeys }: Schema): object {
  if (type !== 'array') return {};
  if (mergeKey === undefined) return { 'x-kubernetes-list-type': 'atomic' };
  if (mergeKey === '') return { 'x-kubernetes-list-type': 'set', 'x-kubernetes-patch-strategy': 'merge' };
  return {
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': mapKeys ? Object.keys(mapKeys) : [mergeKey],
    'x-kubernetes-patch-merge-key': mergeKey,
    'x-kubernetes-patch-strategy': 'merge',
  };
}
