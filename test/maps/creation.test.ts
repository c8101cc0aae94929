import { describe, expect, test } from 'vitest';
import { E, type ErrnoName } from '../../src/base/errno.ts';
import { MapError } from '../../src/base/error.ts';
import {
  BPF_F_CLONE,
  BPF_F_INNER_MAP,
  BPF_F_MMAPABLE,
  BPF_F_NO_COMMON_LRU,
  BPF_F_NO_PREALLOC,
  BPF_F_NUMA_NODE,
  BPF_F_PRESERVE_ELEMS,
  BPF_F_RDONLY,
  BPF_F_RDONLY_PROG,
  BPF_F_TOKEN_FD,
  BPF_F_WRONLY,
  BPF_F_WRONLY_PROG,
  BPF_F_ZERO_SEED,
} from '../../src/maps/map-flags.ts';
import { createMap, MAP_TYPES, mapType, requireMap } from '../../src/maps/map-types.ts';
import { openMap } from '../../src/maps/syscall.ts';
import { attrOf, makeMap, type PartialAttr, progRef, testEnv } from './support/env.ts';

const MIB4 = 1 << 22;
const keyless = { keySize: 0 };
const sizeless = { keySize: 0, valueSize: 0 };
const lpm = { type: 'lpm_trie', keySize: 8, flags: BPF_F_NO_PREALLOC };
const btf = { key: true, value: true };
const lock = { spinLock: 0 };

type Row = readonly [name: string, attr: PartialAttr, expected: 'ok' | ErrnoName];

