/**
 * From a request's body to an object that may be stored: the kind and place its path names, its schema, its defaults,
 * its rules. Nothing here looks at the store.
 */
import { withDefaults } from '../../api/defaults.js';
import { badRequest, describeDecoding, invalidObject, undecodable } from '../../api/error.js';
import { isMap } from '../../api/json.js';
import { apiVersionOf, findKind, type Kind } from '../../api/kinds.js';
import type { Manager } from '../../api/managed-fields.js';
import { checkSchema, prune } from '../../api/schema.js';
import type { ApiObject } from '../../api/types.js';
import type { User } from '../../api/user.js';
import { checkRules } from '../../api/validate.js';
import type { Place } from './place.js';

export interface WriteOptions {
  /** Check everything and answer as if, but write nothing. */
  dryRun?: boolean;
  /** What becomes of fields the schema does not know; default: they are left out, and warned of. */
  fieldValidation?: 'Ignore' | 'Warn' | 'Strict';
  /** Who writes, for managedFields; without one the write is not recorded there. */
  manager?: Manager;
  /** Asked about the object as it would be stored, and as it is; throws to refuse. */
  guard?(kind: Kind, next: ApiObject, old: ApiObject | undefined): void;
  /** Who asks. */
  user?: User;
  /** Told of each warning. */
  warn?(text: string): void;
}

/**
 * A request's body as an object of the kind and place its path names; a copy.
 *
 * @param isWhole  whether required fields must be there
 * @throws ApiError 400, 422
 */
export function decodeBody(
  { kind, namespace }: Place,
  body: unknown,
  options: WriteOptions,
  isWhole = true,
): ApiObject {
  if (!isMap(body)) throw badRequest(`the body must be an object of kind ${kind.kind}`);
  const apiVersion = body['apiVersion'] ?? apiVersionOf(kind);
  const kindName = body['kind'] ?? kind.kind;
  if (findKind(String(apiVersion), String(kindName)) !== kind) {
    throw badRequest(
      `the object provided is of ${String(apiVersion)}, kind ${String(kindName)}; this path takes ${apiVersionOf(kind)}, kind ${kind.kind}`,
    );
  }
  const named = { ...body, apiVersion: apiVersionOf(kind), kind: kindName };
  const problems = checkSchema(named, kind.schema);
  const unknown = problems.filter(({ reason }) => reason === 'UnknownField');
  const wrongType = problems.filter(({ reason }) => reason === 'FieldValueTypeInvalid');
  const strict = options.fieldValidation === 'Strict' ? [...wrongType, ...unknown] : wrongType;
  if (strict.length > 0) throw undecodable(kind.kind, apiVersionOf(kind), strict);
  if (options.fieldValidation !== 'Ignore')
    for (const problem of unknown) options.warn?.(describeDecoding(problem));
  const missing = problems.filter(
    ({ reason }) => reason !== 'UnknownField' && reason !== 'FieldValueTypeInvalid',
  );
  const object = prune(named, kind.schema) as ApiObject;
  object.metadata ??= { name: '' };
  const { metadata } = object;
  if (isWhole && missing.length > 0) throw invalidObject(kind, metadata.name ?? '', missing);
  if (namespace !== undefined) {
    metadata.namespace ||= namespace;
    if (metadata.namespace !== namespace) {
      throw badRequest(
        `the namespace of the provided object does not match the namespace sent on the request (${metadata.namespace} ≠ ${namespace})`,
      );
    }
  }
  if (options.fieldValidation !== 'Ignore' && !kind.hasEffect) {
    options.warn?.(`${kind.plural} are stored, and have no effect yet`);
  }
  return object;
}

/** Defaults and rules. @throws ApiError 422 when a rule is broken */
export function complete(kind: Kind, object: ApiObject, options: WriteOptions): ApiObject {
  const full = withDefaults(object);
  const problems = checkRules(full);
  if (problems.length > 0)
    throw invalidObject(kind, full.metadata.name || full.metadata.generateName || '', problems);
  for (const warning of kind.warnings?.(full) ?? []) options.warn?.(warning);
  return full;
}
