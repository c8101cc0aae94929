import { beforeAll, expect, test } from 'vitest';
import { Rng } from '../../src/base/rng.ts';
import type { BpfMap } from '../../src/maps/map.ts';
import {
  BPF_F_INNER_MAP,
  BPF_F_MMAPABLE,
  BPF_F_NO_COMMON_LRU,
  BPF_F_NO_PREALLOC,
  BPF_F_NUMA_NODE,
  BPF_F_RDONLY_PROG,
  BPF_F_ZERO_SEED,
} from '../../src/maps/map-flags.ts';
import { createMap, MAP_TYPES, mapType } from '../../src/maps/map-types.ts';
import { type MapFd, openMap } from '../../src/maps/syscall.ts';
import { closeFd, kernelAvailable, pinToCpu } from '../oracle/kernel.ts';
import {
  mapCreate,
  mapDelete,
  mapFreeze,
  mapLookup,
  mapLookupAndDelete,
  mapLookupBatch,
  mapNextKey,
  mapPeekValue,
  mapUpdate,
  mapWriteBatch,
  possibleCpus,
} from '../oracle/kernel-maps.ts';
import { hex, type PartialAttr, testEnv } from './support/env.ts';

const kernel = kernelAvailable();
const reason = kernel.ok ? '' : `the kernel cannot be asked: ${kernel.reason}`;
const cpus = kernel.ok ? possibleCpus() : 2;
// Random ifindexes are no devices of the machine.
const env = { ...testEnv({ cpus, memory: 256 << 20 }), deviceExists: () => false };
const rng = new Rng(20261120);
const pick = <T>(from: readonly T[]) => from[rng.below(from.length)]!;
const bytes = (size: number, values = 256) => Uint8Array.from({ length: size }, () => rng.below(values));

beforeAll(() => {
  if (kernel.ok) pinToCpu(0);
});

const SIZES = [0, 1, 3, 4, 5, 8, 12, 16, 260, 261, 1016, 1024, 32761, 32769];
const ENTRIES = [0, 1, 2, 5, 7, 8, 64, 4096, 8192, 12288];
const FLAGS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 1 << 19];

test('random attributes are accepted and refused as the kernel does', (ctx) => {
  if (reason) return ctx.skip(reason);
  const types = MAP_TYPES.filter((row) => row.create && !row.name.endsWith('_of_maps'));
  for (let i = 0; i < 3000; i++) {
    const row = pick(types);
    let flags = 0;
    for (let n = rng.below(3); n > 0; n--) flags |= pick(FLAGS);
    if (row.name === 'lpm_trie' && rng.below(4)) flags |= BPF_F_NO_PREALLOC;
    if (row.name === 'arena') flags |= BPF_F_MMAPABLE;
    const sized = { keySize: pick([0, 4, 4, 4, 8, pick(SIZES)]), valueSize: pick([0, 4, 8, 8, pick(SIZES)]) };
    // Large maps only ask for memory; the limit of cpumaps is a matter of the kernel's configuration.
    const large = Math.max(sized.keySize, sized.valueSize) > 300;
    const attr = {
      type: row.name,
      ...sized,
      maxEntries: pick(row.name === 'cpumap' || large ? ENTRIES.slice(0, 7) : ENTRIES),
      flags,
      mapExtra: BigInt(rng.below(8) ? 0 : rng.below(18)),
    };
    const fd = mapCreate({ ...attr, type: row.id, extra: attr.mapExtra });
    const map = createMap(env, attr);
    const mine = typeof map === 'number' ? map : 0;
    expect(mine, `${JSON.stringify({ ...attr, mapExtra: Number(attr.mapExtra) })}`).toBe(Math.min(fd, 0));
    if (fd >= 0) closeFd(fd);
    if (typeof map !== 'number') map.destroy();
  }
});

/** The same map here and there. */
interface Pair {
  readonly map: BpfMap;
  readonly mine: MapFd;
  readonly theirs: number;
}

