/**
 * What control wants done.
 */
import type { ApiObject } from '../api/types.js';

/** A word for people about an object, which becomes an Event. */
export interface Note {
  readonly about: ApiObject;
  readonly type: 'Normal' | 'Warning';
  /** One word in CamelCase. */
  readonly reason: string;
  readonly message: string;
  /** Which of Kubernetes' controllers says so: `deployment-controller`. */
  readonly component: string;
}

/** What shall happen to one object. */
export interface Change {
  /**
   * `create`: store it, if there is none of its name. `update`: write it so. `delete`: as a user deletes it, with grace.
   * `remove`: take it away at once.
   */
  readonly type: 'create' | 'update' | 'delete' | 'remove';
  readonly object: ApiObject;
  /** To be told when the change was carried out. */
  readonly notes?: readonly Note[];
}
