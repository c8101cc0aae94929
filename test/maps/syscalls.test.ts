import { describe, expect, test } from 'vitest';
import { E } from '../../src/base/errno.ts';
import { bloomMask } from '../../src/maps/bloom.ts';
import { jhash } from '../../src/maps/jhash.ts';
import type { BpfMap } from '../../src/maps/map.ts';
import {
  BPF_F_INNER_MAP,
  BPF_F_MMAPABLE,
  BPF_F_NO_PREALLOC,
  BPF_F_NUMA_NODE,
  BPF_F_PRESERVE_ELEMS,
  BPF_F_RDONLY_PROG,
  BPF_F_WRONLY_PROG,
  BPF_F_ZERO_SEED,
} from '../../src/maps/map-flags.ts';
import { openPerfEvent } from '../../src/maps/perf-event.ts';
import { MapFd, openMap } from '../../src/maps/syscall.ts';
import { hex, makeMap, type PartialAttr, progRef, staged, testEnv, u32, u64 } from './support/env.ts';

const env = testEnv();
const v8 = new Uint8Array(8);
const open = (attr: PartialAttr) => openMap(env, makeMap(env, attr));
const lpmKey = (length: number, ...data: number[]) => Uint8Array.from([length, 0, 0, 0, ...data]);
const lpmAttr = { type: 'lpm_trie', keySize: 8, flags: BPF_F_NO_PREALLOC } as const;
const next = (fd: MapFd, key: Uint8Array | undefined, size = 4) => {
  const out = new Uint8Array(size);
  const errno = fd.nextKey(key, out);
  return errno === 0 ? hex(out) : errno;
};

describe('the order of checks', () => {
  test('[M-045] lookup looks at the flags before the descriptor', () => {
    const closed = new MapFd(env, 9999);
    expect(closed.lookup(u32(0), v8, 1n)).toBe(-E.EINVAL);
    expect(closed.lookup(u32(0), v8, 0n)).toBe(-E.EBADF);
  });

  test('[M-046] update looks at the descriptor before the flags', () => {
    expect(new MapFd(env, 9999).update(u32(0), v8, 99n)).toBe(-E.EBADF);
  });

  test('[M-047] a descriptor of something else is EINVAL', () => {
    expect(new MapFd(env, env.fds.open({ kind: 'cgroup' })).lookup(u32(0), v8)).toBe(-E.EINVAL);
    expect(new MapFd(env, env.fds.open(progRef())).lookup(u32(0), v8)).toBe(-E.EINVAL);
  });

  test('[M-048] update looks at the permission before the flags', () => {
    expect(openMap(env, makeMap(env, { type: 'hash' }), { access: 'ro' }).update(u32(0), v8, 99n)).toBe(-E.EPERM);
  });

  test('[M-049] F_LOCK without a spin lock is EINVAL', () => {
    const fd = open({ type: 'array' });
    expect(fd.lookup(u32(0), v8, 4n)).toBe(-E.EINVAL);
    expect(fd.lookup(u32(0), v8, 0n)).toBe(0);
    const locked = open({ type: 'array', fields: { spinLock: 0 } });
    expect(locked.lookup(u32(0), v8, 4n)).toBe(0);
  });

  test('[M-050] a NULL key of a keyed map is EFAULT', () => {
    const fd = open({ type: 'hash' });
    expect(fd.lookup(undefined, v8)).toBe(-E.EFAULT);
    expect(fd.update(undefined, v8)).toBe(-E.EFAULT);
    expect(fd.delete(undefined)).toBe(-E.EFAULT);
    expect(fd.lookupAndDelete(undefined, v8)).toBe(-E.EFAULT);
    expect(fd.lookup(u32(0).subarray(1), v8)).toBe(-E.EFAULT);
  });

  test('[M-051] a key for a queue is EINVAL', () => {
    const fd = open({ type: 'queue', keySize: 0 });
    expect(fd.lookup(u32(0), v8)).toBe(-E.EINVAL);
    expect(fd.update(u32(0), v8)).toBe(-E.EINVAL);
    expect(fd.update(undefined, v8)).toBe(0);
  });

  test('[M-052] a bad value pointer matters to lookup once the key was found', () => {
    const fd = open({ type: 'hash' });
    expect(fd.lookup(u32(1), undefined)).toBe(-E.ENOENT);
    fd.update(u32(1), v8);
    expect(fd.lookup(u32(1), undefined)).toBe(-E.EFAULT);
    expect(fd.lookup(u32(1), new Uint8Array(7))).toBe(-E.EFAULT);
  });

  test('[M-053] a bad value pointer in an update is EFAULT', () => {
    expect(open({ type: 'hash' }).update(u32(1), undefined)).toBe(-E.EFAULT);
  });

  test('[M-090] update of a ring buffer with F_LOCK is EINVAL, as locks are looked at first', () => {
    const fd = open({ type: 'ringbuf', keySize: 0, valueSize: 0, maxEntries: 4096 });
    expect(fd.update(undefined, undefined, 4n)).toBe(-E.EINVAL);
    expect(fd.update(undefined, undefined, 0n)).toBe(-E.ENOTSUPP);
  });
});

