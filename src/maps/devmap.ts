// hot: lookup, entryAt
import type { Errno } from '../base/errno.ts';
import { E } from '../base/errno.ts';
import type { RegionSet } from './arena.ts';
import { withRegions } from './arena.ts';
import { GrowingPool } from './entry-pool.ts';
import { fdOf, putU32 } from './fd-array.ts';
import type { Buckets } from './hash-table.ts';
import { allocateBuckets, HashTable, labelOf } from './hash-table.ts';
import { indexOf, nextIndex, readIndex } from './index-keys.ts';
import { ENTRY } from './layout.ts';
import type { BpfMap, MapAttr, MapEnv, MapSyscalls, ProgRef } from './map.ts';
import { MapBase } from './map-base.ts';
import { BPF_F_RDONLY_PROG, BPF_NOEXIST } from './map-flags.ts';
import { BPF_PROG_TYPE_XDP, BPF_XDP_DEVMAP, ProgOwner } from './prog-owner.ts';

/** Where a slot of a devmap sends packets. */
export interface DevmapEntry {
  readonly ifindex: number;
  /** Runs on every frame before it is sent (BPF_XDP_DEVMAP). */
  readonly prog: ProgRef | undefined;
}

/** A devmap or devmap_hash, as redirects see it. */
export interface DevmapSlots extends BpfMap {
  entryAt(key: number): DevmapEntry | undefined;
  /** Occupied slots in the order in which a broadcast visits them. */
  entries(): IterableIterator<DevmapEntry>;
  /** A device went away: its slots are cleared. kernel: dev_map_notification() */
  forgetDevice(ifindex: number): void;
}

/** struct bpf_devmap_val: ifindex, then the program's descriptor on its way in and its id on its way out. */
const VALUE_SIZE = 8;

/** Checks that devmap and devmap_hash share when a slot is filled. kernel: __dev_map_alloc_node() */
class SlotMaker {
  readonly #env: MapEnv;
  readonly #owner = new ProgOwner();

  constructor(env: MapEnv) {
    this.#env = env;
  }

  make(ifindex: number, fd: number): DevmapEntry | Errno {
    const exists = this.#env.deviceExists ? this.#env.deviceExists(ifindex) : ifindex > 0;
    if (!exists) return -E.EINVAL;
    if (fd <= 0) return { ifindex, prog: undefined };
    const object = this.#env.fds.get(fd);
    if (object?.kind !== 'prog') return -E.EINVAL;
    const prog = object as ProgRef;
    if (prog.typeId !== BPF_PROG_TYPE_XDP || prog.expectedAttachType !== BPF_XDP_DEVMAP) return -E.EINVAL;
    return this.#owner.admit(prog) ? { ifindex, prog } : -E.EINVAL;
  }
}

function readEntry(entry: DevmapEntry, out: Uint8Array): void {
  putU32(out, entry.ifindex);
  if (out.length >= VALUE_SIZE) putU32(out, entry.prog?.id ?? 0, 4);
}

function fdIn(value: Uint8Array): number {
  return value.length >= VALUE_SIZE ? fdOf(value.subarray(4)) : 0;
}

/** kernel: BPF_MAP_TYPE_DEVMAP */
class Devmap extends MapBase implements DevmapSlots {
  readonly sys: MapSyscalls;
  readonly #values: number;
  readonly #maker: SlotMaker;
  readonly #entries: (DevmapEntry | undefined)[] = [];

  constructor(env: MapEnv, attr: MapAttr, typeId: number, regions: RegionSet) {
    const values = regions.allocate(attr.maxEntries * VALUE_SIZE, {
      kind: 'map_value',
      name: labelOf(attr),
      writable: false,
      stride: VALUE_SIZE,
      elementSize: attr.valueSize,
    });
    super(env, attr, typeId, regions, { flags: (attr.flags ?? 0) | BPF_F_RDONLY_PROG });
    this.#values = values.start;
    this.#maker = new SlotMaker(env);
    this.describe({ values: values.start, stride: VALUE_SIZE });
    this.sys = {
      wireValueSize: attr.valueSize,
      lookup: (key, _flags, out) => {
        const entry = this.#entries[indexOf(key)];
        if (entry === undefined) return -E.ENOENT;
        readEntry(entry, out);
        return 0;
      },
      update: (key, value, flags) => this.#update(indexOf(key), value, flags),
      delete: (key) => {
        const index = indexOf(key);
        if (index >= this.maxEntries) return -E.EINVAL;
        this.#set(index, undefined);
        return 0;
      },
      nextKey: (key, out) => nextIndex(key, this.maxEntries, out),
    };
  }

  lookup(key: number): number {
    const index = readIndex(this.memory, key);
    return this.#entries[index] === undefined ? 0 : this.#values + index * VALUE_SIZE;
  }

  entryAt(index: number): DevmapEntry | undefined {
    return this.#entries[index];
  }

