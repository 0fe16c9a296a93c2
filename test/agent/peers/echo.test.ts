import t from 'tap';
import { openEchoes } from '../../../src/agent/peers/echo.js';
import { close as closeFd } from '../../../src/sys/io.js';
import { openUdp } from '../../../src/sys/udp.js';
import { parseIpv4 } from '../../../src/wire/address.js';
import { send } from '../../lib/mmsg.js';
import { makePair, needsRoot } from '../../lib/netns.js';
import { output } from '../../lib/spawn.js';
import { until } from '../../lib/until.js';

const OTHER = parseIpv4('192.0.2.2')!;
const NOBODY = parseIpv4('192.0.2.3')!;
const LONG_MS = 30_000;

t.test('asking peers', { skip: needsRoot() }, async (t) => {
  const [a, b] = makePair(t);
  const echoes = openEchoes(a, 4711);
  t.teardown(() => echoes.close());

  t.test('the other side answers, whatever the size, many at once', async (t) => {
    const sizes = Array.from({ length: 40 }, (_, i) => 28 + i * 37);
    t.same(
      await Promise.all(sizes.map((bytes) => echoes.ask(OTHER, bytes, LONG_MS))),
      sizes.map(() => true),
    );
  });

  t.test('who is not there does not answer, and where there is no route nothing is sent', async (t) => {
    t.notOk(await echoes.ask(NOBODY, 500, 50));
    t.notOk(await echoes.ask(parseIpv4('203.0.113.1')!, 500, LONG_MS));
  });

  t.test('what does not fit is not fragmented', async (t) => {
    t.ok(await echoes.ask(OTHER, 1500, LONG_MS));
    t.notOk(await echoes.ask(OTHER, 1501, LONG_MS), 'the kernel refuses it');
  });

  t.test('a port where nobody listens leaves a hint', async (t) => {
    const socket = openUdp({ netns: a, address: '192.0.2.1', port: 0 });
    t.teardown(() => closeFd(socket.fd));
    t.equal(echoes.refusal(OTHER, 8472), undefined);
    await until('the refusal was heard', async () => {
      send(socket.fd, [{ data: new Uint8Array([1]), to: ['192.0.2.2', 8472] }]);
      await echoes.ask(OTHER, 500, LONG_MS);
      return echoes.refusal(OTHER, 8472) === 3;
    });
    t.equal(echoes.refusal(OTHER, 8473), undefined);
  });

  t.test('what others are answered is not for us', async (t) => {
    const stranger = openEchoes(a, 4712);
    t.ok(await stranger.ask(OTHER, 100, LONG_MS));
    stranger.close();
    output(['ip', '-n', b, 'link', 'set', 'eth0', 'down']);
    const asked = echoes.ask(OTHER, 100, LONG_MS);
    echoes.close();
    t.notOk(await asked, 'closing ends what waits');
  });
});
