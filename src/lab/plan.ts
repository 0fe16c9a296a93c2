/**
 * From a lab file to everything `up` will make, decided and checked before anything is made.
 *
 * What one object says about itself is checked by `api/validate.ts`; here is what needs the flags, the other objects, or
 * the machine, whose routes and labs are a parameter.
 */

import { createHash } from 'node:crypto';
import { labSpec, type FullLabSpec } from '../api/defaults.js';
import type { Lab, LabSpec, Pod } from '../api/types.js';
import { validate } from '../api/validate.js';
import { cidrLast, cidrsOverlap, formatCidr, formatIpv4, parseCidr, type Cidr } from '../wire/address.js';
import { checkObjects, ManifestError, type Located } from '../client/manifest.js';

/** Real hosts run as lab `host`; a lab of that name would share their files. */
const RESERVED_LABS = ['host'];

/** Addresses of the machine that a new underlay must leave alone. */
export interface Taken {
  readonly cidr: Cidr;
  /** Whose they are: `lab "other"`, `the machine's route 10.0.0.0/8 dev eth0`. */
  readonly owner: string;
}

export interface PlannedNode {
  readonly name: string;
  /** The host's namespace, as `ip netns` calls it. */
  readonly netns: string;
  /** Its address on the underlay. */
  readonly address: string;
}

export interface LabPlan {
  readonly name: string;
  /** The Lab object, complete. */
  readonly lab: Lab & { spec: FullLabSpec };
  readonly nodes: readonly PlannedNode[];
  /** Changes when anything changes that a person wrote; not with what the machine decides. */
  readonly digest: string;
  /** All other objects of the files, in their order. */
  readonly objects: readonly Located[];
  readonly underlay: {
    /** The namespace with the bridge. */
    readonly netns: string;
    readonly cidr: string;
    readonly bits: number;
    readonly mtu: number;
    /** The machine's link into the lab and its address there; absent when `access` is false. */
    readonly access?: { readonly link: string; readonly address: string };
  };
}

export interface PlanOptions {
  /** The lab file's objects: at most one Lab, and what follows it. */
  readonly objects: readonly Located[];
  /** Reads one of `spec.manifests`, relative to the lab file. */
  readManifest(name: string, lab: Located<Lab>): Located[];
  /** `--lab`: another name than the file's. */
  readonly name?: string;
  /** `--nodes`: node1 … nodeN instead of the file's. */
  readonly nodes?: number;
  readonly taken: readonly Taken[];
}

/** The name a lab will have, before anything else is known of it. */
export function labNameOf(objects: readonly Located[], name?: string): string {
  return name ?? objects.find(isLab)?.object.metadata?.name ?? 'demo';
}

/**
 * Decide everything, or say all that is wrong.
 *
 * @throws {ManifestError} naming file, line and field of each problem
 */
export function planLab(options: PlanOptions): LabPlan {
  const labs = options.objects.filter(isLab);
  const [located, second] = labs;
  if (second)
    throw new ManifestError([
      `${second.file}:${second.line}: kind: A second Lab; a lab has one, put the other in a file of its own`,
    ]);
  const say = sayer(located);
  refuse(checkObjects(options.objects));

  const name = labNameOf(options.objects, options.name);
  const lab = {
    ...(located?.object ?? { apiVersion: 'podwire.dev/v1alpha1', kind: 'Lab' }),
    metadata: { ...located?.object.metadata, name },
    spec: labSpec({ ...located?.object, spec: specWith(located?.object.spec, options.nodes) } as Lab),
  };
  const objects = options.objects.filter((object) => object !== located);
  if (located) objects.push(...readAll(located, options, say));
  refuse([
    ...checkObjects(objects),
    ...validate(lab).map(({ field, message }) => say(field, message)),
    ...(RESERVED_LABS.includes(name)
      ? [say('metadata.name', `"${name}" is the lab of agents on real hosts; choose another name`)]
      : []),
  ]);
  refuse(checkNodeNames(lab.spec, objects));

  const written = JSON.stringify([lab, objects.map(({ object }) => object)]);
  const digest = createHash('sha256').update(written).digest('hex');
  const network = planUnderlay(name, lab.spec, options.taken, say);
  lab.spec.underlay.cidr = network.underlay.cidr;
  return { name, lab, digest, objects, ...network };
}

type Say = (field: string, message: string) => string;