  *entries(): IterableIterator<DevmapEntry> {
    for (const entry of this.#entries) if (entry !== undefined) yield entry;
  }

  forgetDevice(ifindex: number): void {
    this.#entries.forEach((entry, index) => {
      if (entry?.ifindex === ifindex) this.#set(index, undefined);
    });
  }

  #update(index: number, value: Uint8Array, flags: bigint): Errno {
    // kernel: __dev_map_update_elem()
    if (flags > 2n) return -E.EINVAL;
    if (index >= this.maxEntries) return -E.E2BIG;
    if (flags === 1n) return -E.EEXIST;
    const ifindex = indexOf(value);
    const fd = fdIn(value);
    if (ifindex === 0) {
      if (fd > 0) return -E.EINVAL;
      this.#set(index, undefined);
      return 0;
    }
    const entry = this.#maker.make(ifindex, fd);
    if (typeof entry === 'number') return entry;
    this.#set(index, entry);
    return 0;
  }

  #set(index: number, entry: DevmapEntry | undefined): void {
    this.#entries[index] = entry;
    const word = (this.#values + index * VALUE_SIZE) >> 2;
    this.memory.u32[word] = entry?.ifindex ?? 0;
    this.memory.u32[word + 1] = entry?.prog?.id ?? 0;
  }
}

/** kernel: BPF_MAP_TYPE_DEVMAP_HASH: bucket = key & (buckets - 1) */
class DevmapHash extends HashTable implements DevmapSlots {
  readonly sys: MapSyscalls;
  readonly #pool: GrowingPool;
  readonly #maker: SlotMaker;
  readonly #entries = new Map<number, DevmapEntry>();

  constructor(env: MapEnv, attr: MapAttr, typeId: number, regions: RegionSet, buckets: Buckets, pool: GrowingPool) {
    super(env, attr, typeId, regions, buckets, { flags: (attr.flags ?? 0) | BPF_F_RDONLY_PROG });
    this.#pool = pool;
    this.#maker = new SlotMaker(env);
    this.describe({ stride: VALUE_SIZE });
    this.sys = {
      wireValueSize: attr.valueSize,
      lookup: (key, _flags, out) => {
        const entry = this.#entries.get(indexOf(key));
        if (entry === undefined) return -E.ENOENT;
        readEntry(entry, out);
        return 0;
      },
      update: (key, value, flags) => this.#update(key, value, flags),
      delete: (key) => (this.#remove(indexOf(key)) ? 0 : -E.ENOENT),
      nextKey: (key, out) => this.nextKey(key, out),
    };
  }

  protected override hashOf(keyWord: number): number {
    return this.words[keyWord]!;
  }

  lookup(key: number): number {
    const entry = this.find(key);
    return entry === 0 ? 0 : this.valueAddress(entry);
  }

  entryAt(key: number): DevmapEntry | undefined {
    return this.#entries.get(key >>> 0);
  }

  *entries(): IterableIterator<DevmapEntry> {
    for (const entry of this.linked()) {
      yield this.#entries.get(this.words[(entry + ENTRY.key) >> 2]! >>> 0)!;
    }
  }

  forgetDevice(ifindex: number): void {
    for (const [key, entry] of [...this.#entries]) if (entry.ifindex === ifindex) this.#remove(key);
  }

  #update(key: Uint8Array, value: Uint8Array, flags: bigint): Errno {
    // kernel: __dev_map_hash_update_elem()
    const ifindex = indexOf(value);
    if (flags > 2n || ifindex === 0) return -E.EINVAL;
    const keyWord = this.keyAt(this.stageKey(key));
    const hash = this.hashOf(keyWord);
    const old = this.findHashed(keyWord, hash);
    if (old !== 0 && flags === BigInt(BPF_NOEXIST)) return -E.EEXIST;
    const made = this.#maker.make(ifindex, fdIn(value));
    if (typeof made === 'number') return made;
    if (old === 0 && this.count >= this.maxEntries) return -E.E2BIG;
    const entry = this.#pool.take(this.userCpu);
    if (entry === 0) return -E.ENOMEM;
    if (old !== 0) {
      this.unlink(old);
      this.#pool.give(old, this.userCpu);
    }
    this.link(entry, keyWord, hash);
    this.#entries.set(indexOf(key), made);
    const word = this.valueAddress(entry) >> 2;
    this.words[word] = ifindex;
    this.words[word + 1] = made.prog?.id ?? 0;
    return 0;
  }

  #remove(key: number): boolean {
    const entry = this.find(this.stageKey(Uint8Array.of(key, key >>> 8, key >>> 16, key >>> 24)));
    if (entry === 0) return false;
    this.unlink(entry);
    this.#pool.give(entry, this.userCpu);
    this.#entries.delete(key);
    return true;
  }
}

/** @throws BpfError ENOMEM when the lab's memory is too small */
export function createDevmap(env: MapEnv, attr: MapAttr, typeId: number): BpfMap {
  return withRegions(env.memory, (regions) => new Devmap(env, attr, typeId, regions));
}

/** @throws BpfError ENOMEM when the lab's memory is too small */
export function createDevmapHash(env: MapEnv, attr: MapAttr, typeId: number): BpfMap {
  return withRegions(env.memory, (regions) => {
    const name = labelOf(attr);
    const buckets = allocateBuckets(regions, attr.maxEntries, name);
    const shape = { name, keySize: 4, valueSize: attr.valueSize, slots: 1, slotStride: VALUE_SIZE, links: false };
    const pool = new GrowingPool(regions, { ...shape, writable: false }, attr.maxEntries + 1, env.cpus);
    return new DevmapHash(env, attr, typeId, regions, buckets, pool);
  });
}
