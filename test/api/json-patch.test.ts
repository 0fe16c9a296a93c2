import t from 'tap';
import { applyJsonPatch } from '../../src/api/json-patch.js';

/** The examples of RFC 6902, appendix A, and what it says of errors. */
t.test('what comes out', async (t) => {
  const table: [what: string, target: unknown, patch: unknown, result: unknown][] = [
    ['A.1', { foo: 'bar' }, [{ op: 'add', path: '/baz', value: 'qux' }], { baz: 'qux', foo: 'bar' }],
    [
      'A.2',
      { foo: ['bar', 'baz'] },
      [{ op: 'add', path: '/foo/1', value: 'qux' }],
      { foo: ['bar', 'qux', 'baz'] },
    ],
    ['A.3', { baz: 'qux', foo: 'bar' }, [{ op: 'remove', path: '/baz' }], { foo: 'bar' }],
    ['A.4', { foo: ['bar', 'qux', 'baz'] }, [{ op: 'remove', path: '/foo/1' }], { foo: ['bar', 'baz'] }],
    ['A.5', { baz: 'qux' }, [{ op: 'replace', path: '/baz', value: 'boo' }], { baz: 'boo' }],
    [
      'A.6',
      { foo: { bar: 'baz', waldo: 'fred' }, qux: { corge: 'grault' } },
      [{ op: 'move', from: '/foo/waldo', path: '/qux/thud' }],
      { foo: { bar: 'baz' }, qux: { corge: 'grault', thud: 'fred' } },
    ],
    [
      'A.7',
      { foo: ['all', 'grass', 'cows', 'eat'] },
      [{ op: 'move', from: '/foo/1', path: '/foo/3' }],
      { foo: ['all', 'cows', 'eat', 'grass'] },
    ],
    ['A.8', { a: [1, { b: 2 }] }, [{ op: 'test', path: '/a/1', value: { b: 2 } }], { a: [1, { b: 2 }] }],
    [
      'A.10',
      { foo: 'bar' },
      [{ op: 'add', path: '/child', value: { g: {} } }],
      { foo: 'bar', child: { g: {} } },
    ],
    ['A.11', { foo: 'bar' }, [{ op: 'add', path: '/baz', value: 1, xyz: 123 }], { foo: 'bar', baz: 1 }],
    ['A.14', { '/': 9, '~1': 10 }, [{ op: 'test', path: '/~01', value: 10 }], { '/': 9, '~1': 10 }],
    ['A.16', { foo: ['bar'] }, [{ op: 'add', path: '/foo/-', value: ['abc'] }], { foo: ['bar', ['abc']] }],
    ['a null is a value', { a: 1 }, [{ op: 'add', path: '/a', value: null }], { a: null }],
    ['copy', { a: { b: 1 } }, [{ op: 'copy', from: '/a', path: '/c' }], { a: { b: 1 }, c: { b: 1 } }],
    ['the whole', { a: 1 }, [{ op: 'replace', path: '', value: { b: 2 } }], { b: 2 }],
  ];
  for (const [what, target, patch, result] of table) {
    const before = JSON.stringify(target);
    t.strictSame(applyJsonPatch(target, patch), result, what);
    t.equal(JSON.stringify(target), before, 'the target is unchanged');
  }
});

t.test('what cannot be', async (t) => {
  const table: [what: string, target: unknown, patch: unknown, message: RegExp][] = [
    [
      'A.9',
      { baz: 'qux' },
      [{ op: 'test', path: '/baz', value: 'bar' }],
      /operation 0 \(test \/baz\): the value there/,
    ],
    ['A.12', { foo: 'bar' }, [{ op: 'add', path: '/baz/bat', value: 1 }], /nothing at "baz"/],
    ['A.15', { '~1': 10 }, [{ op: 'test', path: '/~01', value: '10' }], /another/],
    ['remove', { a: 1 }, [{ op: 'remove', path: '/b' }], /nothing at "b"/],
    ['replace', { a: 1 }, [{ op: 'replace', path: '/b', value: 1 }], /nothing at "b"/],
    ['beyond', { a: [] }, [{ op: 'add', path: '/a/1', value: 1 }], /0 items only/],
    ['leading zero', { a: [1] }, [{ op: 'remove', path: '/a/00' }], /no index/],
    ['no value', {}, [{ op: 'add', path: '/a' }], /no value/],
    ['no pointer', {}, [{ op: 'add', path: 'a', value: 1 }], /no JSON pointer/],
    ['no operation', {}, [{ op: 'spam', path: '/a' }], /no operation "spam"/],
    ['into itself', { a: {} }, [{ op: 'move', from: '/a', path: '/a/b' }], /into itself/],
    ['prototype', {}, [{ op: 'add', path: '/constructor/x', value: 1 }], /nothing at "constructor"/],
    ['no list', {}, {}, /list of operations/],
    ['no object', {}, [1], /operation 0 is no object/],
  ];
  for (const [what, target, patch, message] of table)
    t.throws(() => applyJsonPatch(target, patch), { message }, what);
});
