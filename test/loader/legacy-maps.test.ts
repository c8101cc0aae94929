import { describe, expect, test } from 'vitest';
import { loadObject } from '../../src/loader/object.ts';
import { insn, lddw } from '../support/elf-writer.ts';
import { failure, insnText, type ObjectKit, oneProgram } from './object-kit.ts';

const bytesOf = (words: readonly number[]) =>
  words.flatMap((word) => [word & 255, (word >> 8) & 255, (word >> 16) & 255, (word >>> 24) & 255]);

/** Legacy maps of the given words each, with sized symbols. */
function legacy(
  maps: Record<string, number[]>,
  section = 'maps',
  options: { bind?: 'local'; sizes?: boolean } = {},
): ObjectKit {
  const kit = oneProgram();
  for (const [name, words] of Object.entries(maps)) {
    const value = kit.data(section, name, bytesOf(words), { bind: options.bind ?? 'global' });
    if (options.sizes === false)
      kit.symbols[kit.symbols.length - 1] = { name, section, value, size: 0, type: 'notype' };
  }
  return kit;
}
const old = (kit: ObjectKit) => failure(kit.build(), { dialect: 'libbpf-0.8' });
const loadOld = (kit: ObjectKit) => loadObject(kit.build(), { dialect: 'libbpf-0.8', name: 'obj' });

