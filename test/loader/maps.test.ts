import { describe, expect, test } from 'vitest';
import { loadObject } from '../../src/loader/object.ts';
import { returns } from '../support/elf-writer.ts';
import { failure, type ObjectKit, oneProgram, strict } from './object-kit.ts';

type Members = (kit: ObjectKit) => Record<string, number>;

const object = (members: Members, options: Parameters<ObjectKit['map']>[2] = {}) => {
  const kit = oneProgram();
  kit.map('m', members(kit), options);
  return kit.build();
};
const map = (members: Members) => strict(object(members)).maps[0]!;
const sized = (kit: ObjectKit) => ({ key_size: kit.uint(4), value_size: kit.uint(4), max_entries: kit.uint(1) });

describe('BTF maps', () => {
  test('[L-082] maps are listed by their offset in the file', () => {
    const kit = oneProgram();
    kit.plainMap('zz');
    kit.plainMap('aa');
    // clang places tentative globals by first use: swap the two in the file, not in BTF.
    const [zz, aa] = kit.symbols.filter((symbol) => symbol.section === '.maps');
    kit.symbols[kit.symbols.indexOf(zz!)] = { ...zz!, value: aa!.value };
    kit.symbols[kit.symbols.indexOf(aa!)] = { ...aa!, value: zz!.value };
    expect(strict(kit.build()).maps.map((one) => one.name)).toEqual(['aa', 'zz']);
  });

  test('[L-083] a static map is refused', () => {
    const bytes = object((kit) => ({ type: kit.uint(1) }), { linkage: 0 });
    expect(failure(bytes)).toBe("-95 open: obj.o: map 'm': unsupported map linkage static.");
  });

  test('[L-084] weak, const and typedef maps are taken', () => {
    const kit = oneProgram();
    kit.map('weak', { type: kit.uint(2) }, { weak: true });
    const struct = kit.btf.struct('', 8, [['type', kit.uint(2), 0]]);
    kit.mapOf('constant', kit.btf.const(struct), 8);
    kit.mapOf('named', kit.btf.typedef('my_map', struct), 8);
    expect(strict(kit.build()).maps.map((one) => `${one.name}:${one.type}`)).toEqual([
      'weak:array',
      'constant:array',
      'named:array',
    ]);
  });

  const refused: [string, Members, string][] = [
    [
      '[L-085] an unknown member',
      (kit) => ({ type: kit.uint(1), foo: kit.uint(1) }),
      "-95 open: obj.o: map 'm': unknown field 'foo'.",
    ],
    ['[L-086] no type', (kit) => ({ max_entries: kit.uint(1) }), "-22 open: obj.o: map 'm': map type isn't specified."],
    [
      '[L-087] key and key_size that differ',
      (kit) => ({ type: kit.uint(1), key: kit.pointer(kit.int), key_size: kit.uint(8) }),
      "-22 open: obj.o: map 'm': conflicting key size 4 != 8.",
    ],
    [
      '[L-088] a plain int as attribute',
      (kit) => ({ type: kit.int }),
      "-22 open: obj.o: map 'm': attr 'type': expected PTR, got int.",
    ],
    [
      '[L-089] a plain int as value',
      (kit) => ({ type: kit.uint(1), value: kit.int }),
      "-22 open: obj.o: map 'm': value spec is not PTR: int.",
    ],
    [
      '[L-100] an __ulong with two values',
      (kit) => ({ type: kit.uint(1), map_extra: kit.btf.enumeration('', { a: 1, b: 2 }) }),
      "-22 open: obj.o: map 'm': attr 'map_extra': invalid __ulong",
    ],
    [
      '[L-099] pinning 2',
      (kit) => ({ type: kit.uint(1), pinning: kit.uint(2) }),
      "-22 open: obj.o: map 'm': invalid pinning value 2.",
    ],
    [
      '[L-111] values with a value size of 8',
      (kit) => ({
        type: kit.uint(12),
        value_size: kit.uint(8),
        values: kit.btf.array(kit.pointer(kit.btf.struct('', 8, [['type', kit.uint(2), 0]])), 0),
      }),
      "-22 open: obj.o: map 'm': conflicting value size 8 != 4.",
    ],
    [
      '[L-112] values on an array map',
      (kit) => ({ type: kit.uint(2), values: kit.btf.array(kit.pointer(kit.int), 0) }),
      "-95 open: obj.o: map 'm': should be map-in-map or prog-array.",
    ],
    [
      '[L-113] prog array values that are no functions',
      (kit) => ({ type: kit.uint(3), values: kit.btf.array(kit.pointer(kit.int), 0) }),
      "-22 open: obj.o: map 'm': prog-array value def is of unexpected kind int.",
    ],
    [
      '[L-113] map-in-map values that are functions',
      (kit) => ({ type: kit.uint(12), values: kit.btf.array(kit.pointer(kit.btf.proto(kit.int)), 0) }),
      "-22 open: obj.o: map 'm': map-in-map inner def is of unexpected kind func_proto.",
    ],
  ];
  test.each(refused)('%s is refused', (_name, members, message) => {
    expect(failure(object(members))).toBe(message);
  });

  test('[L-085] unknown members are ignored on request', () => {
    const bytes = object((kit) => ({ type: kit.uint(1), foo: kit.uint(1) }));
    expect(strict(bytes, { relaxedMaps: true }).maps[0]!.type).toBe('hash');
  });

  test('[L-087] key and key_size that agree are taken', () => {
    const found = map((kit) => ({ type: kit.uint(1), key: kit.pointer(kit.int), key_size: kit.uint(4) }));
    expect([found.keySize, found.keyTypeId]).toEqual([4, 1]);
  });

  test('[L-090] a key without size is refused', () => {
    expect(failure(object((kit) => ({ type: kit.uint(1), key: kit.pointer(0) })))).toBe(
      "-22 open: obj.o: map 'm': can't determine key size for type [0]: -22.",
    );
    expect(failure(object((kit) => ({ type: kit.uint(1), key: kit.pointer(kit.btf.fwd('s')) })))).toMatch(
      /^-22 open: .*can't determine key size for type \[\d+\]: -22\./,
    );
  });

  test.each<[string, (kit: ObjectKit) => number]>([
    ['a union', (kit) => kit.btf.struct('', 8, [['type', kit.uint(2), 0]], true)],
    ['an int', (kit) => kit.int],
    ['an array of structs', (kit) => kit.btf.array(kit.btf.struct('', 8, [['type', kit.uint(2), 0]]), 1)],
  ])('[L-091] %s in .maps is refused', (_name, type) => {
    const kit = oneProgram();
    kit.mapOf('m', type(kit), 8);
    expect(failure(kit.build())).toBe("-22 open: obj.o: map 'm': unexpected def kind var.");
  });

  test('[L-092] max_entries that is missing stays 0', () => {
    expect(map((kit) => ({ type: kit.uint(27) })).maxEntries).toBe(0);
    expect(map((kit) => ({ type: kit.uint(1), key_size: kit.uint(4) })).maxEntries).toBe(0);
  });

  test('[L-093] a perf event array without max_entries gets one per possible CPU', () => {
    const kit = oneProgram();
    kit.map('events', { type: kit.uint(4), key_size: kit.uint(4), value_size: kit.uint(4) });
    kit.map('fixed', { type: kit.uint(4), max_entries: kit.uint(3) });
    const inner = kit.btf.struct('', 8, [['type', kit.uint(4), 0]]);
    kit.map('outer', { type: kit.uint(12), max_entries: kit.uint(1), values: kit.btf.array(kit.pointer(inner), 0) });
    const bytes = kit.build();
    const [events, fixed, outer] = strict(bytes, { possibleCpus: 6 }).maps;
    expect([events!.maxEntries, fixed!.maxEntries, outer!.innerMap!.maxEntries]).toEqual([6, 3, 6]);
    expect(strict(bytes).maps[0]!.maxEntries).toBe(0);
  });

  test.each([
    [1, 4096],
    [4096, 4096],
    [5000, 8192],
    [12288, 16384],
    [0, 0],
  ])('[L-094] a ring buffer of %i bytes becomes one of %i', (given, size) => {
    expect(map((kit) => ({ type: kit.uint(27), max_entries: kit.uint(given) })).maxEntries).toBe(size);
  });

  test('[L-098] a numa node is handed on', () => {
    const found = map((kit) => ({ type: kit.uint(1), numa_node: kit.uint(0), map_flags: kit.uint(4) }));
    expect([found.numaNode, found.flags]).toEqual([0, 4]);
    expect(map((kit) => ({ type: kit.uint(1), numa_node: kit.uint(2) })).numaNode).toBe(2);
  });

  test('[L-099] pinning by name gives the path', () => {
    const found = map((kit) => ({ type: kit.uint(1), pinning: kit.uint(1) }));
    expect([found.pinning, found.pinPath]).toEqual([1, '/sys/fs/bpf/m']);
    expect(map((kit) => ({ type: kit.uint(1), pinning: kit.uint(0) })).pinPath).toBeUndefined();
  });

  test.each<[string, (kit: ObjectKit) => number, number]>([
    ['a uint', (kit) => kit.uint(3), 3],
    ['an enum', (kit) => kit.btf.enumeration('', { v: 5 }), 5],
    ['an enum64', (kit) => kit.btf.enum64('', { v: 1n << 44n }), 2 ** 44],
  ])('[L-100] map_extra as %s', (_name, type, value) => {
    expect(map((kit) => ({ type: kit.uint(30), map_extra: type(kit) })).mapExtra).toBe(value);
  });

  test('[L-101] a long map name is kept, the kernel gets 15 characters', () => {
    const kit = oneProgram();
    kit.plainMap('abcdefghijklmnopqrstuvwxyz');
    const [found] = strict(kit.build()).maps;
    expect([found!.name, found!.kernelName]).toEqual(['abcdefghijklmnopqrstuvwxyz', 'abcdefghijklmno']);
  });

  test('[L-102] .maps without BTF is refused', () => {
    const kit = oneProgram();
    kit.plainMap('m');
    kit.withBtf = false;
    expect(failure(kit.build())).toMatch(/^-2 open: .*BTF is required, but is missing or corrupted\./);
  });

  test('[L-103] an extern map is refused', () => {
    const kit = oneProgram();
    kit.extern('m', '.other_maps', kit.int);
    expect(failure(kit.build())).toMatch(/^-95 open: .*unrecognized extern section '.other_maps'/);
    const maps = oneProgram();
    maps.extern('m', '.maps', maps.int);
    expect(failure(maps.build())).toMatch(/^-95 open: .*unrecognized extern section '.maps'/);
  });

  test('[L-104] two arena maps are refused', () => {
    const kit = oneProgram();
    kit.map('a', { type: kit.uint(33), max_entries: kit.uint(1) });
    kit.map('b', { type: kit.uint(33), max_entries: kit.uint(1) });
    expect(failure(kit.build())).toMatch(/^-22 open: .*only single ARENA map is supported/);
  });

  test('all attributes of a definition arrive', () => {
    const found = map((kit) => ({ type: kit.uint(1), ...sized(kit), map_flags: kit.uint(1), numa_node: kit.uint(3) }));
    expect(found).toMatchObject({
      type: 'hash',
      typeId: 1,
      keySize: 4,
      valueSize: 4,
      maxEntries: 1,
      flags: 1,
      numaNode: 3,
    });
  });
});