describe('arrays', () => {
  test('[M-054] [M-055] [M-056] an index is in range or not', () => {
    for (const type of ['array', 'percpu_array']) {
      const fd = open({ type, maxEntries: 3 });
      const value = new Uint8Array(16);
      expect(fd.lookup(u32(2), value)).toBe(0);
      expect(fd.lookup(u32(3), value)).toBe(-E.ENOENT);
      expect(fd.update(u32(3), value)).toBe(-E.E2BIG);
      expect(fd.update(u32(3), value, 2n)).toBe(-E.E2BIG);
      expect(fd.update(u32(2), value, 1n)).toBe(-E.EEXIST);
      expect(fd.update(u32(2), value, 2n)).toBe(0);
    }
  });

  test('[M-057] [M-058] nothing can be taken out', () => {
    const fd = open({ type: 'array' });
    expect(fd.delete(u32(0))).toBe(-E.EINVAL);
    expect(fd.delete(u32(999))).toBe(-E.EINVAL);
    expect(fd.lookupAndDelete(u32(0), v8)).toBe(-E.ENOTSUPP);
  });

  test('[M-059] [M-060] [M-061] keys are all indexes in turn', () => {
    const fd = open({ type: 'array', maxEntries: 3 });
    expect(next(fd, u32(0xffffffff))).toBe('00000000');
    expect(next(fd, u32(3))).toBe('00000000');
    expect(next(fd, u32(2))).toBe(-E.ENOENT);
    expect(next(fd, u32(1))).toBe('02000000');
    expect(next(fd, undefined)).toBe('00000000');
  });

  test('[M-073] a per-CPU value is one slot per CPU, CPU 0 first', () => {
    const fd = open({ type: 'percpu_array' });
    const map = fd.map() as BpfMap;
    const key = staged(env, 16);
    for (const cpu of [0, 1]) {
      env.memory.write(key + 8, u64(100 + cpu));
      expect(map.update!(key, key + 8, 0, 0, cpu)).toBe(0);
    }
    expect(fd.read(u32(0))).toEqual(Uint8Array.from([...u64(100), ...u64(101)]));
  });

  test('[M-128] mapped elements lie eight bytes apart, rounded up', () => {
    const fd = open({ type: 'array', valueSize: 12, flags: BPF_F_MMAPABLE });
    const mapping = fd.mmap(0, 4096);
    fd.update(u32(1), new Uint8Array(12).fill(7));
    expect(mapping).toMatchObject({ bytes: expect.any(Uint8Array) });
    const { bytes } = mapping as { bytes: Uint8Array };
    expect([...bytes.subarray(14, 30)]).toEqual([0, 0, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 0, 0]);
    bytes[16] = 9;
    expect((fd.read(u32(1)) as Uint8Array)[0]).toBe(9);
  });
});

describe('hashes', () => {
  for (const type of ['hash', 'percpu_hash', 'lru_hash', 'lru_percpu_hash']) {
    const value = new Uint8Array(type.includes('percpu') ? 16 : 8);

    test(`[M-062] [M-063] [M-064] [M-065] ${type}: missing, existing and flags`, () => {
      const fd = open({ type });
      expect(fd.lookup(u32(1), value)).toBe(-E.ENOENT);
      expect(fd.delete(u32(1))).toBe(-E.ENOENT);
      expect(fd.lookupAndDelete(u32(1), value)).toBe(-E.ENOENT);
      expect(fd.update(u32(1), value, 2n)).toBe(-E.ENOENT);
      expect(fd.update(u32(1), value, 1n)).toBe(0);
      expect(fd.update(u32(1), value, 1n)).toBe(-E.EEXIST);
      for (const flags of [3n, 8n, 1n << 32n]) expect(fd.update(u32(1), value, flags)).toBe(-E.EINVAL);
    });

    test(`[M-071] ${type}: lookup_and_delete gives the value and takes the key`, () => {
      const fd = open({ type });
      fd.update(u32(1), value.slice().fill(5));
      const out = value.slice();
      expect(fd.lookupAndDelete(u32(1), out)).toBe(0);
      expect(out).toEqual(value.slice().fill(5));
      expect(fd.lookup(u32(1), out)).toBe(-E.ENOENT);
    });
  }

  for (const flags of [0, BPF_F_NO_PREALLOC]) {
    for (const type of ['hash', 'percpu_hash']) {
      test(`[M-066] [M-067] [M-068] a full ${type} (flags ${flags}) replaces but takes no new key`, () => {
        const fd = open({ type, maxEntries: 3, flags });
        const value = new Uint8Array(16);
        for (const n of [1, 2, 3]) expect(fd.update(u32(n), value)).toBe(0);
        expect(fd.update(u32(4), value)).toBe(-E.E2BIG);
        for (let i = 0; i < 10; i++) {
          expect(fd.update(u32(1 + (i % 3)), value, 0n)).toBe(0);
          expect(fd.update(u32(1 + (i % 3)), value, 2n)).toBe(0);
        }
        expect(fd.update(u32(1), value, 1n)).toBe(-E.EEXIST);
        expect(fd.update(u32(4), value, 2n)).toBe(-E.ENOENT);
        expect(fd.delete(u32(2))).toBe(0);
        expect(fd.update(u32(4), value)).toBe(0);
        expect(fd.update(u32(5), value)).toBe(-E.E2BIG);
      });
    }
  }

  test('[M-069] [M-070] an absent key starts the walk over', () => {
    const fd = open({ type: 'hash' });
    expect(next(fd, undefined)).toBe(-E.ENOENT);
    for (const n of [1, 2, 3]) fd.update(u32(n), v8);
    expect(next(fd, u32(77))).toBe(next(fd, undefined));
  });

  test('[M-072] a per-CPU hash keeps the padding of its slots', () => {
    const fd = open({ type: 'percpu_hash', valueSize: 5 });
    const value = Uint8Array.from({ length: 16 }, (_, i) => i + 1);
    fd.update(u32(1), value);
    expect(fd.read(u32(1))).toEqual(value);
  });
});

