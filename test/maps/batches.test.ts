import { expect, test } from 'vitest';
import { E } from '../../src/base/errno.ts';
import { BPF_F_NO_PREALLOC, BPF_F_ZERO_SEED } from '../../src/maps/map-flags.ts';
import { type MapFd, openMap } from '../../src/maps/syscall.ts';
import { hex, makeMap, type PartialAttr, testEnv, u32, u64 } from './support/env.ts';

const env = testEnv();
const open = (attr: PartialAttr) => openMap(env, makeMap(env, attr));
const buffers = (count: number) => ({ keys: new Uint8Array(4 * count), values: new Uint8Array(8 * count), count });
const keysFrom = (...numbers: number[]) => Uint8Array.from(numbers.flatMap((n) => [...u32(n)]));
const inOrder = (keys: Uint8Array, count: number) =>
  Array.from({ length: count }, (_, i) => hex(keys.subarray(i * 4, i * 4 + 4)));

function filled(attr: PartialAttr, count: number): MapFd {
  const fd = open(attr);
  for (let n = 0; n < count; n++) expect(fd.update(u32(n), u64(n))).toBe(0);
  return fd;
}

test('[M-135] a walk in batches ends with ENOENT and what was left', () => {
  const fd = open({ type: 'array', maxEntries: 5 });
  fd.update(u32(4), u64(44));
  const first = buffers(3);
  const one = fd.lookupBatch(first);
  expect(one).toEqual({ errno: 0, count: 3, next: u32(2) });
  expect(first.keys).toEqual(keysFrom(0, 1, 2));
  const second = buffers(3);
  expect(fd.lookupBatch({ ...second, from: one.next })).toEqual({ errno: -E.ENOENT, count: 2, next: u32(4) });
  expect(second.values.subarray(8, 16)).toEqual(u64(44));
});

test('[M-136] a batch of exactly all elements succeeds, the next one finds nothing', () => {
  const fd = open({ type: 'array', maxEntries: 5 });
  const all = fd.lookupBatch(buffers(5));
  expect(all).toMatchObject({ errno: 0, count: 5 });
  expect(fd.lookupBatch({ ...buffers(5), from: all.next })).toEqual({ errno: -E.ENOENT, count: 0 });
});

test('[M-137] an update stops at the first failure, and says where', () => {
  const fd = open({ type: 'array', maxEntries: 5 });
  const values = Uint8Array.from([...u64(1), ...u64(2), ...u64(3)]);
  expect(fd.updateBatch({ keys: keysFrom(0, 9, 1), values, count: 3 })).toEqual({ errno: -E.E2BIG, count: 1 });
  expect(fd.read(u32(0))).toEqual(u64(1));
  expect(fd.read(u32(1))).toEqual(u64(0));
});

test('[M-138] NOEXIST and EXIST are no flags of a batch', () => {
  for (const type of ['array', 'hash']) {
    const fd = open({ type });
    for (const elemFlags of [1n, 2n, 4n]) {
      expect(fd.updateBatch({ ...buffers(1), elemFlags })).toEqual({ errno: -E.EINVAL, count: 1 });
    }
  }
  const locked = open({ type: 'hash', fields: { spinLock: 0 } });
  for (const elemFlags of [1n, 2n, 5n, 6n]) {
    expect(locked.updateBatch({ ...buffers(1), elemFlags })).toEqual({ errno: -E.EINVAL, count: 1 });
  }
  expect(locked.updateBatch({ ...buffers(1), elemFlags: 4n })).toEqual({ errno: 0, count: 1 });
});

test('[M-139] batch flags are refused by hashes and ignored by arrays', () => {
  expect(filled({ type: 'hash' }, 3).lookupBatch({ ...buffers(2), flags: 1n })).toEqual({ errno: -E.EINVAL, count: 2 });
  expect(open({ type: 'array' }).lookupBatch({ ...buffers(2), flags: 1n })).toMatchObject({ errno: 0, count: 2 });
});

test('[M-140] a bucket that does not fit is ENOSPC when it is the first, else it waits', () => {
  const fd = filled({ type: 'hash', maxEntries: 64, flags: BPF_F_ZERO_SEED }, 40);
  let fullest = 0;
  let from: Uint8Array | undefined;
  for (let bucket = 0; bucket < 64; bucket++) {
    const result = fd.lookupBatch({ ...buffers(1), from: u32(bucket) });
    if (result.errno === -E.ENOSPC && fullest === 0) {
      fullest = bucket;
      expect(result).toEqual({ errno: -E.ENOSPC, count: 0, next: u32(bucket) });
      from = result.next;
    }
  }
  expect(fullest).toBeGreaterThan(0);
  expect(fd.lookupBatch({ ...buffers(40), from }).count).toBeGreaterThan(1);
});

