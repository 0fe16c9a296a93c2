/**
 * What control wants done.
 */
import type { ApiObject } from '../api/types.js';

/** What shall happen to one object. */
export interface Change {
  /**
   * `create`: store it, if there is none of its name. `update`: write it so. `delete`: as a user deletes it, with grace.
   * `remove`: take it away at once.
   */
  readonly type: 'create' | 'update' | 'delete' | 'remove';
  readonly object: ApiObject;
}