describe('LPM tries', () => {
  test('[M-074] [M-075] full is ENOSPC, and EXIST is looked at before', () => {
    const fd = open({ ...lpmAttr, maxEntries: 1 });
    fd.update(lpmKey(8, 1, 0, 0, 0), v8);
    expect(fd.update(lpmKey(8, 2, 0, 0, 0), v8)).toBe(-E.ENOSPC);
    expect(fd.update(lpmKey(8, 2, 0, 0, 0), v8, 2n)).toBe(-E.ENOENT);
    expect(fd.update(lpmKey(8, 1, 0, 0, 0), v8, 2n)).toBe(0);
  });

  test('[M-076] a prefix that is too long', () => {
    const fd = open(lpmAttr);
    fd.update(lpmKey(8, 1, 0, 0, 0), v8);
    const long = lpmKey(33, 1, 0, 0, 0);
    expect(fd.lookup(long, v8)).toBe(-E.ENOENT);
    expect(fd.update(long, v8)).toBe(-E.EINVAL);
    expect(fd.delete(long)).toBe(-E.EINVAL);
    expect(next(fd, long, 8)).toBe(hex(lpmKey(8, 1, 0, 0, 0)));
    expect(fd.lookup(Uint8Array.from([0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0]), v8)).toBe(-E.ENOENT);
  });

  test('[M-077] data beyond the prefix is kept as given', () => {
    const fd = open(lpmAttr);
    fd.update(lpmKey(8, 1, 2, 3, 4), v8);
    expect(next(fd, undefined, 8)).toBe('0800000001020304');
    fd.update(lpmKey(8, 1, 9, 9, 9), v8);
    expect(next(fd, undefined, 8)).toBe('0800000001090909');
  });

  test('[M-078] the longest prefix within the length asked for is found', () => {
    const fd = open(lpmAttr);
    fd.update(lpmKey(8, 1, 0, 0, 0), u64(8));
    expect(fd.read(lpmKey(32, 1, 255, 255, 255))).toEqual(u64(8));
    expect(fd.read(lpmKey(7, 1, 0, 0, 0))).toBe(-E.ENOENT);
    fd.update(lpmKey(32, 1, 2, 3, 4), u64(32));
    expect(fd.read(lpmKey(32, 1, 2, 3, 4))).toEqual(u64(32));
    expect(fd.read(lpmKey(24, 1, 2, 3, 4))).toEqual(u64(8));
  });

  test('[M-079] more specific prefixes come first, bit 0 before bit 1', () => {
    const fd = open(lpmAttr);
    for (const [length, byte] of [
      [8, 128],
      [0, 0],
      [16, 128],
      [8, 0],
      [1, 128],
    ] as const) {
      fd.update(lpmKey(length, byte, 0, 0, 0), v8);
    }
    const order = [...fd.keys()].map((key) => `${key[4]}/${key[0]}`);
    expect(order).toEqual(['0/8', '128/16', '128/8', '128/1', '0/0']);
  });

  test('[M-080] there is no lookup_and_delete', () => {
    expect(open(lpmAttr).lookupAndDelete(lpmKey(8, 1, 0, 0, 0), v8)).toBe(-E.ENOTSUPP);
  });
});