function pairOf(attr: PartialAttr): Pair {
  const full = { keySize: 4, valueSize: 8, maxEntries: 8, flags: 0, ...attr };
  const theirs = mapCreate({ ...full, type: mapType(attr.type)!.id, extra: full.mapExtra ?? 0 });
  const map = createMap(env, full);
  if (theirs < 0 || typeof map === 'number') throw new Error(`${attr.type}: kernel ${theirs}, lab ${String(map)}`);
  return { map, mine: openMap(env, map), theirs };
}

const nameOf = ({ type, keySize = 4, valueSize = 8, maxEntries = 8, flags = 0 }: PartialAttr) =>
  `${type}, key ${keySize}, value ${valueSize}, ${maxEntries} entries, flags ${flags}`;

const answer = (result: Uint8Array | number) => (typeof result === 'number' ? result : hex(result));

/** One random operation on both; returns what each answered. */
function step({ map, mine, theirs }: Pair, key: Uint8Array): [string, string | number, string | number] {
  const size = map.sys.wireValueSize;
  const keyed = map.keySize > 0 ? key : undefined;
  switch (rng.below(8)) {
    case 0: {
      if (map.type === 'bloom_filter') {
        const value = bytes(size, 3);
        return ['peek', mine.lookup(undefined, value.slice()), mapPeekValue(theirs, value)];
      }
      return ['lookup', answer(mine.read(keyed)), answer(mapLookup(theirs, keyed, size))];
    }
    case 1: {
      if (map.keySize === 0) return ['delete', 0, 0];
      return ['delete', mine.delete(keyed), mapDelete(theirs, key)];
    }
    case 2: {
      const out = new Uint8Array(map.keySize);
      const from = rng.below(4) === 0 ? undefined : keyed;
      const errno = mine.nextKey(from, out);
      return ['next_key', errno || hex(out), answer(mapNextKey(theirs, from, map.keySize))];
    }
    case 3: {
      const out = new Uint8Array(size);
      const errno = mine.lookupAndDelete(keyed, out);
      return ['lookup_and_delete', errno || hex(out), answer(mapLookupAndDelete(theirs, keyed, size))];
    }
    default: {
      const value = bytes(size, map.type === 'bloom_filter' ? 3 : 256);
      const flags = pick([0, 0, 0, 0, 1, 2, 3, 4, 8]);
      return ['update', mine.update(keyed, value, BigInt(flags)), mapUpdate(theirs, keyed, value, flags)];
    }
  }
}

function keysOf(pair: Pair, theirs: boolean): string[] {
  const keys: string[] = [];
  let key: Uint8Array | undefined;
  for (let guard = 0; guard < 100_000; guard++) {
    let next: Uint8Array | number;
    if (theirs) next = mapNextKey(pair.theirs, key, pair.map.keySize);
    else {
      const out = new Uint8Array(pair.map.keySize);
      next = pair.mine.nextKey(key, out) || out;
    }
    if (typeof next === 'number') return keys;
    keys.push(hex(next));
    key = next;
  }
  return keys;
}

const lpm = { type: 'lpm_trie', keySize: 8, flags: BPF_F_NO_PREALLOC };
const seedless: readonly PartialAttr[] = [
  { type: 'hash' },
  { type: 'hash', keySize: 5, valueSize: 3, maxEntries: 100 },
  { type: 'hash', keySize: 16, valueSize: 60, maxEntries: 33, flags: BPF_F_NO_PREALLOC },
  { type: 'percpu_hash', keySize: 6, valueSize: 5, maxEntries: 20 },
  { type: 'percpu_hash', maxEntries: 20, flags: BPF_F_NO_PREALLOC },
  ...[1, 2, 4, 10, 33, 100].flatMap((maxEntries) =>
    [0, BPF_F_NO_COMMON_LRU].flatMap((flags) => [
      { type: 'lru_hash', maxEntries, flags },
      { type: 'lru_percpu_hash', maxEntries, flags },
    ]),
  ),
];
const subjects: readonly PartialAttr[] = [
  ...seedless.map((attr) => ({ ...attr, flags: (attr.flags ?? 0) | BPF_F_ZERO_SEED })),
  { type: 'array' },
  { type: 'array', valueSize: 13, maxEntries: 3, flags: BPF_F_MMAPABLE },
  { type: 'percpu_array', valueSize: 5 },
  lpm,
  { ...lpm, keySize: 5, maxEntries: 100 },
  { ...lpm, keySize: 21, maxEntries: 30 },
  { type: 'queue', keySize: 0, maxEntries: 3 },
  { type: 'stack', keySize: 0, valueSize: 5, maxEntries: 3 },
  { type: 'bloom_filter', keySize: 0, valueSize: 4, maxEntries: 20, flags: BPF_F_ZERO_SEED, mapExtra: 3n },
  { type: 'bloom_filter', keySize: 0, valueSize: 5, maxEntries: 3, flags: BPF_F_ZERO_SEED },
  { type: 'stack_trace' },
  { type: 'devmap' },
  { type: 'cpumap', maxEntries: 2 },
];

