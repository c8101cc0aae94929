import { describe, expect, test } from 'vitest';
import type { BpfMap, MapAttr } from '../../src/maps/map.ts';
import { requireMap } from '../../src/maps/map-types.ts';
import { HelperBench } from './helper-bench.ts';

const ENOENT = -2;
const E2BIG = -7;
const EEXIST = -17;
const EINVAL = -22;
const NO_PREALLOC = 1;

const SIZES: Record<string, Partial<MapAttr>> = {
  queue: { keySize: 0 },
  stack: { keySize: 0 },
  bloom_filter: { keySize: 0 },
  lpm_trie: { flags: NO_PREALLOC },
};

/** A map of u32 keys and u64 values, used from a program's side. */
class MapBench extends HelperBench {
  readonly map: BpfMap;

  constructor(type: string, attr: Partial<MapAttr> = {}) {
    super();
    const sizes = { keySize: 4, valueSize: 8, maxEntries: 8, ...SIZES[type] };
    this.map = requireMap(this.machine, { type, name: type, ...sizes, ...attr });
  }

  lookup(key: number): number {
    return this.call('map_lookup_elem', this.map, this.u32s(key));
  }

  /** Value of a key, or undefined. */
  get(key: number): bigint | undefined {
    const at = this.lookup(key);
    return at === 0 ? undefined : this.u64(at);
  }

  update(key: number, value: bigint | number, flags = 0, flagsHi = 0): number {
    return this.call('map_update_elem', this.map, this.u32s(key), this.u64s(value), flags, flagsHi);
  }

  delete(key: number): number {
    return this.call('map_delete_elem', this.map, this.u32s(key));
  }

  push(value: number, flags = 0): number {
    return this.call('map_push_elem', this.map, this.u64s(value), flags, 0);
  }

  /** Result of pop or peek, and what is in the destination afterwards. */
  take(name: 'pop' | 'peek', before = 77): [number, bigint] {
    const to = this.u64s(before);
    return [this.call(`map_${name}_elem`, this.map, to), this.u64(to)];
  }

  onCpu(id: number): this {
    this.cpu = this.machine.cpuList[id]!;
    return this;
  }
}

describe('update from a program', () => {
  test.each<[string, string, number, number, number]>([
    ['array: any, and existing', 'array', 0, 0, 0],
    ['array: BPF_EXIST', 'array', 0, 2, 0],
    ['array: BPF_NOEXIST', 'array', 0, 1, EEXIST],
    ['array: both', 'array', 0, 3, EINVAL],
    ['array: a lock that is not there', 'array', 0, 4, EINVAL],
    ['[M-171] array: NOEXIST and a lock that is not there', 'array', 0, 5, EEXIST],
    ['array: an unknown flag', 'array', 0, 8, EINVAL],
    ['array: an index too large', 'array', 8, 1, E2BIG],
    ['array: an unknown flag and an index too large', 'array', 8, 8, EINVAL],
    ['percpu_array: a lock', 'percpu_array', 0, 4, EINVAL],
    ['percpu_array: NOEXIST and a lock', 'percpu_array', 0, 5, EEXIST],
    ['hash: both', 'hash', 0, 3, EINVAL],
    ['hash: a lock that is not there', 'hash', 0, 4, EINVAL],
    ['hash: EXIST of a missing key', 'hash', 0, 2, ENOENT],
    ['[M-172] percpu_hash: a lock', 'percpu_hash', 0, 4, EINVAL],
    ['lru_hash: a lock', 'lru_hash', 0, 4, EINVAL],
  ])('%s', (_name, type, key, flags, ret) => {
    expect(new MapBench(type).update(key, 1, flags)).toBe(ret);
  });

  test('flags count with all their 64 bits', () => {
    expect(new MapBench('hash').update(1, 1, 0, 1)).toBe(EINVAL);
    expect(new MapBench('array').update(1, 1, 0, 1)).toBe(EINVAL);
  });

  test('an array element cannot be deleted', () => {
    expect(new MapBench('array').delete(0)).toBe(EINVAL);
  });

  test('[M-161] a refused insert into a full LRU hash may have evicted', () => {
    const bench = new MapBench('lru_hash', { maxEntries: 4 });
    for (let key = 0; key < 4; key++) expect(bench.update(key, key)).toBe(0);
    expect(bench.update(3, 9, 1)).toBe(EEXIST);
    expect([0, 1, 2, 3].filter((key) => bench.get(key) !== undefined).length).toBe(3);
  });

  test('[M-162] an update in place of a full per-CPU LRU hash evicts nothing', () => {
    const bench = new MapBench('lru_percpu_hash', { maxEntries: 4 });
    for (let key = 0; key < 4; key++) bench.update(key, key);
    expect(bench.update(3, 9, 2)).toBe(0);
    expect([0, 1, 2, 3].map((key) => bench.get(key))).toEqual([0n, 1n, 2n, 9n]);
  });
});

