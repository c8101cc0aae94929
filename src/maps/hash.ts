// hot: lookup, update, delete
import type { Errno } from '../base/errno.ts';
import { E } from '../base/errno.ts';
import type { RegionSet } from './arena.ts';
import { withRegions } from './arena.ts';
import type { EntryShape } from './entry-pool.ts';
import { GrowingPool, PreallocatedPool } from './entry-pool.ts';
import type { Buckets } from './hash-table.ts';
import { allocateBuckets, HashTable, labelOf } from './hash-table.ts';
import { roundUp8 } from './layout.ts';
import type { BpfMap, MapAttr, MapEnv, MapSyscalls } from './map.ts';
import { BPF_F_LOCK, BPF_F_NO_PREALLOC, programsMayWrite } from './map-flags.ts';
import { needsRelease, ValueCopier } from './values.ts';

interface Parts {
  readonly regions: RegionSet;
  readonly buckets: Buckets;
  readonly pool: PreallocatedPool | GrowingPool;
  /** kernel: extra_elems; what a replacement of a preallocated entry takes. */
  readonly spares: Uint32Array | undefined;
}

function allocateParts(env: MapEnv, attr: MapAttr, percpu: boolean, regions: RegionSet): Parts {
  const label = labelOf(attr);
  const shape: EntryShape = {
    name: label,
    keySize: attr.keySize,
    valueSize: attr.valueSize,
    slots: percpu ? env.cpus : 1,
    slotStride: roundUp8(attr.valueSize),
    links: false,
    writable: programsMayWrite(attr.flags),
  };
  const buckets = allocateBuckets(regions, attr.maxEntries, label);
  if ((attr.flags ?? 0) & BPF_F_NO_PREALLOC) {
    // One more than max_entries: a replacement in a full map holds both entries for an instant.
    const pool = new GrowingPool(regions, shape, attr.maxEntries + 1, env.cpus);
    return { regions, buckets, pool, spares: undefined };
  }
  const spareCount = percpu ? 0 : env.cpus;
  const pool = new PreallocatedPool(regions, shape, attr.maxEntries + spareCount, env.cpus);
  const spares = Uint32Array.from({ length: spareCount }, (_, cpu) => pool.take(cpu));
  return { regions, buckets, pool, spares: percpu ? undefined : spares };
}

/** kernel: BPF_MAP_TYPE_HASH; every replacement without F_LOCK is a new entry. */
class HashMap extends HashTable {
  readonly sys: MapSyscalls;
  readonly #pool: PreallocatedPool | GrowingPool;
  readonly #spares: Uint32Array | undefined;
  readonly #copier: ValueCopier;

  constructor(env: MapEnv, attr: MapAttr, typeId: number, parts: Parts) {
    super(env, attr, typeId, parts.regions, parts.buckets);
    this.#pool = parts.pool;
    this.#spares = parts.spares;
    this.#copier = new ValueCopier(env.memory, attr.valueSize, attr.fields);
    this.describe({ stride: roundUp8(attr.valueSize) });
    this.sys = {
      wireValueSize: attr.valueSize,
      lookup: (key, _flags, out) => {
        const entry = this.find(this.stageKey(key));
        if (entry === 0) return -E.ENOENT;
        this.#copier.read(this.valueAddress(entry), out);
        return 0;
      },
      update: (key, value, flags) =>
        this.update(
          this.stageKey(key),
          this.stageValue(value),
          Number(flags & 0xffffffffn),
          Number(flags >> 32n),
          this.userCpu,
        ),
      delete: (key) => this.delete(this.stageKey(key), this.userCpu),
      nextKey: (key, out) => this.nextKey(key, out),
      lookupAndDelete: (key, _flags, out) => {
        const entry = this.find(this.stageKey(key));
        if (entry === 0) return -E.ENOENT;
        this.#copier.read(this.valueAddress(entry), out);
        this.#remove(entry, this.userCpu);
        return 0;
      },
      batch: this.batch(
        (entry, out) => this.#copier.read(this.valueAddress(entry), out),
        (entry) => this.#remove(entry, this.userCpu),
      ),
    };
  }

