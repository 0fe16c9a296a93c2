import t from 'tap';
import { EAGAIN, EPERM, SysError, errnoName, must } from '../../src/sys/errno.js';

t.test('an errno has a name', async (t) => {
  t.equal(errnoName(EAGAIN), 'EAGAIN');
  t.equal(errnoName(999), 'errno 999');
});

t.test('an error says what was wanted, which call failed how, and what to do', async (t) => {
  const error = new SysError({
    action: 'open TAP "eth0"',
    call: 'ioctl(TUNSETIFF)',
    errno: EPERM,
    advice: 'run as root',
  });
  t.match(error, { call: 'ioctl(TUNSETIFF)', errno: EPERM, code: 'EPERM' });
  t.equal(
    error.message,
    'Cannot open TAP "eth0": ioctl(TUNSETIFF) failed with EPERM (operation not permitted); run as root',
  );
});

t.test('a result that is not negative passes through', async (t) => {
  t.equal(
    must(3, () => t.fail() as never),
    3,
  );
  t.throws(() => must(-EPERM, () => ({ action: 'try', call: 'none' })), { code: 'EPERM' });
});