const rows: readonly Row[] = [
  ['[M-001] an array with key_size 8', { type: 'array', keySize: 8 }, 'EINVAL'],
  ['[M-002] an array with value_size 0', { type: 'array', valueSize: 0 }, 'EINVAL'],
  ['[M-002] an array with max_entries 0', { type: 'array', maxEntries: 0 }, 'EINVAL'],
  ['[M-003] an array with value_size 0x80000000', { type: 'array', valueSize: 0x80000000 }, 'E2BIG'],
  ['[M-004] an array with NO_PREALLOC', { type: 'array', flags: BPF_F_NO_PREALLOC }, 'EINVAL'],
  ['[M-004] an array with ZERO_SEED', { type: 'array', flags: BPF_F_ZERO_SEED }, 'EINVAL'],
  ['[M-004] an array with CLONE', { type: 'array', flags: BPF_F_CLONE }, 'EINVAL'],
  ['[M-004] an array with PRESERVE_ELEMS', { type: 'array', flags: BPF_F_PRESERVE_ELEMS }, 'EINVAL'],
  ['[M-004] an array with an unknown flag', { type: 'array', flags: 1 << 30 }, 'EINVAL'],
  ['[M-005] a hash with RDONLY and WRONLY', { type: 'hash', flags: BPF_F_RDONLY | BPF_F_WRONLY }, 'EINVAL'],
  ['[M-006] a hash with both _PROG flags', { type: 'hash', flags: BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG }, 'EINVAL'],
  ['[M-006] an array with both _PROG flags', { type: 'array', flags: BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG }, 'EINVAL'],
  ['[M-007] an array on NUMA node 5', { type: 'array', flags: BPF_F_NUMA_NODE, numaNode: 5 }, 'EINVAL'],
  ['[M-007] an array with node 5 but without the flag', { type: 'array', numaNode: 5 }, 'ok'],
  ['[M-009] a percpu_array with MMAPABLE', { type: 'percpu_array', flags: BPF_F_MMAPABLE }, 'EINVAL'],
  ['[M-009] a percpu_array with INNER_MAP', { type: 'percpu_array', flags: BPF_F_INNER_MAP }, 'EINVAL'],
  ['[M-009] a percpu_array with NUMA_NODE', { type: 'percpu_array', flags: BPF_F_NUMA_NODE }, 'EINVAL'],
  ['[M-010] a percpu_array with value_size 32761', { type: 'percpu_array', valueSize: 32761 }, 'ok'],
  ['[M-010] a percpu_array with value_size 32769', { type: 'percpu_array', valueSize: 32769 }, 'E2BIG'],
  ['[M-011] a hash with NO_COMMON_LRU', { type: 'hash', flags: BPF_F_NO_COMMON_LRU }, 'EINVAL'],
  ['[M-012] an lru_hash with NO_PREALLOC', { type: 'lru_hash', flags: BPF_F_NO_PREALLOC }, 'ENOTSUPP'],
  [
    '[M-012] an lru_hash with NO_PREALLOC and absurd sizes',
    { type: 'lru_hash', flags: BPF_F_NO_PREALLOC, keySize: 0, valueSize: MIB4 },
    'ENOTSUPP',
  ],
  [
    '[M-014] an lru_hash with NO_COMMON_LRU and NUMA_NODE',
    { type: 'lru_hash', flags: BPF_F_NO_COMMON_LRU | BPF_F_NUMA_NODE },
    'EINVAL',
  ],
  ['[M-015] a hash with key + value of 4 MiB - 49', { type: 'hash', maxEntries: 1, valueSize: MIB4 - 49 - 4 }, 'ok'],
  ['[M-015] a hash with key + value of 4 MiB - 48', { type: 'hash', maxEntries: 1, valueSize: MIB4 - 48 - 4 }, 'E2BIG'],
  ['[M-016] a hash with 2^28 entries', { type: 'hash', maxEntries: 2 ** 28 }, 'E2BIG'],
  ['[M-017] a hash with map_extra 1', { type: 'hash', mapExtra: 1n }, 'EINVAL'],
  ['[M-018] a map named a-b', { type: 'array', name: 'a-b' }, 'EINVAL'],
  ['[M-018] a map named .a_B9', { type: 'array', name: '.a_B9' }, 'ok'],
  ['[M-019] a map of no type', { type: 'unspec' }, 'EINVAL'],
  ['[M-021] a hash with a BTF key but no BTF value', { type: 'hash', btf: { key: true, value: false } }, 'EINVAL'],
  ['[M-022] a hash on a plain device', { type: 'hash', ifindex: 1 }, 'EOPNOTSUPP'],
  ['[M-022] an array on a plain device', { type: 'array', ifindex: 1 }, 'EOPNOTSUPP'],
  ['[M-024] an lpm_trie without NO_PREALLOC', { ...lpm, flags: 0 }, 'EINVAL'],
  ['[M-025] an lpm_trie with key_size 4', { ...lpm, keySize: 4 }, 'EINVAL'],
  ['[M-025] an lpm_trie with key_size 5', { ...lpm, keySize: 5 }, 'ok'],
  ['[M-025] an lpm_trie with key_size 260', { ...lpm, keySize: 260 }, 'ok'],
  ['[M-025] an lpm_trie with key_size 261', { ...lpm, keySize: 261 }, 'EINVAL'],
  ['[M-026] an lpm_trie with ZERO_SEED', { ...lpm, flags: BPF_F_NO_PREALLOC | BPF_F_ZERO_SEED }, 'EINVAL'],
  ['[M-026] an lpm_trie with values of 4 MiB - 280', { ...lpm, valueSize: MIB4 - 280 }, 'ok'],
  ['[M-026] an lpm_trie with values of 4 MiB - 279', { ...lpm, valueSize: MIB4 - 279 }, 'EINVAL'],
  ['[M-027] a prog_array with value_size 8', { type: 'prog_array', valueSize: 8 }, 'EINVAL'],
  ['[M-027] a perf_event_array with value_size 8', { type: 'perf_event_array', valueSize: 8 }, 'EINVAL'],
  ['[M-027] a cgroup_array with value_size 8', { type: 'cgroup_array', valueSize: 8 }, 'EINVAL'],
  ['[M-028] a prog_array with RDONLY_PROG', { type: 'prog_array', valueSize: 4, flags: BPF_F_RDONLY_PROG }, 'EINVAL'],
  ['[M-028] a prog_array with RDONLY', { type: 'prog_array', valueSize: 4, flags: BPF_F_RDONLY }, 'ok'],
  [
    '[M-029] an array_of_maps whose inner fd is closed',
    { type: 'array_of_maps', valueSize: 4, innerMapFd: 99 },
    'EBADF',
  ],
  ['[M-034] a queue with key_size 4', { type: 'queue', keySize: 4 }, 'EINVAL'],
  ['[M-034] a queue with NO_PREALLOC', { type: 'queue', ...keyless, flags: BPF_F_NO_PREALLOC }, 'EINVAL'],
  [
    '[M-035] a queue with values of 4 MiB + 1',
    { type: 'queue', ...keyless, maxEntries: 1, valueSize: MIB4 + 1 },
    'E2BIG',
  ],
  ['[M-035] a queue with values of 4 MiB', { type: 'queue', ...keyless, maxEntries: 1, valueSize: MIB4 }, 'ok'],
  ['[M-036] a bloom_filter with map_extra 16', { type: 'bloom_filter', ...keyless, mapExtra: 16n }, 'EINVAL'],
  ['[M-036] a bloom_filter with map_extra 15', { type: 'bloom_filter', ...keyless, mapExtra: 15n }, 'ok'],
  ...[0, 2048, 4095, 12288].map(
    (maxEntries): Row => [
      `[M-037] a ringbuf of ${maxEntries} bytes`,
      { type: 'ringbuf', ...sizeless, maxEntries },
      'EINVAL',
    ],
  ),
  ['[M-037] a ringbuf of 4096 bytes', { type: 'ringbuf', ...sizeless, maxEntries: 4096 }, 'ok'],
  ...[BPF_F_RDONLY, BPF_F_RDONLY_PROG, BPF_F_MMAPABLE].map(
    (flags): Row => [
      `[M-038] a ringbuf with flags ${flags}`,
      { type: 'ringbuf', ...sizeless, maxEntries: 4096, flags },
      'EINVAL',
    ],
  ),
  [
    '[M-039] a ringbuf with the later overwrite flag',
    { type: 'ringbuf', ...sizeless, maxEntries: 4096, flags: 1 << 19 },
    'EINVAL',
  ],
  ['[M-040] a cgroup_storage with max_entries 1', { type: 'cgroup_storage', keySize: 16, maxEntries: 1 }, 'EINVAL'],
  ['[M-040] a cgroup_storage with key_size 4', { type: 'cgroup_storage', keySize: 4, maxEntries: 0 }, 'EINVAL'],
  ['[M-040] a cgroup_storage with key_size 16', { type: 'cgroup_storage', keySize: 16, maxEntries: 0 }, 'ok'],
  ...[1024, 12, 4].map(
    (valueSize): Row => [
      `[M-041] a stack_trace with value_size ${valueSize}`,
      { type: 'stack_trace', valueSize },
      'EINVAL',
    ],
  ),
  ['[M-041] a stack_trace with value_size 1016', { type: 'stack_trace', valueSize: 1016 }, 'ok'],
  ['[M-043] an arena without MMAPABLE', { type: 'arena', ...sizeless }, 'EINVAL'],
  [
    '[M-043] an arena with max_entries 0',
    { type: 'arena', ...sizeless, maxEntries: 0, flags: BPF_F_MMAPABLE },
    'EINVAL',
  ],
  [
    '[M-043] an arena of more than 2^20 pages',
    { type: 'arena', ...sizeless, maxEntries: 2 ** 20 + 1, flags: BPF_F_MMAPABLE },
    'E2BIG',
  ],
  ['[M-043] an arena of one page', { type: 'arena', ...sizeless, maxEntries: 1, flags: BPF_F_MMAPABLE }, 'ok'],
  ['[M-309] a percpu_array with value_size 0', { type: 'percpu_array', valueSize: 0 }, 'EINVAL'],
  ['[M-309] a hash with value_size 0', { type: 'hash', valueSize: 0 }, 'EINVAL'],
  ['[M-309] a percpu_hash with value_size 0', { type: 'percpu_hash', valueSize: 0 }, 'EINVAL'],
  [
    '[M-310] a hash with RDONLY_PROG and a spin lock',
    { type: 'hash', flags: BPF_F_RDONLY_PROG, fields: lock, btf },
    'EACCES',
  ],
  ['[M-311] a percpu_hash with a spin lock', { type: 'percpu_hash', fields: lock, btf }, 'EOPNOTSUPP'],
  [
    '[M-311] a percpu_array with a timer',
    { type: 'percpu_array', valueSize: 16, fields: { timer: 0 }, btf },
    'EOPNOTSUPP',
  ],
  ['[M-311] an lpm_trie with a spin lock', { ...lpm, fields: lock, btf }, 'EOPNOTSUPP'],
  ['[M-313] an lru_hash with a spin lock', { type: 'lru_hash', fields: lock, btf }, 'EOPNOTSUPP'],
  ['[M-313] an lru_hash with a timer', { type: 'lru_hash', valueSize: 16, fields: { timer: 0 }, btf }, 'ok'],
  ['[M-315] a queue with a BTF value', { type: 'queue', ...keyless, btf: { key: false, value: true } }, 'EINVAL'],
  ['[M-315] a queue without BTF', { type: 'queue', ...keyless }, 'ok'],
  ['[M-316] an lpm_trie with an integer BTF key', { ...lpm, btf: { ...btf, keyKind: 'int' } }, 'EINVAL'],
  ['[M-316] an lpm_trie with a struct BTF key', { ...lpm, btf: { ...btf, keyKind: 'struct' } }, 'ok'],
  ['[M-317] a hash whose BTF key is of another size', { type: 'hash', btf: { ...btf, keySize: 8 } }, 'EINVAL'],
  ['[M-317] a hash whose BTF value is of another size', { type: 'hash', btf: { ...btf, valueSize: 4 } }, 'EINVAL'],
  ['[M-317] a hash whose BTF sizes are right', { type: 'hash', btf: { ...btf, keySize: 4, valueSize: 8 } }, 'ok'],
  ['a devmap with values of 12 bytes', { type: 'devmap', valueSize: 12 }, 'EINVAL'],
  ['a cpumap of more CPUs than the kernel knows', { type: 'cpumap', maxEntries: 8193 }, 'E2BIG'],
  ['an xskmap with value_size 8', { type: 'xskmap', valueSize: 8 }, 'EINVAL'],
  ['a number beyond 32 bits', { type: 'hash', maxEntries: 2 ** 32 }, 'EINVAL'],
];