test.for(subjects.map((attr) => ({ attr, title: nameOf(attr) })))(
  'random system calls on $title answer as in the kernel',
  ({ attr }, ctx) => {
    if (reason) return ctx.skip(reason);
    const pair = pairOf(attr);
    const { map } = pair;
    const few = map.maxEntries * 2 + 1;
    const number = () => {
      const key = new Uint8Array(Math.max(map.keySize, 4));
      new DataView(key.buffer).setUint32(0, rng.below(few), true);
      return key.subarray(0, map.keySize);
    };
    const prefix = () => {
      const key = bytes(map.keySize, 3);
      new DataView(key.buffer).setUint32(0, rng.below((map.keySize - 4) * 8 + 2), true);
      return key;
    };
    for (let i = 0; i < 600; i++) {
      const [op, mine, theirs] = step(pair, map.type === 'lpm_trie' ? prefix() : number());
      expect(mine, `step ${i}: ${op}`).toBe(theirs);
      if (map.keySize > 0 && i % 20 === 0)
        expect(keysOf(pair, false), `keys after step ${i}`).toEqual(keysOf(pair, true));
    }
    expect(pair.mine.freeze()).toBe(mapFreeze(pair.theirs));
    for (let i = 0; i < 20; i++) {
      const [op, mine, theirs] = step(pair, map.type === 'lpm_trie' ? prefix() : number());
      expect(mine, `frozen, step ${i}: ${op}`).toBe(theirs);
    }
    closeFd(pair.theirs);
    map.destroy();
  },
);

test('random batches answer as in the kernel', (ctx) => {
  if (reason) return ctx.skip(reason);
  const types = [
    { type: 'hash', maxEntries: 20, flags: BPF_F_ZERO_SEED },
    { type: 'percpu_hash', maxEntries: 20, flags: BPF_F_ZERO_SEED },
    { type: 'lru_hash', maxEntries: 20, flags: BPF_F_ZERO_SEED },
    { type: 'array', maxEntries: 20 },
    { type: 'percpu_array', maxEntries: 20 },
    { ...lpm, maxEntries: 20 },
    { type: 'queue', keySize: 0 },
  ];
  for (const attr of types) {
    const pair = pairOf(attr);
    const { map, mine, theirs } = pair;
    const size = map.sys.wireValueSize;
    for (let i = 0; i < 200; i++) {
      const count = rng.below(12);
      const elemFlags = pick([0, 0, 0, 0, 0, 1, 4]);
      const flags = pick([0, 0, 0, 0, 1]);
      const request = { count, elemFlags: BigInt(elemFlags), flags: BigInt(flags) };
      const keys = Uint8Array.from({ length: count * map.keySize }, (_, at) =>
        at % map.keySize === 0 ? rng.below(map.type === 'lpm_trie' ? 33 : 24) : 0,
      );
      const where = `${attr.type}, batch ${i}`;
      if (rng.below(2)) {
        const values = bytes(count * size);
        const remove = rng.below(3) === 0;
        const ours = remove ? mine.deleteBatch({ ...request, keys }) : mine.updateBatch({ ...request, keys, values });
        const kernels = mapWriteBatch(theirs, { keys, ...(remove ? {} : { values }), count, elemFlags, flags });
        expect([ours.errno, ours.count], where).toEqual([kernels.result, kernels.count]);
      } else {
        const take = rng.below(4) === 0;
        const room = { keys: new Uint8Array(count * map.keySize), values: new Uint8Array(count * size) };
        const from = rng.below(2) ? undefined : Uint8Array.from([rng.below(34), 0, 0, 0, 0, 0, 0, 0]);
        const ask = { ...request, ...room, from };
        const ours = take ? mine.lookupAndDeleteBatch(ask) : mine.lookupBatch(ask);
        const kernels = mapLookupBatch(theirs, {
          keySize: map.keySize,
          userValueSize: size,
          count,
          ...(from ? { from } : {}),
          delete: take,
          elemFlags,
          flags,
        });
        expect([ours.errno, ours.count], where).toEqual([kernels.result, kernels.count]);
        if (ours.errno === 0 || ours.count > 0) {
          expect(hex(room.keys.subarray(0, ours.count * map.keySize)), where).toBe(
            hex(kernels.keys.subarray(0, ours.count * map.keySize)),
          );
          expect(hex(room.values.subarray(0, ours.count * size)), where).toBe(
            hex(kernels.values.subarray(0, ours.count * size)),
          );
        }
        if (ours.next) expect(hex(ours.next), where).toBe(hex(kernels.next.subarray(0, ours.next.length)));
      }
    }
    closeFd(theirs);
    map.destroy();
  }
});

