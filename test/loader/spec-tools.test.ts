import { describe, expect, test } from 'vitest';
import { describeFeatures } from '../../src/loader/features.ts';
import { patchSymbol, readSymbol } from '../../src/loader/patch.ts';
import { rawProgram } from '../../src/loader/raw.ts';
import { insn, lddw, returns } from '../support/elf-writer.ts';
import { ObjectKit, oneProgram, strict } from './object-kit.ts';

describe('variables set before load', () => {
  function object() {
    const kit = oneProgram();
    const u64 = kit.btf.int('unsigned long long', 8);
    const inner = kit.btf.struct('', 8, [['deep', kit.int, 32]]);
    const cfg = kit.btf.struct('cfg', 24, [
      ['enabled', kit.int, 0],
      ['limit', u64, 64],
      ['', inner, 128],
    ]);
    const ports = kit.btf.array(kit.int, 3);
    const at = (name: string, bytes: number, options = {}) => kit.data('.rodata', name, Array(bytes).fill(0), options);
    const vars: [number, number, number][] = [
      [kit.btf.variable('cfg', cfg), at('cfg', 24), 24],
      [kit.btf.variable('ports', ports), at('ports', 12), 12],
      [kit.btf.variable('count', kit.int, 0), at('main.count', 4, { bind: 'local' }), 4],
      [kit.btf.variable('same', kit.int, 0), at('f.same', 4, { bind: 'local' }), 4],
      [kit.btf.variable('same', kit.int, 0), at('g.same', 4, { bind: 'local' }), 4],
    ];
    kit.btf.datasec('.rodata', vars);
    kit.data('.data', 'untyped', [0, 0]);
    kit.section('.bss', [], { type: 8, size: 4, flags: 3 });
    kit.symbols.push({ name: 'zero', section: '.bss', size: 4, type: 'object' });
    return strict(kit.build());
  }

  test.each<[string, unknown, number[]]>([
    ['cfg.enabled', 1, [1, 0, 0, 0]],
    ['cfg.limit', 1n << 40n, [0, 0, 0, 0, 0, 1, 0, 0]],
    ['cfg.deep', -1, [255, 255, 255, 255]],
    ['ports[2]', 443, [0xbb, 1, 0, 0]],
    ['ports', [1, 2], [1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]],
    ['count', 7, [7, 0, 0, 0]],
    ['main.count', 8, [8, 0, 0, 0]],
    ['g.same', 9, [9, 0, 0, 0]],
    ['untyped', 0x1234, [0x34, 0x12]],
    ['zero', Uint8Array.from([4, 3, 2, 1]), [4, 3, 2, 1]],
    ['cfg.enabled', '10.0.0.1', [10, 0, 0, 1]],
  ])('%s is set to %s', (name, value, bytes) => {
    const spec = object();
    const before = spec.maps.flatMap((map) => [...map.initial!]);
    patchSymbol(spec, name, value);
    expect([...readSymbol(spec, name)]).toEqual(bytes);
    const after = spec.maps.flatMap((map) => [...map.initial!]);
    expect(after.filter((byte, i) => byte !== before[i]).length).toBe(bytes.filter((byte) => byte !== 0).length);
  });

  test.each<[string, unknown, RegExp]>([
    ['nope', 1, /no variable 'nope' in the data sections; there are: cfg, ports/],
    ['same', 1, /'same' names 2 variables \(f.same, g.same\)/],
    ['cfg.nope', 1, /there is no member 'nope'/],
    ['ports[3]', 1, /index 3 of 3 elements/],
    ['cfg', new Uint8Array(3), /has 24 bytes, not 3/],
    ['cfg.enabled', 2 ** 40, /out of range/],
    ['untyped', 70000, /does not fit in 2 bytes/],
    ['untyped', 'text', /no type information/],
  ])('%s cannot be set to %s', (name, value, message) => {
    expect(() => patchSymbol(object(), name, value)).toThrow(message);
  });

  test('the file that was read is not changed', () => {
    const kit = oneProgram();
    kit.data('.data', 'v', [1, 0, 0, 0]);
    const bytes = kit.build();
    const copy = bytes.slice();
    // A Buffer's slice() shares memory, a Uint8Array's does not.
    const buffer: unknown = Buffer.from(bytes.buffer);
    patchSymbol(strict(buffer as Uint8Array), 'v', 99);
    expect(bytes).toEqual(copy);
  });
});