describe('queues, stacks and bloom filters', () => {
  const read = (fd: MapFd) => fd.read(undefined);
  const take = (fd: MapFd) => {
    const out = new Uint8Array(8);
    return fd.lookupAndDelete(undefined, out) || Number(new DataView(out.buffer).getBigUint64(0, true));
  };

  test('[M-081] empty ones are ENOENT', () => {
    for (const type of ['queue', 'stack']) {
      const fd = open({ type, keySize: 0 });
      expect(read(fd)).toBe(-E.ENOENT);
      expect(take(fd)).toBe(-E.ENOENT);
    }
  });

  test('[M-082] a full queue refuses, or drops its oldest with BPF_EXIST', () => {
    const fd = open({ type: 'queue', keySize: 0, maxEntries: 2 });
    for (const n of [1, 2]) fd.update(undefined, u64(n));
    expect(fd.update(undefined, u64(3))).toBe(-E.E2BIG);
    expect(fd.update(undefined, u64(3), 2n)).toBe(0);
    expect([take(fd), take(fd), take(fd)]).toEqual([2, 3, -E.ENOENT]);
  });

  test('[M-083] [M-084] push with NOEXIST, delete and get_next_key are EINVAL', () => {
    for (const type of ['queue', 'stack']) {
      const fd = open({ type, keySize: 0 });
      expect(fd.update(undefined, v8, 1n)).toBe(-E.EINVAL);
      expect(fd.delete(undefined)).toBe(-E.EINVAL);
      expect(fd.nextKey(undefined, v8)).toBe(-E.EINVAL);
      expect(fd.lookupAndDelete(undefined, v8, 4n)).toBe(-E.EINVAL);
    }
  });

  test('[M-085] a full stack drops its bottom', () => {
    const fd = open({ type: 'stack', keySize: 0, maxEntries: 2 });
    for (const n of [1, 2]) fd.update(undefined, u64(n));
    expect(fd.update(undefined, u64(3), 2n)).toBe(0);
    expect([take(fd), take(fd), take(fd)]).toEqual([3, 2, -E.ENOENT]);
  });

  test('[M-086] [M-087] [M-088] a bloom filter is asked with the value', () => {
    const fd = open({ type: 'bloom_filter', keySize: 0, flags: BPF_F_ZERO_SEED });
    expect(fd.lookup(undefined, u64(5))).toBe(-E.ENOENT);
    expect(fd.update(undefined, u64(5))).toBe(0);
    expect(fd.lookup(undefined, u64(5))).toBe(0);
    expect(fd.lookup(undefined, u64(6))).toBe(-E.ENOENT);
    for (const flags of [1n, 2n]) expect(fd.update(undefined, v8, flags)).toBe(-E.EINVAL);
    expect(fd.delete(undefined)).toBe(-E.EOPNOTSUPP);
    expect(fd.nextKey(undefined, v8)).toBe(-E.EOPNOTSUPP);
    expect(fd.lookupAndDelete(undefined, v8)).toBe(-E.ENOTSUPP);
  });

  test('the bits of a bloom filter are the hashes of the value with seeds 0, 1, 2, ...', () => {
    const fd = open({
      type: 'bloom_filter',
      keySize: 0,
      valueSize: 4,
      maxEntries: 20,
      mapExtra: 3n,
      flags: BPF_F_ZERO_SEED,
    });
    const mask = bloomMask(20, 3);
    expect([mask, bloomMask(1, 5), bloomMask(0xffffffff, 5), bloomMask(2 ** 30, 3)]).toEqual([
      127,
      63,
      2 ** 32 - 1,
      2 ** 32 - 1,
    ]);
    const bits = (n: number) => [0, 1, 2].map((seed) => jhash(Int32Array.of(n), 0, 4, seed) & mask);
    const set = new Set<number>();
    for (let n = 0; n < 20; n++) {
      fd.update(undefined, u32(n * 7));
      for (const bit of bits(n * 7)) set.add(bit);
    }
    const found = (n: number) => fd.lookup(undefined, u32(n)) === 0;
    const numbers = Array.from({ length: 500 }, (_, n) => n);
    expect(numbers.filter(found)).toEqual(numbers.filter((n) => bits(n).every((bit) => set.has(bit))));
  });

  test('[M-089] a ring buffer has no elements', () => {
    const fd = open({ type: 'ringbuf', keySize: 0, valueSize: 0, maxEntries: 4096 });
    expect(fd.lookup(undefined, v8)).toBe(-E.ENOTSUPP);
    expect(fd.update(undefined, v8)).toBe(-E.ENOTSUPP);
    expect(fd.delete(undefined)).toBe(-E.ENOTSUPP);
    expect(fd.nextKey(undefined, v8)).toBe(-E.ENOTSUPP);
    expect(fd.lookupAndDelete(undefined, v8)).toBe(-E.ENOTSUPP);
  });
});

describe('program arrays', () => {
  const prog = (facts = {}) => u32(env.fds.open(progRef(facts)));
  const array = () => open({ type: 'prog_array', valueSize: 4, maxEntries: 4 });

  test('[M-092] [M-093] slots are empty, or give the id of the program', () => {
    const fd = array();
    expect(fd.lookup(u32(1), v8)).toBe(-E.ENOENT);
    expect(fd.delete(u32(1))).toBe(-E.ENOENT);
    expect(fd.delete(u32(4))).toBe(-E.E2BIG);
    const ref = progRef();
    expect(fd.update(u32(1), u32(env.fds.open(ref)))).toBe(0);
    expect(fd.read(u32(1))).toEqual(u32(ref.id));
    expect((fd.map() as BpfMap).progAt!(1)).toBe(ref);
    expect(fd.delete(u32(1))).toBe(0);
    expect((fd.map() as BpfMap).progAt!(1)).toBeUndefined();
  });

  test('[M-094] [M-095] flags, then the index, then the descriptor', () => {
    const fd = array();
    for (const flags of [1n, 2n]) expect(fd.update(u32(0), prog(), flags)).toBe(-E.EINVAL);
    expect(fd.update(u32(4), u32(9999))).toBe(-E.E2BIG);
    expect(fd.update(u32(0), u32(9999))).toBe(-E.EBADF);
    expect(fd.update(u32(0), u32(fd.fd))).toBe(-E.EINVAL);
  });

  test('[M-096] [M-097] the first program settles the type, even when it is gone', () => {
    const fd = array();
    expect(fd.update(u32(0), prog({ typeId: 6 }))).toBe(0);
    expect(fd.update(u32(1), prog({ typeId: 3 }))).toBe(-E.EINVAL);
    expect(fd.delete(u32(0))).toBe(0);
    expect(fd.update(u32(1), prog({ typeId: 3 }))).toBe(-E.EINVAL);
    expect(fd.update(u32(1), prog({ typeId: 6 }))).toBe(0);
  });

  test('[M-098] [M-099] a program that uses the array settles the type, and is refused where it is settled', () => {
    const fd = array();
    const map = fd.map() as BpfMap;
    expect(map.bindProgram!(progRef({ typeId: 3 }))).toBe(0);
    expect(fd.update(u32(0), prog({ typeId: 6 }))).toBe(-E.EINVAL);
    expect(map.bindProgram!(progRef({ typeId: 6 }))).toBe(-E.EINVAL);
    expect(map.bindProgram!(progRef({ typeId: 3 }))).toBe(0);
  });

  test('[M-100] [M-319] frags and attach type must agree too', () => {
    const fd = array();
    expect(fd.update(u32(0), prog())).toBe(0);
    expect(fd.update(u32(1), prog({ hasFrags: true }))).toBe(-E.EINVAL);
    for (const expectedAttachType of [37, 33, 35]) {
      expect(fd.update(u32(1), prog({ expectedAttachType }))).toBe(-E.EINVAL);
    }
  });

  test('[M-306] an EXT program cannot be inserted', () => {
    const fd = array();
    expect(fd.update(u32(0), prog({ typeId: 28 }))).toBe(-E.EINVAL);
    expect(fd.update(u32(0), prog({ typeId: 3 }))).toBe(0);
  });

  test('[M-101] the slots empty themselves when the last descriptor is closed', () => {
    const fd = array();
    const map = fd.map() as BpfMap;
    const second = openMap(env, map);
    fd.update(u32(0), prog());
    expect(fd.close()).toBe(0);
    expect(map.progAt!(0)).toBeDefined();
    expect(second.close()).toBe(0);
    expect(map.progAt!(0)).toBeUndefined();
    expect(second.close()).toBe(-E.EBADF);
  });
});

