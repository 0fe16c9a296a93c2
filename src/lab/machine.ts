/** What the machine's network has already, for {@link planLab}: its routes, and the underlays of other labs. */

import { ipJson } from '../sys/iproute2.js';
import { formatCidr, parseCidr, type Cidr } from '../wire/address.js';
import type { Taken } from './plan.js';
import { listLabs } from './record.js';

interface Route {
  dst: string;
  dev?: string;
  type?: string;
}

/** The IPv4 routes of all tables, but the default ones. */
export function machineRoutes(): { cidr: Cidr; words: string; dev: string | undefined }[] {
  return ipJson<Route[]>(['-4', 'route', 'show', 'table', 'all']).flatMap(({ dst, dev, type }) => {
    const cidr = parseCidr(dst.includes('/') ? dst : `${dst}/32`); // "default" parses as nothing
    if (!cidr || cidr.bits === 0) return [];
    return [{ cidr, words: [type, dst, dev && `dev ${dev}`].filter(Boolean).join(' '), dev }];
  });
}

/**
 * Prefixes that a new underlay must not touch.
 *
 * @param lab  the lab to be made: what a crash left of it does not count
 */
export function takenPrefixes(lab: string): Taken[] {
  const labs = listLabs().flatMap(({ name, record }) => {
    const cidr = record && parseCidr(record.underlay.cidr);
    return cidr && name !== lab ? [{ cidr, owner: `the underlay ${formatCidr(cidr)} of lab "${name}"` }] : [];
  });
  const routes = machineRoutes().filter(({ dev }) => dev !== `pw-${lab}`);
  return [...labs, ...routes.map(({ cidr, words }) => ({ cidr, owner: `the machine's route ${words}` }))];
}
