import t from 'tap';
import {
  checkObjects,
  ManifestError,
  parseManifest,
  readManifests,
  type Located,
} from '../../src/lab/manifest.js';

const POD = `apiVersion: v1
kind: Pod
metadata:
  name: web
  labels:
    app.kubernetes.io/name: web
spec:
  containers:
    - name: nginx
      image: nginx
      ports:
        - containerPort: 80
`;

const problemsOf = (text: string): readonly string[] => {
  try {
    parseManifest(text, 'f.yaml');
  } catch (error) {
    if (error instanceof ManifestError) return error.problems;
    throw error;
  }
  return [];
};

t.test('several documents are several objects, and empty ones are none', async (t) => {
  const found = parseManifest(
    `---\n# only words\n---\n${POD}---\n${POD.replace('web', 'api')}---\n`,
    'f.yaml',
  );
  t.strictSame(
    found.map(({ object, line }) => [object.metadata.name, line]),
    [
      ['web', 4],
      ['api', 17],
    ],
  );
});

t.test('JSON and lists work, and items know their lines', async (t) => {
  const [one] = parseManifest('{"apiVersion": "v1",\n "kind": "Pod", "metadata": {"name": "x"}}', 'f.json');
  t.equal(one!.object.kind, 'Pod');
  const list = parseManifest('apiVersion: v1\nkind: List\nitems:\n- kind: Pod\n- kind: Node\n', 'f.yaml');
  t.strictSame(
    list.map(({ object, line }) => [object.kind, line]),
    [
      ['Pod', 4],
      ['Node', 5],
    ],
  );
});

t.test('text that is no YAML is refused with its line', async (t) => {
  t.match(problemsOf('a: 1\nb: [1, 2\nc: 3\n')[0], /^f\.yaml:3: /);
  t.match(problemsOf('kind: Pod\n\tname: x\n')[0], /^f\.yaml:2: /);
  t.match(problemsOf('kind: Pod\nkind: Node\n')[0], /^f\.yaml:2: .*unique/);
  t.match(problemsOf('just words')[0], /^f\.yaml:1: Expected an object with apiVersion, kind and metadata/);
  t.match(problemsOf('kind: Pod\n---\n- 1\n')[0], /^f\.yaml:3: Expected an object/);
});

t.test('all broken documents are named, not only the first', async (t) => {
  t.equal(problemsOf('- 1\n---\n- 2\n').length, 2);
});

t.test('a field is found by its path, also below keys with dots and in lists', async (t) => {
  const [pod] = parseManifest(POD, 'f.yaml') as [Located];
  t.equal(pod.lineOf('spec.containers[0].name'), 9);
  t.equal(pod.lineOf('spec.containers[0].ports[0].containerPort'), 12);
  t.equal(pod.lineOf('metadata.labels.app.kubernetes.io/name'), 6);
  t.equal(pod.lineOf('metadata.labels[app.kubernetes.io/name]'), 6);
  t.equal(pod.lineOf('kind'), 2);
});

t.test('a field that is missing is looked for where it should be', async (t) => {
  const [pod] = parseManifest(POD, 'f.yaml') as [Located];
  t.equal(pod.lineOf('spec.containers[0].command[3]'), 9);
  t.equal(pod.lineOf('spec.containers[7].name'), 8);
  t.equal(pod.lineOf('spec.nodeName'), 7);
  t.equal(pod.lineOf('status'), 1);
  t.equal(pod.lineOf(''), 1);
});

t.test('what does not validate is said with file, line and field', async (t) => {
  const problems = checkObjects(
    parseManifest(POD.replace('containerPort: 80', 'containerPort: 70000'), 'f.yaml'),
  );
  t.equal(problems.length, 1);
  t.match(problems[0], /^f\.yaml:12: spec\.containers\[0\]\.ports\[0\]\.containerPort: .*70000/);
});

t.test('unknown kinds and unknown fields are refused', async (t) => {
  t.match(checkObjects(parseManifest('apiVersion: v1\nkind: Sandwich\nmetadata: {name: x}\n', 'f.yaml')), [
    /^f\.yaml:2: kind: .*Sandwich/,
  ]);
  t.match(checkObjects(parseManifest(POD.replace('image:', 'imag:'), 'f.yaml')), [
    /^f\.yaml:10: spec\.containers\[0\]\.imag: /,
  ]);
});

t.test('the same object twice is refused at its second place', async (t) => {
  t.match(checkObjects(parseManifest(`${POD}---\n${POD}`, 'f.yaml')), [
    /^f\.yaml:17: metadata\.name: The same Pod stands at f\.yaml:1; /,
  ]);
});

t.test('standard input is -, a folder is its files in order, a missing file says so', async (t) => {
  const dir = t.testdir({ 'b.yaml': POD, 'a.yml': POD.replace('web', 'api'), 'notes.txt': '- no' });
  const names = async (...paths: string[]): Promise<unknown[]> =>
    (await readManifests(paths, async () => POD.replace('web', 'in'))).map(({ object, file }) => [
      object.metadata.name,
      file,
    ]);
  t.strictSame(await names('-', dir), [
    ['in', '<stdin>'],
    ['api', `${dir}/a.yml`],
    ['web', `${dir}/b.yaml`],
  ]);
  await t.rejects(names(`${dir}/none.yaml`), { message: /none\.yaml: There is no such file; name / });
});
