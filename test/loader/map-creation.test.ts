import { describe, expect, test } from 'vitest';
import { createLab } from '../../src/lab.ts';
import { MAP_TYPES, mapTypeId } from '../../src/loader/kernel-names.ts';
import { createdWithoutBtf } from '../../src/loader/maps-btf.ts';
import type { LoadOptions } from '../../src/loader/object.ts';
import { MAP_TYPES as MAP_ROWS } from '../../src/maps/map-types.ts';
import { type ObjectKit, oneProgram, strict } from './object-kit.ts';

type Members = (kit: ObjectKit) => Record<string, number>;

function create(bytes: Uint8Array, options: LoadOptions = {}): string {
  try {
    createLab().load(bytes, { dialect: 'libbpf', ...options });
    return 'created';
  } catch (error) {
    return (error as Error).message;
  }
}

const object = (members: Members) => {
  const kit = oneProgram();
  kit.map('m', members(kit));
  return kit.build();
};

describe('maps of objects, as they are created', () => {
  test('the map types are those of src/maps', () => {
    expect(MAP_ROWS.map((row) => [row.id, row.name])).toEqual(
      MAP_TYPES.map((name, id) => [id, name]).filter(([id]) => MAP_ROWS.some((row) => row.id === id)),
    );
  });

  const refused: [string, Members][] = [
    [
      '[L-092] an array without max_entries',
      (kit) => ({ type: kit.uint(2), key_size: kit.uint(4), value_size: kit.uint(4) }),
    ],
    [
      '[L-092] a hash without max_entries',
      (kit) => ({ type: kit.uint(1), key_size: kit.uint(4), value_size: kit.uint(4) }),
    ],
    [
      '[L-092] a cpumap without max_entries',
      (kit) => ({ type: kit.uint(16), key_size: kit.uint(4), value_size: kit.uint(4) }),
    ],
    ['[L-092] a ring buffer without max_entries', (kit) => ({ type: kit.uint(27) })],
    [
      '[L-097] an array with keys of 8 bytes',
      (kit) => ({ type: kit.uint(2), key_size: kit.uint(8), value_size: kit.uint(4), max_entries: kit.uint(1) }),
    ],
    [
      '[L-097] an LPM trie without NO_PREALLOC',
      (kit) => ({ type: kit.uint(11), key_size: kit.uint(8), value_size: kit.uint(4), max_entries: kit.uint(1) }),
    ],
    [
      '[L-097] a map of type 99',
      (kit) => ({ type: kit.uint(99), key_size: kit.uint(4), value_size: kit.uint(4), max_entries: kit.uint(1) }),
    ],
  ];
  test.each(refused)('%s is refused', (_name, members) => {
    expect(create(object(members))).toMatch(/map m \(.*cannot be created: Invalid argument \(EINVAL\)/);
  });

  test('[L-106] an array of maps without inner definition is refused', () => {
    const bytes = object((kit) => ({
      type: kit.uint(12),
      key_size: kit.uint(4),
      value_size: kit.uint(4),
      max_entries: kit.uint(1),
    }));
    // The kernel finds no map behind descriptor 0: EINVAL where that is a terminal, EBADF where nothing is open.
    expect(create(bytes)).toMatch(/map m \(.*cannot be created: .*\((EINVAL|EBADF)\)/);
  });

  test('[L-095] types that libbpf creates without BTF ids', () => {
    const without = MAP_TYPES.filter((name) => createdWithoutBtf(mapTypeId[name]));
    expect([...without].sort()).toEqual(
      [
        'arena',
        'array_of_maps',
        'cgroup_array',
        'cpumap',
        'devmap',
        'devmap_hash',
        'hash_of_maps',
        'perf_event_array',
        'queue',
        'sockhash',
        'sockmap',
        'stack',
        'stack_trace',
        'xskmap',
      ].filter((name) => name !== 'prog_array'),
    );
    const devmap = object((kit) => ({
      type: kit.uint(14),
      key: kit.pointer(kit.int),
      value: kit.pointer(kit.int),
      max_entries: kit.uint(4),
    }));
    expect(create(devmap)).toBe('created');
  });

  test('[L-096] a typed key beside a plain value size is created without types', () => {
    const bytes = object((kit) => ({
      type: kit.uint(1),
      key: kit.pointer(kit.int),
      value_size: kit.uint(8),
      max_entries: kit.uint(4),
    }));
    expect(strict(bytes).maps[0]).toMatchObject({ keyTypeId: 1, valueTypeId: 0, valueSize: 8 });
    expect(create(bytes)).toBe('created');
  });

  /** An array of maps with one static slot. */
  function nested(slot: number, inner: [string, number][]): Uint8Array {
    const kit = oneProgram();
    kit.plainMap('i1');
    const template = kit.btf.struct(
      '',
      inner.length * 8,
      inner.map(([name, value], i) => [name, kit.uint(value), i * 64] as const),
    );
    const at = kit.map(
      'outer',
      {
        type: kit.uint(12),
        key_size: kit.uint(4),
        max_entries: kit.uint(2),
        values: kit.btf.array(kit.pointer(template), 0),
      },
      { bytes: 80 },
    );
    kit.relocations.push({ section: '.maps', offset: at + 24 + slot * 8, symbol: 'i1', type: 2 });
    return kit.build();
  }
  const like: [string, number][] = [
    ['type', 2],
    ['key_size', 4],
    ['value_size', 4],
    ['max_entries', 1],
  ];

  test('[L-105] [L-109] a static slot inside of the map is filled, one beyond fails the load', () => {
    expect(create(nested(1, like))).toBe('created');
    expect(create(nested(3, like))).toMatch(/slot 3.*E2BIG/);
  });

  test('[L-110] an inner map of another kind fails the load', () => {
    const other: [string, number][] = [
      ['type', 1],
      ['key_size', 4],
      ['value_size', 4],
      ['max_entries', 1],
    ];
    expect(create(nested(0, other))).toMatch(/slot 0.*EINVAL/);
  });

  const words = (list: number[]) => list.flatMap((word) => [word, 0, 0, 0]);
  test('[L-168] [L-175] legacy maps without entries or without inner map are refused', () => {
    for (const definition of [
      [1, 4, 8],
      [12, 4, 4, 5, 0],
    ]) {
      const kit = oneProgram();
      kit.data('maps', 'm', words(definition));
      expect(create(kit.build(), { dialect: 'libbpf-0.8' })).toMatch(/map m \(.*\((EINVAL|EBADF)\)/);
    }
  });
});
