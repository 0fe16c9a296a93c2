/**
 * Rules for names, labels, ports and addresses, with Kubernetes' own sentences.
 *
 * Source: k8s.io/apimachinery, pkg/util/validation; RFC 1123 §2.1, RFC 6335 §5.1.
 */
import { cidrContains, formatCidr, isIpv4, parseAddress, parseCidr, type Cidr } from '../wire/address.js';
import { duplicate, invalid, required, type Problem } from './problem.js';
import type { ApiObject } from './types.js';

const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const LABEL_1035 = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const QUALIFIED = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;
const LABEL_VALUE = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;

const regexHint = (pattern: RegExp, ...examples: string[]): string =>
  `(e.g. ${examples.map((example) => `'${example}'`).join(', or ')}, regex used for validation is '${pattern.source.slice(1, -1)}')`;

/** RFC 1123 label: what namespaces and containers are called. */
export function checkDnsLabel(name: string, field: string): Problem[] {
  if (name.length > 63) return [invalid(field, name, 'must be no more than 63 characters')];
  if (LABEL.test(name)) return [];
  return [
    invalid(
      field,
      name,
      "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and " +
        `end with an alphanumeric character ${regexHint(LABEL, 'my-name', '123-abc')}`,
    ),
  ];
}

/** RFC 1035 label: what Services are called. */
export function checkDns1035Label(name: string, field: string): Problem[] {
  if (name.length > 63) return [invalid(field, name, 'must be no more than 63 characters')];
  if (LABEL_1035.test(name)) return [];
  return [
    invalid(
      field,
      name,
      "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic " +
        `character, and end with an alphanumeric character ${regexHint(LABEL_1035, 'my-name', 'abc-123')}`,
    ),
  ];
}

/** RFC 1123 subdomain: what most objects are called. */
export function checkDnsSubdomain(name: string, field: string): Problem[] {
  if (name.length > 253) return [invalid(field, name, 'must be no more than 253 characters')];
  if (SUBDOMAIN.test(name)) return [];
  return [
    invalid(
      field,
      name,
      "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must " +
        `start and end with an alphanumeric character ${regexHint(SUBDOMAIN, 'example.com')}`,
    ),
  ];
}

/** `*.example.com`: a subdomain behind a star. */
export function checkWildcardName(name: string, field: string): Problem[] {
  if (name.length > 253) return [invalid(field, name, 'must be no more than 253 characters')];
  if (name.startsWith('*.') && SUBDOMAIN.test(name.slice(2))) return [];
  const pattern = `\\*\\.${SUBDOMAIN.source.slice(1, -1)}`;
  return [
    invalid(
      field,
      name,
      "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower " +
        "case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex " +
        `used for validation is '${pattern}')`,
    ),
  ];
}

/** The key of a label or an annotation: an optional prefix, a slash, a name. */
export function checkQualifiedName(key: string, field: string): Problem[] {
  const parts = key.split('/');
  const name = parts.at(-1)!;
  if (parts.length > 2) {
    return [invalid(field, key, 'a qualified name has at most one slash, between its prefix and its name')];
  }
  if (parts.length === 2) {
    const problems = checkDnsSubdomain(parts[0]!, field);
    if (problems.length > 0) return problems;
  }
  if (name.length > 63) return [invalid(field, key, 'name part must be no more than 63 characters')];
  if (QUALIFIED.test(name)) return [];
  return [
    invalid(
      field,
      key,
      "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an " +
        `alphanumeric character ${regexHint(QUALIFIED, 'MyName', 'my.name', '123-abc')}`,
    ),
  ];
}

export function checkLabels(labels: Readonly<Record<string, string>>, field: string): Problem[] {
  return Object.entries(labels).flatMap(([key, value]) => [
    ...checkQualifiedName(key, field),
    ...(value.length > 63 ? [invalid(field, value, 'must be no more than 63 characters')] : []),
    ...(LABEL_VALUE.test(value)
      ? []
      : [
          invalid(
            field,
            value,
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and " +
              `must start and end with an alphanumeric character ${regexHint(LABEL_VALUE, 'MyValue', 'my_value', '12345')}`,
          ),
        ]),
  ]);
}

