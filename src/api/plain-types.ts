/**
 * Kinds that hold no more than what others look up in them: settings, accounts, and words about other objects.
 */
import type { ApiObject, ObjectReference } from './object-meta.js';

export interface ConfigMap extends ApiObject {
  data?: Record<string, string>;
  /** Values in base64. */
  binaryData?: Record<string, string>;
  immutable?: boolean;
}

export interface Secret extends ApiObject {
  /** `Opaque` when left out. */
  type?: string;
  /** Values in base64. */
  data?: Record<string, string>;
  /** For writing only: plain text, which goes to `data`. */
  stringData?: Record<string, string>;
  immutable?: boolean;
}

export interface ServiceAccount extends ApiObject {
  secrets?: ObjectReference[];
  automountServiceAccountToken?: boolean;
}

/** What happened to an object. One that happens again counts up instead of being written again. */
export interface Event extends ApiObject {
  involvedObject: ObjectReference;
  type?: string;
  /** One word in CamelCase. */
  reason?: string;
  message?: string;
  count?: number;
  firstTimestamp?: string;
  lastTimestamp?: string;
  /** Newer clients' form of the timestamps, in microseconds. */
  eventTime?: string;
  series?: { count?: number; lastObservedTime?: string };
  action?: string;
  source?: { component?: string; host?: string };
  reportingComponent?: string;
  reportingInstance?: string;
}

export interface Lease extends ApiObject {
  spec?: {
    holderIdentity?: string;
    leaseDurationSeconds?: number;
    leaseTransitions?: number;
    acquireTime?: string;
    /** RFC 3339 with microseconds. */
    renewTime?: string;
  };
}
