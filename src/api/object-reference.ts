/**
 * The schema of a reference to another object.
 */
import { object, STRING } from './schema.js';

export const OBJECT_REFERENCE = object({
  apiVersion: STRING,
  fieldPath: STRING,
  kind: STRING,
  name: STRING,
  namespace: STRING,
  resourceVersion: STRING,
  uid: STRING,
});
