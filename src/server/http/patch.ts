/**
 * PATCH: the content type says which of Kubernetes' patches it is.
 */
import { ApiError, badRequest } from '../../api/error.js';
import { applyJsonPatch, JsonPatchError } from '../../api/json-patch.js';
import { isMap, mergePatch } from '../../api/json.js';
import type { Kind } from '../../api/kinds.js';
import { StrategicMergeError, strategicMerge } from '../../api/strategic-merge.js';
import { readJson, unsupported, type Body } from './body.js';

/** From an object as it is to what it shall be. @throws ApiError 400 or 422 when the patch does not fit it */
export type Patch = (old: object) => unknown;

const JSON_PATCH = 'application/json-patch+json';
const MERGE_PATCH = 'application/merge-patch+json';
/** Server-side apply, which is no patch of this kind: see write.ts. */
export const APPLY_PATCH = 'application/apply-patch+yaml';
export const STRATEGIC_MERGE_PATCH = 'application/strategic-merge-patch+json';

/** As in Kubernetes: what one request may ask for. */
const MAX_OPERATIONS = 10_000;

/** Content types of patches that a kind takes. A kind that Kubernetes itself does not have is merged as plain JSON. */
export const patchTypes = (kind: Kind): readonly string[] => [
  JSON_PATCH,
  MERGE_PATCH,
  ...(kind.isCustom ? [] : [STRATEGIC_MERGE_PATCH]),
  APPLY_PATCH,
];

/** @throws ApiError 400, 413, 415 */
export function readPatch(kind: Kind, { type, bytes }: Body): Patch {
  if (!patchTypes(kind).includes(type) || type === APPLY_PATCH) throw unsupported(patchTypes(kind));
  const patch = readJson(bytes);
  if (type === JSON_PATCH) return jsonPatch(patch);
  if (!isMap(patch)) throw badRequest('a merge patch must be an object');
  if (type === MERGE_PATCH) return (old) => mergePatch(old, patch);
  return (old) => {
    try {
      return strategicMerge(old as Record<string, unknown>, patch, kind.schema);
    } catch (error) {
      if (error instanceof StrategicMergeError) throw badRequest(error.message);
      throw error;
    }
  };
}

function jsonPatch(patch: unknown): Patch {
  if (Array.isArray(patch) && patch.length > MAX_OPERATIONS) {
    const why = `The allowed maximum operations in a JSON patch is ${MAX_OPERATIONS}, got ${patch.length}`;
    throw new ApiError(413, 'RequestEntityTooLarge', why);
  }
  if (!Array.isArray(patch)) throw badRequest('a JSON patch must be a list of operations');
  return (old) => {
    try {
      return applyJsonPatch(old, patch);
    } catch (error) {
      if (!(error instanceof JsonPatchError)) throw error;
      throw new ApiError(
        422,
        'Invalid',
        `the server rejected our request due to an error in our request: ${error.message}`,
      );
    }
  };
}
