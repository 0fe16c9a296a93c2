/**
 * resolv.conf as the resolvers of C libraries read it. resolv.conf(5).
 */

/** What a resolv.conf says. */
export interface ResolvConf {
  readonly nameservers: readonly string[];
  readonly searches: readonly string[];
  readonly options: readonly string[];
}

/** Read the text of a resolv.conf. Of several `search` or `domain` lines the last counts; other lines mean nothing. */
export function parseResolvConf(text: string): ResolvConf {
  const nameservers: string[] = [];
  let searches: string[] = [];
  const options: string[] = [];
  for (const line of text.split('\n')) {
    if (/^\s*[#;]/.test(line)) continue;
    const [keyword, ...words] = line.trim().split(/\s+/);
    if (keyword === 'nameserver' && words[0] !== undefined) nameservers.push(words[0]);
    else if (keyword === 'search') searches = words;
    else if (keyword === 'domain') searches = words.slice(0, 1);
    else if (keyword === 'options') options.push(...words);
  }
  return { nameservers, searches, options };
}

/** The text of a resolv.conf. */
export function formatResolvConf({ nameservers, searches, options }: ResolvConf): string {
  const lines = [
    ...nameservers.map((address) => `nameserver ${address}`),
    ...(searches.length > 0 ? [`search ${searches.join(' ')}`] : []),
    ...(options.length > 0 ? [`options ${options.join(' ')}`] : []),
  ];
  return lines.map((line) => `${line}\n`).join('');
}