const shared = testEnv();

test.each(rows)('creating %s', (_name, attr, expected) => {
  const made = createMap(shared, attrOf(attr));
  expect(typeof made === 'number' ? made : 'ok').toBe(expected === 'ok' ? 'ok' : -E[expected]);
  if (typeof made !== 'number') made.destroy();
});

test('[M-008] an array on NUMA node -1 is made, and shows the flag', () => {
  const map = makeMap(testEnv(), { type: 'array', flags: BPF_F_NUMA_NODE, numaNode: -1 });
  expect(map.flags).toBe(BPF_F_NUMA_NODE);
});

test('[M-013] an LRU hash without common lists is rounded up to a multiple of the CPUs', () => {
  const map = makeMap(testEnv(), { type: 'lru_hash', maxEntries: 5, flags: BPF_F_NO_COMMON_LRU });
  expect(map.maxEntries).toBe(6);
});

test('[M-019] map types are 1 to 33, each once', () => {
  expect(MAP_TYPES.map((row) => row.id)).toEqual(Array.from({ length: 33 }, (_, i) => i + 1));
  expect([0, 34, 255].map((id) => mapType(id))).toEqual([undefined, undefined, undefined]);
  expect(mapType(9)?.name).toBe('lru_hash');
});

test('[M-023] a token flag with a descriptor that is not open is EBADF', () => {
  const env = testEnv();
  const attr = attrOf({ type: 'hash', flags: BPF_F_TOKEN_FD, tokenFd: 77 });
  expect(createMap(env, attr)).toBe(-E.EBADF);
  expect(createMap(env, { ...attr, tokenFd: env.fds.open(progRef()) })).toBe(-E.EINVAL);
});