  lookup(key: number): number {
    const entry = this.find(key);
    return entry === 0 ? 0 : this.valueAddress(entry);
  }

  update(key: number, value: number, flagsLo: number, flagsHi: number, cpu: number): Errno {
    // kernel: htab_map_update_elem()
    if (flagsHi !== 0 || (flagsLo & ~BPF_F_LOCK) >>> 0 > 2) return -E.EINVAL;
    if (flagsLo & BPF_F_LOCK && this.fields?.spinLock === undefined) return -E.EINVAL;
    const keyWord = this.keyAt(key);
    const hash = this.hashOf(keyWord);
    const old = this.findHashed(keyWord, hash);
    const refused = this.checkFlags(old, flagsLo);
    if (refused !== 0) return refused;
    if (old !== 0 && flagsLo & BPF_F_LOCK) {
      this.#copier.store(this.valueAddress(old), value);
      return 0;
    }
    if (this.#spares === undefined) {
      if (old === 0 && this.count >= this.maxEntries) return -E.E2BIG;
      const entry = this.#pool.take(cpu);
      if (entry === 0) return -E.ENOMEM;
      this.#copier.store(this.valueAddress(entry), value);
      this.link(entry, keyWord, hash);
      if (old !== 0) this.#remove(old, cpu);
      return 0;
    }
    if (old !== 0) {
      const entry = this.#spares[cpu]!;
      this.#spares[cpu] = old;
      this.#copier.store(this.valueAddress(entry), value);
      this.link(entry, keyWord, hash);
      this.unlink(old);
      this.#copier.release(this.env, this, this.valueAddress(old));
      return 0;
    }
    const entry = this.#pool.take(cpu);
    if (entry === 0) return -E.E2BIG;
    this.#copier.store(this.valueAddress(entry), value);
    this.link(entry, keyWord, hash);
    return 0;
  }

  delete(key: number, cpu: number): Errno {
    const entry = this.find(key);
    if (entry === 0) return -E.ENOENT;
    this.#remove(entry, cpu);
    return 0;
  }

  forEach(_cpu: number, visit: (key: number, value: number) => number): number {
    return this.walk(0, visit);
  }

  #remove(entry: number, cpu: number): void {
    this.unlink(entry);
    this.#copier.release(this.env, this, this.valueAddress(entry));
    this.#pool.give(entry, cpu);
  }

  protected override releaseAll(): void {
    if (needsRelease(this.fields)) this.eachValue((value) => this.#copier.release(this.env, this, value));
  }

  /** Timers go with the last descriptor. kernel: htab_map_free_internal_structs() */
  releaseUserReference(): void {
    this.releaseAll();
  }
}

/** kernel: BPF_MAP_TYPE_PERCPU_HASH; existing entries are updated in place. */
class PercpuHashMap extends HashTable {
  readonly sys: MapSyscalls;
  readonly #pool: PreallocatedPool | GrowingPool;
  readonly #preallocated: boolean;
  readonly #copier: ValueCopier;
  readonly #stride: number;

