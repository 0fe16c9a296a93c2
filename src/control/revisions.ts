/**
 * The templates that a StatefulSet or a DaemonSet has had, kept as ControllerRevisions, so that `kubectl rollout history`
 * and `undo` find them, and pods of one can be told from pods of another.
 *
 * Source: k8s.io/kubernetes, pkg/controller/history/controller_history.go; pkg/controller/statefulset.
 */
import { canonical } from '../api/json.js';
import type { ApiObject, ControllerRevision, LabelSelector, PodTemplate } from '../api/types.js';
import type { Agenda } from './agenda.js';
import { ownedBy, type Owned } from './owners.js';
import { templateHash } from './pod-from-template.js';

/** Label of a ControllerRevision: the hash in its name. */
const HASH = 'controller.kubernetes.io/hash';
/** Label of a pod: the revision it was made from. */
export const REVISION_HASH = 'controller-revision-hash';

type Templated = ApiObject & {
  spec: { selector: LabelSelector; template: PodTemplate; revisionHistoryLimit?: number };
  status?: { collisionCount?: number };
};

export interface History {
  /** All revisions there are, oldest first, the current template's last. */
  readonly revisions: readonly ControllerRevision[];
  /** The current template's. */
  readonly update: ControllerRevision;
}

/** The history of an owner; makes the revision of its current template, or renumbers it, when that is due. */
export function historyOf(
  owner: Templated,
  owned: Owned<ControllerRevision>,
  isTaken: (key: string) => boolean,
  agenda: Agenda,
): History {
  const revisions = owned
    .claim(owner, owner.spec.selector, agenda, () => true)
    .filter((revision) => agenda.isStaying(revision))
    .sort((a, b) => a.revision - b.revision);
  const data = { spec: { template: { ...owner.spec.template, $patch: 'replace' } } };
  const text = canonical(data);
  const newest = revisions.at(-1);
  const same = revisions.findLast((revision) => dataText(revision) === text);
  if (same && same === newest) return { revisions, update: same };
  const revision = (newest?.revision ?? 0) + 1;
  if (same) {
    const update = { ...same, revision };
    agenda.update(update);
    return { revisions: [...revisions.filter((other) => other !== same), update], update };
  }
  let hash = '';
  let name = '';
  for (let collisions = owner.status?.collisionCount ?? 0; ; collisions++) {
    hash = templateHash(text, collisions);
    name = `${owner.metadata.name}-${hash}`;
    if (!isTaken(`${owner.metadata.namespace}/${name}`)) break;
  }
  const update: ControllerRevision = {
    apiVersion: 'apps/v1',
    kind: 'ControllerRevision',
    metadata: {
      name,
      namespace: owner.metadata.namespace,
      labels: { ...owner.spec.template.metadata?.labels, [HASH]: hash },
      ...changeCause(owner),
      ownerReferences: [ownedBy(owner)],
    },
    revision,
    data,
  };
  agenda.create(update);
  return { revisions: [...revisions, update], update };
}

const texts = new WeakMap<ControllerRevision, string>();

function dataText(revision: ControllerRevision): string {
  let text = texts.get(revision);
  if (text === undefined) texts.set(revision, (text = canonical(revision.data)));
  return text;
}

/** What kubectl writes to say why. */
const CHANGE_CAUSE = 'kubernetes.io/change-cause';

function changeCause({ metadata }: ApiObject): { annotations?: Record<string, string> } {
  const cause = metadata.annotations?.[CHANGE_CAUSE];
  return cause === undefined ? {} : { annotations: { [CHANGE_CAUSE]: cause } };
}

/** The template that a revision kept. */
export const templateOf = (revision: ControllerRevision): PodTemplate => {
  const { $patch: _, ...template } = (
    revision.data as { spec: { template: PodTemplate & { $patch?: string } } }
  ).spec.template;
  return template;
};

export const hashOf = ({ metadata }: ControllerRevision): string => metadata.labels![HASH]!;

/** Forget the oldest revisions that no pod is of. @param isUsed  whether one is still needed */
export function forgetRevisions(
  owner: Templated,
  { revisions, update }: History,
  isUsed: (revision: ControllerRevision) => boolean,
  agenda: Agenda,
): void {
  const idle = revisions.filter((revision) => revision !== update && !isUsed(revision));
  const excess = idle.length - (owner.spec.revisionHistoryLimit ?? 10);
  for (const revision of idle.slice(0, Math.max(0, excess))) agenda.delete(revision);
}
