/** `vagrant validate` reads vagrant/Vagrantfile; no machine is made, and no provider is needed. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { testName } from '../lib/netns.js';
import { inRoot } from '../lib/root.js';
import { cleanEnv, runSync } from '../lib/spawn.js';

const hasVagrant = runSync(['which', 'vagrant']).status === 0;

t.test('vagrant accepts the Vagrantfile', { skip: !hasVagrant && 'needs vagrant' }, async (t) => {
  const home = mkdtempSync(join(tmpdir(), testName('vagrant-')));
  t.teardown(() => rmSync(home, { recursive: true }));
  const release = join(home, 'podwire.tar.gz');
  const validate = () =>
    runSync(['vagrant', 'validate', '--ignore-provider'], {
      env: cleanEnv({
        VAGRANT_HOME: home,
        VAGRANT_DOTFILE_PATH: join(home, 'dot'),
        VAGRANT_CWD: inRoot('vagrant'),
        PODWIRE_RELEASE: release,
      }),
    });
  const without = validate();
  t.not(without.status, 0);
  t.match(
    without.stderr + without.stdout,
    /podwire\.tar\.gz must exist/,
    'without a release it says what is missing',
  );
  writeFileSync(release, '');
  const result = validate();
  t.equal(result.status, 0, result.stderr);
  t.match(result.stdout, /Vagrantfile validated successfully/);
  for (const node of ['node1', 'node2', 'node3']) t.match(result.stdout, node);
});
