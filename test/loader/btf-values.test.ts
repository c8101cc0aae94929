import { describe, expect, test } from 'vitest';
import { MapError } from '../../src/base/error.ts';
import { Btf } from '../../src/loader/btf.ts';
import { decodeValue, encodeValue, toJsonValue, typeName } from '../../src/loader/btf-values.ts';
import { BtfWriter } from '../support/btf-writer.ts';

type Build = (w: BtfWriter) => number;
function typed(build: Build): { btf: Btf; id: number } {
  const writer = new BtfWriter();
  writer.int('int', 4, 1);
  const id = build(writer);
  return { btf: new Btf(writer.bytes()), id };
}
const INT = 1;
const u8 = (w: BtfWriter) => w.typedef('__u8', w.int('unsigned char', 1));
const be32 = (w: BtfWriter) => w.typedef('__be32', w.typedef('__u32', w.int('unsigned int', 4)));
const be16 = (w: BtfWriter) => w.typedef('__be16', w.int('unsigned short', 2));
const char = (w: BtfWriter) => w.int('char', 1, 1);

describe('values by type', () => {
  const pairs: [string, Build, number[], unknown][] = [
    ['int', () => INT, [0xfe, 0xff, 0xff, 0xff], -2],
    ['unsigned int', (w) => w.int('unsigned int', 4), [0xfe, 0xff, 0xff, 0xff], 0xfffffffe],
    ['__u8', u8, [200], 200],
    ['char', char, [200], -56],
    ['__u64', (w) => w.int('unsigned long long', 8), [1, 0, 0, 0, 0, 0, 0, 0x80], 0x8000000000000001n],
    ['__s64', (w) => w.int('long long', 8, 1), Array(8).fill(255), -1n],
    ['__int128', (w) => w.int('__int128', 16, 1), Array(16).fill(255), -1n],
    ['bool', (w) => w.int('_Bool', 1, 4), [1], true],
    ['double', (w) => w.float('double', 8), [0, 0, 0, 0, 0, 0, 0xf8, 0x3f], 1.5],
    ['float', (w) => w.float('float', 4), [0, 0, 0xc0, 0x3f], 1.5],
    ['pointer', (w) => w.ptr(INT), [1, 0, 0, 0, 0, 0, 0, 0], 1n],
    ['enum', (w) => w.enumeration('e', { A: 0, B: 5 }), [5, 0, 0, 0], 'B'],
    ['enum without a name for it', (w) => w.enumeration('e', { A: 0 }), [9, 0, 0, 0], 9],
    ['signed enum', (w) => w.enumeration('e', { A: -1 }, true), [255, 255, 255, 255], 'A'],
    ['enum64', (w) => w.enum64('e', { BIG: 1n << 40n }), [0, 0, 0, 0, 0, 1, 0, 0], 'BIG'],
    ['text', (w) => w.array(char(w), 6), [101, 116, 104, 48, 0, 0], 'eth0'],
    ['text without NUL', (w) => w.array(char(w), 2), [104, 105], 'hi'],
    ['chars that are no text', (w) => w.array(char(w), 3), [1, 0, 200], [1, 0, -56]],
    ['array', (w) => w.array(w.int('short', 2, 1), 2), [1, 0, 255, 255], [1, -1]],
    [
      'array of arrays',
      (w) => w.array(w.array(u8(w), 2), 2),
      [1, 2, 3, 4],
      [
        [1, 2],
        [3, 4],
      ],
    ],
    [
      'struct',
      (w) =>
        w.struct('s', 8, [
          ['a', INT, 0],
          ['b', u8(w), 32],
        ]),
      [1, 0, 0, 0, 2, 0, 0, 0],
      { a: 1, b: 2 },
    ],
    [
      'anonymous members',
      (w) =>
        w.struct('s', 8, [
          ['', w.struct('', 4, [['x', INT, 0]], true), 0],
          ['y', INT, 32],
        ]),
      [1, 0, 0, 0, 2, 0, 0, 0],
      { x: 1, y: 2 },
    ],
    [
      'union',
      (w) =>
        w.struct(
          'u',
          4,
          [
            ['word', INT, 0],
            ['byte', u8(w), 0],
          ],
          true,
        ),
      [7, 0, 0, 0],
      { word: 7, byte: 7 },
    ],
    [
      'bitfields',
      (w) =>
        w.struct('b', 4, [
          ['a', INT, 0, 3],
          ['b', w.int('unsigned int', 4), 3, 10],
          ['c', INT, 20, 12],
        ]),
      [0xfd, 0x1f, 0xf0, 0xff],
      { a: -3, b: 0x3ff, c: -1 },
    ],
    [
      'bitfields of old compilers',
      (w) =>
        w.struct('b', 4, [
          ['a', w.int('unsigned int', 4, 0, 3), 0],
          ['b', w.int('unsigned int', 4, 0, 5), 3],
        ]),
      [0b10110101, 0, 0, 0],
      { a: 5, b: 22 },
    ],
  ];
  test.each(pairs)('%s is decoded and encoded', (_name, build, bytes, value) => {
    const { btf, id } = typed(build);
    expect(decodeValue(btf, id, Uint8Array.from(bytes))).toEqual(value);
    expect([...encodeValue(btf, id, value)]).toEqual(bytes);
  });

  const presented: [string, Build, number[], string][] = [
    ['__be32', be32, [10, 0, 0, 1], '10.0.0.1'],
    ['__be16', be16, [0x1f, 0x90], '8080'],
    ['a MAC address', (w) => w.array(u8(w), 6), [2, 0, 0, 0, 0, 0xab], '02:00:00:00:00:ab'],
    [
      'in6_addr',
      (w) => w.struct('in6_addr', 16, [['b', w.array(u8(w), 16), 0]]),
      [0x20, 1, 0xd, 0xb8, ...Array(11).fill(0), 1],
      '2001:db8::1',
    ],
    ['__be32[4]', (w) => w.array(be32(w), 4), [...Array(15).fill(0), 1], '::1'],
  ];
  test.each(presented)('%s is presented as text, and read back', (_name, build, bytes, text) => {
    const { btf, id } = typed(build);
    expect(decodeValue(btf, id, Uint8Array.from(bytes), { present: true })).toBe(text);
    expect([...encodeValue(btf, id, text)]).toEqual(bytes);
  });

  const friendly: [string, Build, unknown, number[]][] = [
    ['IPv4 text for any 4-byte integer', () => INT, '192.168.1.2', [192, 168, 1, 2]],
    ['IPv4 text for 4 bytes', (w) => w.array(u8(w), 4), '1.2.3.4', [1, 2, 3, 4]],
    ['a number for __be32 as it lies in memory', be32, 0x0100000a, [10, 0, 0, 1]],
    ['numbers as text', () => INT, '0x10', [16, 0, 0, 0]],
    ['negative numbers as text', () => INT, '-1', [255, 255, 255, 255]],
    ['bytes', () => INT, Uint8Array.from([4, 3, 2, 1]), [4, 3, 2, 1]],
    ['hex text for bytes', (w) => w.array(u8(w), 3), '0x0a0B0c', [10, 11, 12]],
    ['short arrays', (w) => w.array(u8(w), 3), [1], [1, 0, 0]],
    ['a bool as number', (w) => w.int('_Bool', 1, 4), 1, [1]],
    ['an enum as number', (w) => w.enumeration('e', { A: 0 }), 7, [7, 0, 0, 0]],
    [
      'a kernel-managed member left out',
      (w) =>
        w.struct('s', 8, [
          ['lock', w.struct('bpf_spin_lock', 4, [['val', INT, 0]]), 0],
          ['n', INT, 32],
        ]),
      { n: 5 },
      [0, 0, 0, 0, 5, 0, 0, 0],
    ],
  ];
  test.each(friendly)('takes %s', (_name, build, value, bytes) => {
    const { btf, id } = typed(build);
    expect([...encodeValue(btf, id, value)]).toEqual(bytes);
  });

  const S: Build = (w) =>
    w.struct('s', 8, [
      ['a', u8(w), 0],
      ['name', w.array(char(w), 4), 32],
    ]);
  const refused: [string, Build, unknown, RegExp][] = [
    ['a number out of range', u8, 256, /__u8: 256 is out of range \(0 to 255\)/],
    ['a negative unsigned', u8, -1, /out of range/],
    ['a signed out of range', () => INT, 0x80000000, /out of range/],
    ['a fraction', () => INT, 1.5, /1.5 is not an exact integer/],
    ['text that is no number', () => INT, 'x', /an integer is wanted, not 'x'/],
    ['an unknown member', S, { b: 1 }, /struct s: there is no member 'b'; there are: a, name/],
    ['a member out of range', S, { a: 999 }, /struct s\.a: 999 is out of range/],
    ['text that is too long', S, { name: 'abcde' }, /struct s\.name: text of 5 bytes in an array of 4/],
    ['too many elements', (w) => w.array(INT, 2), [1, 2, 3], /3 elements given, there is room for 2/],
    ['an unknown enumerator', (w) => w.enumeration('e', { A: 0 }), 'B', /enum e has no 'B'; there are: A/],
    ['bytes of another size', () => INT, new Uint8Array(3), /3 bytes given, the type has 4/],
    ['a number for a struct', S, 1, /an object is wanted, not 1/],
    ['2 as bool', (w) => w.int('_Bool', 1, 4), 2, /2 is not a bool/],
    ['a spin lock', (w) => w.struct('bpf_spin_lock', 4, [['val', INT, 0]]), { val: 1 }, /belongs to the kernel/],
    ['a value of a type without size', (w) => w.fwd('f'), 1, /has no size/],
    [
      'a bitfield out of range',
      (w) => w.struct('b', 4, [['a', w.int('u32', 4), 0, 3]]),
      { a: 8 },
      /out of range \(0 to 7\)/,
    ],
  ];
  test.each(refused)('refuses %s', (_name, build, value, message) => {
    const { btf, id } = typed(build);
    expect(() => encodeValue(btf, id, value)).toThrow(message);
    expect(() => encodeValue(btf, id, value)).toThrow(MapError);
  });

  test('kernel-managed structs decode to null', () => {
    const { btf, id } = typed((w) =>
      w.struct('s', 8, [
        ['lock', w.struct('bpf_spin_lock', 4, [['val', INT, 0]]), 0],
        ['n', INT, 32],
      ]),
    );
    expect(decodeValue(btf, id, Uint8Array.from([9, 9, 9, 9, 1, 0, 0, 0]))).toEqual({ lock: null, n: 1 });
  });

  test('a member may have any name', () => {
    const { btf, id } = typed((w) => w.struct('s', 4, [['__proto__', INT, 0]]));
    const value = decodeValue(btf, id, Uint8Array.from([5, 0, 0, 0])) as object;
    expect(Object.entries(value)).toEqual([['__proto__', 5]]);
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
  });

  test('a base keeps what is not named', () => {
    const { btf, id } = typed(S);
    const base = Uint8Array.from([1, 77, 77, 77, 104, 105, 0, 0]);
    expect([...encodeValue(btf, id, { a: 5 }, { base })]).toEqual([5, 77, 77, 77, 104, 105, 0, 0]);
  });

  test('too few bytes are refused, more are ignored', () => {
    const { btf, id } = typed(() => INT);
    expect(() => decodeValue(btf, id, new Uint8Array(3))).toThrow('int has 4 bytes, but there are only 3');
    expect(decodeValue(btf, id, Uint8Array.from([1, 0, 0, 0, 9, 9, 9, 9]))).toBe(1);
  });

  test('types that contain themselves, or name the same bytes endlessly, are refused quickly', () => {
    const self = typed((w) => w.struct('s', 4, [['s', w.next, 0]]));
    expect(() => decodeValue(self.btf, self.id, new Uint8Array(4))).toThrow(/contains itself/);
    const explosion = typed((w) => {
      let id = INT;
      for (let i = 0; i < 30; i++)
        id = w.struct(
          `u${i}`,
          4,
          [
            ['a', id, 0],
            ['b', id, 0],
          ],
          true,
        );
      return id;
    });
    expect(() => decodeValue(explosion.btf, explosion.id, new Uint8Array(4))).toThrow(/deeply nested/);
    const anonymous = typed((w) => {
      let id = INT;
      for (let i = 0; i < 30; i++)
        id = w.struct(
          '',
          4,
          [
            ['', id, 0],
            ['', id, 0],
          ],
          true,
        );
      return id;
    });
    expect(() => encodeValue(anonymous.btf, anonymous.id, { x: 1 })).toThrow(/no member 'x'/);
  });

  test('an array of billions of empty elements is empty', () => {
    const { btf, id } = typed((w) => w.array(w.struct('empty', 0, []), 0xffffffff));
    expect(decodeValue(btf, id, new Uint8Array(0))).toEqual([]);
  });

  test('JSON gets numbers where they are exact', () => {
    expect(toJsonValue({ a: 5n, b: 1n << 60n, c: Uint8Array.from([1, 255]), d: [null, 'x', true] })).toEqual({
      a: 5,
      b: '1152921504606846976',
      c: '0x01ff',
      d: [null, 'x', true],
    });
  });

  test('types are spelled as in C', () => {
    const { btf, id } = typed((w) => w.ptr(w.const(w.array(w.struct('flow', 4, [['a', INT, 0]]), 3))));
    expect(typeName(btf, id)).toBe('const struct flow[3] *');
  });
});