describe('legacy maps', () => {
  test('[L-166] current libbpf refuses a section named maps', () => {
    expect(failure(legacy({ m: [1, 4, 8, 1, 0] }).build())).toMatch(
      /^-95 open: .*legacy map definitions in 'maps' section are not supported by libbpf v1.0\+/,
    );
    expect(failure(oneProgram().section('maps', []).build())).toMatch(/^-95 open/);
  });

  test('[L-167] definitions of 16 and 20 bytes load', () => {
    expect(loadOld(legacy({ m: [1, 4, 8, 5] })).maps[0]).toMatchObject({
      keySize: 4,
      valueSize: 8,
      maxEntries: 5,
      flags: 0,
    });
    expect(loadOld(legacy({ m: [1, 4, 8, 5, 1] })).maps[0]).toMatchObject({ type: 'hash', maxEntries: 5, flags: 1 });
  });

  test('[L-168] a definition of 12 bytes has no entries', () => {
    expect(loadOld(legacy({ m: [1, 4, 8] })).maps[0]!.maxEntries).toBe(0);
  });

  test('[L-169] a tail of zeros is taken, another one refused', () => {
    expect(loadOld(legacy({ m: [1, 4, 8, 5, 1, 0, 0] })).maps).toHaveLength(1);
    expect(old(legacy({ m: [1, 4, 8, 5, 1, 0, 7] }))).toMatch(/^-22 open: .*"m" has unrecognized, non-zero options/);
  });

  test('[L-170] a bpf_elf_map with id or pinning is refused by libbpf 0.8 and read elsewhere', () => {
    const kit = legacy({ m: [1, 4, 8, 5, 1, 1, 2, 0, 0] });
    expect(old(kit)).toMatch(/^-22 open: .*has unrecognized, non-zero options/);
    const spec = loadObject(kit.build());
    expect(spec.maps[0]).toMatchObject({ type: 'hash', maxEntries: 5, pinning: 2, origin: 'legacy' });
    expect(loadObject(kit.build(), { dialect: 'iproute2' }).maps).toHaveLength(1);
  });

  test('[L-171] libbpf 0.8 takes all definitions for equally long', () => {
    const kit = legacy({ a: [1, 4, 8, 5, 0], b: [1, 4, 8, 5, 0, 0] });
    expect(old(kit)).toMatch(/^-22 open/);
    expect(loadObject(kit.build()).maps.map((map) => map.maxEntries)).toEqual([5, 5]);
  });

  test('definitions that cannot be equally long are refused by libbpf 0.8', () => {
    const kit = legacy({ a: [1, 4, 8, 5, 0], b: [1, 4, 8, 5, 0], c: [1, 4, 8, 5, 0, 0] });
    expect(old(kit)).toMatch(/^-22 open: .*unable to determine legacy map definition size in obj.o/);
  });

  test('[L-172] a last definition that is too small is refused', () => {
    const kit = legacy({ a: [1, 4, 8, 5, 0, 0, 0, 0, 0, 0], m: [1, 4, 8, 5, 0] });
    expect(old(kit)).toMatch(/^-22 open: .*last map "m" too small/);
  });

  test('[L-173] a static legacy map is refused', () => {
    expect(old(legacy({ m: [1, 4, 8, 5, 0] }, 'maps', { bind: 'local' }))).toMatch(
      /^-95 open: .*static maps are not supported/,
    );
  });

  test('[L-174] ____btf_map_NAME gives the types', () => {
    const kit = legacy({ m: [1, 4, 8, 5, 0], n: [1, 4, 4, 5, 0] });
    const long = kit.btf.int('long', 8, 1);
    const members = [
      ['key', kit.int, 0],
      ['value', long, 64],
    ] as const;
    kit.btf.struct('____btf_map_m', 16, members);
    kit.btf.struct('____btf_map_n', 16, members);
    const [m, n] = loadOld(kit).maps;
    expect([m!.keyTypeId, m!.valueTypeId]).toEqual([kit.int, long]);
    expect([n!.keyTypeId, n!.valueTypeId]).toEqual([0, 0]);
  });

  test('[L-175] a legacy map-in-map has no inner map', () => {
    expect(loadOld(legacy({ m: [12, 4, 4, 5, 0] })).maps[0]!.innerMap).toBeUndefined();
  });

  test('[L-176] a section maps/foo is no map section to libbpf', () => {
    const kit = legacy({ m: [1, 4, 8, 5, 0] }, 'maps/foo');
    kit.func('xdp', 'q', [...lddw(1), ...insn(0x95)], { relocations: [{ slot: 0, symbol: 'm' }] });
    for (const dialect of ['libbpf', 'libbpf-0.8'] as const) {
      expect(failure(kit.build(), { dialect })).toMatch(
        /^-4005 open: .*bad map relo against 'm' in section 'maps\/foo'/,
      );
    }
    expect(loadObject(kit.build()).maps.map((map) => map.name)).toEqual(['m']);
  });

  test('[L-177] legacy maps come before the others', () => {
    const kit = legacy({ m: [1, 4, 8, 5, 0] });
    kit.plainMap('b');
    kit.func('xdp', 'q', [...lddw(1), ...insn(0x95)], { relocations: [{ slot: 0, symbol: 'b' }] });
    const spec = loadOld(kit);
    expect(spec.maps.map((map) => map.name)).toEqual(['m', 'b']);
    expect(insnText(spec.programs[1]!)[0]).toBe('18 1 5 0 1');
  });

  test('symbols without size give sizes by their distance', () => {
    const spec = loadObject(
      legacy({ a: [1, 4, 8, 5, 0, 0, 0], b: [2, 4, 8, 6, 0, 0, 0] }, 'maps', { sizes: false }).build(),
    );
    expect(spec.maps.map((map) => `${map.name}:${map.type}:${map.maxEntries}`)).toEqual(['a:hash:5', 'b:array:6']);
  });

  test("iproute2's inner maps put themselves into the outer map", () => {
    const none = 0xffffffff;
    const kit = legacy({
      template: [2, 4, 8, 1, 0, 7, 0, 0, none],
      first: [2, 4, 8, 1, 0, 7, 0, 0, 3],
      outer: [12, 4, 4, 5, 0, 0, 0, 7, 0],
    });
    const outer = loadObject(kit.build()).maps[2]!;
    expect(outer.innerMap).toMatchObject({ name: 'outer.inner', type: 'array', valueSize: 8 });
    expect(outer.values).toEqual([{ slot: 3, map: 1 }]);
  });

  test('a definition that leaves the section is refused in every dialect', () => {
    const kit = legacy({ m: [1, 4, 8, 5, 0] });
    kit.symbols[kit.symbols.length - 1] = { ...kit.symbols[kit.symbols.length - 1]!, size: 400 };
    expect(failure(kit.build(), { dialect: 'auto' })).toMatch(/^-22 open: .*corrupted maps section/);
  });

  /** cilium on iproute2: a prog array with an id, and programs in sections named id/key. */
  test("iproute2's numeric sections are tail calls, typed by who jumps there", () => {
    const kit = legacy({ jumps: [3, 4, 4, 8, 0, 2, 0, 0, 0] });
    kit.func('2/0x7', 'seventh');
    kit.func('2/1', 'first', [...lddw(2), ...insn(0x95)], { relocations: [{ slot: 0, symbol: 'jumps' }] });
    kit.func('9/1', 'elsewhere');
    kit.func('from-netdev', 'main', [...lddw(2), ...insn(0x95)], { relocations: [{ slot: 0, symbol: 'jumps' }] });
    const spec = loadObject(kit.build());
    expect(spec.maps[0]!.values).toEqual([
      { slot: 7, program: 'seventh' },
      { slot: 1, program: 'first' },
    ]);
    expect(spec.programs.map((program) => `${program.name}:${program.type}`)).toEqual([
      'p:xdp',
      'seventh:sched_cls',
      'first:sched_cls',
      'elsewhere:unspec',
      'main:sched_cls',
    ]);
  });
});