test('[M-102] [M-103] [M-104] random inner maps fit where they fit in the kernel', (ctx) => {
  if (reason) return ctx.skip(reason);
  const inner = () => ({
    type: pick([
      'array',
      'hash',
      'percpu_array',
      'queue',
      'ringbuf',
      'lpm_trie',
      'prog_array',
      'bloom_filter',
      'devmap',
      'xskmap',
      'lru_hash',
    ]),
    flags: pick([0, 0, BPF_F_INNER_MAP, BPF_F_NUMA_NODE, BPF_F_NO_PREALLOC, BPF_F_RDONLY_PROG]),
    maxEntries: pick([4096, 8192]),
    valueSize: pick([0, 4, 8]),
    keySize: pick([0, 4, 4, 8]),
  });
  const made = () => {
    for (;;) {
      const attr = inner();
      const fd = mapCreate({ ...attr, type: mapType(attr.type)!.id });
      const map = createMap(env, attr);
      if (fd >= 0 && typeof map !== 'number') return { fd, map };
      if (fd >= 0) closeFd(fd);
      if (typeof map !== 'number') map.destroy();
    }
  };
  const pool = Array.from({ length: 40 }, made);
  for (const { fd, map } of pool) {
    const type = pick(['array_of_maps', 'hash_of_maps']);
    const shape = { keySize: 4, valueSize: 4, maxEntries: 2 };
    const theirs = mapCreate({ ...shape, type: mapType(type)!.id, innerMapFd: fd });
    const outer = createMap(env, { ...shape, type, innerMap: map });
    expect(typeof outer === 'number' ? outer : 0, `${type} of ${map.type}`).toBe(Math.min(theirs, 0));
    if (typeof outer === 'number') continue;
    const mine = openMap(env, outer);
    for (const other of pool) {
      const fdBytes = (n: number) => new Uint8Array(Int32Array.of(n).buffer);
      const errno = mine.update(fdBytes(1), fdBytes(env.fds.open(other.map)));
      const describe = (m: BpfMap) => `${m.type}/${m.flags}/${m.keySize}/${m.valueSize}/${m.maxEntries}`;
      expect(errno, `${type} of ${describe(map)} takes ${describe(other.map)}`).toBe(
        mapUpdate(theirs, fdBytes(1), fdBytes(other.fd)),
      );
    }
    closeFd(theirs);
    outer.destroy();
  }
  for (const { fd, map } of pool) {
    closeFd(fd);
    map.destroy();
  }
});
