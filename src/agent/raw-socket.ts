/**
 * npm's raw-socket, an optional dependency (it is compiled when it is installed): the one place that imports it.
 */

export type RawSocketModule = (typeof import('raw-socket'))['default'];

/** What a machine without it lacks, and what to do. */
export const NO_RAW_SOCKET =
  "npm's raw-socket is not there: pods get no ping replies, traceroute hops and path MTUs from the outside; " +
  'install g++ and make, then run "npm rebuild raw-socket"';

/** The module, or undefined where it is not installed or does not load. */
export const loadRawSocket = async (): Promise<RawSocketModule | undefined> => {
  try {
    return (await import('raw-socket')).default;
  } catch {
    return undefined;
  }
};
