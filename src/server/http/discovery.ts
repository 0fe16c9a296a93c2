/**
 * What the server tells about itself: groups, versions, resources. Made from the rows of api/kinds.ts, of subresources.ts
 * and of reviews.ts.
 *
 * There are two forms: a list for each group and version, and, for kubectl from 1.26 on, all of it in one answer.
 * Source: k8s.io/apimachinery, pkg/apis/meta/v1; k8s.io/api, apidiscovery/v2.
 */
import { KINDS, type Kind } from '../../api/kinds.js';
import { RELEASE, RELEASE_NAME } from '../../api/release.js';
import { isJson, parseAccept } from './accept.js';
import { REVIEWS, type Review } from './reviews.js';
import { SUBRESOURCES } from './subresources.js';

const VERBS = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];

export interface Answer {
  readonly body: unknown;
  readonly type?: string;
}

/** The answer to a discovery path, or undefined when it is none. */
export function discover(pathname: string, accept: string | undefined): Answer | undefined {
  const parts = pathname.split('/').filter((part) => part !== '');
  if (parts.length === 1 && (parts[0] === 'api' || parts[0] === 'apis')) {
    const wanted = aggregatedType(accept);
    if (wanted) return aggregated(parts[0] === 'api' ? [''] : namedGroups(), wanted);
  }
  const body = plain(pathname, parts);
  return body === undefined ? undefined : { body };
}

function plain(pathname: string, parts: readonly string[]): unknown {
  if (pathname === '/version' || pathname === '/version/') {
    return {
      ...RELEASE,
      gitVersion: RELEASE_NAME,
      gitCommit: '',
      gitTreeState: 'clean',
      buildDate: '1970-01-01T00:00:00Z',
      goVersion: '',
      compiler: 'none',
      platform: 'linux/amd64',
    };
  }
  if (parts[0] === 'api') {
    if (parts.length === 1) {
      return { kind: 'APIVersions', versions: versionsOf(''), serverAddressByClientCIDRs: [] };
    }
    return parts.length === 2 ? resourceList('', parts[1]!) : undefined;
  }
  if (parts[0] !== 'apis') return undefined;
  if (parts.length === 1) {
    return { kind: 'APIGroupList', apiVersion: 'v1', groups: namedGroups().map(describeGroup) };
  }
  const group = parts[1]!;
  if (!namedGroups().includes(group)) return undefined;
  if (parts.length === 2) return { kind: 'APIGroup', apiVersion: 'v1', ...describeGroup(group) };
  return parts.length === 3 ? resourceList(group, parts[2]!) : undefined;
}

/** All groups but the core one, which has no name. */
export const namedGroups = (): string[] => [
  ...new Set([...KINDS, ...REVIEWS].map(({ group }) => group).filter((group) => group !== '')),
];

/** The versions of a group in the order in which clients shall choose among them. */
export const versionsOf = (group: string): string[] => [
  ...new Set([...KINDS, ...REVIEWS].filter((row) => row.group === group).flatMap(({ versions }) => versions)),
];

export const groupVersion = (group: string, version: string): string =>
  group ? `${group}/${version}` : version;

function describeGroup(name: string): object {
  const versions = versionsOf(name).map((version) => ({
    groupVersion: groupVersion(name, version),
    version,
  }));
  return { name, versions, preferredVersion: versions[0] };
}

const isIn = (group: string, version: string) => (row: Kind | Review) =>
  row.group === group && row.versions.includes(version);

const subresourcesOf = (kind: Kind) =>
  kind.subresources.flatMap((name) => {
    const row = SUBRESOURCES[name];
    return row ? [{ name, ...row }] : [];
  });

function resourceList(group: string, version: string): object | undefined {
  const kinds = KINDS.filter(isIn(group, version));
  const reviews = REVIEWS.filter(isIn(group, version));
  if (kinds.length + reviews.length === 0) return undefined;
  const resources = [
    ...kinds.flatMap((kind) => {
      const { plural, singular, namespaced, shortNames, categories } = kind;
      return [
        {
          name: plural,
          singularName: singular,
          namespaced,
          kind: kind.kind,
          verbs: VERBS,
          shortNames,
          categories,
        },
        ...subresourcesOf(kind).map(({ name, type, verbs }) => ({
          name: `${plural}/${name}`,
          singularName: '',
          namespaced,
          ...(type && { group: type.group || undefined, version: type.version }),
          kind: type?.kind ?? kind.kind,
          verbs,
        })),
      ];
    }),
    ...reviews.map(({ plural, singular, kind, namespaced = false }) => ({
      name: plural,
      singularName: singular,
      namespaced,
      kind,
      verbs: ['create'],
    })),
  ];
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: groupVersion(group, version), resources };
}

/** The version of the one-answer form that a client asks for before any other form. */
function aggregatedType(accept: string | undefined): 'v2' | 'v2beta1' | undefined {
  for (const media of parseAccept(accept)) {
    if (!isJson(media)) continue;
    const { parameters } = media;
    if (!parameters.has('as')) return undefined;
    const version = parameters.get('v');
    if (
      parameters.get('g') === 'apidiscovery.k8s.io' &&
      parameters.get('as') === 'APIGroupDiscoveryList' &&
      (version === 'v2' || version === 'v2beta1')
    )
      return version;
  }
  return undefined;
}

function aggregated(groups: readonly string[], version: string): Answer {
  const body = {
    kind: 'APIGroupDiscoveryList',
    apiVersion: `apidiscovery.k8s.io/${version}`,
    metadata: {},
    items: groups.map((group) => ({
      metadata: { name: group || undefined, creationTimestamp: null },
      versions: versionsOf(group).map((one) => ({
        version: one,
        freshness: 'Current',
        resources: discoverResources(group, one),
      })),
    })),
  };
  return { body, type: `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList` };
}

function discoverResources(group: string, version: string): object[] {
  return [
    ...KINDS.filter(isIn(group, version)).map((kind) => ({
      resource: kind.plural,
      responseKind: { group, version, kind: kind.kind },
      scope: kind.namespaced ? 'Namespaced' : 'Cluster',
      singularResource: kind.singular,
      verbs: VERBS,
      shortNames: kind.shortNames,
      categories: kind.categories,
      subresources: subresourcesOf(kind).map(({ name, type, verbs }) => ({
        subresource: name,
        responseKind: type ?? { group, version, kind: kind.kind },
        verbs,
      })),
    })),
    ...REVIEWS.filter(isIn(group, version)).map(({ plural, singular, kind, namespaced }) => ({
      resource: plural,
      responseKind: { group, version, kind },
      scope: namespaced ? 'Namespaced' : 'Cluster',
      singularResource: singular,
      verbs: ['create'],
    })),
  ];
}
