/** `podwire --help` and `podwire VERB --help`, from the verbs' own words. */

import type { Verb } from './verb.js';
import type { VerbRow } from './verbs.js';

/** The list of verbs. */
export function overview(verbs: readonly VerbRow[]): string {
  const shown = verbs.filter((verb) => !verb.hidden);
  const width = Math.max(0, ...shown.map((verb) => verb.name.length));
  return [
    'podwire: Kubernetes pod networking in user space, on this machine or on many.',
    '',
    'Usage: podwire VERB [FLAGS] [ARGUMENTS]',
    '',
    ...shown.map((verb) => `  ${verb.name.padEnd(width)}  ${verb.summary}`),
    '',
    'podwire VERB --help shows the flags of a verb and an example.',
    '',
  ].join('\n');
}

/** The help of one verb. */
export function helpOf(row: VerbRow, verb: Verb): string {
  const flags = Object.entries(verb.options).map(([flag, option]) => [
    `${option.short ? `-${option.short}, ` : '    '}--${flag}${option.type === 'string' ? ` ${option.value ?? 'VALUE'}` : ''}`,
    option.help,
  ]);
  flags.push(['-h, --help', 'show this']);
  const width = Math.max(...flags.map(([left]) => left!.length));
  return [
    `podwire ${row.name}: ${row.summary}`,
    '',
    ...verb.usage.map((line, i) => `${i === 0 ? 'Usage:' : '      '} podwire ${line}`),
    '',
    ...wrap(verb.description),
    '',
    'Flags:',
    ...flags.map(([left, right]) => `  ${left!.padEnd(width)}  ${right}`),
    '',
    'Example:',
    ...verb.example.map((line) => `  ${line}`),
    '',
  ].join('\n');
}

/** Lines of at most 100 characters, broken between words. */
function wrap(text: string): string[] {
  const lines: string[] = [];
  for (const word of text.split(/\s+/)) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > 100) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}
