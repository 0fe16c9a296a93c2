/**
 * Counters of the server, in Prometheus' text, under the names and labels that CoreDNS gives them, so that dashboards made
 * for it work. https://coredns.io/plugins/metrics/, /cache/, /forward/
 *
 * A query raises a few numbers in arrays; text is made when somebody reads it.
 */
import { RCODE, TYPE } from '../wire/dns.js';

/** Who made an answer, by the name of CoreDNS' plugin that does the same. */
export type Answerer = '' | 'hosts' | 'kubernetes' | 'cache' | 'forward';

/** Upper bounds in seconds: 0.25 ms, doubled fifteen times. */
const SECONDS = Array.from({ length: 16 }, (_, i) => 0.00025 * 2 ** i);
const BYTES = [0, 100, 200, 300, 400, 511, 1023, 2047, 4095, 8291, 16e3, 32e3, 48e3, 64e3];

const TYPE_NAMES = new Map<number, string>([
  ...Object.entries(TYPE).map(([name, number]): [number, string] => [number, name]),
  [15, 'MX'],
  [35, 'NAPTR'],
  [43, 'DS'],
  [46, 'RRSIG'],
  [47, 'NSEC'],
  [48, 'DNSKEY'],
  [50, 'NSEC3'],
  [64, 'SVCB'],
  [65, 'HTTPS'],
]);
const RCODE_NAMES = new Map(Object.entries(RCODE).map(([name, number]): [number, string] => [number, name]));

/** Counts by one or more labels; the labels' text is the key. */
class Counter {
  readonly #counts = new Map<string, number>();

  add(labels: string, by = 1): void {
    this.#counts.set(labels, (this.#counts.get(labels) ?? 0) + by);
  }

  lines(name: string): string[] {
    return [...this.#counts].map(([labels, value]) => `${name}{${labels}} ${value}`);
  }
}

class Histogram {
  readonly #bounds: readonly number[];
  readonly #counts: Float64Array;
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
  }

  add(value: number): void {
    let i = 0;
    while (i < this.#bounds.length && value > this.#bounds[i]!) i++;
    this.#counts[i]!++;
    this.#sum += value;
  }

  lines(name: string, labels: string): string[] {
    let total = 0;
    const buckets = [...this.#bounds, '+Inf'].map((bound, i) => {
      total += this.#counts[i]!;
      return `${name}_bucket{${labels},le="${bound}"} ${total}`;
    });
    return [...buckets, `${name}_sum{${labels}} ${this.#sum}`, `${name}_count{${labels}} ${total}`];
  }
}

const PROTOS = ['udp', 'tcp'] as const;
type Proto = (typeof PROTOS)[number];

/** Numbers that somebody else keeps. */
export interface Gauges {
  /** Entries of the cache: answers, and denials. */
  cacheEntries(): { success: number; denial: number };
}

export class Metrics {
  /** By protocol and by type below 256; the others are one. */
  readonly #requests = { udp: new Float64Array(257), tcp: new Float64Array(257) };
  readonly #responses = new Counter();
  readonly #durations = new Histogram(SECONDS);
  readonly #requestSizes = { udp: new Histogram(BYTES), tcp: new Histogram(BYTES) };
  readonly #responseSizes = { udp: new Histogram(BYTES), tcp: new Histogram(BYTES) };
  readonly #kubernetes = new Float64Array(32);
  readonly #cacheHits = new Counter();
  #cacheRequests = 0;
  #cacheMisses = 0;
  readonly #forwardRequests = new Counter();
  readonly #forwardResponses = new Counter();
  readonly #forwardDurations = new Map<string, Histogram>();
  readonly #healthFailures = new Counter();
  #allBroken = 0;
  #rejects = 0;
  readonly #server: string;
  gauges: Gauges | undefined;

  /** @param server  how CoreDNS writes a listener: `dns://10.244.1.1:53` */
  constructor(server: string) {
    this.#server = `server="${server}"`;
  }

  request(proto: Proto, type: number, bytes: number): void {
    this.#requests[proto][type < 256 ? type : 256]!++;
    this.#requestSizes[proto].add(bytes);
  }

  response(proto: Proto, by: Answerer, rcode: number, bytes: number, ms: number): void {
    // By far the most: a number in an array instead of a look-up by text.
    if (by === 'kubernetes') this.#kubernetes[rcode]!++;
    else this.#responses.add(`plugin="${by}",rcode="${rcodeName(rcode)}"`);
    this.#responseSizes[proto].add(bytes);
    this.#durations.add(ms / 1000);
  }

  cacheHit(isDenial: boolean): void {
    this.#cacheRequests++;
    this.#cacheHits.add(`type="${isDenial ? 'denial' : 'success'}"`);
  }

  cacheMiss(): void {
    this.#cacheRequests++;
    this.#cacheMisses++;
  }

  /** @param rcode  undefined: it did not answer */
  forwarded(to: string, rcode: number | undefined, ms: number): void {
    this.#forwardRequests.add(`to="${to}"`);
    if (rcode === undefined) return;
    this.#forwardResponses.add(`rcode="${rcodeName(rcode)}",to="${to}"`);
    let durations = this.#forwardDurations.get(to);
    if (!durations) this.#forwardDurations.set(to, (durations = new Histogram(SECONDS)));
    durations.add(ms / 1000);
  }

  healthFailure(to: string): void {
    this.#healthFailures.add(`to="${to}"`);
  }

  allBroken(): void {
    this.#allBroken++;
  }

  rejected(): void {
    this.#rejects++;
  }