  constructor(env: MapEnv, attr: MapAttr, typeId: number, parts: Parts) {
    super(env, attr, typeId, parts.regions, parts.buckets);
    this.#pool = parts.pool;
    this.#preallocated = parts.pool instanceof PreallocatedPool;
    this.#copier = new ValueCopier(env.memory, attr.valueSize, attr.fields);
    this.#stride = roundUp8(attr.valueSize);
    this.describe({ stride: this.#stride * env.cpus, cpuStride: this.#stride });
    const read = (entry: number, out: Uint8Array) => {
      for (let cpu = 0; cpu < env.cpus; cpu++) {
        this.#copier.read(this.valueAddress(entry) + cpu * this.#stride, out, cpu * this.#stride, this.#stride);
      }
    };
    this.sys = {
      wireValueSize: this.#stride * env.cpus,
      lookup: (key, _flags, out) => {
        const entry = this.find(this.stageKey(key));
        if (entry === 0) return -E.ENOENT;
        read(entry, out);
        return 0;
      },
      update: (key, value, flags) => (flags > 2n ? -E.EINVAL : this.#store(this.stageKey(key), value, Number(flags))),
      delete: (key) => this.delete(this.stageKey(key), this.userCpu),
      nextKey: (key, out) => this.nextKey(key, out),
      lookupAndDelete: (key, _flags, out) => {
        const entry = this.find(this.stageKey(key));
        if (entry === 0) return -E.ENOENT;
        read(entry, out);
        this.#remove(entry, this.userCpu);
        return 0;
      },
      batch: this.batch(read, (entry) => this.#remove(entry, this.userCpu)),
    };
  }

  lookup(key: number, cpu: number): number {
    const entry = this.find(key);
    return entry === 0 ? 0 : this.valueAddress(entry) + cpu * this.#stride;
  }

  lookupPercpu(key: number, cpu: number): number {
    return cpu < this.env.cpus ? this.lookup(key, cpu) : 0;
  }

  update(key: number, value: number, flagsLo: number, flagsHi: number, cpu: number): Errno {
    // kernel: htab_percpu_map_update_elem()
    if (flagsHi !== 0 || flagsLo >>> 0 > 2) return -E.EINVAL;
    const keyWord = this.keyAt(key);
    const hash = this.hashOf(keyWord);
    const old = this.findHashed(keyWord, hash);
    const refused = this.checkFlags(old, flagsLo);
    if (refused !== 0) return refused;
    const entry = old === 0 ? this.#take(cpu) : old;
    if (entry < 0) return entry;
    const slots = this.valueAddress(entry);
    if (old === 0) {
      // kernel: pcpu_init_value(); the other CPUs start from zero
      this.memory.u8.fill(0, slots, slots + this.#stride * this.env.cpus);
      this.link(entry, keyWord, hash);
    }
    const to = slots + cpu * this.#stride;
    this.#copier.store(to, value);
    this.#copier.release(this.env, this, to);
    return 0;
  }

  delete(key: number, cpu: number): Errno {
    const entry = this.find(key);
    if (entry === 0) return -E.ENOENT;
    this.#remove(entry, cpu);
    return 0;
  }

  forEach(cpu: number, visit: (key: number, value: number) => number): number {
    return this.walk(cpu * this.#stride, visit);
  }

  /** The system call's update: all CPUs' slots, padding included. */
  #store(key: number, value: Uint8Array, flags: number): Errno {
    const keyWord = this.keyAt(key);
    const hash = this.hashOf(keyWord);
    const old = this.findHashed(keyWord, hash);
    const refused = this.checkFlags(old, flags);
    if (refused !== 0) return refused;
    const entry = old === 0 ? this.#take(this.userCpu) : old;
    if (entry < 0) return entry;
    this.memory.write(this.valueAddress(entry), value);
    if (old === 0) this.link(entry, keyWord, hash);
    return 0;
  }

  #take(cpu: number): number {
    if (!this.#preallocated && this.count >= this.maxEntries) return -E.E2BIG;
    const entry = this.#pool.take(cpu);
    if (entry === 0) return this.#preallocated ? -E.E2BIG : -E.ENOMEM;
    return entry;
  }

  #remove(entry: number, cpu: number): void {
    this.unlink(entry);
    for (let c = 0; c < this.env.cpus; c++) {
      this.#copier.release(this.env, this, this.valueAddress(entry) + c * this.#stride);
    }
    this.#pool.give(entry, cpu);
  }

  protected override releaseAll(): void {
    if (!needsRelease(this.fields)) return;
    this.eachValue((value) => {
      for (let cpu = 0; cpu < this.env.cpus; cpu++) {
        this.#copier.release(this.env, this, value + cpu * this.#stride);
      }
    });
  }
}

/** @throws BpfError ENOMEM when the lab's memory is too small */
export function createHash(env: MapEnv, attr: MapAttr, typeId: number): BpfMap {
  return withRegions(env.memory, (regions) => new HashMap(env, attr, typeId, allocateParts(env, attr, false, regions)));
}

/** @throws BpfError ENOMEM when the lab's memory is too small */
export function createPercpuHash(env: MapEnv, attr: MapAttr, typeId: number): BpfMap {
  return withRegions(
    env.memory,
    (regions) => new PercpuHashMap(env, attr, typeId, allocateParts(env, attr, true, regions)),
  );
}
