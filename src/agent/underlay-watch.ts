/**
 * Whether the NIC that carries the tunnels is still what it was: a cloud's DHCP gives it another address, udev another name,
 * somebody unplugs it.
 *
 * Theory of operation. Every few seconds the kernel is asked for the NIC (a few ioctls). As long as index, first address and
 * MTU are the same, nothing more happens. THERE → its address or name is another: {@link UnderlayWatchOptions.moved}, and the
 * watch ends: tunnels and host state are made anew → or it is gone, down, or has no address: AWAY, which is said; what
 * forwards goes on trying. AWAY → it is back: THERE. AWAY for {@link GRACE_MS}, and the wish for a NIC now leads to another:
 * moved. Sooner would be wrong: a lease that is renewed takes the address away for a moment.
 */
import { ipJsonAsync } from '../sys/iproute2.js';
import { findLink } from '../sys/link.js';
import type { LinkJson } from './host-snapshot.js';
import { addressesOf, findUnderlay, type Underlay, type UnderlayWish } from './underlay.js';

const LOOK_MS = 3_000;
const GRACE_MS = 20_000;

export interface UnderlayWatchOptions {
  readonly underlay: Underlay;
  readonly wish: UnderlayWish;
  readonly netns?: string;
  /** Another NIC, another address, or another name, in words; and how to find it now. */
  moved(why: string, wish: UnderlayWish): void;
  /** Its MTU is another. */
  mtuChanged(mtu: number): void;
  /** It is away, in words; or, with undefined, there again. */
  away(problem: string | undefined): void;
  readonly lookMs?: number;
  readonly graceMs?: number;
}

/** Watch until told to end, or until it has moved. */
export function watchUnderlay(options: UnderlayWatchOptions): { close(): void } {
  const { underlay, wish, netns, lookMs = LOOK_MS, graceMs = GRACE_MS } = options;
  const { nic, address } = underlay;
  let mtu = underlay.mtu;
  const first = findLink(nic, netns);
  const signature = first && `${first.ifindex} ${first.address}`;
  let awaySince: number | undefined;
  let problem: string | undefined;
  let isLooking = false;
  let isClosed = false;

  const say = (next: string | undefined): void => {
    awaySince = next === undefined ? undefined : (awaySince ?? performance.now());
    if (next !== problem && !isClosed) options.away(next);
    problem = next;
  };
  const move = (why: string, next: UnderlayWish): void => {
    if (isClosed) return;
    close();
    options.moved(why, next);
  };

  const look = async (): Promise<void> => {
    const link = findLink(nic, netns);
    if (link && `${link.ifindex} ${link.address}` === signature && link.isUp) {
      say(undefined);
      if (link.mtu !== mtu) options.mtuChanged((mtu = link.mtu));
      return;
    }
    const links = await ipJsonAsync<LinkJson[]>(['address', 'show'], { netns });
    const same = links.find((one) => one.ifindex === first?.ifindex);
    const own = same ? addressesOf(same) : [];
    if (same && same.ifname !== nic && own.includes(address))
      return move(
        `The NIC ${nic} is now called ${same.ifname}` +
          (wish.iface === nic ? ', which --iface must say before the next start' : ''),
        wish.iface === nic ? { ...wish, iface: same.ifname } : wish,
      );
    if (same?.flags.includes('UP') && own.includes(address)) {
      say(undefined); // a second address has come before ours
      return;
    }
    if (same?.ifname === nic && same.flags.includes('UP') && own.length > 0)
      return move(`The address of ${nic} was ${address} and is now ${own[0]}`, wish);
    const again = links.find((one) => one.ifname === nic && one.ifindex !== first?.ifindex);
    if (again && addressesOf(again).length > 0) return move(`The NIC ${nic} is another one now`, wish);

    const why = !same
      ? `The NIC ${nic} is gone`
      : !same.flags.includes('UP')
        ? `The NIC ${nic} is down`
        : `The NIC ${nic} has lost its address ${address}`;
    say(`${why}: no packet reaches other hosts; bring it back, or start the agent with another --iface`);
    if (performance.now() - awaySince! < graceMs) return;
    const next = await findUnderlay(wish, netns).catch(() => undefined);
    if (next && (next.nic !== nic || next.address !== address))
      move(`${why}, and ${next.nic} with ${next.address} takes its place: ${next.why}`, wish);
  };

  const timer = setInterval(() => {
    if (isLooking) return;
    isLooking = true;
    // A namespace that is going away; the next look tells more.
    void look()
      .catch(() => undefined)
      .finally(() => (isLooking = false));
  }, lookMs);
  const close = (): void => {
    isClosed = true;
    clearInterval(timer);
  };
  return { close };
}