const isLab = (located: Located): located is Located<Lab> => located.object.kind === 'Lab';

/** Problems of the Lab carry its file and line; without a file they are about the flags. */
const sayer =
  (located: Located<Lab> | undefined): Say =>
  (field, message) =>
    located ? `${located.file}:${located.lineOf(field)}: ${field}: ${message}` : `${field}: ${message}`;

function refuse(problems: readonly string[]): void {
  if (problems.length > 0) throw new ManifestError(problems);
}

const specWith = (given: LabSpec | undefined, nodes: number | undefined): LabSpec => ({
  ...given,
  ...(nodes !== undefined && { nodes: Array.from({ length: nodes }, (_, i) => ({ name: `node${i + 1}` })) }),
});

function readAll(lab: Located<Lab>, options: PlanOptions, say: Say): Located[] {
  return (lab.object.spec?.manifests ?? []).flatMap((name, i) => {
    try {
      const found = options.readManifest(name, lab);
      const second = found.find(isLab);
      if (second)
        throw new ManifestError([`${second.file}:${second.line}: kind: A Lab cannot stand in a manifest`]);
      return found;
    } catch (error) {
      if (!(error instanceof ManifestError)) throw error;
      throw new ManifestError(error.problems.map((problem) => say(`spec.manifests[${i}]`, problem)));
    }
  });
}

/** @param spec  valid */
function planUnderlay(
  name: string,
  spec: FullLabSpec,
  taken: readonly Taken[],
  say: Say,
): Pick<LabPlan, 'underlay' | 'nodes'> {
  const given = spec.underlay.cidr;
  const own = [spec.podCIDR, spec.serviceCIDR].map((text) => ({ cidr: parseCidr(text)!, owner: text }));
  const cidr = given === undefined ? freeUnderlays([...own, ...taken])[0] : parseCidr(given)!;
  if (!cidr)
    throw new ManifestError([
      say(
        'spec.underlay.cidr',
        'All of 192.168.50.0/24 to 192.168.99.0/24 are taken on this machine; choose a CIDR',
      ),
    ]);
  const hit = taken.find((other) => cidrsOverlap(other.cidr, cidr));
  if (hit)
    throw new ManifestError([
      say(
        'spec.underlay.cidr',
        `${given} overlaps ${hit.owner}; choose another, or leave it out to get a free one`,
      ),
    ]);
  const nodes = spec.nodes.map((node, i) => ({
    name: node.name,
    netns: `${name}.${node.name}`,
    address: node.address ?? formatIpv4(cidr.base + i + 1),
  }));
  refuse(
    nodes.flatMap((node, i) => {
      const other = nodes.findIndex(({ address }) => address === node.address);
      return other === i
        ? []
        : [
            say(
              `spec.nodes[${i}]`,
              `${node.name} would get ${node.address}, which ${nodes[other]!.name} has; set its address`,
            ),
          ];
    }),
  );
  return {
    nodes,
    underlay: {
      netns: `${name}.net`,
      cidr: formatCidr(cidr),
      bits: cidr.bits,
      mtu: spec.underlay.mtu,
      ...(spec.access && { access: { link: `pw-${name}`, address: formatIpv4(cidrLast(cidr) - 1) } }),
    },
  };
}

/** Those of 192.168.50-99.0/24 that nobody has. */
export const freeUnderlays = (taken: readonly Taken[]): Cidr[] =>
  Array.from({ length: 50 }, (_, i) => parseCidr(`192.168.${50 + i}.0/24`)!).filter(
    (cidr) => !taken.some((other) => cidrsOverlap(other.cidr, cidr)),
  );

/** A pod bound to a node that will never exist would keep `up` waiting for ever. */
function checkNodeNames(spec: FullLabSpec, objects: readonly Located[]): string[] {
  const nodes = new Set([
    ...spec.nodes.map((node) => node.name),
    ...objects.filter(({ object }) => object.kind === 'Node').map(({ object }) => object.metadata.name),
  ]);
  return objects.flatMap((located) => {
    if (located.object.kind !== 'Pod') return [];
    const { nodeName } = (located.object as Pod).spec;
    if (nodeName === undefined || nodes.has(nodeName)) return [];
    const line = located.lineOf('spec.nodeName');
    return [
      `${located.file}:${line}: spec.nodeName: There is no node "${nodeName}" in this lab; it has ${[...nodes].join(', ')}`,
    ];
  });
}