test('[M-141] [M-142] a bucket beyond the table and a count of none', () => {
  const fd = filled({ type: 'hash' }, 4);
  expect(fd.lookupBatch({ ...buffers(2), from: u32(8) })).toEqual({ errno: -E.ENOENT, count: 0 });
  expect(fd.lookupBatch(buffers(0))).toEqual({ errno: 0, count: 0 });
  expect(fd.updateBatch(buffers(0))).toEqual({ errno: 0, count: 0 });
});

test('[M-143] everything can be taken out at once', () => {
  for (const type of ['hash', 'lru_hash']) {
    const fd = filled({ type, maxEntries: 16 }, 6);
    const taken = buffers(16);
    expect(fd.lookupAndDeleteBatch(taken)).toEqual({ errno: -E.ENOENT, count: 6, next: u32(16) });
    expect(inOrder(taken.keys, 6).sort()).toEqual(inOrder(keysFrom(0, 1, 2, 3, 4, 5), 6));
    expect([...fd.keys()]).toEqual([]);
    expect(filled({ type, maxEntries: 16 }, 6).lookupBatch(buffers(16)).count).toBe(6);
  }
});

test('[M-144] a missing key stops a delete, and the later ones stay', () => {
  const fd = filled({ type: 'hash' }, 3);
  expect(fd.deleteBatch({ keys: keysFrom(0, 9, 1), count: 3 })).toEqual({ errno: -E.ENOENT, count: 1 });
  expect([0, 1, 2].map((n) => fd.lookup(u32(n), new Uint8Array(8)))).toEqual([-E.ENOENT, 0, 0]);
});

test('[M-145] an update of more keys than there is room for stops when the map is full', () => {
  const fd = open({ type: 'hash', maxEntries: 2 });
  expect(fd.updateBatch({ ...buffers(3), keys: keysFrom(0, 1, 2) })).toEqual({ errno: -E.E2BIG, count: 2 });
});

test('[M-146] batches walk as get_next_key does', () => {
  const fd = filled({ type: 'hash', maxEntries: 64, flags: BPF_F_ZERO_SEED }, 20);
  const all: string[] = [];
  const calls: (number | undefined)[][] = [];
  let from: Uint8Array | undefined;
  for (let errno = 0; errno === 0; ) {
    const room = buffers(7);
    const result = fd.lookupBatch({ ...room, from });
    ({ errno } = result);
    from = result.next;
    calls.push([result.errno, result.count, from?.[0]]);
    all.push(...inOrder(room.keys, result.count));
  }
  expect(all).toEqual([...fd.keys()].map(hex));
  expect(calls).toEqual([
    [0, 7, 27],
    [0, 7, 55],
    [-E.ENOENT, 6, 64],
  ]);
});

test('arrays of maps skip empty slots, tries go key by key', () => {
  const inner = makeMap(env, { type: 'hash' });
  const fd = open({ type: 'array_of_maps', valueSize: 4, maxEntries: 4, innerMap: inner });
  fd.update(u32(2), u32(env.fds.open(inner)));
  const room = { keys: new Uint8Array(16), values: new Uint8Array(16), count: 4 };
  expect(fd.lookupBatch(room)).toEqual({ errno: -E.ENOENT, count: 1, next: u32(3) });
  expect([room.keys.subarray(0, 4), room.values.subarray(0, 4)]).toEqual([u32(2), u32(inner.id)]);

  const trie = open({ type: 'lpm_trie', keySize: 5, flags: BPF_F_NO_PREALLOC });
  const keys = Uint8Array.from([8, 0, 0, 0, 1, 8, 0, 0, 0, 2, 0, 0, 0, 0, 0]);
  expect(trie.updateBatch({ keys, values: new Uint8Array(24), count: 3 })).toEqual({ errno: 0, count: 3 });
  const out = { keys: new Uint8Array(15), values: new Uint8Array(24), count: 3 };
  expect(trie.lookupBatch(out)).toMatchObject({ errno: 0, count: 3 });
  expect(out.keys).toEqual(keys);
  expect(trie.deleteBatch({ keys, count: 3 })).toEqual({ errno: 0, count: 3 });
});

test('buffers that are too short are bad pointers', () => {
  const fd = open({ type: 'hash' });
  expect(fd.updateBatch({ ...buffers(1), count: 2 }).errno).toBe(-E.EFAULT);
  expect(fd.lookupBatch({ ...buffers(2), values: new Uint8Array(8) }).errno).toBe(-E.EFAULT);
  expect(fd.lookupBatch({ ...buffers(2), from: new Uint8Array(2) }).errno).toBe(-E.EFAULT);
});
