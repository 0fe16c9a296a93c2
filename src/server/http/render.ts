/**
 * Stored objects as a client wants them: in the version of its path, whole, as rows of a Table, or metadata alone.
 *
 * All served versions of a kind have one schema here and one place in the store; only apiVersion differs.
 *
 * Source: k8s.io/apimachinery, pkg/apis/meta/v1/types.go (Table, PartialObjectMetadata).
 */
import { badRequest } from '../../api/error.js';
import type { Kind } from '../../api/kinds.js';
import type { ApiObject } from '../../api/types.js';
import type { Form } from './accept.js';
import type { Target } from './target.js';

/** metadata of a list. */
export interface ListMeta {
  readonly resourceVersion: string;
  readonly continue?: string;
  readonly remainingItemCount?: number;
}

/** What goes with each row of a Table: nothing, metadata, or the whole object. */
type RowObject = 'None' | 'Metadata' | 'Object';

export interface Renderer {
  /** One object. */
  object(object: ApiObject): object;
  list(items: readonly ApiObject[], metadata: ListMeta): object;
  /** One object of a watch; the first Table tells its columns, those behind it do not. */
  event(object: ApiObject, isFirst: boolean): object;
  /** An event that is about no object, only about how far the watch has come. */
  bookmark(metadata: object): object;
}

/** `apps/v1`: the version a request's path names. */
export const versionOf = ({ kind, version }: Target): string =>
  kind.group ? `${kind.group}/${version}` : version;

/** @throws ApiError 400 when `includeObject` is none of the three */
export function createRenderer(
  target: Target,
  form: Form,
  query: URLSearchParams,
  now: () => number,
): Renderer {
  if (form.as === 'table') return tables(target, form, rowObject(query), now);
  if (form.as === 'metadata') return metadataOnly(form);
  return whole(target);
}

function whole(target: Target): Renderer {
  const { kind } = target;
  const apiVersion = versionOf(target);
  // An object that already says so goes out as it is: what is stored is serialised once for all.
  const object = (one: ApiObject): ApiObject =>
    one.apiVersion === apiVersion ? one : { ...one, apiVersion };
  return {
    object,
    event: object,
    list: (items, metadata) => ({ kind: `${kind.kind}List`, apiVersion, metadata, items: items.map(object) }),
    bookmark: (metadata) => ({ kind: kind.kind, apiVersion, metadata }),
  };
}

function metadataOnly({ version }: Form): Renderer {
  const apiVersion = `meta.k8s.io/${version}`;
  const object = ({ metadata }: ApiObject): object => ({
    kind: 'PartialObjectMetadata',
    apiVersion,
    metadata,
  });
  return {
    object,
    event: object,
    list: (items, metadata) => ({
      kind: 'PartialObjectMetadataList',
      apiVersion,
      metadata,
      items: items.map(object),
    }),
    bookmark: (metadata) => ({ kind: 'PartialObjectMetadata', apiVersion, metadata }),
  };
}

function tables(target: Target, { version }: Form, include: RowObject, now: () => number): Renderer {
  const { kind } = target;
  const apiVersion = `meta.k8s.io/${version}`;
  const object = whole(target).object;
  const partial = metadataOnly({ as: 'metadata', version }).object;
  const columns = columnDefinitions(kind);
  const row = (one: ApiObject, at: number): object => ({
    cells: kind.columns.map((column) => column.value(one, at)),
    ...(include !== 'None' && { object: include === 'Object' ? object(one) : partial(one) }),
  });
  const table = (items: readonly ApiObject[], metadata: object, hasColumns: boolean): object => {
    const at = now();
    return {
      kind: 'Table',
      apiVersion,
      metadata,
      columnDefinitions: hasColumns ? columns : [],
      rows: items.map((one) => row(one, at)),
    };
  };
  const versionOnly = ({ metadata }: ApiObject): object => ({ resourceVersion: metadata.resourceVersion });
  return {
    object: (one) => table([one], versionOnly(one), true),
    list: (items, metadata) => table(items, metadata, true),
    event: (one, isFirst) => table([one], versionOnly(one), isFirst),
    bookmark: (metadata) => ({
      ...table([], metadata, false),
      rows: [{ cells: [], object: { kind: 'PartialObjectMetadata', apiVersion, metadata } }],
    }),
  };
}

/** Of a kind's Table. kubectl puts `pod/` in front of what stands in a column of format "name". */
const columnDefinitions = (kind: Kind): object[] =>
  kind.columns.map(({ name, type, priority }, i) => ({
    name,
    // Ages are counted here, for Tables have no clock.
    type: type === 'date' ? 'string' : type,
    format: i === 0 ? 'name' : '',
    description: '',
    priority,
  }));

function rowObject(query: URLSearchParams): RowObject {
  const text = query.get('includeObject') || 'Metadata';
  if (text === 'None' || text === 'Metadata' || text === 'Object') return text;
  throw badRequest(`includeObject must be None, Metadata or Object, not "${text}"`);
}
