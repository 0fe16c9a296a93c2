/**
 * The errors of the API: Kubernetes' codes, reasons and sentences, and their form on the wire.
 *
 * Source: k8s.io/apimachinery, pkg/api/errors.
 */
import type { Problem } from './problem.js';

export type ApiReason =
  | 'BadRequest'
  | 'Unauthorized'
  | 'Forbidden'
  | 'NotFound'
  | 'MethodNotAllowed'
  | 'NotAcceptable'
  | 'AlreadyExists'
  | 'Conflict'
  | 'Expired'
  | 'Gone'
  | 'RequestEntityTooLarge'
  | 'UnsupportedMediaType'
  | 'Invalid'
  | 'TooManyRequests'
  | 'InternalError'
  | 'ServiceUnavailable'
  | 'Timeout';

export interface StatusCause {
  reason: string;
  message: string;
  field: string;
}

export interface StatusDetails {
  name?: string;
  group?: string;
  kind?: string;
  uid?: string;
  causes?: StatusCause[];
  retryAfterSeconds?: number;
}

/** What the API answers when there is no object to answer with. */
export interface Status {
  kind: 'Status';
  apiVersion: 'v1';
  metadata: Record<string, never>;
  status: 'Success' | 'Failure';
  message?: string;
  reason?: ApiReason;
  details?: StatusDetails;
  code: number;
}

/** A request that cannot be done; the message is for a person. */
export class ApiError extends Error {
  readonly code: number;
  readonly reason: ApiReason;
  /** The first field that is to blame, if one is. */
  readonly field: string | undefined;
  readonly details: StatusDetails | undefined;

  constructor(code: number, reason: ApiReason, message: string, details?: StatusDetails) {
    super(message);
    this.name = 'ApiError';
    this.code = code;
    this.reason = reason;
    this.details = details;
    this.field = details?.causes?.[0]?.field;
  }
}

/** A kind as errors name it: `pods`, `labs.podwire.dev`. */
export interface Resource {
  readonly group: string;
  readonly plural: string;
  readonly kind: string;
}

const resourceName = (resource: Resource): string =>
  resource.group ? `${resource.plural}.${resource.group}` : resource.plural;

const detailsOf = (resource: Resource, name: string): StatusDetails => ({
  name,
  group: resource.group || undefined,
  kind: resource.plural,
});

export const badRequest = (message: string): ApiError => new ApiError(400, 'BadRequest', message);

export const methodNotAllowed = (): ApiError =>
  new ApiError(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource');

export const notFound = (resource: Resource, name: string): ApiError =>
  new ApiError(404, 'NotFound', `${resourceName(resource)} "${name}" not found`, detailsOf(resource, name));

export const alreadyExists = (resource: Resource, name: string): ApiError =>
  new ApiError(
    409,
    'AlreadyExists',
    `${resourceName(resource)} "${name}" already exists`,
    detailsOf(resource, name),
  );

export const conflict = (
  resource: Resource,
  name: string,
  why = 'the object has been modified; please apply your changes to the latest version and try again',
): ApiError =>
  new ApiError(
    409,
    'Conflict',
    `Operation cannot be fulfilled on ${resourceName(resource)} "${name}": ${why}`,
    detailsOf(resource, name),
  );

/** A server-side apply that would change what others own. @param conflicts at least one */
export function applyConflict(
  resource: Resource,
  name: string,
  conflicts: readonly {
    entry: { manager: string; apiVersion: string; subresource?: string };
    paths: readonly string[];
  }[],
): ApiError {
  const lines = conflicts.map(({ entry: { manager, apiVersion, subresource }, paths }) => {
    const where = subresource === undefined ? '' : ` with subresource "${subresource}"`;
    return { with: `with "${manager}"${where} using ${apiVersion}`, paths };
  });
  const count = conflicts.reduce((sum, { paths }) => sum + paths.length, 0);
  const text =
    count === 1
      ? `1 conflict: conflict ${lines[0]!.with}: ${lines[0]!.paths[0]}`
      : `${count} conflicts: ` +
        lines
          .map((line) => `conflicts ${line.with}:${line.paths.map((path) => `\n- ${path}`).join('')}`)
          .join('\n');
  return new ApiError(409, 'Conflict', `Apply failed with ${text}`, {
    ...detailsOf(resource, name),
    causes: lines.flatMap((line) =>
      line.paths.map((field) => ({
        reason: 'FieldManagerConflict',
        message: `conflict ${line.with}`,
        field,
      })),
    ),
  });
}

export const isForbidden = (resource: Resource, name: string, why: string): ApiError =>
  new ApiError(
    403,
    'Forbidden',
    `${resourceName(resource)} "${name}" is forbidden: ${why}`,
    detailsOf(resource, name),
  );

/** The version asked for is no longer stored: list again. */
export const expired = (message: string): ApiError => new ApiError(410, 'Expired', message);

/** An object that breaks rules. @param problems at least one */
export function invalidObject(resource: Resource, name: string, problems: readonly Problem[]): ApiError {
  const lines = problems.map((problem) => `${problem.field}: ${problem.message}`);
  const text = lines.length === 1 ? lines[0] : `[${lines.join(', ')}]`;
  const kindName = resource.group ? `${resource.kind}.${resource.group}` : resource.kind;
  return new ApiError(422, 'Invalid', `${kindName} "${name}" is invalid: ${text}`, {
    ...detailsOf(resource, name),
    kind: resource.kind,
    causes: problems.map(({ field, message, reason }) => ({ reason, message, field })),
  });
}

/** An object that does not fit its schema. @param problems at least one */
export function undecodable(kind: string, apiVersion: string, problems: readonly Problem[]): ApiError {
  const version = apiVersion.slice(apiVersion.lastIndexOf('/') + 1);
  const text = problems.map(describeDecoding).join(', ');
  return new ApiError(
    400,
    'BadRequest',
    `${kind} in version "${version}" cannot be handled as a ${kind}: strict decoding error: ${text}`,
    { causes: problems.map(({ field, message, reason }) => ({ reason, message, field })) },
  );
}

/** `unknown field "spec.foo"`, as strict decoding says it. */
export const describeDecoding = (problem: Problem): string =>
  problem.reason === 'UnknownField'
    ? `unknown field "${problem.field}"`
    : `${problem.field}: ${problem.message}`;

/** An error's form on the wire. */
export const statusOf = (error: ApiError): Status => ({
  kind: 'Status',
  apiVersion: 'v1',
  metadata: {},
  status: 'Failure',
  message: error.message,
  reason: error.reason,
  details: error.details,
  code: error.code,
});

/** The error that a Status tells of. */
export const errorOf = (status: Status): ApiError =>
  new ApiError(
    status.code,
    status.reason ?? 'InternalError',
    status.message ?? 'unknown error',
    status.details,
  );