  /** All of it, in Prometheus' text format 0.0.4. */
  text(): string {
    const here = `${this.#server},zone="."`;
    const view = `${this.#server},view="",zone="."`;
    const out: string[] = [];
    const put = (name: string, kind: string, help: string, lines: readonly string[]): void => {
      if (lines.length > 0) out.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`, ...lines);
    };
    const counted = (name: string, labels: string, counter: Counter): string[] =>
      counter.lines(name).map((line) => line.replace('{', `{${labels},`));

    put(
      'coredns_dns_requests_total',
      'counter',
      'Counter of DNS requests made per zone, protocol and family.',
      PROTOS.flatMap((proto) =>
        [...this.#requests[proto]].flatMap((value, type) =>
          value === 0
            ? []
            : [
                `coredns_dns_requests_total{family="1",proto="${proto}",${this.#server},type="${TYPE_NAMES.get(type) ?? 'other'}",view="",zone="."} ${value}`,
              ],
        ),
      ).reduce(mergeSame, []),
    );
    put('coredns_dns_responses_total', 'counter', 'Counter of response status codes.', [
      ...[...this.#kubernetes].flatMap((value, rcode) =>
        value === 0
          ? []
          : [`coredns_dns_responses_total{${view},plugin="kubernetes",rcode="${rcodeName(rcode)}"} ${value}`],
      ),
      ...counted('coredns_dns_responses_total', view, this.#responses),
    ]);
    put(
      'coredns_dns_request_duration_seconds',
      'histogram',
      'Histogram of the time (in seconds) each request took per zone.',
      this.#durations.lines('coredns_dns_request_duration_seconds', view),
    );
    for (const [which, sizes] of [
      ['request', this.#requestSizes],
      ['response', this.#responseSizes],
    ] as const)
      put(
        `coredns_dns_${which}_size_bytes`,
        'histogram',
        `Size of the ${which} in bytes.`,
        PROTOS.flatMap((proto) =>
          sizes[proto].lines(`coredns_dns_${which}_size_bytes`, `proto="${proto}",${view}`),
        ),
      );
    this.#putForwarding(put, counted, here);
    put('coredns_build_info', 'gauge', 'A metric with a constant 1 value.', [
      `coredns_build_info{goversion="",revision="",version="podwire"} 1`,
    ]);
    put('coredns_panics_total', 'counter', 'A metrics that counts the number of panics.', [
      'coredns_panics_total 0',
    ]);
    put('process_resident_memory_bytes', 'gauge', 'Resident memory size in bytes.', [
      `process_resident_memory_bytes ${process.memoryUsage.rss()}`,
    ]);
    put('process_cpu_seconds_total', 'counter', 'Total user and system CPU time spent in seconds.', [
      `process_cpu_seconds_total ${cpuSeconds()}`,
    ]);
    return `${out.join('\n')}\n`;
  }

  #putForwarding(
    put: (name: string, kind: string, help: string, lines: readonly string[]) => void,
    counted: (name: string, labels: string, counter: Counter) => string[],
    here: string,
  ): void {
    const cache = `${this.#server},view="",zones="."`;
    const entries = this.gauges?.cacheEntries();
    put('coredns_cache_requests_total', 'counter', 'The count of cache requests.', [
      `coredns_cache_requests_total{${cache}} ${this.#cacheRequests}`,
    ]);
    put(
      'coredns_cache_hits_total',
      'counter',
      'The count of cache hits.',
      counted('coredns_cache_hits_total', cache, this.#cacheHits),
    );
    put(
      'coredns_cache_misses_total',
      'counter',
      'The count of cache misses. Deprecated, derive misses from cache hits/requests counters.',
      [`coredns_cache_misses_total{${cache}} ${this.#cacheMisses}`],
    );
    put(
      'coredns_cache_entries',
      'gauge',
      'The number of elements in the cache.',
      entries
        ? [
            `coredns_cache_entries{${cache},type="success"} ${entries.success}`,
            `coredns_cache_entries{${cache},type="denial"} ${entries.denial}`,
          ]
        : [],
    );
    put(
      'coredns_forward_requests_total',
      'counter',
      'Counter of requests made per upstream.',
      this.#forwardRequests.lines('coredns_forward_requests_total'),
    );
    put(
      'coredns_forward_responses_total',
      'counter',
      'Counter of responses received per upstream.',
      this.#forwardResponses.lines('coredns_forward_responses_total'),
    );
    put(
      'coredns_forward_request_duration_seconds',
      'histogram',
      'Histogram of the time each request took.',
      [...this.#forwardDurations].flatMap(([to, histogram]) =>
        histogram.lines('coredns_forward_request_duration_seconds', `to="${to}"`),
      ),
    );
    put(
      'coredns_forward_healthcheck_failures_total',
      'counter',
      'Counter of the number of failed healthchecks.',
      this.#healthFailures.lines('coredns_forward_healthcheck_failures_total'),
    );
    put(
      'coredns_forward_healthcheck_broken_total',
      'counter',
      'Counter of the number of complete failures of the healthchecks.',
      [`coredns_forward_healthcheck_broken_total{${here}} ${this.#allBroken}`],
    );
    put(
      'coredns_forward_max_concurrent_rejects_total',
      'counter',
      'Counter of the number of queries rejected because the concurrent queries were at maximum.',
      [`coredns_forward_max_concurrent_rejects_total{${here}} ${this.#rejects}`],
    );
  }
}

/** Types without a name of their own share one line. */
function mergeSame(lines: string[], line: string): string[] {
  const at = line.lastIndexOf(' ');
  const twin = lines.findIndex((other) => other.startsWith(`${line.slice(0, at)} `));
  if (twin < 0) return [...lines, line];
  const sum = Number(lines[twin]!.slice(at + 1)) + Number(line.slice(at + 1));
  return lines.with(twin, `${line.slice(0, at)} ${sum}`);
}

const rcodeName = (rcode: number): string => RCODE_NAMES.get(rcode) ?? String(rcode);

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