describe('raw programs', () => {
  test('instructions, maps and types make an object', () => {
    const spec = rawProgram({
      type: 'xdp',
      insns: Uint8Array.from([...lddw(1, 5, 0), ...returns(2)]),
      maps: [{ type: 'hash', keySize: 4, valueSize: 8, maxEntries: 16, flags: 1 }],
    });
    expect(spec.programs[0]).toMatchObject({ name: 'prog', type: 'xdp', typeId: 6, autoload: true });
    expect(spec.maps[0]).toMatchObject({ name: 'map0', typeId: 1, keySize: 4, valueSize: 8, maxEntries: 16, flags: 1 });
    expect(spec.license).toBe('GPL');
  });

  test('numbers are taken for names', () => {
    const spec = rawProgram({
      type: 3,
      license: '',
      insns: Uint8Array.from(returns(0)),
      maps: [{ type: 12, innerMap: { type: 2 } }],
    });
    expect(spec.programs[0]!.type).toBe('sched_cls');
    expect(spec.maps[0]).toMatchObject({ type: 'array_of_maps', innerMap: { type: 'array', name: 'map0.inner' } });
  });

  test.each<[string, Parameters<typeof rawProgram>[0], RegExp]>([
    ['half an instruction', { type: 'xdp', insns: new Uint8Array(12) }, /12 bytes are not a whole number/],
    ['no instruction', { type: 'xdp', insns: new Uint8Array(0) }, /0 bytes/],
    ['an unknown program type', { type: 'nope', insns: new Uint8Array(8) }, /unknown program type 'nope'/],
    [
      'an unknown map type',
      { type: 'xdp', insns: new Uint8Array(8), maps: [{ type: 'nope' }] },
      /unknown map type 'nope'/,
    ],
  ])('%s is refused', (_name, raw, message) => {
    expect(() => rawProgram(raw)).toThrow(message);
  });
});

describe('features of an object', () => {
  const of = (...insns: number[][]) =>
    describeFeatures(rawProgram({ type: 'xdp', insns: Uint8Array.from(insns.flat()) }));
  const EXIT = insn(0x95);

  test.each<[string, number[], number, string[]]>([
    ['jlt', insn(0xa5, 0, 0, 0, 1), 2, ['jlt']],
    ['jmp32', insn(0x16), 3, ['jmp32']],
    ['atomic fetch', insn(0xdb, 10, 0, -8, 1), 3, ['atomic_fetch']],
    ['atomic add', insn(0xdb, 10, 0, -8, 0), 1, ['atomic_add']],
    ['load acquire', insn(0xdb, 10, 0, -8, 0x100), 4, ['load_acquire_store_release']],
    ['sign-extending load', insn(0x91, 0, 1), 4, ['ldsx']],
    ['sign-extending move', insn(0xbf, 0, 1, 8), 4, ['movsx']],
    ['bswap', insn(0xd7, 0, 0, 0, 16), 4, ['bswap']],
    ['endian', insn(0xdc, 0, 0, 0, 16), 1, ['endian']],
    ['signed division', insn(0x37, 0, 0, 1, 2), 4, ['sdiv']],
    ['long jump', insn(0x06), 4, ['gotol']],
    ['may_goto', insn(0xe5), 4, ['may_goto']],
    ['packet load', insn(0x30, 0, 0, 0, 12), 1, ['ld_abs']],
    ['plain', insn(0xb7), 1, []],
  ])('%s', (_name, code, cpu, families) => {
    const features = of(code, EXIT);
    expect([features.cpu, features.families]).toEqual([cpu, families]);
  });

  test('helpers, maps, kfuncs, loops and subprograms of an object', () => {
    const kit = new ObjectKit();
    kit.plainMap('m', 1);
    kit.extern('bpf_thing', '.ksyms', kit.btf.proto(kit.int), { func: true });
    kit.func('.text', 'sub', returns(0));
    kit.func(
      'xdp',
      'p',
      [
        ...lddw(1),
        ...insn(0x85, 0, 0, 0, 1),
        ...insn(0x85, 0, 0, 0, 12),
        ...insn(0x85, 0, 1, 0, -1),
        ...insn(0x85, 0, 1, 0, -1),
        ...insn(0x05, 0, 0, -3),
        ...EXIT,
      ],
      {
        relocations: [
          { slot: 0, symbol: 'm' },
          { slot: 4, symbol: 'sub' },
          { slot: 5, symbol: 'bpf_thing' },
        ],
      },
    );
    const features = describeFeatures(strict(kit.build()));
    expect(features).toMatchObject({
      helpers: [1, 12],
      kfuncs: ['bpf_thing'],
      mapTypes: ['hash'],
      loops: true,
      subprograms: true,
      btf: true,
      globalData: false,
      families: ['bpf2bpf', 'kfunc'],
    });
    expect(features.programs[0]).toMatchObject({ name: 'p', insns: 10, subprograms: 1 });
  });

  test('a constant that looks like a call is no call', () => {
    expect(of([...insn(0x18), ...insn(0x85, 0, 0, 0, 77)], EXIT).helpers).toEqual([]);
  });
});
