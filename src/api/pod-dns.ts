/**
 * Rules for what a pod says of its resolver: `dnsPolicy`, `dnsConfig`, `hostAliases`, `subdomain`.
 *
 * Source: k8s.io/kubernetes, pkg/apis/core/validation/validation.go, validatePodDNSConfig and ValidateHostAliases.
 */
import { at, invalid, required, type Problem } from './problem.js';
import { checkAddress, checkDnsLabel, checkDnsSubdomain } from './rules.js';
import type { PodSpec } from './types.js';

const MAX_NAMESERVERS = 3;
const MAX_SEARCHES = 32;
const MAX_SEARCH_CHARS = 2048;

/** A search domain: labels that may have underscores, or the root. RFC 2782 names are among them. */
const SEARCH = /^[_a-z0-9]([-_a-z0-9]*[a-z0-9])?(\.[_a-z0-9]([-_a-z0-9]*[a-z0-9])?)*$/;

/** @param field  of the pod's spec */
export function checkPodDns(spec: PodSpec, field: string): Problem[] {
  const { dnsPolicy, dnsConfig, hostAliases = [], subdomain } = spec;
  const problems: Problem[] = [];
  const path = `${field}.dnsConfig`;
  if (dnsPolicy === 'None') {
    if (!dnsConfig) problems.push(required(path, 'must provide `dnsConfig` when `dnsPolicy` is None'));
    else if ((dnsConfig.nameservers ?? []).length === 0)
      problems.push(
        required(`${path}.nameservers`, 'must provide at least one DNS nameserver when `dnsPolicy` is None'),
      );
  }
  const { nameservers = [], searches = [], options = [] } = dnsConfig ?? {};
  if (nameservers.length > MAX_NAMESERVERS)
    problems.push(
      invalid(`${path}.nameservers`, nameservers, `must not have more than ${MAX_NAMESERVERS} nameservers`),
    );
  nameservers.forEach((ip, i) => problems.push(...checkAddress(ip, at(`${path}.nameservers`, i))));
  if (searches.length > MAX_SEARCHES)
    problems.push(
      invalid(`${path}.searches`, searches, `must not have more than ${MAX_SEARCHES} search paths`),
    );
  if (searches.join(' ').length > MAX_SEARCH_CHARS)
    problems.push(
      invalid(
        `${path}.searches`,
        searches,
        `must not have more than ${MAX_SEARCH_CHARS} characters (including spaces) in the search list`,
      ),
    );
  searches.forEach((search, i) => {
    const name = search.replace(/(.)\.$/, '$1');
    if (name === '.' || (SEARCH.test(name) && name.length <= 253)) return;
    problems.push(
      invalid(
        at(`${path}.searches`, i),
        search,
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must " +
          'start and end with an alphanumeric character',
      ),
    );
  });
  options.forEach(({ name }, i) => {
    if (!name) problems.push(required(at(`${path}.options`, i), 'must not be empty'));
  });
  hostAliases.forEach(({ ip, hostnames = [] }, i) => {
    const alias = at(`${field}.hostAliases`, i);
    problems.push(...checkAddress(ip, `${alias}.ip`));
    hostnames.forEach((name, j) => problems.push(...checkDnsSubdomain(name, at(`${alias}.hostnames`, j))));
  });
  if (subdomain) problems.push(...checkDnsLabel(subdomain, `${field}.subdomain`));
  return problems;
}
