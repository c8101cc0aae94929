import { describe, expect, test } from 'vitest';
import { E, type ErrnoName } from '../../src/base/errno.ts';
import type { BpfMap } from '../../src/maps/map.ts';
import { BPF_F_MMAPABLE, BPF_F_NO_PREALLOC } from '../../src/maps/map-flags.ts';
import { openPerfEvent } from '../../src/maps/perf-event.ts';
import { type MapFd, openMap } from '../../src/maps/syscall.ts';
import { AF_XDP, type SocketRef } from '../../src/maps/xskmap.ts';
import { makeMap, type PartialAttr, progRef, type TestEnv, testEnv, u32 } from './support/env.ts';

type Answer = 'ok' | ErrnoName;

/** One map type: how to make it and fill it, and what each operation answers. */
interface Case {
  readonly attr: PartialAttr;
  /** Descriptor to put into fd-holding maps; others get a plain value. */
  readonly fd?: (env: TestEnv) => number;
  /** Keys 0, 1, ... of the type; default: the u32. */
  readonly key?: (n: number) => Uint8Array;
  readonly missing: Answer;
  /** BPF_NOEXIST on an existing key, BPF_EXIST on a missing one, flags 3. */
  readonly noexist: Answer;
  readonly exist: Answer;
  readonly both: Answer;
  /** One element more than there is room for. */
  readonly full: Answer;
  readonly deleteMissing: Answer;
  /** First key of an empty map. */
  readonly nextKey: Answer;
  readonly lookupAndDelete: Answer;
  readonly mmap: Answer;
  readonly batch: { readonly [command in 'lookup' | 'update' | 'delete' | 'take']: boolean };
}

const none = { lookup: false, update: false, delete: false, take: false };
const all = { lookup: true, update: true, delete: true, take: true };
const lpmKey = (n: number) => Uint8Array.from([32, 0, 0, 0, 10, 0, 0, n]);
const prefixes = { keySize: 8, flags: BPF_F_NO_PREALLOC };
const bytes = { keySize: 0, valueSize: 0, maxEntries: 4096 };

const hashLike = {
  missing: 'ENOENT',
  noexist: 'EEXIST',
  exist: 'ENOENT',
  both: 'EINVAL',
  full: 'E2BIG',
  deleteMissing: 'ENOENT',
  nextKey: 'ENOENT',
  lookupAndDelete: 'ENOENT',
  mmap: 'ENOTSUPP',
  batch: all,
} as const;
const arrayLike = {
  missing: 'ENOENT',
  noexist: 'EEXIST',
  exist: 'E2BIG',
  both: 'EINVAL',
  full: 'E2BIG',
  deleteMissing: 'EINVAL',
  nextKey: 'ok',
  lookupAndDelete: 'ENOTSUPP',
  mmap: 'EINVAL',
  batch: { lookup: true, update: true, delete: false, take: false },
} as const;
const fdArrayLike = {
  ...arrayLike,
  noexist: 'EINVAL',
  exist: 'EINVAL',
  deleteMissing: 'E2BIG',
  mmap: 'ENOTSUPP',
  batch: none,
} as const;
const redirectLike = { ...arrayLike, deleteMissing: 'EINVAL', mmap: 'ENOTSUPP', batch: none } as const;
const queueLike = {
  ...hashLike,
  noexist: 'EINVAL',
  exist: 'ok',
  deleteMissing: 'EINVAL',
  nextKey: 'EINVAL',
  batch: none,
} as const;
const ringLike = {
  missing: 'ENOTSUPP',
  noexist: 'ENOTSUPP',
  exist: 'ENOTSUPP',
  both: 'ENOTSUPP',
  full: 'ENOTSUPP',
  deleteMissing: 'ENOTSUPP',
  nextKey: 'ENOTSUPP',
  lookupAndDelete: 'ENOTSUPP',
  mmap: 'ok',
  batch: none,
} as const;
const inner = (env: TestEnv) => env.fds.open(makeMap(env, { type: 'hash' }));
const xsk = (env: TestEnv) => env.fds.open({ kind: 'socket', family: AF_XDP } as SocketRef);

