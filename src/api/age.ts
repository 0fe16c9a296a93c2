/**
 * Durations and instants as Kubernetes prints them. k8s.io/apimachinery, pkg/util/duration.
 */

/** RFC 3339 in whole seconds, as all timestamps of the API are. @param ms milliseconds since 1970 */
export const timestamp = (ms: number): string =>
  new Date(Math.floor(ms / 1000) * 1000).toISOString().replace('.000Z', 'Z');

/** How long ago a timestamp was: `<unknown>`, `42s`, `3m7s`, `5d`. */
export const age = (since: string | undefined, now: number): string =>
  since === undefined ? '<unknown>' : duration(now - Date.parse(since));

const DAY = 24 * 3600;

/** A duration with at most two units, shorter the longer it is. */
export function duration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (Number.isNaN(seconds) || seconds < -1) return '<invalid>';
  if (seconds < 0) return '0s';
  if (seconds < 120) return `${seconds}s`;
  const two = (big: number, bigName: string, small: number, smallName: string): string =>
    small === 0 ? `${big}${bigName}` : `${big}${bigName}${small}${smallName}`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 10) return two(minutes, 'm', seconds % 60, 's');
  if (minutes < 3 * 60) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 8) return two(hours, 'h', minutes % 60, 'm');
  if (hours < 48) return `${hours}h`;
  const days = Math.floor(seconds / DAY);
  if (hours < 8 * 24) return two(days, 'd', hours % 24, 'h');
  if (days < 2 * 365) return `${days}d`;
  const years = Math.floor(days / 365);
  return years < 8 ? two(years, 'y', days % 365, 'd') : `${years}y`;
}
