/** Two ends of a connection that is nothing but memory. (Node has one of its own from version 22.) */
import { Duplex } from 'node:stream';

/** What is written to one is read from the other; destroying one ends both. */
export function duplexPair(): [Duplex, Duplex] {
  const make = (other: () => Duplex): Duplex & { taken?: () => void } => {
    const end: Duplex & { taken?: () => void } = new Duplex({
      read() {
        const taken = end.taken;
        end.taken = undefined;
        taken?.();
      },
      write(chunk, _encoding, done) {
        const peer = other() as Duplex & { taken?: () => void };
        if (peer.destroyed) return done(new Error('The other end is gone'));
        if (peer.push(chunk)) done();
        else peer.taken = done;
      },
      final(done) {
        if (!other().destroyed) other().push(null);
        done();
      },
      destroy(error, done) {
        if (!other().destroyed) process.nextTick(() => other().destroy());
        done(error);
      },
    });
    return end.on('error', () => {});
  };
  const near: Duplex = make(() => far);
  const far: Duplex = make(() => near);
  return [near, far];
}
