import { describe, expect, test } from 'vitest';
import { Btf } from '../../src/loader/btf.ts';
import { BtfExt } from '../../src/loader/btf-ext.ts';
import { BtfWriter, writeBtfExt } from '../support/btf-writer.ts';
import { insn, returns } from '../support/elf-writer.ts';
import { failure, headerOf, ObjectKit, oneProgram, strict, tampered } from './object-kit.ts';

/** Offset of a section's bytes. */
function contentOf(bytes: Uint8Array, name: string): number {
  return Number(new DataView(bytes.buffer).getBigUint64(headerOf(bytes, name) + 24, true));
}

/** One program with function and line records. */
function described(): Uint8Array {
  const kit = oneProgram();
  kit.ext.funcs.push(['xdp', 0, kit.btf.func('p', kit.btf.proto(kit.int))]);
  kit.ext.lines.push(['xdp', 0, 'a.c', 'return 2;', 3, 5]);
  return kit.build();
}

describe('damaged BTF', () => {
  test('[L-131] an object of code alone loads without its BTF', () => {
    const bytes = described();
    const bad = tampered(bytes, (view) => view.setUint16(contentOf(bytes, '.BTF'), 0x1234, true));
    const spec = strict(bad);
    expect(spec.btf).toBeUndefined();
    expect([...spec.programs[0]!.insns]).toEqual(returns(2));
    expect(spec.warnings.join()).toMatch(/Error loading ELF section \.BTF: .*Invalid magic: 0x1234/);
    expect(strict(bytes).btf).toBeDefined();
  });

  const damages: [string, number, number][] = [
    ['magic', 0, 0],
    ['version 2', 2, 2],
    ['flags', 3, 1],
    ['a record size of 4', 32, 4],
    ['a record size of 10', 32, 10],
    ['no records', 40, 0],
    ['more records than there are bytes', 40, 200],
    ['an unaligned subsection', 8, 2],
    ['a subsection beyond the end', 13, 100],
  ];
  test.each(damages)('[L-132] .BTF.ext with %s is ignored', (_name, at, value) => {
    const bytes = described();
    expect(strict(bytes).programs[0]!.lines).toHaveLength(1);
    const bad = tampered(bytes, (view) => view.setUint8(contentOf(bytes, '.BTF.ext') + at, value));
    const spec = strict(bad);
    expect(spec.programs[0]!.lines).toEqual([]);
    expect(spec.warnings.join()).toContain('Ignored and continue.');
  });

  test('[L-132] a block without records is damage', () => {
    const btf = new Btf(new BtfWriter().bytes());
    const words = (count: number) =>
      Uint32Array.from([0xeb9f | (1 << 16), 24, 0, 12 + count * 8, 0, 0, 8, 0, count, 0, 0]);
    const parse = (count: number) => new BtfExt(new Uint8Array(words(count).buffer), btf);
    expect(parse(1).funcInfo).toHaveLength(1);
    expect(() => parse(0)).toThrow('num_records 0');
  });

  test('larger records are read by their first bytes', () => {
    const btf = new BtfWriter();
    const id = btf.func('f', btf.proto(0));
    const name = btf.string('xdp');
    const words = Uint32Array.from([0xeb9f | (1 << 16), 24, 0, 24, 0, 0, 12, name, 1, 8, id, 77]);
    const ext = new BtfExt(new Uint8Array(words.buffer), new Btf(btf.bytes()));
    const block = ext.range(ext.funcInfo, 'xdp', 0, 4)!;
    expect([ext.word(block, 0, 0), ext.word(block, 0, 1), ext.funcInfo[0]!.size]).toEqual([8, id, 12]);
  });

  test('[L-133] a variable whose symbol lies beyond its section is left to the verifier', () => {
    const kit = new ObjectKit();
    kit.data('.data', 'v', [1, 2, 3, 4], { value: 4000 });
    kit.btf.datasec('.data', [[kit.btf.variable('v', kit.int), 0, 4]]);
    kit.func('xdp', 'p', [...insn(0x18, 1), ...insn(0), ...insn(0x95)], { relocations: [{ slot: 0, symbol: 'v' }] });
    const spec = strict(kit.build());
    expect(spec.programs[0]!.insns[12]! | (spec.programs[0]!.insns[13]! << 8)).toBe(4000);
  });

  test('[L-134] parameters without names are no reason to refuse', () => {
    const kit = oneProgram();
    kit.ext.funcs.push(['xdp', 0, kit.btf.func('p', kit.btf.proto(kit.int, [['', kit.int]]))]);
    expect(strict(kit.build()).programs[0]!.funcs[0]!.linkage).toBe('global');
  });
});

