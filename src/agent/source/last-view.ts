/**
 * What an agent knew last, for one that starts while its server is away: its pods' packets need not wait.
 *
 * Theory of operation. Every view that comes from the source is kept in a file, the first soon, later ones at most every
 * {@link REST_MS}, the last at the end. A source that has nothing to tell within {@link PATIENCE_MS} after the start is taken
 * to be away: what the file says is the view then, until the source tells better. The file lies with the agent's run-time
 * state, so it never outlives a reboot; it holds Secrets of this host's pods and is for root alone. A view that cannot be
 * kept or read costs nothing but this.
 */
import { readFileSync } from 'node:fs';
import type { ClusterView } from '../../api/types.js';
import { writeFileWhole } from '../../client/write-file.js';
import type { Logger } from '../log.js';
import type { ClusterSource } from './source.js';

const SOON_MS = 1_000;
const REST_MS = 30_000;
const PATIENCE_MS = 5_000;

export interface LastViewTimes {
  readonly soonMs?: number;
  readonly restMs?: number;
  readonly patienceMs?: number;
}

/** The same source, whose start does not wait for a server that is away when there is a last view. */
export function withLastView(
  source: ClusterSource,
  path: string,
  log: Logger,
  times: LastViewTimes = {},
): ClusterSource {
  const { soonMs = SOON_MS, restMs = REST_MS, patienceMs = PATIENCE_MS } = times;
  let newest: ClusterView | undefined;
  let timer: NodeJS.Timeout | undefined;
  let nextMs = soonMs;
  let isOld = false;
  let hasFailed = false;

  const write = (): void => {
    clearTimeout(timer);
    timer = undefined;
    const view = newest;
    newest = undefined;
    if (!view) return;
    try {
      writeFileWhole(path, JSON.stringify(view));
      hasFailed = false;
    } catch (error) {
      if (!hasFailed)
        log.warn(
          `Cannot keep what is known in ${path}: ${(error as Error).message}; an agent that starts while the server is away will wait`,
        );
      hasFailed = true;
    }
  };
  const keep = (view: ClusterView): void => {
    newest = view;
    if (timer) return;
    timer = setTimeout(write, nextMs);
    timer.unref();
    nextMs = restMs;
  };
  const read = (): ClusterView | undefined => {
    try {
      return JSON.parse(readFileSync(path, 'utf8')) as ClusterView;
    } catch {
      return undefined; // the first start on this host
    }
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
      let patience: NodeJS.Timeout | undefined;
      await Promise.race([
        news,
        new Promise<void>((resolve) => (patience = setTimeout(resolve, patienceMs))),
      ]);
      clearTimeout(patience);
      const last = hasNews ? undefined : read();
      if (!last) return news;
      news.catch((error: unknown) => log.error({ err: error }, 'The source of objects failed'));
      isOld = true;
      log.warn('The server does not answer: what was known when the agent ended is in force');
      changed(last);
    },
    problems: () => [
      ...(isOld
        ? ['The server has not answered since the agent started: what was known before is in force']
        : []),
      ...source.problems(),
    ],
    async close() {
      write();
      await source.close();
    },
  };
}
