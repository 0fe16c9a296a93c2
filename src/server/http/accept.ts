/**
 * What a client wants to get, from its Accept header. RFC 9110 §12.5.1, without weights: Kubernetes' clients send what
 * they like best first.
 *
 * Objects go out as JSON, whole, as rows of a Table, or as their metadata alone. A client that lists protobuf first and JSON
 * behind it gets JSON.
 */
import { ApiError } from '../../api/error.js';

/** A form in which objects go out. */
export interface Form {
  readonly as: 'object' | 'table' | 'metadata';
  /** Of meta.k8s.io, for the forms that it defines. */
  readonly version: 'v1' | 'v1beta1';
}

const WHOLE: Form = { as: 'object', version: 'v1' };
const FORMS = new Map<string, Form['as']>([
  ['Table', 'table'],
  ['PartialObjectMetadata', 'metadata'],
  ['PartialObjectMetadataList', 'metadata'],
]);

export interface MediaType {
  /** `application/json`, in lower case. */
  readonly type: string;
  readonly parameters: ReadonlyMap<string, string>;
}

/** The media types of an Accept header, as they stand there. */
export const parseAccept = (header: string | undefined): MediaType[] =>
  (header ?? '*/*').split(',').map((text) => {
    const [type, ...rest] = text.split(';').map((part) => part.trim());
    const parameters = rest.map((parameter): [string, string] => {
      const equals = parameter.indexOf('=');
      return [parameter.slice(0, equals).toLowerCase(), parameter.slice(equals + 1)];
    });
    return { type: type!.toLowerCase(), parameters: new Map(parameters) };
  });

/** Whether a media type takes in JSON. */
export const isJson = ({ type }: MediaType): boolean =>
  type === 'application/json' || type === 'application/*' || type === '*/*' || type === '';

/** The first form a client asks for that we have. @throws ApiError 406 */
export function negotiate(header: string | undefined): Form {
  for (const media of parseAccept(header)) {
    if (!isJson(media)) continue;
    const name = media.parameters.get('as');
    if (name === undefined) return WHOLE;
    const as = FORMS.get(name);
    const version = media.parameters.get('v');
    if (as && media.parameters.get('g') === 'meta.k8s.io' && (version === 'v1' || version === 'v1beta1'))
      return { as, version };
  }
  throw new ApiError(
    406,
    'NotAcceptable',
    'only the following media types are accepted: application/json, application/json;as=Table;v=v1;g=meta.k8s.io, ' +
      'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io',
  );
}