const cases: Record<string, Case> = {
  array: { attr: { type: 'array' }, ...arrayLike },
  'array (MMAPABLE)': { attr: { type: 'array', flags: BPF_F_MMAPABLE }, ...arrayLike, mmap: 'ok' },
  percpu_array: { attr: { type: 'percpu_array' }, ...arrayLike, mmap: 'ENOTSUPP' },
  hash: { attr: { type: 'hash' }, ...hashLike },
  'hash (NO_PREALLOC)': { attr: { type: 'hash', flags: BPF_F_NO_PREALLOC }, ...hashLike },
  'hash (odd key)': {
    attr: { type: 'hash', keySize: 7 },
    key: (n) => Uint8Array.of(n, 2, 3, 4, 5, 6, 7),
    ...hashLike,
  },
  percpu_hash: { attr: { type: 'percpu_hash' }, ...hashLike },
  'percpu_hash (NO_PREALLOC)': { attr: { type: 'percpu_hash', flags: BPF_F_NO_PREALLOC }, ...hashLike },
  lru_hash: { attr: { type: 'lru_hash' }, ...hashLike, full: 'ok' },
  lru_percpu_hash: { attr: { type: 'lru_percpu_hash' }, ...hashLike, full: 'ok' },
  lpm_trie: {
    attr: { type: 'lpm_trie', ...prefixes },
    key: lpmKey,
    ...hashLike,
    full: 'ENOSPC',
    lookupAndDelete: 'ENOTSUPP',
    batch: { ...all, take: false },
  },
  prog_array: { attr: { type: 'prog_array', valueSize: 4 }, fd: (env) => env.fds.open(progRef()), ...fdArrayLike },
  perf_event_array: {
    attr: { type: 'perf_event_array', valueSize: 4 },
    fd: (env) => openPerfEvent(env, { cpu: 0, pages: 1 }).fd,
    ...fdArrayLike,
    missing: 'ENOTSUPP',
  },
  cgroup_array: {
    attr: { type: 'cgroup_array', valueSize: 4 },
    fd: (env) => env.fds.open({ kind: 'cgroup' }),
    ...fdArrayLike,
    missing: 'ENOTSUPP',
  },
  array_of_maps: {
    attr: { type: 'array_of_maps', valueSize: 4 },
    fd: inner,
    ...fdArrayLike,
    batch: { lookup: true, update: true, delete: false, take: false },
  },
  hash_of_maps: {
    attr: { type: 'hash_of_maps', valueSize: 4 },
    fd: inner,
    ...hashLike,
    lookupAndDelete: 'ENOTSUPP',
  },
  queue: { attr: { type: 'queue', keySize: 0 }, ...queueLike },
  stack: { attr: { type: 'stack', keySize: 0 }, ...queueLike },
  bloom_filter: {
    attr: { type: 'bloom_filter', keySize: 0 },
    ...queueLike,
    exist: 'EINVAL',
    full: 'ok',
    deleteMissing: 'EOPNOTSUPP',
    nextKey: 'EOPNOTSUPP',
    lookupAndDelete: 'ENOTSUPP',
  },
  ringbuf: { attr: { type: 'ringbuf', ...bytes }, ...ringLike },
  user_ringbuf: { attr: { type: 'user_ringbuf', ...bytes }, ...ringLike, mmap: 'EPERM' },
  devmap: { attr: { type: 'devmap' }, ...redirectLike },
  devmap_hash: { attr: { type: 'devmap_hash' }, ...hashLike, exist: 'ok', lookupAndDelete: 'ENOTSUPP', batch: none },
  cpumap: { attr: { type: 'cpumap', maxEntries: 2 }, ...redirectLike },
  xskmap: { attr: { type: 'xskmap', valueSize: 4 }, fd: xsk, ...redirectLike, missing: 'EOPNOTSUPP', noexist: 'ok' },
  stack_trace: {
    attr: { type: 'stack_trace' },
    ...hashLike,
    noexist: 'EINVAL',
    exist: 'EINVAL',
    full: 'EINVAL',
    deleteMissing: 'E2BIG',
    batch: none,
  },
  cgroup_storage: {
    attr: { type: 'cgroup_storage', keySize: 8, maxEntries: 0 },
    key: (n) => Uint8Array.of(n, 0, 0, 0, 0, 0, 0, 0),
    ...hashLike,
    noexist: 'EINVAL',
    full: 'ENOENT',
    deleteMissing: 'EINVAL',
    lookupAndDelete: 'ENOTSUPP',
    batch: none,
  },
};

const code = (answer: Answer) => (answer === 'ok' ? 0 : -E[answer]);

interface Setup {
  readonly env: TestEnv;
  readonly map: BpfMap;
  readonly fd: MapFd;
  readonly value: Uint8Array;
  key(n: number): Uint8Array | undefined;
}

const shared = testEnv();

function setup(c: Case, env = shared): Setup {
  const needsInner = c.attr.type.endsWith('_of_maps');
  const map = makeMap(env, { ...c.attr, ...(needsInner ? { innerMap: makeMap(env, { type: 'hash' }) } : {}) });
  const value = new Uint8Array(map.sys.wireValueSize);
  if (c.fd) value.set(u32(c.fd(env)));
  else if (value.length > 0) value[0] = 1;
  const key = (n: number) => (map.keySize === 0 ? undefined : (c.key ?? u32)(n));
  return { env, map, fd: openMap(env, map), value, key };
}