describe('maps of maps', () => {
  const fdOf = (attr: PartialAttr) => u32(open(attr).fd);
  const outer = (type: string, inner: PartialAttr) =>
    open({ type, valueSize: 4, maxEntries: 3, innerMap: makeMap(env, inner) });

  test('[M-102] an inner map must be like the template', () => {
    const fd = outer('array_of_maps', { type: 'array' });
    expect(fd.update(u32(0), fdOf({ type: 'array', valueSize: 4 }))).toBe(-E.EINVAL);
    expect(fd.update(u32(0), fdOf({ type: 'array', maxEntries: 9 }))).toBe(-E.EINVAL);
    expect(fd.update(u32(0), fdOf({ type: 'hash' }))).toBe(-E.EINVAL);
    expect(fd.update(u32(0), fdOf({ type: 'array' }))).toBe(0);
    expect(fd.update(u32(0), u32(env.fds.open(progRef())))).toBe(-E.EINVAL);
  });

  test('[M-103] a template with INNER_MAP takes arrays of another length with INNER_MAP', () => {
    const fd = outer('array_of_maps', { type: 'array', flags: BPF_F_INNER_MAP });
    expect(fd.update(u32(0), fdOf({ type: 'array', maxEntries: 9, flags: BPF_F_INNER_MAP }))).toBe(0);
    expect(fd.update(u32(0), fdOf({ type: 'array', maxEntries: 9 }))).toBe(-E.EINVAL);
  });

  test('[M-104] inner hashes may differ in max_entries but not in flags', () => {
    const fd = outer('hash_of_maps', { type: 'hash' });
    expect(fd.update(u32(0), fdOf({ type: 'hash', maxEntries: 99 }))).toBe(0);
    expect(fd.update(u32(0), fdOf({ type: 'hash', flags: BPF_F_NO_PREALLOC }))).toBe(-E.EINVAL);
  });

  test('[M-105] the descriptor is looked at before NOEXIST', () => {
    const fd = outer('hash_of_maps', { type: 'hash' });
    fd.update(u32(0), fdOf({ type: 'hash' }));
    expect(fd.update(u32(0), u32(9999), 1n)).toBe(-E.EBADF);
    expect(fd.update(u32(0), fdOf({ type: 'hash' }), 1n)).toBe(-E.EEXIST);
  });

  test('[M-106] replacing does not change the order', () => {
    const inner = makeMap(env, { type: 'hash' });
    const fd = open({ type: 'hash_of_maps', valueSize: 4, maxEntries: 1, innerMap: inner, flags: BPF_F_ZERO_SEED });
    const wide = open({ type: 'hash_of_maps', valueSize: 4, maxEntries: 64, innerMap: inner, flags: BPF_F_ZERO_SEED });
    for (let n = 0; n < 40; n++) wide.update(u32(n), fdOf({ type: 'hash' }));
    const order = [...wide.keys()].map(hex);
    // From the newest on: what moved to the front of its bucket would turn the order around.
    for (let n = 39; n >= 0; n--) expect(wide.update(u32(n), fdOf({ type: 'hash' }))).toBe(0);
    expect([...wide.keys()].map(hex)).toEqual(order);
    expect(fd.update(u32(0), fdOf({ type: 'hash' }))).toBe(0);
    expect(fd.update(u32(1), fdOf({ type: 'hash' }))).toBe(-E.E2BIG);
    expect(fd.update(u32(0), fdOf({ type: 'hash' }))).toBe(0);
  });

  test('[M-107] [M-308] user space reads the id, programs get the map that is in the slot now', () => {
    const key = staged(env, 4);
    for (const type of ['array_of_maps', 'hash_of_maps']) {
      const fd = outer(type, { type: 'hash' });
      const map = fd.map() as BpfMap;
      expect(fd.read(u32(0))).toBe(-E.ENOENT);
      expect(map.lookup!(key, 0)).toBe(0);
      for (let i = 0; i < 2; i++) {
        const inner = open({ type: 'hash' });
        const { id, handle } = inner.map() as BpfMap;
        expect(fd.update(u32(0), u32(inner.fd))).toBe(0);
        expect(fd.read(u32(0))).toEqual(u32(id));
        expect(map.lookup!(key, 0)).toBe(handle);
      }
      expect(fd.delete(u32(0))).toBe(0);
      expect(map.lookup!(key, 0)).toBe(0);
    }
  });

  test('[M-108] [M-109] the array looks at flags, then the index, then the descriptor', () => {
    const fd = outer('array_of_maps', { type: 'hash' });
    expect(fd.update(u32(7), u32(9999))).toBe(-E.E2BIG);
    expect(fd.update(u32(7), u32(9999), 1n)).toBe(-E.EINVAL);
    expect(fd.update(u32(0), u32(9999))).toBe(-E.EBADF);
  });

  test('[M-318] special fields must agree with the template', () => {
    const fd = outer('array_of_maps', { type: 'array', fields: { spinLock: 0 } });
    expect(fd.update(u32(0), fdOf({ type: 'array' }))).toBe(-E.EINVAL);
    expect(fd.update(u32(0), fdOf({ type: 'array', fields: { spinLock: 0 } }))).toBe(0);
  });
});

