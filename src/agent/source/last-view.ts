/**
 * What an agent knew last, for one that starts while its server is away: its pods' packets need not wait.
 *
 * Theory of operation. Every view that comes from the source is kept in a file, soon, but at most every {@link REST_MS}, the
 * last at the end. A source that has trouble at the start, or nothing to tell within {@link PATIENCE_MS}, is taken to be
 * away: what the file says is the view then, until the source tells better. Of the pods of this host the file is not
 * asked: those that an earlier agent has left here are taken over, also ones that are younger than the file, and no other is
 * made. Events wait for no one, and are not told of what may be otherwise by now.
 *
 * The file lies with the agent's run-time state, so it never outlives a reboot, and is for root alone. Secrets are not in
 * it: what is mounted stays mounted, and a container that takes its environment from one starts again when the server is back.
 * A view that cannot be kept or read costs nothing but this.
 */
import { readFileSync } from 'node:fs';
import type { ClusterView, Pod } from '../../api/types.js';
import { writeFileWhole } from '../../client/write-file.js';
import type { Logger } from '../log.js';
import type { AgentPaths } from '../paths.js';
import { podFolders, readState, uidOf } from '../pods/state.js';
import { VERSION } from '../version.js';
import type { ClusterSource } from './source.js';

const SOON_MS = 1_000;
const REST_MS = 10_000;
const PATIENCE_MS = 2_000;
/** How often a source that starts is asked whether it has trouble. */
const LOOK_MS = 20;

export interface LastViewTimes {
  readonly soonMs?: number;
  readonly restMs?: number;
  readonly patienceMs?: number;
}

/** Whose view it is; another's is not used. */
export interface ViewOwner {
  readonly lab: string;
  readonly node: string;
  /** What tells the server from others: the hash of its authority, or its path socket. */
  readonly cluster: string;
}

interface KeptView extends ViewOwner {
  /** The release that has written it. */
  readonly version: string;
  readonly view: ClusterView;
}

const LISTS = ['namespaces', 'nodes', 'pods', 'services', 'endpointSlices', 'endpoints'] as const;

/** The text of the file. */
export const formatView = (owner: ViewOwner, view: ClusterView): string =>
  JSON.stringify({ version: VERSION, ...owner, view: { ...view, secrets: [] } } satisfies KeptView);

/** @throws Error that says why the text is of no use to this owner */
export function parseView(owner: ViewOwner, text: string): ClusterView {
  const kept = JSON.parse(text) as Partial<KeptView> | null;
  const expected = { version: VERSION, ...owner };
  for (const [field, value] of Object.entries(expected)) {
    const found = kept?.[field as keyof ViewOwner];
    if (found !== value) throw new Error(`its ${field} is ${JSON.stringify(found)}, ours is "${value}"`);
  }
  const view = kept?.view;
  if (!view?.lab?.metadata) throw new Error('it has no Lab');
  for (const list of LISTS) if (!Array.isArray(view[list])) throw new Error(`it has no list of ${list}`);
  return view;
}

/** The pods of a view that is old: of this host's, those that are here. */
function podsThatAre({ pods }: ClusterView, node: string, folder: string): Pod[] {
  const known = new Map(pods.map((pod) => [uidOf(pod), pod]));
  const here = podFolders(folder)
    .map(readState)
    .filter((state) => state !== undefined);
  return [
    ...pods.filter(({ spec }) => spec.nodeName !== node),
    ...here.map(({ uid, pod }) => known.get(uid) ?? pod),
  ];
}

/** The same source, whose start does not wait for a server that is away when there is a last view. */
export function withLastView(
  source: ClusterSource,
  { owner, paths, log }: { owner: ViewOwner; paths: Pick<AgentPaths, 'view' | 'pods'>; log: Logger },
  times: LastViewTimes = {},
): ClusterSource {
  const { soonMs = SOON_MS, restMs = REST_MS, patienceMs = PATIENCE_MS } = times;
  const path = paths.view;
  let newest: ClusterView | undefined;
  let timer: NodeJS.Timeout | undefined;
  let writtenMs = -Infinity;
  let isOld = false;
  let hasFailed = false;

  const write = (): void => {
    clearTimeout(timer);
    timer = undefined;
    const view = newest;
    newest = undefined;
    if (!view) return;
    try {
      writeFileWhole(path, formatView(owner, view));
      hasFailed = false;
    } catch (error) {
      if (!hasFailed)
        log.warn(
          `Cannot keep what is known in ${path}: ${(error as Error).message}; an agent that starts while the server is away will wait`,
        );
      hasFailed = true;
    }
    writtenMs = performance.now();
  };
  const keep = (view: ClusterView): void => {
    newest = view;
    if (timer) return;
    timer = setTimeout(write, Math.max(soonMs, writtenMs + restMs - performance.now()));
    timer.unref();
  };
  const read = (): ClusterView | undefined => {
    try {
      const view = parseView(owner, readFileSync(path, 'utf8'));
      return { ...view, pods: podsThatAre(view, owner.node, paths.pods) };
    } catch (error) {
      // Without one it is the first start on this host.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        log.warn(
          `Cannot use what was known last, in ${path}: ${(error as Error).message}; the server is waited for`,
        );
      return undefined;
    }
  };
  /** Until there is news, or no hope of any soon. */
  const wait = async (news: Promise<void>): Promise<void> => {
    let look: NodeJS.Timeout | undefined;
    const end = performance.now() + patienceMs;
    const away = new Promise<void>((resolve) => {
      look = setInterval(() => {
        if (source.problems().length > 0 || performance.now() >= end) resolve();
      }, LOOK_MS);
    });
    await Promise.race([news, away]).finally(() => clearInterval(look));
  };

  return {
    ...source,
    async start(changed) {
      let hasNews = false;
      const news = source.start((view) => {
        if (isOld) log.info('The server answers: what it says is in force');
        hasNews = true;
        isOld = false;
        keep(view);
        changed(view);
      });
      await wait(news);
      const last = hasNews ? undefined : read();
      if (!last) return news;
      news.catch((error: unknown) => log.error({ err: error }, 'The source of objects failed'));
      isOld = true;
      log.warn(
        { problems: source.problems() },
        'The server does not answer: what was known when the agent ended is in force',
      );
      changed(last);
    },
    reportEvent(event) {
      if (!isOld) source.reportEvent(event);
    },
    problems: () => [
      ...(isOld
        ? [
            'The server has not answered since the agent started: what was known before is in force, and no new pod is made',
          ]
        : []),
      ...source.problems(),
    ],
    async close() {
      write();
      await source.close();
    },
  };
}
