/**
 * What an agent finds out about its underlay while it forwards, and whom it tells: watches over the ways to the peers and
 * over the NIC, the node's conditions in the agent's facts, an event and a line of the log for each that has changed.
 *
 * The sentences are those of peer-news.ts. That the NIC is another is handed on: what follows is for the agent to do.
 */
import { labSpec } from '../../api/defaults.js';
import { OVERHEAD } from '../../wire/vxlan.js';
import type { Logger } from '../log.js';
import type { AgentFacts } from '../status.js';
import { watchUnderlay } from '../underlay-watch.js';
import type { Underlay, UnderlayWish } from '../underlay.js';
import { openEchoes, type Echoes } from './echo.js';
import { isBad, underlayConditions, underlayEvent } from './peer-news.js';
import { peersOf, watchPeers } from './peer-watch.js';

export interface UnderlayReportOptions {
  /** Read, and kept up to date: `ways`, `conditions`, and what the NIC's watch sees of `underlay`. */
  readonly facts: AgentFacts;
  readonly log: Logger;
  /** The node's conditions are others. */
  changed(): void;
}

export interface UnderlayReport {
  /** Go through what is known; what is new of it is told at once, by the node and by an event. */
  tell(): void;
  /** Look now and then whether the peers can be reached; undefined when they cannot be asked, which the log says. */
  watchPeers(port: number, podMtu: number): { close(): void } | undefined;
  /** Look now and then whether the NIC is still what it was, until it has `moved`. */
  watchNic(
    underlay: Underlay,
    wish: UnderlayWish,
    moved: (why: string, wish: UnderlayWish) => void,
  ): { close(): void };
}

/** The report of one agent; nothing is watched before it is asked for. */
export function createUnderlayReport({ facts, log, changed }: UnderlayReportOptions): UnderlayReport {
  const { lab, node, netns, source } = facts;

  const tell = (): void => {
    if (!facts.underlay || !facts.view) return;
    const { nic, mtu } = facts.underlay;
    const next = underlayConditions(
      { nic, mtu, away: facts.underlayProblem, expected: labSpec(facts.view.lab).underlay.mtu, lab },
      facts.ways,
    );
    const before = facts.conditions;
    facts.conditions = next;
    const news = next.filter((one) => before?.find(({ type }) => type === one.type)?.message !== one.message);
    for (const one of news) {
      const was = before?.find(({ type }) => type === one.type);
      if (!isBad(one) && (!was || !isBad(was))) continue;
      if (isBad(one)) log.warn({ condition: one.type }, one.message);
      else log.info({ condition: one.type }, one.message);
      source.reportEvent(underlayEvent(node, one, Date.now()));
    }
    if (news.length > 0) changed();
  };

  return {
    tell,
    watchPeers(port, podMtu) {
      let echoes: Echoes;
      try {
        echoes = openEchoes(netns, process.pid & 0xffff);
      } catch (error) {
        log.warn({ err: error }, 'Cannot ask peers whether they are there');
        return undefined;
      }
      return watchPeers({
        echoes,
        port,
        podMtu,
        overhead: OVERHEAD,
        peers: () => peersOf(node, facts.view?.nodes ?? []),
        told(ways) {
          facts.ways = ways;
          tell();
        },
      });
    },
    watchNic: (underlay, wish, moved) =>
      watchUnderlay({
        underlay,
        wish,
        netns,
        moved,
        mtuChanged(mtu) {
          facts.underlay = { ...underlay, mtu };
          tell();
        },
        away(problem) {
          facts.underlayProblem = problem;
          tell();
        },
      }),
  };
}
