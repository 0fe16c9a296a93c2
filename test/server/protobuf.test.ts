import t from 'tap';
import { decodeProtobuf } from '../../src/server/http/protobuf.js';
import { MESSAGES } from '../../src/server/http/protobuf-messages.js';

/** Fields of wire types 2 and 0, as Go's encoder writes them. Lengths and numbers stay below 128. */
const text = (number: number, value: string | Buffer): Buffer => {
  const body = Buffer.from(value as string);
  return Buffer.concat([varint(number * 8 + 2), varint(body.length), body]);
};
const int = (number: number, value: number): Buffer => Buffer.concat([varint(number * 8), varint(value)]);
const varint = (value: number): Buffer =>
  value < 128 ? Buffer.of(value) : Buffer.of((value % 128) | 128, Math.floor(value / 128));
const join = (...fields: Buffer[]): Buffer => Buffer.concat(fields);

/** "k8s\0" Unknown { 1 typeMeta { 1 apiVersion, 2 kind }, 2 raw } */
const envelope = (apiVersion: string, kind: string, raw: Buffer): Buffer =>
  join(
    Buffer.from('k8s\0'),
    text(1, join(text(1, apiVersion), text(2, kind))),
    text(2, raw),
    text(3, ''),
    text(4, ''),
  );

/** ObjectMeta as the encoder writes it: also what is empty. */
const metadata = (name: string): Buffer =>
  join(
    text(1, name),
    text(2, ''),
    text(3, ''),
    text(4, ''),
    text(5, ''),
    text(6, ''),
    int(7, 0),
    text(8, ''), // creationTimestamp: the zero time
  );

t.test('a ConfigMap, with what is empty left out', async (t) => {
  const raw = join(
    text(1, metadata('c')),
    text(2, join(text(1, 'k'), text(2, 'v'))),
    text(2, join(text(1, 'empty'))), // a value that is zero may be missing
    text(2, join(text(1, '__proto__'), text(2, 'x'))),
    text(3, join(text(1, 'b'), text(2, Buffer.of(0, 255)))),
    int(4, 0), // immutable is a pointer: false was said
  );
  const object = decodeProtobuf(envelope('v1', 'ConfigMap', raw));
  t.same(JSON.parse(JSON.stringify(object)), {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'c' },
    data: JSON.parse('{"k":"v","empty":"","__proto__":"x"}') as object,
    binaryData: { b: 'AP8=' },
    immutable: false,
  });
});

t.test('a Service, with a port that is a name, and a number', async (t) => {
  const port = (target: Buffer): Buffer => join(text(2, 'TCP'), int(3, 80), text(4, target), int(5, 0));
  const spec = join(
    text(1, port(join(int(1, 1), int(2, 0), text(3, 'web')))),
    text(1, port(join(int(1, 0), int(2, 8080), text(3, '')))),
    text(3, 'None'),
    int(13, 0),
  );
  const raw = join(text(1, metadata('s')), text(2, spec), text(3, text(1, '')));
  t.strictSame(decodeProtobuf(envelope('v1', 'Service', raw))['spec'], {
    ports: [
      { protocol: 'TCP', port: 80, targetPort: 'web' },
      { protocol: 'TCP', port: 80, targetPort: 8080 },
    ],
    clusterIP: 'None',
  });
});

t.test('fields of an embedded message stand in the object itself', async (t) => {
  const path = join(
    text(1, '/'),
    text(2, text(4, join(text(1, 'web'), text(2, int(2, 80))))),
    text(3, 'Prefix'),
  );
  const rule = join(text(1, 'a.example'), text(2, text(1, text(1, path))));
  const raw = join(text(1, metadata('i')), text(2, text(3, rule)));
  t.strictSame(decodeProtobuf(envelope('networking.k8s.io/v1', 'Ingress', raw))['spec'], {
    rules: [
      {
        host: 'a.example',
        http: {
          paths: [
            { path: '/', backend: { service: { name: 'web', port: { number: 80 } } }, pathType: 'Prefix' },
          ],
        },
      },
    ],
  });
});