describe('inner maps and prog arrays', () => {
  /** i1 and i2, and an outer map whose values are at byte 24. */
  function nested(type = 12, extra: Members = () => ({}), keySize = 4): ObjectKit {
    const kit = oneProgram();
    kit.plainMap('i1');
    kit.plainMap('i2');
    const inner = kit.btf.struct('', 8, [['type', kit.uint(2), 0]]);
    kit.map(
      'outer',
      {
        type: kit.uint(type),
        key_size: kit.uint(keySize),
        max_entries: kit.uint(4),
        ...extra(kit),
        values: kit.btf.array(kit.pointer(inner), 0),
      },
      { bytes: 64 },
    );
    return kit;
  }
  const outerAt = (kit: ObjectKit) => kit.symbols.find((symbol) => symbol.name === 'outer')!.value!;
  const slot = (kit: ObjectKit, n: number, symbol: string, values = 24) => {
    kit.relocations.push({ section: '.maps', offset: outerAt(kit) + values + n * 8, symbol, type: 2 });
    return kit;
  };

  test('[L-105] an array of maps with slots 0 and 2', () => {
    const kit = slot(slot(nested(), 0, 'i1'), 2, 'i2');
    const outer = strict(kit.build()).maps[2]!;
    expect(outer.values).toEqual([
      { slot: 0, map: 0 },
      { slot: 2, map: 1 },
    ]);
    expect(outer.innerMap).toMatchObject({ name: 'outer.inner', type: 'array' });
    expect(outer.valueSize).toBe(4);
  });

  test('[L-106] an array of maps without definition of the inner one has none', () => {
    const found = map((kit) => ({ type: kit.uint(12), ...sized(kit) }));
    expect(found.innerMap).toBeUndefined();
  });

  test('[L-107] the order of outer and inner in the file does not matter', () => {
    const kit = oneProgram();
    const inner = kit.btf.struct('', 8, [['type', kit.uint(2), 0]]);
    kit.map('outer', { type: kit.uint(12), values: kit.btf.array(kit.pointer(inner), 0) }, { bytes: 32 });
    kit.plainMap('i1');
    kit.relocations.push({ section: '.maps', offset: 8, symbol: 'i1', type: 2 });
    expect(strict(kit.build()).maps[0]!.values).toEqual([{ slot: 0, map: 1 }]);
  });

  test('[L-108] in a hash of maps the slot is the key, of 4 bytes', () => {
    expect(strict(slot(nested(13), 3, 'i1').build()).maps[2]!.values).toEqual([{ slot: 3, map: 0 }]);
    expect(
      failure(
        slot(
          nested(13, () => ({}), 8),
          0,
          'i1',
        ).build(),
      ),
    ).toMatch(/^-22 open: .*hash-of-maps 'outer' should have key size 4\./);
  });

  test('a slot must name a map, at a slot', () => {
    expect(failure(slot(nested(), 0, 'p').build())).toMatch(/^-4005 open: .*'p' isn't a BTF-defined map/);
    const misplaced = nested();
    misplaced.relocations.push({ section: '.maps', offset: outerAt(misplaced), symbol: 'i1' });
    expect(failure(misplaced.build())).toMatch(/^-22 open: .*unexpected initialiser/);
  });

  test('[L-114] inner maps of inner maps are refused', () => {
    const kit = oneProgram();
    const deepest = kit.btf.struct('', 8, [['type', kit.uint(2), 0]]);
    const middle = kit.btf.struct('', 16, [
      ['type', kit.uint(12), 0],
      ['values', kit.btf.array(kit.pointer(deepest), 0), 64],
    ]);
    kit.map('m', { type: kit.uint(12), values: kit.btf.array(kit.pointer(middle), 0) });
    expect(failure(kit.build())).toBe("-95 open: obj.o: map 'm.inner': multi-level inner maps not supported.");
  });

  test('[L-115] a pinned inner definition is refused', () => {
    const kit = oneProgram();
    const inner = kit.btf.struct('', 16, [
      ['type', kit.uint(2), 0],
      ['pinning', kit.uint(1), 64],
    ]);
    kit.map('m', { type: kit.uint(12), values: kit.btf.array(kit.pointer(inner), 0) });
    expect(failure(kit.build())).toBe("-22 open: obj.o: map 'm.inner': inner def can't be pinned.");
  });

  function jumps(section: string, symbol = 't1'): ObjectKit {
    const kit = oneProgram();
    kit.func(section, 't1', returns(1));
    const values = kit.btf.array(kit.pointer(kit.btf.proto(kit.int)), 0);
    kit.map('outer', { type: kit.uint(3), max_entries: kit.uint(3), key_size: kit.uint(4), values }, { bytes: 56 });
    return slot(kit, 1, symbol);
  }

  test('a prog array slot names a program', () => {
    expect(strict(jumps('tc').build()).maps[0]!.values).toEqual([{ slot: 1, program: 't1' }]);
  });

  test('[L-116] a prog array slot that names a subprogram is refused', () => {
    expect(failure(jumps('.text').build())).toMatch(/^-3 open: .*'t1' isn't a valid program reference/);
  });

  test('[L-117] a prog array slot that names a program that is switched off fails the load', () => {
    const bytes = jumps('?tc').build();
    expect(failure(bytes)).toMatch(/^-9 load: .*map 'outer': failed to initialize slot \[1\] to prog 't1'/);
    expect(loadObject(bytes).maps[0]!.values).toEqual([{ slot: 1, program: 't1' }]);
  });

  test('[L-118] a struct_ops variable is listed as a map', () => {
    const kit = oneProgram();
    const ops = kit.btf.struct('my_ops', 8, [['x', kit.int, 0]]);
    const variable = kit.btf.variable('dummy', ops);
    kit.data('.struct_ops', 'dummy', [1, 2, 3, 4, 5, 6, 7, 8]);
    kit.btf.datasec('.struct_ops', [[variable, 0, 8]]);
    const spec = strict(kit.build());
    expect(spec.maps[0]).toMatchObject({ name: 'dummy', type: 'struct_ops', valueTypeId: ops });
    expect([...spec.maps[0]!.initial!]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(spec.warnings.join()).toContain('struct_ops is not supported');
  });
});

describe('global data', () => {
  /** A data section with one 4-byte variable, described in BTF. */
  function data(
    section: string,
    options: { linkage?: number; visibility?: number; datasecSize?: number } = {},
  ): ObjectKit {
    const kit = oneProgram();
    const linkage = options.linkage ?? 1;
    kit.data(section, 'v', [1, 2, 3, 4], { bind: linkage === 0 ? 'local' : 'global', visibility: options.visibility });
    kit.btf.datasec(section, [[kit.btf.variable('v', kit.int, linkage), 0, 4]], options.datasecSize ?? 0);
    return kit;
  }
  const only = (kit: ObjectKit, name = 'obj') => strict(kit.build(), { name }).maps[0]!;

  test('[L-119] .data is an array map of one value that user space may map', () => {
    const found = only(data('.data'));
    expect(found).toMatchObject({
      name: 'obj.data',
      type: 'array',
      keySize: 4,
      valueSize: 4,
      maxEntries: 1,
      flags: 0x400,
      frozen: false,
    });
    expect([...found.initial!]).toEqual([1, 2, 3, 4]);
    expect(found.valueTypeId).toBeGreaterThan(0);
  });

  test('[L-120] .rodata is read-only to programs and frozen', () => {
    expect(only(data('.rodata'))).toMatchObject({ name: 'obj.rodata', flags: 0x480, frozen: true });
  });

  test('[L-121] with only static or hidden variables a section is not mapped', () => {
    expect(only(data('.data', { linkage: 0 })).flags).toBe(0);
    expect(only(data('.rodata', { linkage: 0 })).flags).toBe(0x80);
    expect(only(data('.data', { visibility: 2 })).flags).toBe(0);
  });

  test('[L-122] string literals get a map without types', () => {
    const kit = oneProgram();
    kit.section('.rodata.str1.1', [104, 105, 0], { flags: 0x32 });
    expect(only(kit)).toMatchObject({
      name: '.rodata.str1.1',
      flags: 0x80,
      keyTypeId: 0,
      valueTypeId: 0,
      valueSize: 3,
    });
  });

  test('[L-123] without BTF, data maps have no types and are not mapped', () => {
    const kit = data('.data');
    kit.withBtf = false;
    expect(only(kit)).toMatchObject({ flags: 0, valueTypeId: 0, valueSize: 4 });
  });

  test('[L-124] data that nobody uses still gets its map; .bss is zeros', () => {
    const kit = oneProgram();
    kit.section('.bss', [], { type: 8, size: 24, flags: 3 });
    const found = only(kit);
    expect(found).toMatchObject({ name: 'obj.bss', valueSize: 24, origin: 'bss' });
    expect([...found.initial!]).toEqual(Array(24).fill(0));
  });

  test.each([
    ['.data.custom', '.data.custom', '.data.custom'],
    ['.rodata.abracadabra', '.rodata.abracadabra', '.rodata.abracad'],
    ['.data..percpu', '.data..percpu', '.data..percpu'],
  ])('[L-125] [L-126] section %s is its own map', (section, name, kernelName) => {
    expect(only(data(section))).toMatchObject({ name, kernelName });
  });

  test('[L-125] a custom .bss section is its own map, under the name that is cut', () => {
    const kit = oneProgram();
    kit.section('.bss.foo', [], { type: 8, size: 4, flags: 3 });
    expect(only(kit)).toMatchObject({ name: '.bss.foo', kernelName: '.bss.foo' });
  });

  test.each(['.data1', '.bss1', '.percpu', '.rodatax'])('[L-126] section %s is no map', (section) => {
    expect(strict(oneProgram().section(section, [1]).build()).maps).toEqual([]);
  });

  test.each([
    ['my_object-name.x', '.data', 'my_objec.data'],
    ['my_object-name.x', '.rodata', 'my_objec.rodata'],
    ['abcdefghij', '.bss', 'abcdefgh.bss'],
  ])('[L-127] object %s names its %s map %s', (name, section, expected) => {
    const kit = oneProgram();
    kit.section(
      section,
      section === '.bss' ? [] : [1],
      section === '.bss' ? { type: 8, size: 4, flags: 3 } : { flags: 3 },
    );
    expect(only(kit, name).name).toBe(expected);
  });

  test('[L-127] the map of kconfig variables leaves seven characters to the object', () => {
    const kit = oneProgram();
    kit.extern('CONFIG_X', '.kconfig', kit.int, { weak: true });
    expect(only(kit, 'abcdefghij').name).toBe('abcdefg.kconfig');
  });

  test('[L-128] characters that the kernel does not take become underscores', () => {
    expect(only(data('.data'), 'a-b c.d+e').name).toBe('a_b_c.d_.data');
  });

  test('the object name is the file name up to its first dot', () => {
    const spec = loadObject(data('.data').build(), { file: 'some/dir/fw.v2.bpf.o' });
    expect([spec.name, spec.maps[0]!.name]).toEqual(['fw', 'fw.data']);
  });

  test('[L-129] a data section that BTF knows and the file does not have is refused', () => {
    const kit = oneProgram();
    kit.btf.datasec('.data', [[kit.btf.variable('v', kit.int), 0, 4]]);
    expect(failure(kit.build())).toMatch(/^-2 open: .*\.data/);
  });

  test('[L-130] contents of .rodata are there before the program is verified', () => {
    const spec = strict(data('.rodata').build());
    expect([...spec.maps[0]!.initial!]).toEqual([1, 2, 3, 4]);
    expect(spec.maps[0]!.frozen).toBe(true);
    expect(spec.variables).toEqual([{ name: 'v', map: 0, offset: 0, size: 4, typeId: 1, local: false }]);
  });

  test('[L-135] sizes that a linker has filled in change nothing', () => {
    const fresh = strict(data('.data').build());
    const linked = strict(data('.data', { datasecSize: 4 }).build());
    expect(JSON.stringify(linked.maps)).toBe(JSON.stringify(fresh.maps));
    expect(JSON.stringify(linked.programs)).toBe(JSON.stringify(fresh.programs));
  });
});
