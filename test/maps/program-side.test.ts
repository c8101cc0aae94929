import { describe, expect, test } from 'vitest';
import { E } from '../../src/base/errno.ts';
import { jhash } from '../../src/maps/jhash.ts';
import type { BpfMap } from '../../src/maps/map.ts';
import { BPF_F_NO_COMMON_LRU, BPF_F_NO_PREALLOC, BPF_F_ZERO_SEED } from '../../src/maps/map-flags.ts';
import { openMap } from '../../src/maps/syscall.ts';
import { hex, keysOf, makeMap, type PartialAttr, staged, testEnv, u32, u64, unhex } from './support/env.ts';

const env = testEnv();

/** A program's view of a map with u32 keys and u64 values, on one CPU. */
class Side {
  readonly map: BpfMap;
  cpu = 0;
  readonly #stack = staged(env, 32);

  constructor(attr: PartialAttr) {
    this.map = makeMap(env, attr);
  }

  update(key: number, value: number, flags = 0, cpu = this.cpu): number {
    env.memory.write(this.#stack, u32(key));
    env.memory.write(this.#stack + 8, u64(value));
    return this.map.update!(this.#stack, this.#stack + 8, flags, 0, cpu);
  }

  delete(key: number): number {
    env.memory.write(this.#stack, u32(key));
    return this.map.delete!(this.#stack, this.cpu);
  }

  lookup(key: number, cpu = this.cpu): number {
    env.memory.write(this.#stack, u32(key));
    return this.map.lookup!(this.#stack, cpu);
  }

  lookupPercpu(key: number, cpu: number): number {
    env.memory.write(this.#stack, u32(key));
    return this.map.lookupPercpu!(this.#stack, cpu);
  }

  get keys(): number[] {
    return keysOf(this.map).map((key) => new DataView(key.buffer).getUint32(0, true));
  }

  get sorted(): number[] {
    return this.keys.sort((a, b) => a - b);
  }
}

const read = (at: number) => Number(env.memory.view.getBigUint64(at, true));
const write = (at: number, value: number) => env.memory.write(at, u64(value));

describe('order', () => {
  const words = (bytes: Uint8Array) =>
    new Int32Array(Uint8Array.from([...bytes, 0, 0, 0, 0]).buffer.slice(0, (bytes.length + 3) & ~3));

  test.each([
    ['00', 0x8ba9414b, 0x62cd61b3],
    ['616263', 0x0e397631, 0xf9f08e9e],
    ['00000000', 0x049396b8, 0xd9a91087],
    ['68656c6c6f', 0x34cbbc6e, 0xcaeea99f],
    ['6162636465666768', 0x2995c3be, 0xaa8c7ebd],
    ['000102030405060708090a0b', 0x5e4aa593, 0x453f0bf7],
    ['000102030405060708090a0b0c', 0xbc9d6816, 0xc9d965fe],
    ['000102030405060708090a0b0c0d0e0f10111213', 0x94b659b5, 0x3a50aa1d],
    ['000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2021222324', 0x12926a31, 0x7e327422],
  ])("[M-152] the hash of %s is the kernel's", (key, seed0, seed1) => {
    const bytes = unhex(key);
    expect(jhash(words(bytes), 0, bytes.length, 0) >>> 0).toBe(seed0);
    expect(jhash(words(bytes), 0, bytes.length, 1) >>> 0).toBe(seed1);
  });

  test('[M-147] keys 0 to 7 of a hash without seed', () => {
    const side = new Side({ type: 'hash', flags: BPF_F_ZERO_SEED });
    for (let n = 0; n < 8; n++) side.update(n, 0);
    expect(side.keys).toEqual([0, 4, 7, 2, 1, 6, 5, 3]);
  });

  test('[M-148] [M-149] newer keys stand before older ones, and a replaced key is new', () => {
    for (const type of ['hash', 'lru_hash']) {
      const side = new Side({ type, maxEntries: 32, flags: BPF_F_ZERO_SEED });
      const bucketOf = (n: number) => jhash(Int32Array.of(n), 0, 4, 0) & 31;
      const mates = Array.from({ length: 200 }, (_, n) => n)
        .filter((n) => bucketOf(n) === bucketOf(0))
        .slice(0, 3);
      for (const n of mates) side.update(n, 0);
      expect(side.keys).toEqual([...mates].reverse());
      side.update(mates[0]!, 1);
      expect(side.keys).toEqual([mates[0], mates[2], mates[1]]);
    }
  });

  test('[M-150] [M-151] replacing in place does not move a key', () => {
    for (const attr of [
      { type: 'percpu_hash' },
      { type: 'lru_percpu_hash' },
      { type: 'hash', fields: { spinLock: 0 } },
    ]) {
      const side = new Side({ ...attr, maxEntries: 32, flags: BPF_F_ZERO_SEED });
      for (let n = 0; n < 20; n++) side.update(n, 0);
      const before = side.keys;
      for (let n = 19; n >= 0; n--) expect(side.update(n, 1, attr.type === 'hash' ? 4 : 0)).toBe(0);
      expect(side.keys).toEqual(before);
    }
  });

  test('a seed comes from the rng: other seeds, other orders, same seed, same order', () => {
    const order = (seed: number) => {
      const own = testEnv({ seed, memory: 1 << 20 });
      const map = makeMap(own, { type: 'hash', maxEntries: 64 });
      for (let n = 0; n < 40; n++) map.sys.update(u32(n), new Uint8Array(8), 0n);
      return keysOf(map).map(hex).join();
    };
    expect(order(1)).toBe(order(1));
    expect(order(1)).not.toBe(order(2));
  });
});

describe('eviction on one CPU of two', () => {
  const inserted = (maxEntries: number, count: number, flags = 0, type = 'lru_hash') => {
    const side = new Side({ type, maxEntries, flags });
    for (let n = 1; n <= count; n++) expect(side.update(n, n)).toBe(0);
    return side;
  };
  const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

  test.each([
    ['[M-153] the fifth key of four evicts the first', 4, 5, 0, range(2, 5)],
    ['[M-154] the ninth key of eight evicts two', 8, 9, 0, range(3, 9)],
    ['[M-154] the eleventh evicts two more', 8, 11, 0, range(5, 11)],
    ['[M-155] the seventeenth key of sixteen evicts four', 16, 17, 0, range(5, 17)],
    ['[M-156] without common lists the fifth of eight evicts four', 8, 5, BPF_F_NO_COMMON_LRU, [5]],
    ['[M-157] without common lists the third of four evicts two', 4, 3, BPF_F_NO_COMMON_LRU, [3]],
  ])('%s', (_name, maxEntries, count, flags, left) => {
    expect(inserted(maxEntries, count, flags).sorted).toEqual(left);
    expect(inserted(maxEntries, count, flags, 'lru_percpu_hash').sorted).toEqual(left);
  });

  test('[M-158] replacing one key of a full map can evict another', () => {
    const side = inserted(4, 4);
    side.update(1, 0);
    expect(side.sorted).toEqual([1, 2, 3, 4]);
    side.update(1, 0);
    expect(side.sorted).toEqual([1, 3, 4]);
  });

  test('[M-159] a lookup by system call protects nothing', () => {
    const side = inserted(2, 2);
    openMap(env, side.map).read(u32(1));
    side.update(3, 3);
    expect(side.sorted).toEqual([2, 3]);
  });

  test('[M-160] a lookup by a program protects the key once', () => {
    const side = inserted(2, 2);
    expect(read(side.lookup(1))).toBe(1);
    side.update(3, 3);
    expect(side.sorted).toEqual([1, 3]);
  });

  test('[M-161] an update that fails may have evicted a key', () => {
    const side = inserted(4, 4);
    expect(side.update(4, 0, 1)).toBe(-E.EEXIST);
    expect(side.update(3, 0, 1)).toBe(-E.EEXIST);
    expect(side.sorted.length).toBeLessThan(4);
  });

  test('[M-162] replacing in a full per-CPU LRU hash with EXIST evicts nothing', () => {
    const side = inserted(4, 4, 0, 'lru_percpu_hash');
    for (let i = 0; i < 10; i++) expect(side.update(1, i, 2)).toBe(0);
    expect(side.sorted).toEqual([1, 2, 3, 4]);
  });
});

test('a CPU that finds no node takes one of another CPU, and next time goes on after that one', () => {
  const own = testEnv({ cpus: 4, memory: 1 << 20 });
  const map = makeMap(own, { type: 'lru_hash', maxEntries: 2 });
  const at = staged(own, 16);
  const keysAfter = [
    [0, 1],
    [1, 2],
    [2, 3],
    [0, 4],
    [1, 5],
    [2, 6],
  ].map(([cpu, key]) => {
    own.memory.write(at, u32(key!));
    expect(map.update!(at, at + 8, 0, 0, cpu!)).toBe(0);
    return keysOf(map)
      .map((bytes) => bytes[0])
      .sort();
  });
  expect(keysAfter).toEqual([[1], [1, 2], [2, 3], [3, 4], [4, 5], [4, 6]]);
});

describe('stale value pointers', () => {
  test('[M-163] [M-164] a replaced value stays until its memory is the spare of the next replacement', () => {
    const side = new Side({ type: 'hash' });
    side.update(1, 11);
    side.update(2, 22);
    const p = side.lookup(1);
    side.update(1, 111);
    expect(read(p)).toBe(11);
    expect(read(side.lookup(1))).toBe(111);
    side.update(2, 222);
    expect(read(p)).toBe(222);
    expect(side.lookup(2)).toBe(p);
  });

  test('[M-164] the spare belongs to the CPU', () => {
    const side = new Side({ type: 'hash' });
    side.update(1, 11);
    side.update(2, 22);
    const p = side.lookup(1);
    side.update(1, 111, 0, 0);
    side.update(2, 222, 0, 1);
    expect(read(p)).toBe(11);
  });

  test('[M-165] a deleted value stays until the next insert, which takes its place', () => {
    const side = new Side({ type: 'hash' });
    side.update(1, 11);
    const p = side.lookup(1);
    side.delete(1);
    expect(read(p)).toBe(11);
    side.update(3, 33);
    expect(side.lookup(3)).toBe(p);
    write(p, 44);
    expect(read(side.lookup(3))).toBe(44);
  });

  test('[M-166] without preallocation too', () => {
    const side = new Side({ type: 'hash', flags: BPF_F_NO_PREALLOC });
    side.update(1, 11);
    const p = side.lookup(1);
    side.delete(1);
    side.update(3, 33);
    expect(side.lookup(3)).toBe(p);
    side.update(3, 34);
    expect(side.lookup(3)).not.toBe(p);
    expect(read(p)).toBe(33);
  });

  test("[M-167] a replaced LRU value is the next insert's", () => {
    const side = new Side({ type: 'lru_hash', maxEntries: 2 });
    side.update(1, 11);
    const p = side.lookup(1);
    side.update(1, 111);
    side.update(2, 22);
    expect(read(p)).toBe(22);
  });

  test('[M-169] per-CPU hashes and arrays are written in place', () => {
    for (const type of ['percpu_hash', 'lru_percpu_hash', 'array', 'percpu_array']) {
      const side = new Side({ type });
      side.update(1, 11);
      const p = side.lookup(1);
      side.update(1, 111);
      expect(read(p)).toBe(111);
    }
  });
});

describe('per-CPU values', () => {
  test('[M-168] a new element is zero on the other CPUs, also when its memory was used before', () => {
    for (const [type, flags] of [
      ['percpu_hash', 0],
      ['percpu_hash', BPF_F_NO_PREALLOC],
      ['lru_percpu_hash', 0],
    ] as const) {
      const side = new Side({ type, flags, maxEntries: 2 });
      openMap(env, side.map).update(u32(1), new Uint8Array(16).fill(255));
      side.delete(1);
      for (const n of [2, 3]) {
        side.update(n, 77);
        expect(read(side.lookup(n, 0))).toBe(77);
        expect(read(side.lookup(n, 1))).toBe(0);
      }
    }
  });

  test('[M-170] bpf_map_lookup_percpu_elem knows the CPUs there are', () => {
    for (const type of ['percpu_array', 'percpu_hash', 'lru_percpu_hash']) {
      const side = new Side({ type });
      side.update(1, 7, 0, 1);
      expect(read(side.lookupPercpu(1, 1))).toBe(7);
      expect(side.lookupPercpu(1, 0)).toBe(side.lookup(1, 0));
      expect(side.lookupPercpu(1, 2)).toBe(0);
      expect(side.lookupPercpu(99, 0)).toBe(0);
    }
  });

  test("an access must stay inside one CPU's slot", () => {
    const map = makeMap(env, { type: 'percpu_hash', valueSize: 12 });
    map.sys.update(u32(0), new Uint8Array(32), 0n);
    const key = staged(env, 4);
    const slot = map.lookup!(key, 1);
    expect(env.memory.accessible(slot, 12, true)).toBe(true);
    expect(env.memory.accessible(slot, 13, false)).toBe(false);
    expect(env.memory.accessible(slot - 4, 8, false)).toBe(false);
  });
});

describe('update flags in programs', () => {
  const at = staged(env, 16);
  const update = (attr: PartialAttr, flags: number, key = 0, hi = 0) => {
    env.memory.write(at, u32(key));
    return makeMap(env, attr).update!(at, at + 8, flags, hi, 0);
  };

  test.each([
    ['array', 0, 0],
    ['array', 2, 0],
    ['array', 1, -E.EEXIST],
    ['array', 3, -E.EINVAL],
    ['array', 4, -E.EINVAL],
    ['array', 5, -E.EEXIST],
    ['array', 8, -E.EINVAL],
    ['array', -1, -E.EINVAL],
    ['percpu_array', 4, -E.EINVAL],
    ['percpu_array', 5, -E.EEXIST],
    ['hash', 3, -E.EINVAL],
    ['hash', 4, -E.EINVAL],
    ['percpu_hash', 4, -E.EINVAL],
    ['lru_hash', 3, -E.EINVAL],
    ['lru_hash', -1, -E.EINVAL],
  ])('[M-171] [M-172] %s with flags %d gives %d', (type, flags, expected) => {
    expect(update({ type }, flags)).toBe(expected);
  });

  test('[M-171] an array looks at the flags, then the index; the upper half of the flags counts', () => {
    expect(update({ type: 'array' }, 8, 99)).toBe(-E.EINVAL);
    expect(update({ type: 'array' }, 1, 99)).toBe(-E.E2BIG);
    for (const type of ['array', 'hash', 'percpu_hash', 'lru_hash']) {
      expect(update({ type }, 0, 0, 1)).toBe(-E.EINVAL);
    }
  });

  test('[M-171] with a lock in the value F_LOCK works', () => {
    const locked = (type: string) => ({ type, fields: { spinLock: 0 } });
    expect(update(locked('array'), 4)).toBe(0);
    expect(update(locked('array'), 5)).toBe(-E.EEXIST);
    expect(update(locked('hash'), 6)).toBe(-E.ENOENT);
    expect(update(locked('hash'), 5)).toBe(0);
  });
});

describe('queues', () => {
  test('[M-173] pop and peek of nothing zero the destination', () => {
    const at = staged(env, 16);
    for (const type of ['queue', 'stack']) {
      const map = makeMap(env, { type, keySize: 0 });
      for (const take of [() => map.pop!(at), () => map.peek!(at)]) {
        write(at, 77);
        expect(take()).toBe(-E.ENOENT);
        expect(read(at)).toBe(0);
      }
      write(at, 5);
      expect([1, 3, 4].map((flags) => map.push!(at, flags, 0))).toEqual([-E.EINVAL, -E.EINVAL, -E.EINVAL]);
      expect(map.push!(at, 0, 1)).toBe(-E.EINVAL);
      expect(map.push!(at, 0, 0)).toBe(0);
      expect(map.peek!(at + 8)).toBe(0);
      expect(map.pop!(at)).toBe(0);
      expect([read(at), read(at + 8)]).toEqual([5, 5]);
    }
  });
});

describe('for_each', () => {
  test('[M-180] a callback may delete what it is shown', () => {
    const side = new Side({ type: 'hash' });
    for (let n = 0; n < 6; n++) side.update(n, n);
    const seen: number[] = [];
    const calls = side.map.forEach!(0, (key, value) => {
      seen.push(env.memory.u32[key >> 2]!);
      expect(read(value)).toBe(env.memory.u32[key >> 2]);
      return side.map.delete!(key, 0);
    });
    expect([calls, side.keys, seen.sort()]).toEqual([6, [], [0, 1, 2, 3, 4, 5]]);
  });

  test('[M-181] a callback that answers 1 ends the walk', () => {
    for (const type of ['hash', 'array', 'lru_hash', 'percpu_hash', 'percpu_array']) {
      const side = new Side({ type });
      for (let n = 0; n < 4; n++) side.update(n, n);
      expect(side.map.forEach!(0, () => 1)).toBe(1);
    }
  });

  test("walks as get_next_key does, on this CPU's values, with keys that can be read but not written", () => {
    for (const type of ['hash', 'array', 'lru_hash', 'percpu_hash', 'percpu_array', 'lru_percpu_hash']) {
      const side = new Side({ type });
      for (let n = 0; n < 4; n++) side.update(n, 10 + n, 0, 1);
      const seen: number[] = [];
      const calls = side.map.forEach!(1, (key, value) => {
        expect([env.memory.accessible(key, 4, false), env.memory.accessible(key, 4, true)]).toEqual([true, false]);
        const n = env.memory.u32[key >> 2]!;
        expect(read(value)).toBe(n < 4 ? 10 + n : 0);
        seen.push(n);
        return 0;
      });
      expect(calls).toBe(seen.length);
      expect(seen).toEqual(side.keys);
    }
  });

  test('[M-180] a callback may put a new key into the memory of the one that it deletes', () => {
    const side = new Side({ type: 'hash', maxEntries: 32, flags: BPF_F_ZERO_SEED });
    const bucketOf = (n: number) => jhash(Int32Array.of(n), 0, 4, 0) & 31;
    const numbers = Array.from({ length: 400 }, (_, n) => n);
    const mates = numbers.filter((n) => bucketOf(n) === 20).slice(0, 3);
    const elsewhere = numbers.find((n) => bucketOf(n) === 3)!;
    for (const n of mates) side.update(n, n);
    const seen: number[] = [];
    side.map.forEach!(0, (key) => {
      seen.push(env.memory.u32[key >> 2]!);
      if (seen.length === 1) {
        side.map.delete!(key, 0);
        side.update(elsewhere, 1);
      }
      return 0;
    });
    expect(seen).toEqual([...mates].reverse());
  });

  test('walks can be nested', () => {
    const side = new Side({ type: 'array', maxEntries: 3 });
    const pairs: string[] = [];
    side.map.forEach!(0, (outer) => {
      side.map.forEach!(0, (inner) => {
        pairs.push(`${env.memory.u32[outer >> 2]}${env.memory.u32[inner >> 2]}`);
        return 0;
      });
      return 0;
    });
    expect(pairs).toEqual(['00', '01', '02', '10', '11', '12', '20', '21', '22']);
  });
});

describe('special fields', () => {
  test('[M-238] the lock word of an input is not stored', () => {
    for (const type of ['array', 'hash']) {
      const fd = openMap(env, makeMap(env, { type, valueSize: 12, fields: { spinLock: 4 } }));
      for (const flags of [0n, 4n]) {
        expect(fd.update(u32(0), new Uint8Array(12).fill(0xad), flags)).toBe(0);
        expect(hex(fd.read(u32(0), flags) as Uint8Array)).toBe('adadadad00000000adadadad');
      }
    }
  });

  test.each(['hash', 'array', 'lru_hash'])('[M-233] timers of a %s are released when their value goes', (type) => {
    const own = testEnv({ memory: 1 << 20 });
    const released: number[] = [];
    own.releaseFields = (_map, value) => released.push(value);
    const map = makeMap(own, { type, valueSize: 24, maxEntries: 1, fields: { timer: 8 } });
    const fd = openMap(own, map);
    const key = staged(own, 4);
    const put = () => expect(fd.update(u32(0), new Uint8Array(24).fill(1))).toBe(0);
    put();
    const before = released.length;
    const value = map.lookup!(key, 0);
    own.memory.u8.fill(9, value + 8, value + 24);
    expect(hex((fd.read(u32(0)) as Uint8Array).subarray(8))).toBe('00'.repeat(16));
    put();
    expect(released.slice(before)).toEqual([value]);
    expect(hex(own.memory.read(map.lookup!(key, 0) + 8, 16))).toBe('00'.repeat(16));
    if (type === 'array') return;
    const second = map.lookup!(key, 0);
    expect(fd.delete(u32(0))).toBe(0);
    expect(released.at(-1)).toBe(second);
  });

  test('[M-305] the last descriptor takes the timers with it', () => {
    for (const type of ['hash', 'array', 'lru_hash']) {
      const own = testEnv({ memory: 1 << 20 });
      let released = 0;
      own.releaseFields = () => released++;
      const map = makeMap(own, { type, valueSize: 16, maxEntries: 1, fields: { timer: 0 } });
      const fds = [openMap(own, map), openMap(own, map)];
      fds[0]!.update(u32(0), new Uint8Array(16));
      released = 0;
      fds[0]!.close();
      expect(released).toBe(0);
      fds[1]!.close();
      expect(released).toBe(1);
    }
  });

  test('eviction releases timers too', () => {
    const own = testEnv({ memory: 1 << 20 });
    let released = 0;
    own.releaseFields = () => released++;
    const map = makeMap(own, { type: 'lru_hash', valueSize: 16, maxEntries: 2, fields: { timer: 0 } });
    for (const n of [1, 2]) map.sys.update(u32(n), new Uint8Array(16), 0n);
    released = 0;
    map.sys.update(u32(3), new Uint8Array(16), 0n);
    expect(released).toBe(1);
    map.destroy();
    expect(released).toBe(3);
  });
});

test('what was in the padding of another key does not matter', () => {
  const at = staged(env, 64);
  const wide = makeMap(env, { type: 'hash', keySize: 8 });
  for (const attr of [
    { type: 'hash', keySize: 5 },
    { type: 'lpm_trie', keySize: 5, flags: BPF_F_NO_PREALLOC },
    { type: 'bloom_filter', keySize: 0, valueSize: 5 },
  ]) {
    const map = makeMap(env, attr);
    const dirty = (byte: number) => {
      env.memory.u8.fill(byte, at + 17, at + 25);
      wide.lookup!(at + 17, 0);
    };
    dirty(0x55);
    env.memory.write(at, unhex('0800000001'));
    expect(map.push ? map.push(at, 0, 0) : map.update!(at, at + 32, 0, 0, 0)).toBe(0);
    dirty(0xaa);
    expect(map.peek ? map.peek(at) : Math.sign(map.lookup!(at, 0)) - 1).toBe(0);
  }
});

test('keys need no alignment and may be of any length', () => {
  const at = staged(env, 64);
  for (const keySize of [1, 3, 4, 5, 8, 13, 16, 20, 37]) {
    for (const type of ['hash', 'lru_hash', 'percpu_hash']) {
      const map = makeMap(env, { type, keySize });
      for (let n = 1; n <= 4; n++) {
        env.memory.u8.fill(n, at + n, at + n + keySize);
        expect(map.update!(at + n, at + 56, 0, 0, 0)).toBe(0);
      }
      const byUser = new Uint8Array(keySize).fill(3);
      expect(map.sys.lookup(byUser, 0n, new Uint8Array(map.sys.wireValueSize))).toBe(0);
      expect(map.sys.delete(new Uint8Array(keySize).fill(2))).toBe(0);
      env.memory.u8.fill(2, at, at + keySize);
      expect(map.lookup!(at, 0)).toBe(0);
      expect(keysOf(map)).toHaveLength(3);
      map.destroy();
    }
  }
});