describe('BTF', () => {
  const parse = (build: (btf: BtfWriter) => unknown) => {
    const btf = new BtfWriter();
    build(btf);
    return new Btf(btf.bytes());
  };

  test('every kind is read back', () => {
    const btf = parse((w) => {
      const int = w.int('int', 4, 1); // 1
      w.ptr(int); // 2
      w.array(int, 7); // 3
      w.struct('s', 8, [
        ['a', int, 0],
        ['b', int, 32, 5],
      ]); // 4
      w.struct('u', 4, [['a', int, 0]], true); // 5
      w.enumeration('e', { A: 1, B: -2 }, true); // 6
      w.fwd('f', true); // 7
      w.typedef('t', int); // 8
      w.volatile(int); // 9
      w.const(int); // 10
      const proto = w.proto(int, [['x', int]]); // 11
      w.func('fn', proto, 2); // 12
      const variable = w.variable('v', int, 1); // 13
      w.datasec('.data', [[variable, 4, 4]], 8); // 14
      w.float('double', 8); // 15
      w.declTag('tag', 4, 1); // 16
      w.typeTag('rcu', int); // 17
      w.enum64('big', { X: -1n }, true); // 18
    });
    expect(btf.count).toBe(19);
    expect(btf.type(4)).toMatchObject({
      kind: 'struct',
      size: 8,
      members: [
        { name: 'a', bitSize: 0 },
        { name: 'b', bitOffset: 32, bitSize: 5 },
      ],
    });
    expect(btf.type(6)).toMatchObject({
      kind: 'enum',
      signed: true,
      values: [
        { name: 'A', value: 1n },
        { name: 'B', value: -2n },
      ],
    });
    expect(btf.type(7)).toMatchObject({ kind: 'fwd', union: true });
    expect(btf.type(12)).toMatchObject({ kind: 'func', linkage: 2, type: 11 });
    expect(btf.type(14)).toMatchObject({ kind: 'datasec', vars: [{ type: 13, offset: 4, size: 4 }] });
    expect(btf.type(16)).toMatchObject({ kind: 'decl_tag', component: 1 });
    expect(btf.type(18)).toMatchObject({ kind: 'enum64', values: [{ name: 'X', value: -1n }] });
    expect([2, 3, 4, 8, 13, 14, 15, 7, 12].map((id) => btf.size(id))).toEqual([
      8,
      28,
      8,
      4,
      4,
      8,
      8,
      undefined,
      undefined,
    ]);
    expect(btf.idsByName('s')).toEqual([4]);
    expect(btf.find('fn', 'func')?.id).toBe(12);
    expect(btf.find('fn', 'var')).toBeUndefined();
  });

  const broken: [string, (btf: BtfWriter) => unknown, RegExp][] = [
    ['an id beyond the types', (w) => w.ptr(99), /type \[1\]: invalid referenced type ID 99/],
    ['a member beyond the types', (w) => w.struct('s', 4, [['a', 77, 0]]), /invalid referenced type ID 77/],
    ['a function that is no prototype', (w) => w.func('f', w.int('int', 4)), /FUNC referencing wrong kind/],
    ['an unknown kind', (w) => w.add('x', 25, 0, 0), /Unsupported BTF_KIND:25/],
    ['more members than bytes', (w) => w.add('x', 4, 60000, 0), /BTF type \[1\] is malformed/],
    ['a name beyond the strings', (w) => w.add('x', 13, 1, 0, [0x7fff_ffff, 0]), /invalid string offset/],
  ];
  test.each(broken)('%s is refused', (_name, build, message) => {
    expect(() => parse(build)).toThrow(message);
  });

  test.each([
    ['an empty file', new Uint8Array(0)],
    ['a header that is cut', new BtfWriter().bytes().slice(0, 20)],
    ['strings that are cut', parse((w) => w.int('int', 4)).bytes.slice(0, -1)],
  ])('%s is refused', (_name, bytes) => {
    expect(() => new Btf(bytes)).toThrow(/BTF/);
  });

  test('loops end: typedefs, arrays and modifiers of themselves have no size', () => {
    const btf = parse((w) => {
      w.typedef('a', 2); // 1
      w.typedef('b', 1); // 2
      w.array(3, 2, 3); // 3: array of itself
      w.const(4); // 4
      w.ptr(5); // 5: pointer to itself is legal
    });
    expect([1, 2, 3, 4, 5].map((id) => btf.size(id))).toEqual([undefined, undefined, undefined, undefined, 8]);
    expect(btf.strip(1).kind).toBe('void');
    expect(btf.strip(4).kind).toBe('void');
  });

  test('an array larger than 32 bits has no size', () => {
    const btf = parse((w) => {
      const int = w.int('int', 4);
      w.array(w.array(int, 0xffff_ffff), 0xffff_ffff);
    });
    expect(btf.size(3)).toBeUndefined();
  });

  test('a hundred thousand nested types do not exhaust the stack', () => {
    const btf = parse((w) => {
      w.int('int', 4);
      for (let i = 1; i < 100_000; i++) w.typedef(`t${i}`, i);
    });
    expect(btf.size(100_000)).toBeUndefined();
    expect(btf.size(20)).toBe(4);
  });

  test('big-endian BTF is read', () => {
    const writer = new BtfWriter();
    writer.int('int', 4, 1);
    const bytes = writer.bytes();
    const view = new DataView(bytes.buffer);
    view.setUint16(0, 0xeb9f, false);
    for (const at of [4, 8, 12, 16, 20, 24, 28, 32, 36]) view.setUint32(at, view.getUint32(at, true), false);
    expect(new Btf(bytes).type(1)).toMatchObject({ kind: 'int', name: 'int', size: 4, signed: true });
  });

  test('corrections are made in the bytes, so that a kernel can have them', () => {
    const kit = oneProgram();
    kit.data('.data', 'a', [1, 0, 0, 0]);
    kit.data('.data', 'v', [1, 2, 3, 4], { visibility: 2 });
    const a = kit.btf.variable('a', kit.int);
    const v = kit.btf.variable('v', kit.int);
    const datasec = kit.btf.datasec('.data', [
      [v, 0, 4],
      [a, 0, 4],
    ]);
    const again = new Btf(strict(kit.build()).btf!.bytes);
    expect(again.type(datasec)).toMatchObject({
      size: 8,
      vars: [
        { type: a, offset: 0 },
        { type: v, offset: 4 },
      ],
    });
    expect(again.type(v)).toMatchObject({ linkage: 0 });
    expect(again.type(a)).toMatchObject({ linkage: 1 });
  });

  test('an object keeps out of JSON what is not plain', () => {
    const text = JSON.stringify(strict(described()));
    expect(JSON.parse(text).btf).toEqual({ types: 3, bytes: expect.any(Number) });
    expect(JSON.parse(text).programs[0].lines[0]).toEqual({
      slot: 0,
      file: 'a.c',
      line: 3,
      column: 5,
      text: 'return 2;',
    });
  });

  test('a global variable that BTF knows and no symbol has is refused', () => {
    const kit = oneProgram();
    kit.section('.data', [1, 2, 3, 4], { flags: 3 });
    kit.btf.datasec('.data', [[kit.btf.variable('v', kit.int), 0, 4]]);
    expect(failure(kit.build())).toMatch(/^-2 open: .*failed to find symbol for variable 'v' in section '.data'/);
  });

  test('records without a matching section are no matter', () => {
    const btf = new BtfWriter();
    const bytes = writeBtfExt(btf, { funcs: [['nowhere', 0, 1]] });
    btf.func('f', btf.proto(0));
    const ext = new BtfExt(bytes, new Btf(btf.bytes()));
    expect(ext.range(ext.funcInfo, 'xdp', 0, 10)).toBeUndefined();
  });
});
