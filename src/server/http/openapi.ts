/**
 * OpenAPI, made from the rows: version 3 whole, one document a group and version, for `kubectl explain` and for whoever wants
 * the schemas; version 2 as little as kubectl before 1.29 needs to apply something: which kinds exist, and that a patch of
 * them may be a dry run and validates fields. What objects may contain, the server itself checks.
 *
 * Source: https://spec.openapis.org/oas/v3.0.3; k8s.io/kube-openapi; gnostic's OpenAPIv2.proto for the fields of version 2.
 */
import type { ServerResponse } from 'node:http';
import { KINDS, type Kind } from '../../api/kinds.js';
import { RELEASE_NAME } from '../../api/release.js';
import { sendJson } from './body.js';
import { groupVersion, namedGroups, versionsOf } from './discovery.js';
import { namedSchemas, openApiSchema } from './openapi-schema.js';
import { patchTypes, STRATEGIC_MERGE_PATCH } from './patch.js';

/** Not `…v2@v1.0…`, which upstream once said: an @ is no character of a media type, and kubectl 1.20 stops at it. */
const V2_TYPE = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf';
const V3_PREFIX = '/openapi/v3';

/** What a PATCH may be asked for beside its body. */
const PATCH_PARAMETERS = ['dryRun', 'fieldManager', 'fieldValidation', 'force'];

const INFO = { title: 'podwire', version: RELEASE_NAME };

/** Answer a path of OpenAPI. @returns false when it is none */
export function openApi(pathname: string, response: ServerResponse): boolean {
  if (pathname === '/openapi/v2') {
    const body = documentV2();
    response.writeHead(200, { 'content-type': V2_TYPE, 'content-length': body.length });
    response.end(body);
    return true;
  }
  if (pathname === V3_PREFIX || pathname === `${V3_PREFIX}/`) {
    sendJson(response, 200, { paths: Object.fromEntries(allVersions().map(describeVersion)) });
    return true;
  }
  const wanted = allVersions().find(({ path }) => pathname === `${V3_PREFIX}/${path}`);
  if (!wanted) return false;
  sendJson(response, 200, documentV3(wanted.group, wanted.version));
  return true;
}

interface GroupVersion {
  readonly group: string;
  readonly version: string;
  /** `api/v1`, `apis/apps/v1`. */
  readonly path: string;
}

const pathOf = (group: string, version: string): string =>
  `${group ? 'apis' : 'api'}/${groupVersion(group, version)}`;

const allVersions = (): GroupVersion[] =>
  ['', ...namedGroups()].flatMap((group) =>
    versionsOf(group).map((version) => ({ group, version, path: pathOf(group, version) })),
  );

const describeVersion = ({ path }: GroupVersion): [string, object] => [
  path,
  { serverRelativeURL: `${V3_PREFIX}/${path}` },
];

const kindsIn = (group: string, version: string): Kind[] =>
  KINDS.filter((kind) => kind.group === group && kind.versions.includes(version));

/** The paths of a kind: its list, and one object of it. */
function pathsOf({ group, plural, namespaced }: Kind, version: string): { list: string; one: string } {
  const list = `/${pathOf(group, version)}/${namespaced ? 'namespaces/{namespace}/' : ''}${plural}`;
  return { list, one: `${list}/{name}` };
}

function documentV3(group: string, version: string): object {
  const kinds = kindsIn(group, version);
  return {
    openapi: '3.0.0',
    info: INFO,
    paths: Object.fromEntries(kinds.flatMap((kind) => pathItemsV3(kind, version))),
    components: {
      schemas: Object.fromEntries([
        ...kinds.flatMap((kind) => [...namedSchemas(kind.schema)]),
        ...kinds.flatMap((kind) => schemasV3(kind, version)),
      ]),
    },
  };
}

const schemaName = ({ group, kind }: Kind, version: string): string =>
  `${group.split('.').reverse().join('.') || 'io.k8s.api.core'}.${version}.${kind}`;

const gvk = ({ group, kind }: Kind, version: string): object => ({ group, version, kind });

