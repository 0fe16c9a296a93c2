/**
 * What `podwire top` shows of a host: the difference of two readings, a second or so apart, as rates and as text.
 */
import type { PortReading, Readings } from '../agent/packet/readings.js';
import { formatTable } from './output.js';

/** All a second, but where it is said. */
export interface HostRates {
  readonly node: string;
  readonly seconds: number;
  readonly worker: {
    /** Percent of one processor. */
    readonly userPercent: number;
    readonly kernelPercent: number;
    /** Times that it went to sleep, and times that looking again spared it. */
    readonly sleeps: number;
    readonly spins: number;
  };
  readonly batches: number;
  /** Passes of the pipeline in a batch. */
  readonly passesPerBatch: number;
  readonly packets: number;
  readonly systemCalls: number;
  readonly systemCallsPerPacket: number;
  readonly ports: readonly PortReading[];
  readonly drops: Readonly<Record<string, number>>;
}

/** Events that are system calls of the worker. */
const SYSTEM_CALLS = ['waits', 'tapReads', 'tapWrites', 'tunnelReads', 'tunnelWrites', 'yields'] as const;

const ratio = (a: number, b: number): number => (b === 0 ? 0 : a / b);

/** @throws nothing: a port or an agent that is new counts from zero, one that began anew counts from there */
export function ratesOf(node: string, before: Readings, after: Readings): HostRates {
  const seconds = Math.max((after.atMs - before.atMs) / 1000, 1e-3);
  const isSame = before.worker.tid === after.worker.tid;
  const rate = (now: number, then: number | undefined): number =>
    Math.max(0, now - (isSame ? (then ?? 0) : 0)) / seconds;
  const event = (name: string): number => rate(after.events[name] ?? 0, before.events[name]);
  const ports = after.ports.map((now) => {
    const then = before.ports.find((port) => port.name === now.name);
    return {
      name: now.name,
      rxPackets: rate(now.rxPackets, then?.rxPackets),
      rxBytes: rate(now.rxBytes, then?.rxBytes),
      txPackets: rate(now.txPackets, then?.txPackets),
      txBytes: rate(now.txBytes, then?.txBytes),
      drops: rate(now.drops, then?.drops),
    };
  });
  const packets = ports.reduce((sum, port) => sum + port.rxPackets, 0);
  const systemCalls = SYSTEM_CALLS.reduce((sum, name) => sum + event(name), 0);
  return {
    node,
    seconds,
    worker: {
      userPercent: rate(after.worker.userMs, before.worker.userMs) / 10,
      kernelPercent: rate(after.worker.kernelMs, before.worker.kernelMs) / 10,
      sleeps: event('sleeps'),
      spins: event('spins'),
    },
    batches: event('batches'),
    passesPerBatch: ratio(event('passes'), event('batches')),
    packets,
    systemCalls,
    systemCallsPerPacket: ratio(systemCalls, packets),
    ports,
    drops: Object.fromEntries(
      Object.entries(after.drops)
        .map(([reason, now]) => [reason, rate(now, before.drops[reason])] as const)
        .filter(([, drops]) => drops > 0),
    ),
  };
}

/** A number in at most four characters and a prefix: `12.3k`. */
export function short(value: number): string {
  const prefixes = ['', 'k', 'M', 'G', 'T'];
  let scaled = value;
  let i = 0;
  for (; scaled >= 999.5 && i < prefixes.length - 1; i++) scaled /= 1000;
  const text =
    scaled >= 99.95 || (i === 0 && Number.isInteger(value)) ? scaled.toFixed(0) : scaled.toFixed(1);
  return text + prefixes[i];
}

const percent = (value: number): string => `${value.toFixed(0)} %`;

export function formatRates(rates: HostRates): string {
  const { worker, drops } = rates;
  const lines = [
    `${rates.node}   worker ${percent(worker.userPercent + worker.kernelPercent)} of a processor ` +
      `(user ${percent(worker.userPercent)}, kernel ${percent(worker.kernelPercent)})   ` +
      `slept ${short(worker.sleeps)}/s, spared ${short(worker.spins)}/s`,
    `${short(rates.packets)} packets/s in ${short(rates.batches)} batches/s of ${rates.passesPerBatch.toFixed(1)} passes   ` +
      `${short(rates.systemCalls)} system calls/s, ${rates.systemCallsPerPacket.toFixed(2)} a packet`,
  ];
  const table = formatTable([
    ['PORT', 'IN PKT/S', 'IN BIT/S', 'OUT PKT/S', 'OUT BIT/S', 'DROPS/S'],
    ...rates.ports.map((port) => [
      port.name,
      short(port.rxPackets),
      short(port.rxBytes * 8),
      short(port.txPackets),
      short(port.txBytes * 8),
      short(port.drops),
    ]),
  ]);
  const dropped = Object.entries(drops).map(([reason, rate]) => `${reason} ${short(rate)}/s`);
  return `${lines.join('\n')}\n${table}${dropped.length > 0 ? `drops: ${dropped.join(', ')}\n` : ''}`;
}
