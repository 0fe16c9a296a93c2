/**
 * What the server tells about itself: groups, versions, resources. Made from the rows of api/kinds.ts.
 */
import { KINDS, type Kind } from '../../api/kinds.js';

const VERBS = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];

/** The Kubernetes release whose API ours is a part of. */
const VERSION = { major: '1', minor: '33' };

/** The answer to a discovery path, or undefined when it is none. */
export function discover(pathname: string): unknown {
  const parts = pathname.split('/').filter((part) => part !== '');
  if (pathname === '/version' || pathname === '/version/') {
    return {
      ...VERSION,
      gitVersion: `v${VERSION.major}.${VERSION.minor}.0+podwire`,
      platform: 'linux/amd64',
    };
  }
  if (parts[0] === 'api') {
    if (parts.length === 1) return { kind: 'APIVersions', versions: versionsOf('') };
    return parts.length === 2 ? resources('', parts[1]!) : undefined;
  }
  if (parts[0] !== 'apis') return undefined;
  if (parts.length === 1) {
    return { kind: 'APIGroupList', apiVersion: 'v1', groups: groups().map(describeGroup) };
  }
  const group = parts[1]!;
  if (!groups().includes(group)) return undefined;
  if (parts.length === 2) return { kind: 'APIGroup', apiVersion: 'v1', ...describeGroup(group) };
  return parts.length === 3 ? resources(group, parts[2]!) : undefined;
}

const groups = (): string[] => [...new Set(KINDS.map((kind) => kind.group))].filter((group) => group !== '');

const versionsOf = (group: string): string[] => [
  ...new Set(KINDS.filter((kind) => kind.group === group).flatMap((kind) => kind.versions)),
];

function describeGroup(name: string): object {
  const versions = versionsOf(name).map((version) => ({ groupVersion: `${name}/${version}`, version }));
  return { name, versions, preferredVersion: versions[0] };
}

function resources(group: string, version: string): object | undefined {
  const rows = KINDS.filter((kind) => kind.group === group && kind.versions.includes(version));
  if (rows.length === 0) return undefined;
  const groupVersion = group ? `${group}/${version}` : version;
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion, resources: rows.flatMap(describeKind) };
}

/** Of subresources that are no object. */
const STREAM_VERBS: Readonly<Record<string, readonly string[]>> = {
  log: ['get'],
  exec: ['create', 'get'],
  attach: ['create', 'get'],
  portforward: ['create', 'get'],
};

function describeKind(kind: Kind): object[] {
  const { plural, singular, namespaced, shortNames } = kind;
  const shared = { namespaced, kind: kind.kind };
  return [
    { name: plural, singularName: singular, ...shared, verbs: VERBS, shortNames },
    ...kind.subresources.map((subresource) => ({
      name: `${plural}/${subresource}`,
      singularName: '',
      ...shared,
      verbs: STREAM_VERBS[subresource] ?? ['get', 'patch', 'update'],
    })),
  ];
}