describe('maps of maps', () => {
  const inner: Record<string, PartialAttr> = {
    ringbuf: { type: 'ringbuf', ...sizeless, maxEntries: 4096 },
    lpm_trie: lpm,
    queue: { type: 'queue', ...keyless },
    devmap: { type: 'devmap' },
    stack_trace: { type: 'stack_trace' },
    prog_array: { type: 'prog_array', valueSize: 4 },
    cgroup_storage: { type: 'cgroup_storage', keySize: 16, maxEntries: 0 },
  };
  const outer = (innerMap: PartialAttr, type = 'array_of_maps', flags = 0) => {
    const env = testEnv();
    return createMap(env, attrOf({ type, valueSize: 4, flags, innerMap: makeMap(env, innerMap) }));
  };

  test.each(['prog_array', 'cgroup_storage'])('[M-030] refuse %s inside', (type) => {
    expect(outer(inner[type]!)).toBe(-E.ENOTSUPP);
  });

  test('[M-031] refuse maps of maps inside', () => {
    const env = testEnv();
    const array = makeMap(env, { type: 'array_of_maps', valueSize: 4, innerMap: makeMap(env, { type: 'array' }) });
    expect(createMap(env, attrOf({ type: 'array_of_maps', valueSize: 4, innerMap: array }))).toBe(-E.EINVAL);
  });

  test.each(['ringbuf', 'lpm_trie', 'queue', 'devmap', 'stack_trace'])('[M-032] take %s inside', (type) => {
    expect(outer(inner[type]!)).toMatchObject({ type: 'array_of_maps' });
  });

  test('[M-033] only the hash takes RDONLY_PROG', () => {
    expect(outer({ type: 'array' }, 'hash_of_maps', BPF_F_RDONLY_PROG)).toMatchObject({ type: 'hash_of_maps' });
    expect(outer({ type: 'array' }, 'array_of_maps', BPF_F_RDONLY_PROG)).toBe(-E.EINVAL);
  });

  test('[M-029] a descriptor of something else is EINVAL', () => {
    const env = testEnv();
    const innerMapFd = env.fds.open(progRef());
    expect(createMap(env, attrOf({ type: 'hash_of_maps', valueSize: 4, innerMapFd }))).toBe(-E.EINVAL);
  });
});