function schemasV3(kind: Kind, version: string): [string, object][] {
  const name = schemaName(kind, version);
  const types = [gvk(kind, version)];
  const list = {
    type: 'object',
    required: ['items'],
    properties: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: { type: 'object' },
      items: { type: 'array', items: { $ref: `#/components/schemas/${name}` } },
    },
    'x-kubernetes-group-version-kind': [{ ...gvk(kind, version), kind: `${kind.kind}List` }],
  };
  return [
    [name, { ...openApiSchema(kind.schema), 'x-kubernetes-group-version-kind': types }],
    [`${name}List`, list],
  ];
}

/**
 * The patches that a document speaks of. Not strategic merge: a client that is told of it takes the merge keys from here,
 * where some schemas end early, and reads the whole document again for each object; else from its own types.
 */
const announced = (kind: Kind): string[] => patchTypes(kind).filter((type) => type !== STRATEGIC_MERGE_PATCH);

function pathItemsV3(kind: Kind, version: string): [string, object][] {
  const { list, one } = pathsOf(kind, version);
  const schema = { $ref: `#/components/schemas/${schemaName(kind, version)}` };
  const listSchema = { $ref: `#/components/schemas/${schemaName(kind, version)}List` };
  const content = (of: object): object => ({ 'application/json': { schema: of } });
  const operation = (action: string, result: object, more: object = {}): object => ({
    ...more,
    responses: { '200': { description: 'OK', content: content(result) } },
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': gvk(kind, version),
  });
  const body = { requestBody: { content: content(schema) } };
  const variables = [...(kind.namespaced ? ['namespace'] : []), 'name'].map((name) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
  const query = (name: string): object => ({ name, in: 'query', schema: { type: 'string' } });
  const write = { parameters: ['dryRun', 'fieldManager', 'fieldValidation'].map(query), ...body };
  const patch = {
    parameters: PATCH_PARAMETERS.map(query),
    requestBody: {
      content: Object.fromEntries(announced(kind).map((type) => [type, { schema: { type: 'object' } }])),
    },
  };
  return [
    [
      list,
      {
        get: operation('list', listSchema),
        post: operation('post', schema, write),
        ...(kind.namespaced && { parameters: variables.slice(0, 1) }),
      },
    ],
    [
      one,
      {
        get: operation('get', schema),
        put: operation('put', schema, write),
        patch: operation('patch', schema, patch),
        delete: operation('delete', { type: 'object' }),
        parameters: variables,
      },
    ],
  ];
}

/** gnostic's Document: swagger 1, info 2, paths 8. */
function documentV2(): Buffer {
  const items = KINDS.flatMap((kind) =>
    kind.versions.map((version) => {
      const { one } = pathsOf(kind, version);
      // Paths: path 2 = NamedPathItem { name 1, value 2 = PathItem { patch 8 } }.
      return field(2, field(1, one), field(2, field(8, patchOperationV2(kind, version))));
    }),
  );
  return Buffer.concat([
    field(1, '2.0'),
    field(2, field(1, INFO.title), field(2, INFO.version)),
    field(8, ...items),
  ]);
}

/** Operation: parameters 8, responses 9, vendorExtension 13 = NamedAny { name 1, value 2 = Any { yaml 2 } }. */
function patchOperationV2(kind: Kind, version: string): Buffer {
  const { group } = kind;
  const extension = `group: ${JSON.stringify(group)}\nkind: ${kind.kind}\nversion: ${version}\n`;
  return Buffer.concat([
    // ParametersItem { parameter 1 = NonBodyParameter 2 { query 3 { in 2, name 4, type 6 } } }.
    ...PATCH_PARAMETERS.map((name) => {
      const query = field(3, field(2, 'query'), field(4, name), field(6, 'string'));
      return field(8, field(1, field(2, query)));
    }),
    field(9),
    field(13, field(1, 'x-kubernetes-group-version-kind'), field(2, field(2, extension))),
  ]);
}

/** A field of protobuf's wire type 2: a text, or a message from its fields. */
function field(number: number, ...contents: readonly (string | Buffer)[]): Buffer {
  const body = Buffer.concat(contents.map((content) => Buffer.from(content as string)));
  return Buffer.concat([varint(number * 8 + 2), varint(body.length), body]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (; value > 0x7f; value = Math.floor(value / 128)) bytes.push((value % 128) | 0x80);
  return Buffer.of(...bytes, value);
}