describe('other maps that hold descriptors', () => {
  test('[M-091] a perf_event_array cannot be looked up', () => {
    const fd = open({ type: 'perf_event_array', valueSize: 4, maxEntries: 2 });
    for (const n of [0, 1, 99]) expect(fd.lookup(u32(n), v8)).toBe(-E.ENOTSUPP);
  });

  test('[M-320] only perf events go into a perf_event_array', () => {
    const fd = open({ type: 'perf_event_array', valueSize: 4 });
    expect(fd.update(u32(0), u32(fd.fd))).toBe(-E.EBADF);
    expect(fd.update(u32(0), u32(env.fds.open(progRef())))).toBe(-E.EBADF);
    expect(fd.update(u32(0), u32(openPerfEvent(env, { cpu: 0, pages: 1 }).fd))).toBe(0);
  });

  test('[M-307] perf events go with the map file that they came through, unless they are preserved', () => {
    for (const flags of [0, BPF_F_PRESERVE_ELEMS]) {
      const fd = open({ type: 'perf_event_array', valueSize: 4, flags });
      const other = openMap(env, fd.map() as BpfMap);
      for (const [n, file] of [fd, other].entries()) {
        expect(file.update(u32(n), u32(openPerfEvent(env, { cpu: 0, pages: 1 }).fd))).toBe(0);
      }
      other.close();
      expect(fd.delete(u32(0))).toBe(0);
      expect(fd.delete(u32(1))).toBe(flags === 0 ? -E.ENOENT : 0);
    }
  });

  test('[M-110] only cgroups go into a cgroup_array', () => {
    const fd = open({ type: 'cgroup_array', valueSize: 4 });
    expect(fd.update(u32(0), u32(env.fds.open(progRef())))).toBe(-E.EBADF);
    expect(fd.update(u32(0), u32(env.fds.open({ kind: 'cgroup' })))).toBe(0);
  });

  test('[M-112] storage of a cgroup that nothing is attached to', () => {
    const fd = open({ type: 'cgroup_storage', keySize: 8, maxEntries: 0 });
    expect([0n, 2n, 1n].map((flags) => fd.update(u64(1), v8, flags))).toEqual([-E.ENOENT, -E.ENOENT, -E.EINVAL]);
  });

  test('[M-114] a stack_trace cannot be written', () => {
    const fd = open({ type: 'stack_trace', maxEntries: 4 });
    expect(fd.update(u32(0), v8)).toBe(-E.EINVAL);
    expect(fd.delete(u32(0))).toBe(-E.ENOENT);
    expect(fd.delete(u32(4))).toBe(-E.E2BIG);
  });
});

describe('permissions', () => {
  const pair = (attr: PartialAttr, access: 'ro' | 'wo') => {
    const map = makeMap(env, attr);
    return { all: openMap(env, map), fd: openMap(env, map, { access }) };
  };

  test('[M-115] a read-only descriptor reads', () => {
    const { all, fd } = pair({ type: 'hash' }, 'ro');
    all.update(u32(1), v8);
    expect(fd.update(u32(1), v8)).toBe(-E.EPERM);
    expect(fd.delete(u32(1))).toBe(-E.EPERM);
    expect(fd.lookupAndDelete(u32(1), v8)).toBe(-E.EPERM);
    expect(fd.freeze()).toBe(-E.EPERM);
    expect(fd.lookup(u32(1), v8)).toBe(0);
    expect(next(fd, undefined)).toBe('01000000');
  });

  test('[M-116] a write-only descriptor writes', () => {
    const { fd } = pair({ type: 'hash' }, 'wo');
    expect(fd.update(u32(1), v8)).toBe(0);
    expect(fd.lookup(u32(1), v8)).toBe(-E.EPERM);
    expect(next(fd, undefined)).toBe(-E.EPERM);
    expect(fd.lookupAndDelete(u32(1), v8)).toBe(-E.EPERM);
    expect(fd.lookupBatch({ count: 1, keys: u32(0), values: v8.slice() }).errno).toBe(-E.EPERM);
    expect(fd.delete(u32(1))).toBe(0);
    expect(fd.freeze()).toBe(0);
  });

  test('[M-117] [M-118] [M-119] a frozen map is closed to user space only', () => {
    const fd = open({ type: 'hash' });
    fd.update(u32(1), v8);
    expect(fd.freeze()).toBe(0);
    expect(fd.update(u32(1), v8)).toBe(-E.EPERM);
    expect(fd.delete(u32(1))).toBe(-E.EPERM);
    expect(fd.lookupAndDelete(u32(1), v8)).toBe(-E.EPERM);
    expect(fd.updateBatch({ count: 1, keys: u32(0), values: v8 }).errno).toBe(-E.EPERM);
    expect(fd.lookup(u32(1), v8)).toBe(0);
    expect(fd.freeze()).toBe(-E.EPERM);
    const key = staged(env, 16);
    expect((fd.map() as BpfMap).update!(key, key + 8, 0, 0, 0)).toBe(0);
    expect(fd.lookup(u32(0), v8)).toBe(0);
  });

  test('[M-120] maps with special fields cannot be frozen', () => {
    expect(open({ type: 'array', fields: { spinLock: 0 } }).freeze()).toBe(-E.ENOTSUPP);
    expect(open({ type: 'array', valueSize: 16, fields: { timer: 0 } }).freeze()).toBe(-E.ENOTSUPP);
  });

  test('[M-131] _PROG flags do not bind user space', () => {
    for (const flags of [BPF_F_RDONLY_PROG, BPF_F_WRONLY_PROG]) {
      const fd = open({ type: 'hash', flags });
      expect(fd.update(u32(1), u64(7))).toBe(0);
      expect(fd.read(u32(1))).toEqual(u64(7));
      expect(fd.delete(u32(1))).toBe(0);
    }
  });
});