test('[M-042] [M-322] local storages want NO_PREALLOC, max_entries 0 and BTF types', () => {
  const check = (change: Partial<PartialAttr>) =>
    mapType('sk_storage')!.check!(
      attrOf({ type: 'sk_storage', flags: BPF_F_NO_PREALLOC, maxEntries: 0, btf, ...change }),
      testEnv(),
    );
  expect(check({})).toBe(0);
  expect(check({ btf: { key: false, value: false } })).toBe(-E.EINVAL);
  expect(check({ flags: 0 })).toBe(-E.EINVAL);
  expect(check({ maxEntries: 1 })).toBe(-E.EINVAL);
});

test('[M-044] a devmap shows RDONLY_PROG though nobody gave it', () => {
  const env = testEnv();
  for (const type of ['devmap', 'devmap_hash']) {
    const info = openMap(env, makeMap(env, { type })).info();
    expect(info).toMatchObject({ mapFlags: 0x80 });
  }
});

test('descriptor flags are not shown, the others are', () => {
  const map = makeMap(testEnv(), { type: 'hash', flags: BPF_F_RDONLY | BPF_F_ZERO_SEED | BPF_F_WRONLY_PROG });
  expect(map.flags).toBe(BPF_F_ZERO_SEED | BPF_F_WRONLY_PROG);
});

describe('a map that is larger than the lab', () => {
  test('is ENOMEM, leaves nothing behind, and the reason says how much was wanted', () => {
    const env = testEnv({ memory: 1 << 20 });
    makeMap(env, { type: 'array' }).destroy();
    const free = env.memory.largestFree();
    const attr = attrOf({ type: 'hash', name: 'flows', maxEntries: 1 << 20 });
    expect(createMap(env, attr)).toBe(-E.ENOMEM);
    expect(env.memory.largestFree()).toBe(free);
    expect(() => requireMap(env, attr)).toThrow(MapError);
    expect(() => requireMap(env, attr)).toThrow(/flows.*hash.*max_entries 1048576.*ENOMEM.*bytes wanted/);
  });

  test('a map whose name or BTF is refused leaves nothing behind either', () => {
    const env = testEnv({ memory: 1 << 20 });
    makeMap(env, { type: 'array' }).destroy();
    makeMap(env, { type: 'lru_hash' }).destroy();
    const free = env.memory.largestFree();
    expect(createMap(env, attrOf({ type: 'array', name: 'a-b' }))).toBe(-E.EINVAL);
    expect(createMap(env, attrOf({ type: 'lru_hash', fields: lock, btf }))).toBe(-E.EOPNOTSUPP);
    expect(env.memory.largestFree()).toBe(free);
  });

  test('a mistake is named with what was asked for', () => {
    expect(() => requireMap(testEnv(), attrOf({ type: 'array', name: 'a', keySize: 8 }))).toThrow(
      /map a \(array, key 8, value 8, max_entries 8, flags 0x0\).*EINVAL/,
    );
    expect(() => requireMap(testEnv(), attrOf({ type: 'sockmap', valueSize: 4 }))).toThrow(/not supported/);
  });

  test('a map that grows fails in the update, and the map lives on', () => {
    const env = testEnv({ memory: 1 << 20 });
    const map = makeMap(env, { type: 'hash', maxEntries: 1 << 16, valueSize: 64, flags: BPF_F_NO_PREALLOC });
    const key = new Uint8Array(4);
    let errno = 0;
    let count = 0;
    for (; errno === 0; count++) {
      new DataView(key.buffer).setUint32(0, count, true);
      errno = map.sys.update(key, new Uint8Array(64), 0n);
    }
    expect(errno).toBe(-E.ENOMEM);
    expect(count).toBeGreaterThan(1000);
    expect(map.sys.delete(new Uint8Array(4))).toBe(0);
    expect(map.sys.update(key, new Uint8Array(64), 0n)).toBe(0);
  });
});

test('preallocation touches no memory: a million entries leave their pages zero until they are used', () => {
  const env = testEnv({ memory: 1 << 27 });
  for (const type of ['hash', 'lru_hash']) {
    const map = makeMap(env, { type, maxEntries: 1_000_000 });
    const words = env.memory.u32.subarray(0, env.memory.size / 4);
    let used = 0;
    for (let i = 0x10000 / 4; i < words.length; i += 1024) {
      for (let j = i; j < i + 1024; j++) {
        if (words[j] !== 0) {
          used++;
          break;
        }
      }
    }
    // Descriptor page, list heads, and the CPUs' spare entries.
    expect(used).toBeLessThan(10);
    map.destroy();
  }
});