describe('a value pointer outlives its element', () => {
  test('[M-163] [M-164] a replaced element of a hash keeps its value until the next replacement takes it', () => {
    const bench = new MapBench('hash');
    bench.update(1, 10);
    bench.update(2, 20);
    const pointer = bench.lookup(1);
    bench.update(1, 11);
    expect(bench.u64(pointer)).toBe(10n);
    bench.update(2, 21);
    expect(bench.u64(pointer)).toBe(21n);
    expect(bench.lookup(2)).toBe(pointer);
  });

  test('[M-165] a deleted element of a hash keeps its value until an insert takes it', () => {
    const bench = new MapBench('hash');
    bench.update(1, 10);
    const pointer = bench.lookup(1);
    expect(bench.delete(1)).toBe(0);
    expect(bench.u64(pointer)).toBe(10n);
    bench.update(3, 30);
    expect(bench.u64(pointer)).toBe(30n);
  });

  test('[M-166] without preallocation the next insert gets the same memory', () => {
    const bench = new MapBench('hash', { flags: NO_PREALLOC });
    bench.update(1, 10);
    const pointer = bench.lookup(1);
    bench.delete(1);
    bench.update(3, 30);
    expect(bench.lookup(3)).toBe(pointer);
  });

  test('[M-167] a replaced element of an LRU hash is reused by the next insert', () => {
    const bench = new MapBench('lru_hash', { maxEntries: 2 });
    bench.update(1, 10);
    const pointer = bench.lookup(1);
    bench.update(1, 11);
    bench.update(2, 20);
    expect(bench.u64(pointer)).toBe(20n);
  });

  test('[M-169] a per-CPU hash is updated in place', () => {
    const bench = new MapBench('percpu_hash');
    bench.update(1, 10);
    const pointer = bench.lookup(1);
    bench.update(1, 11);
    expect(bench.u64(pointer)).toBe(11n);
  });
});

describe('per-CPU maps', () => {
  test('[M-168] a new key holds zero on the other CPUs', () => {
    const bench = new MapBench('percpu_hash');
    expect(bench.onCpu(1).update(1, 5)).toBe(0);
    expect(bench.onCpu(1).delete(1)).toBe(0);
    expect(bench.onCpu(0).update(1, 7)).toBe(0);
    expect(bench.get(1)).toBe(7n);
    expect(bench.onCpu(1).get(1)).toBe(0n);
  });

  test.each(['percpu_array', 'percpu_hash', 'lru_percpu_hash'])(
    '[M-170] %s: another CPU is reached by its number, and no further than there are CPUs',
    (type) => {
      const bench = new MapBench(type);
      bench.onCpu(1).update(1, 5);
      const key = bench.u32s(1);
      const on = (cpu: number) => bench.onCpu(0).call('map_lookup_percpu_elem', bench.map, key, cpu);
      expect(bench.u64(on(1))).toBe(5n);
      expect(on(1)).toBe(bench.onCpu(1).lookup(1));
      expect(on(2)).toBe(0);
      expect(on(-1)).toBe(0);
    },
  );
});

