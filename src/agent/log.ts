/**
 * The log of a daemon: pino's JSON lines on standard error, which the supervisor or journald keeps.
 */
import { destination, pino } from 'pino';
import type { Logger } from 'pino';

export type { Logger } from 'pino';

/**
 * A logger that has written a line when the call returns: the last words before a fatal exit must not be lost.
 *
 * @param fields  stand in every line: node, lab
 * @param level   pino's names; `info` unless the environment's PODWIRE_LOG says another
 */
export const createLogger = (fields: Record<string, unknown>, level?: string): Logger =>
  pino(
    { level: level ?? process.env['PODWIRE_LOG'] ?? 'info', base: fields },
    destination({ dest: 2, sync: true }),
  );