describe('mmap', () => {
  const mapped = (fd: MapFd, offset: number, length: number, how = {}) => {
    const mapping = fd.mmap(offset, length, how);
    return typeof mapping === 'number' ? mapping : 0;
  };
  const array = (flags = BPF_F_MMAPABLE, access: 'rw' | 'ro' | 'wo' = 'rw') =>
    openMap(env, makeMap(env, { type: 'array', flags, maxEntries: 600 }), { access });

  test('[M-121] [M-122] a writable mapping keeps a map from being frozen', () => {
    const fd = array();
    const reading = fd.mmap(0, 4096);
    const writing = fd.mmap(0, 4096, { write: true }) as { unmap(): void };
    expect(reading).toBeTypeOf('object');
    expect(fd.freeze()).toBe(-E.EBUSY);
    writing.unmap();
    writing.unmap();
    expect(fd.freeze()).toBe(0);
  });

  test('[M-123] a frozen map can be mapped for reading', () => {
    const fd = array();
    fd.freeze();
    expect(mapped(fd, 0, 4096, { write: true })).toBe(-E.EPERM);
    expect(mapped(fd, 0, 4096)).toBe(0);
  });

  test('[M-124] a read-only descriptor cannot be mapped at all, a write-only one neither', () => {
    const fd = array(BPF_F_MMAPABLE, 'ro');
    expect(mapped(fd, 0, 4096)).toBe(-E.EINVAL);
    expect(mapped(fd, 0, 4096, { write: true })).toBe(-E.EACCES);
    expect(mapped(array(BPF_F_MMAPABLE, 'wo'), 0, 4096)).toBe(-E.EACCES);
  });

  test('[M-125] RDONLY_PROG forbids writable mappings', () => {
    const fd = array(BPF_F_MMAPABLE | BPF_F_RDONLY_PROG);
    expect(mapped(fd, 0, 4096, { write: true })).toBe(-E.EACCES);
    expect(mapped(fd, 0, 4096)).toBe(0);
    expect(mapped(array(BPF_F_MMAPABLE | BPF_F_WRONLY_PROG), 0, 4096, { write: true })).toBe(0);
  });

  test('[M-126] a hash cannot be mapped', () => {
    expect(mapped(open({ type: 'hash' }), 0, 4096)).toBe(-E.ENOTSUPP);
  });

  test('[M-127] only what is there, shared, of arrays that allow it', () => {
    const fd = array();
    expect(mapped(fd, 0, 8192)).toBe(0);
    expect(mapped(fd, 4096, 4096)).toBe(0);
    expect(mapped(fd, 0, 12288)).toBe(-E.EINVAL);
    expect(mapped(fd, 8192, 4096)).toBe(-E.EINVAL);
    expect(mapped(fd, 0, 4096, { shared: false })).toBe(-E.EINVAL);
    expect(mapped(fd, 100, 4096)).toBe(-E.EINVAL);
    expect(mapped(fd, 0, 0)).toBe(-E.EINVAL);
    expect(mapped(array(0), 0, 4096)).toBe(-E.EINVAL);
  });
});

describe('info', () => {
  test('[M-132] [M-133] is cut to the buffer, whose tail must be zero', () => {
    const fd = open({ type: 'lru_hash', name: 'flows', flags: BPF_F_NUMA_NODE });
    const { id } = fd.map() as BpfMap;
    expect(fd.infoBytes(new Uint8Array(256).fill(1, 104))).toBe(-E.E2BIG);
    expect(fd.infoBytes(new Uint8Array(256))).toBe(104);
    const short = new Uint8Array(8);
    expect(fd.infoBytes(short)).toBe(8);
    expect(short).toEqual(Uint8Array.from([...u32(9), ...u32(id)]));
    const whole = new Uint8Array(104);
    fd.infoBytes(whole);
    expect(hex(whole.subarray(8, 48))).toBe(
      hex(Uint8Array.from([...u32(4), ...u32(8), ...u32(8), ...u32(4)])) +
        Buffer.from('flows').toString('hex').padEnd(48, '0'),
    );
    expect(new MapFd(env, 9999).infoBytes(short)).toBe(-E.EBADF);
  });
});

