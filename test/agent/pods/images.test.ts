import t from 'tap';
import { parseImage, planOf } from '../../../src/agent/pods/images.js';

t.test('an image is known by its repository alone', async (t) => {
  for (const [image, repository, tag] of [
    ['nginx', 'nginx', 'latest'],
    ['docker.io/library/nginx:1.25', 'nginx', '1.25'],
    ['localhost:5000/nginx', 'nginx', 'latest'],
    ['localhost/team/app:v2', 'team/app', 'v2'],
    ['registry.example:5000/kubetm/app:v1@sha256:abc', 'kubetm/app', 'v1'],
    ['kubetm/app', 'kubetm/app', 'latest'],
  ])
    t.same(parseImage(image), { repository, tag }, image);
});

t.test('known images serve, idle or run their args; others serve what they declare', async (t) => {
  const plan = (image: string, rest = {}) => planOf({ name: 'c', image, ...rest }, {});
  t.match(plan('nginx:1'), {
    kind: 'builtin',
    listeners: [{ protocol: 'TCP', port: 80, behaviour: 'welcome' }],
  });
  t.match(plan('kubetm/app'), { listeners: [{ port: 8080, behaviour: 'app' }] });
  t.same(plan('alpine'), { kind: 'builtin', listeners: [] });
  t.same(plan('alpine', { args: ['sleep', '5'] }), { kind: 'command', argv: ['sleep', '5'] });
  t.same(plan('constructor'), { kind: 'builtin', listeners: [] }, 'no property of the table’s prototype');
  const ports = [
    { containerPort: 7000 },
    { containerPort: 53, protocol: 'UDP' },
    { containerPort: 9, protocol: 'SCTP' },
  ];
  t.same(plan('acme/thing', { ports, args: ['--verbose'] }), {
    kind: 'builtin',
    listeners: [
      { protocol: 'TCP', port: 7000, behaviour: 'name' },
      { protocol: 'UDP', port: 53, behaviour: 'name' },
    ],
  });
});

t.test('command replaces what the image would do, args follow it, both with variables', async (t) => {
  const container = { name: 'c', image: 'nginx', command: ['echo', '$(A)'], args: ['$(NO)', '$$(A)'] };
  t.same(planOf(container, { A: 'x' }), { kind: 'command', argv: ['echo', 'x', '$(NO)', '$(A)'] });
});