t.test('a pod that a client has read is read with the volume of its account', async (t) => {
  const item = join(text(1, 'ca.crt'), text(2, 'ca.crt'));
  const file = join(text(1, 'namespace'), text(2, join(text(1, 'v1'), text(2, 'metadata.namespace'))));
  const projected = join(
    text(1, text(4, join(text(1, ''), int(2, 3607), text(3, 'token')))),
    text(1, text(3, join(text(1, text(1, 'kube-root-ca.crt')), text(2, item)))),
    text(1, text(2, text(1, file))),
    int(2, 420),
  );
  const volume = join(text(1, 'kube-api-access-abcde'), text(2, text(26, projected)));
  const raw = join(text(1, metadata('p')), text(2, text(1, volume)));
  t.match(decodeProtobuf(envelope('v1', 'Pod', raw))['spec'], {
    volumes: [
      {
        name: 'kube-api-access-abcde',
        projected: {
          sources: [
            { serviceAccountToken: { expirationSeconds: 3607, path: 'token' } },
            { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
            {
              downwardAPI: {
                items: [
                  { path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } },
                ],
              },
            },
          ],
          defaultMode: 420,
        },
      },
    ],
  });
});

t.test('an object that a client has read is read with who owns its fields', async (t) => {
  const entry = (fields: string): Buffer =>
    join(
      text(1, 'kubectl'),
      text(2, 'Update'),
      text(3, 'v1'),
      text(4, int(1, 100)),
      text(6, 'FieldsV1'),
      text(7, text(1, fields)),
      text(8, ''),
    );
  const object = (fields: string): Record<string, unknown> =>
    decodeProtobuf(envelope('v1', 'ConfigMap', text(1, join(metadata('c'), text(17, entry(fields))))));
  t.match(object('{"f:data":{}}'), {
    metadata: {
      name: 'c',
      managedFields: [
        {
          manager: 'kubectl',
          operation: 'Update',
          apiVersion: 'v1',
          time: '1970-01-01T00:01:40Z',
          fieldsV1: { 'f:data': {} },
        },
      ],
    },
  });
  t.throws(() => object('{'), { code: 400, message: /ConfigMap.metadata.managedFields.fieldsV1 as JSON/ });
});

t.test('what is no such body is refused with a sentence', async (t) => {
  const refuse = (body: Buffer, message: RegExp): void => {
    t.throws(() => decodeProtobuf(body), { code: 400, message });
  };
  refuse(Buffer.from('{}'), /no Kubernetes protobuf/);
  refuse(envelope('v1', 'Cat', Buffer.alloc(0)), /kind "Cat" as protobuf; send it as JSON/);
  refuse(envelope('v1', 'toString', Buffer.alloc(0)), /kind "toString"/);
  const whole = envelope('v1', 'ConfigMap', text(1, metadata('c')));
  refuse(whole.subarray(0, -6), /ends in the middle/);
  refuse(Buffer.concat([Buffer.from('k8s\0'), Buffer.alloc(11, 255)]), /more than ten bytes/);
  refuse(envelope('v1', 'ConfigMap', Buffer.of(0x0b)), /no wire type 3/);
  refuse(envelope('v1', 'ConfigMap', text(99, 'x')), /field 99 of ConfigMap as protobuf/);
  t.doesNotThrow(
    () => decodeProtobuf(envelope('v1', 'ConfigMap', text(99, int(1, 0)))),
    'an unknown field in which there is nothing',
  );
  let deep = Buffer.alloc(0) as Buffer;
  for (let i = 0; i < 40; i++) deep = deep.length > 100 ? deep : text(7, deep);
  t.doesNotThrow(() => decodeProtobuf(envelope('v1', 'ConfigMap', deep)));
});

t.test('every type that a message names is there', async (t) => {
  const plain = ['string', 'int', 'bool', 'bytes', 'Time', 'Quantity', 'IntOrString', 'FieldsV1'];
  for (const [name, lines] of Object.entries(MESSAGES)) {
    for (const line of lines) {
      const type = /: (?:list |map )?(\w+)$/.exec(line)?.[1] ?? 'string';
      if (!plain.includes(type) && !(type in MESSAGES)) t.fail(`${name}: ${line}`);
    }
    const numbers = lines.map((line) => line.split(' ')[0]);
    t.equal(new Set(numbers).size, numbers.length, name);
  }
});