/** Rules for metadata that do not depend on the kind. */
export function checkMetadata(object: ApiObject, namespaced: boolean): Problem[] {
  const { metadata } = object;
  const problems: Problem[] = [];
  if (!metadata.name && !metadata.generateName) {
    problems.push(required('metadata.name', 'name or generateName is required'));
  }
  if (namespaced && metadata.namespace) {
    problems.push(...checkDnsLabel(metadata.namespace, 'metadata.namespace'));
  }
  if (!namespaced && metadata.namespace) {
    problems.push(invalid('metadata.namespace', metadata.namespace, 'not allowed on this type'));
  }
  problems.push(...checkLabels(metadata.labels ?? {}, 'metadata.labels'));
  for (const key of Object.keys(metadata.annotations ?? {})) {
    problems.push(...checkQualifiedName(key.toLowerCase(), 'metadata.annotations'));
  }
  return problems;
}

/** A port number, 1..65535. */
export const checkPort = (port: number, field: string): Problem[] =>
  port >= 1 && port <= 65535 ? [] : [invalid(field, port, 'must be between 1 and 65535, inclusive')];

/** RFC 6335 §5.1: what a port is called. */
export function checkPortName(name: string, field: string): Problem[] {
  const problems: Problem[] = [];
  if (name.length > 15) problems.push(invalid(field, name, 'must be no more than 15 characters'));
  if (!/^[-a-z0-9]+$/.test(name)) {
    problems.push(
      invalid(field, name, 'must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)'),
    );
  }
  if (!/[a-z]/.test(name)) problems.push(invalid(field, name, 'must contain at least one letter (a-z)'));
  if (name.includes('--')) problems.push(invalid(field, name, 'must not contain consecutive hyphens'));
  if (/^-|-$/.test(name)) problems.push(invalid(field, name, 'must not begin or end with a hyphen'));
  return problems;
}

export const checkAddress = (text: string, field: string): Problem[] =>
  parseAddress(text)
    ? []
    : [invalid(field, text, 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)')];

/** Ranges that belong to one host or one link, and what Kubernetes calls them. */
const SPECIAL_RANGES: readonly [cidr: string, detail: string][] = [
  ['127.0.0.0/8', 'may not be in the loopback range (127.0.0.0/8, ::1/128)'],
  ['169.254.0.0/16', 'may not be in the link-local range (169.254.0.0/16, fe80::/10)'],
  ['224.0.0.0/24', 'may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)'],
];

/** An address that other hosts could send to: no loopback, link-local or unspecified one. */
export function checkNonSpecialAddress(text: string, field: string): Problem[] {
  const problems = checkAddress(text, field);
  const [w0, w1, w2, w3] = parseAddress(text) ?? [];
  if (w0 === undefined) return problems;
  const isV4 = isIpv4(w0, w1!, w2!);
  if (w3 === 0 && (isV4 || (w0 === 0 && w1 === 0 && w2 === 0))) {
    return [invalid(field, text, 'may not be unspecified (0.0.0.0 or ::)')];
  }
  const special = isV4
    ? SPECIAL_RANGES.find(([cidr]) => cidrContains(parseCidr(cidr)!, w3!))
    : w0 === 0 && w1 === 0 && w2 === 0 && w3 === 1
      ? SPECIAL_RANGES[0]
      : w0 >>> 22 === 0xfe80 >>> 6
        ? SPECIAL_RANGES[1]
        : w0 >>> 16 === 0xff02
          ? SPECIAL_RANGES[2]
          : undefined;
  return special ? [invalid(field, text, special[1])] : [];
}

/**
 * An IPv4 prefix without bits outside of it.
 *
 * @returns the prefix, or what is wrong with it
 */
export function checkCidr(text: string, field: string): { cidr?: Cidr; problems: Problem[] } {
  const cidr = parseCidr(text);
  if (!cidr) {
    return { problems: [invalid(field, text, 'must be a valid CIDR value, (e.g. 10.9.8.0/24)')] };
  }
  if (formatCidr(cidr) !== text) {
    return {
      problems: [
        invalid(field, text, `must not have bits set beyond the prefix length (${formatCidr(cidr)})`),
      ],
    };
  }
  return { cidr, problems: [] };
}

/** A list in which one field must not repeat. Items without it do not count. */
export function checkUnique<T>(
  items: readonly T[],
  value: (item: T) => string | number | undefined,
  field: (index: number) => string,
): Problem[] {
  const seen = new Set<string | number>();
  return items.flatMap((item, i) => {
    const key = value(item);
    if (key === undefined) return [];
    if (seen.has(key)) return [duplicate(field(i), key)];
    seen.add(key);
    return [];
  });
}