describe('queues, stacks and bloom filters', () => {
  test.each(['queue', 'stack'])(
    '[M-173] %s: taking from an empty one gives ENOENT and zeros the destination',
    (type) => {
      expect(new MapBench(type).take('pop')).toEqual([ENOENT, 0n]);
      expect(new MapBench(type).take('peek')).toEqual([ENOENT, 0n]);
    },
  );

  test('a full queue drops its oldest with BPF_EXIST only', () => {
    const bench = new MapBench('queue', { maxEntries: 2 });
    expect([bench.push(1), bench.push(2), bench.push(3), bench.push(3, 1), bench.push(3, 3)]).toEqual([
      0,
      0,
      E2BIG,
      EINVAL,
      EINVAL,
    ]);
    expect(bench.push(3, 2)).toBe(0);
    expect([bench.take('peek'), bench.take('pop'), bench.take('pop')]).toEqual([
      [0, 2n],
      [0, 2n],
      [0, 3n],
    ]);
  });

  test('a bloom filter takes values without flags and says whether it has seen one', () => {
    const bench = new MapBench('bloom_filter');
    expect(bench.push(5, 1)).toBe(EINVAL);
    expect(bench.take('peek', 5)[0]).toBe(ENOENT);
    expect(bench.push(5)).toBe(0);
    expect(bench.take('peek', 5)).toEqual([0, 5n]);
  });
});

describe('bpf_for_each_map_elem', () => {
  function walk(bench: MapBench, flags: number, visit: (key: number, value: number, ctx: number) => number) {
    const handles = new Set<number>();
    bench.cpu.callback = (fn, [map, key, value, ctx]) => {
      handles.add(map![0]).add(fn);
      return visit(key![0], value![0], ctx![0]);
    };
    const ret = bench.call('for_each_map_elem', bench.map, 99, 0x40, 0, flags, 0);
    if (ret > 0) expect([...handles]).toEqual([bench.map.handle, 99]);
    return ret;
  }

  test.each(['hash', 'percpu_hash', 'lru_hash'])('[M-180] %s: a callback may delete what it is shown', (type) => {
    const bench = new MapBench(type);
    for (let key = 0; key < 6; key++) bench.update(key, key * 10);
    const seen: [number, bigint][] = [];
    const ret = walk(bench, 0, (key, value, ctx) => {
      expect(ctx).toBe(0x40);
      seen.push([bench.u32(key), bench.u64(value)]);
      return bench.call('map_delete_elem', bench.map, key);
    });
    expect(ret).toBe(6);
    expect(seen.sort((a, b) => a[0] - b[0])).toEqual([0, 1, 2, 3, 4, 5].map((key) => [key, BigInt(key * 10)]));
    expect([0, 1, 2, 3, 4, 5].map((key) => bench.lookup(key))).toEqual([0, 0, 0, 0, 0, 0]);
  });

  test('an array is walked upwards, on the current CPU', () => {
    const bench = new MapBench('percpu_array').onCpu(1);
    for (let key = 0; key < 8; key++) bench.update(key, key + 100);
    const seen: bigint[] = [];
    expect(
      walk(bench, 0, (key, value) => {
        seen.push(BigInt(bench.u32(key)), bench.u64(value));
        return 0;
      }),
    ).toBe(8);
    expect(seen.slice(0, 4)).toEqual([0n, 100n, 1n, 101n]);
  });

  test('[M-181] a callback that answers 1 ends the walk', () => {
    const bench = new MapBench('hash');
    for (let key = 0; key < 6; key++) bench.update(key, 0);
    expect(walk(bench, 0, () => 1)).toBe(1);
  });

  test('[M-182] flags are refused', () => {
    expect(walk(new MapBench('array'), 1, () => 0)).toBe(EINVAL);
  });

  test('an empty hash makes no call', () => {
    expect(walk(new MapBench('hash'), 0, () => 1)).toBe(0);
  });
});

describe('an operation that the type does not have', () => {
  test.each([
    [
      'queue',
      'map_lookup_elem',
      /cannot pass map_type 22 into func bpf_map_lookup_elem#1; map queue is a queue; Linux refuses/,
    ],
    ['hash', 'map_push_elem', /cannot pass map_type 1 into func bpf_map_push_elem#87/],
    ['bloom_filter', 'map_pop_elem', /map_type 30 into func bpf_map_pop_elem#88/],
    ['queue', 'for_each_map_elem', /callback function not allowed for map/],
    ['hash', 'ringbuf_output', /map_type 1 .* into func bpf_ringbuf_output#130/],
    ['hash', 'perf_event_output', /map_type 1 .* into func bpf_perf_event_output#25/],
  ])('on a %s, %s is a fault that says so', (type, name, message) => {
    const bench = new MapBench(type);
    const args = name === 'perf_event_output' ? [0, bench.map] : [bench.map];
    expect(() => bench.call(name, ...args, 0, 0, 0, 0, 0)).toThrow(message);
  });
});