describe.each(Object.entries(cases))('%s', (_name, c) => {
  const far = 1000;

  test('answers operations on what is not there as the kernel does', () => {
    const { fd, map, key, value } = setup(c);
    expect(fd.lookup(key(far), value.slice())).toBe(code(c.missing));
    expect(fd.update(key(far), value, 2n)).toBe(code(c.exist));
    if (c.exist === 'ok' && map.keySize > 0) expect(fd.delete(key(far))).toBe(0);
    if (map.type !== 'queue' && map.type !== 'stack') {
      expect(fd.lookupAndDelete(key(far), value.slice())).toBe(code(c.lookupAndDelete));
    }
    expect(fd.delete(key(far))).toBe(code(c.deleteMissing));
    expect(fd.nextKey(undefined, new Uint8Array(map.keySize))).toBe(code(c.nextKey));
  });

  test('checks the flags of an update on 64 bits', () => {
    const { fd, key, value } = setup(c);
    expect(fd.update(key(0), value, 3n)).toBe(code(c.both));
    expect(fd.update(key(0), value, 8n)).toBe(code(c.both));
    expect(fd.update(key(0), value, 1n << 32n)).toBe(code(c.both));
    expect(fd.update(key(0), value, 4n)).toBe(-E.EINVAL);
  });

  test('is full when it is full, and NOEXIST respects what exists', () => {
    const { fd, map, key, value } = setup(c);
    const count =
      c.full === 'ENOTSUPP' || map.type === 'stack_trace' || map.type === 'cgroup_storage' ? 0 : map.maxEntries;
    for (let n = 0; n < count; n++) expect(fd.update(key(n), value)).toBe(0);
    expect(fd.update(key(count), value)).toBe(code(c.full));
    expect(fd.update(key(c.full === 'ok' ? count : 0), value, 1n)).toBe(code(c.noexist));
  });

  test('knows which batch commands and which mappings it has', () => {
    const { fd, map, key, value } = setup(c);
    const run = (command: 'lookup' | 'update' | 'delete' | 'take') => {
      const request = { keys: key(0) ?? new Uint8Array(0), values: value.slice(), count: 1 };
      if (command === 'lookup') return fd.lookupBatch(request);
      if (command === 'update') return fd.updateBatch(request);
      return command === 'delete' ? fd.deleteBatch(request) : fd.lookupAndDeleteBatch(request);
    };
    for (const command of ['lookup', 'update', 'delete', 'take'] as const) {
      const { errno, count } = run(command);
      if (c.batch[command]) expect(errno).not.toBe(-E.ENOTSUPP);
      else expect({ errno, count }).toEqual({ errno: -E.ENOTSUPP, count: 1 });
    }
    const mapping = fd.mmap(0, 4096, { write: true });
    expect(typeof mapping === 'number' ? mapping : 0).toBe(code(c.mmap));
    if (typeof mapping !== 'number') mapping.unmap();
    expect(map.writableMappings).toBe(0);
  });

  test('gives back through one descriptor what went in through another', () => {
    const { env, map, key, value } = setup(c);
    const other = openMap(env, map);
    if (openMap(env, map).update(key(0), value) === 0 && map.lookup && !c.fd && map.keySize > 0) {
      const back = other.read(key(0));
      expect(back).toEqual(map.type === 'devmap' || map.type === 'cpumap' ? expect.anything() : value);
    }
    expect(openMap(env, map, { access: 'ro' }).update(key(0), value)).toBe(-E.EPERM);
    expect(openMap(env, map, { access: 'wo' }).lookup(key(0), value.slice())).toBe(-E.EPERM);
  });

  test('gives all its memory back', () => {
    const env = testEnv({ memory: 4 << 20 });
    const first = setup(c, env);
    first.fd.update(first.key(0), first.value);
    first.map.destroy();
    const free = env.memory.largestFree();
    const again = makeMap(env, { ...c.attr, ...(first.map.innerMap ? { innerMap: first.map.innerMap } : {}) });
    openMap(env, again).update(first.key(0), first.value);
    again.destroy();
    expect(env.memory.largestFree()).toBe(free);
  });
});

test('[M-134] batch commands of types without them are ENOTSUPP and leave the count alone', () => {
  for (const name of ['prog_array', 'queue', 'ringbuf', 'bloom_filter', 'devmap']) {
    const { fd } = setup(cases[name]!);
    const request = { keys: new Uint8Array(40), values: new Uint8Array(80), count: 5 };
    const results = [
      fd.lookupBatch(request),
      fd.updateBatch(request),
      fd.deleteBatch(request),
      fd.lookupAndDeleteBatch(request),
    ];
    for (const result of results) expect(result).toEqual({ errno: -E.ENOTSUPP, count: 5 });
  }
});