describe('redirect maps', () => {
  const devmapProg = (facts = {}) => u32(env.fds.open(progRef({ expectedAttachType: 33, ...facts })));
  const pairOf = (a: number, b: Uint8Array) => Uint8Array.from([...u32(a), ...b]);

  test('[M-113] deleting an empty slot is fine, beyond the end it is EINVAL', () => {
    for (const type of ['devmap', 'cpumap']) {
      const fd = open({ type, maxEntries: 2 });
      expect(fd.delete(u32(1))).toBe(0);
      expect(fd.delete(u32(2))).toBe(-E.EINVAL);
    }
  });

  test('a devmap takes devices with programs of its kind, in the order of checks of the kernel', () => {
    const fd = open({ type: 'devmap', maxEntries: 2 });
    const device = (ifindex: number, prog = u32(0)) => fd.update(u32(0), pairOf(ifindex, prog));
    expect(fd.update(u32(9), v8, 3n)).toBe(-E.EINVAL);
    expect(fd.update(u32(9), v8, 1n)).toBe(-E.E2BIG);
    expect(fd.update(u32(0), v8, 1n)).toBe(-E.EEXIST);
    expect(device(0, devmapProg())).toBe(-E.EINVAL);
    expect(device(0)).toBe(0);
    expect(device(7)).toBe(0);
    expect(device(7, u32(9999))).toBe(-E.EINVAL);
    expect(device(7, devmapProg({ expectedAttachType: 0 }))).toBe(-E.EINVAL);
    expect(device(7, devmapProg({ typeId: 3 }))).toBe(-E.EINVAL);
    const prog = progRef({ expectedAttachType: 33 });
    expect(device(7, u32(env.fds.open(prog)))).toBe(0);
    expect(fd.read(u32(0))).toEqual(pairOf(7, u32(prog.id)));
    const map = fd.map() as BpfMap & { entryAt(index: number): unknown; forgetDevice(ifindex: number): void };
    expect(map.entryAt(0)).toEqual({ ifindex: 7, prog });
    map.forgetDevice(7);
    expect(fd.read(u32(0))).toBe(-E.ENOENT);
  });

  test('devices that do not exist are refused where the lab knows them', () => {
    const lab = { ...testEnv({ memory: 1 << 20 }), deviceExists: (ifindex: number) => ifindex === 3 };
    for (const type of ['devmap', 'devmap_hash']) {
      const fd = openMap(lab, makeMap(lab, { type, valueSize: 4 }));
      expect(fd.update(u32(1), u32(2))).toBe(-E.EINVAL);
      expect(fd.update(u32(1), u32(3))).toBe(0);
    }
  });

  test('a devmap_hash walks its buckets by key, newest first', () => {
    const fd = open({ type: 'devmap_hash', maxEntries: 4 });
    expect(fd.update(u32(1), pairOf(0, u32(0)))).toBe(-E.EINVAL);
    for (const key of [7, 3, 2, 1]) expect(fd.update(u32(key), pairOf(key, u32(0)), 2n)).toBe(0);
    expect(fd.update(u32(9), pairOf(9, u32(0)))).toBe(-E.E2BIG);
    expect(fd.update(u32(7), pairOf(8, u32(0)), 1n)).toBe(-E.EEXIST);
    expect([...fd.keys()].map((key) => key[0])).toEqual([1, 2, 3, 7]);
    expect(fd.update(u32(7), pairOf(8, u32(0)))).toBe(0);
    expect([...fd.keys()].map((key) => key[0])).toEqual([1, 2, 7, 3]);
    const map = fd.map() as BpfMap & { entries(): Iterable<{ ifindex: number }> };
    expect([...map.entries()].map((entry) => entry.ifindex)).toEqual([1, 2, 8, 3]);
    expect(fd.delete(u32(7))).toBe(0);
    expect(fd.delete(u32(7))).toBe(-E.ENOENT);
  });

  test('a program finds the device and the program id, and may not write them', () => {
    const key = staged(env, 4);
    env.memory.write(key, u32(1));
    for (const type of ['devmap', 'devmap_hash']) {
      const fd = open({ type });
      fd.update(u32(1), pairOf(5, u32(0)));
      const at = (fd.map() as BpfMap).lookup!(key, 0);
      expect(env.memory.u32[at >> 2]).toBe(5);
      expect([env.memory.accessible(at, 8, false), env.memory.accessible(at, 4, true)]).toEqual([true, false]);
    }
  });

  test('a cpumap checks queue size, CPU and program in that order', () => {
    const fd = open({ type: 'cpumap', maxEntries: 4 });
    const update = (cpu: number, qsize: number, prog = u32(0), flags = 0n) =>
      fd.update(u32(cpu), pairOf(qsize, prog), flags);
    expect(update(4, 1)).toBe(-E.E2BIG);
    expect(update(0, 1, u32(0), 1n)).toBe(-E.EEXIST);
    expect(update(3, 16385)).toBe(-E.EOVERFLOW);
    expect(update(3, 192)).toBe(-E.ENODEV);
    expect(update(1, 0, u32(9999))).toBe(0);
    expect(update(1, 192, u32(9999))).toBe(-E.ENOMEM);
    expect(update(1, 192, devmapProg())).toBe(-E.ENOMEM);
    const prog = progRef({ expectedAttachType: 35 });
    expect(update(1, 192, u32(env.fds.open(prog)))).toBe(0);
    expect(fd.read(u32(1))).toEqual(pairOf(192, u32(prog.id)));
    const map = fd.map() as BpfMap & { entryAt(cpu: number): unknown };
    expect(map.entryAt(1)).toEqual({ cpu: 1, qsize: 192, prog });
  });

  test('an xskmap takes AF_XDP sockets', () => {
    const fd = open({ type: 'xskmap', valueSize: 4 });
    const socket = (family: number) => u32(env.fds.open({ kind: 'socket', family } as never));
    expect(fd.update(u32(0), u32(9999))).toBe(-E.EBADF);
    expect(fd.update(u32(0), u32(fd.fd))).toBe(-E.ENOTSOCK);
    expect(fd.update(u32(0), socket(2))).toBe(-E.EOPNOTSUPP);
    expect(fd.update(u32(0), socket(44), 2n)).toBe(-E.ENOENT);
    const first = socket(44);
    expect(fd.update(u32(0), first)).toBe(0);
    expect(fd.update(u32(0), first, 1n)).toBe(0);
    expect(fd.update(u32(0), socket(44), 1n)).toBe(-E.EEXIST);
    expect(fd.lookup(u32(0), v8)).toBe(-E.EOPNOTSUPP);
  });
});
