// hot: lookup, update, delete
import type { Errno } from '../base/errno.ts';
import { E } from '../base/errno.ts';
import type { RegionSet } from './arena.ts';
import { withRegions } from './arena.ts';
import { EntryChunk } from './entry-pool.ts';
import type { Buckets } from './hash-table.ts';
import { allocateBuckets, HashTable, labelOf } from './hash-table.ts';
import { ENTRY, LRU_REF, roundUp8 } from './layout.ts';
import { LruLists } from './lru-list.ts';
import type { BpfMap, MapAttr, MapEnv, MapSyscalls } from './map.ts';
import { BPF_EXIST, BPF_F_NO_COMMON_LRU, programsMayWrite } from './map-flags.ts';
import { needsRelease, ValueCopier } from './values.ts';

/** kernel: BPF_MAP_TYPE_LRU_HASH and BPF_MAP_TYPE_LRU_PERCPU_HASH */
class LruMap extends HashTable {
  readonly sys: MapSyscalls;
  readonly #lru: LruLists;
  readonly #copier: ValueCopier;
  readonly #slots: number;
  readonly #stride: number;
  readonly #percpu: boolean;

  constructor(
    env: MapEnv,
    attr: MapAttr,
    typeId: number,
    regions: RegionSet,
    parts: { readonly buckets: Buckets; readonly chunk: EntryChunk; readonly percpu: boolean },
  ) {
    super(env, attr, typeId, regions, parts.buckets, { maxEntries: parts.chunk.count });
    const common = !((attr.flags ?? 0) & BPF_F_NO_COMMON_LRU);
    this.#lru = new LruLists(regions, parts.chunk, env.cpus, common, (entry) => this.#evict(entry));
    this.#copier = new ValueCopier(env.memory, attr.valueSize, attr.fields);
    this.#percpu = parts.percpu;
    this.#slots = parts.percpu ? env.cpus : 1;
    this.#stride = roundUp8(attr.valueSize);
    this.describe({ stride: this.#stride * this.#slots, cpuStride: parts.percpu ? this.#stride : 0 });
    this.sys = this.#syscalls();
  }

  lookup(key: number, cpu: number): number {
    const entry = this.find(key);
    if (entry === 0) return 0;
    this.words[(entry + ENTRY.state) >> 2]! |= LRU_REF;
    return this.#percpu ? this.valueAddress(entry) + cpu * this.#stride : this.valueAddress(entry);
  }

  lookupPercpu(key: number, cpu: number): number {
    return this.#percpu && cpu < this.env.cpus ? this.lookup(key, cpu) : 0;
  }

  update(key: number, value: number, flagsLo: number, flagsHi: number, cpu: number): Errno {
    if (flagsHi !== 0 || flagsLo >>> 0 > 2) return -E.EINVAL;
    return this.#percpu
      ? this.#updatePercpu(key, value, flagsLo, cpu, false)
      : this.#updateOne(key, value, flagsLo, cpu);
  }

  delete(key: number): Errno {
    const entry = this.find(key);
    if (entry === 0) return -E.ENOENT;
    this.#remove(entry);
    return 0;
  }

  forEach(cpu: number, visit: (key: number, value: number) => number): number {
    return this.walk(this.#percpu ? cpu * this.#stride : 0, visit);
  }

  /** kernel: htab_lru_map_update_elem(): a node is taken first, whatever comes after */
  #updateOne(key: number, value: number, flags: number, cpu: number): Errno {
    const keyWord = this.keyAt(key);
    const hash = this.hashOf(keyWord);
    const entry = this.#lru.pop(cpu);
    if (entry === 0) return -E.ENOMEM;
    this.#copier.store(this.valueAddress(entry), value);
    const old = this.findHashed(keyWord, hash);
    const refused = this.checkFlags(old, flags);
    if (refused !== 0) {
      this.#lru.push(entry);
      return refused;
    }
    this.link(entry, keyWord, hash);
    if (old !== 0) {
      this.#lru.setRef(entry);
      this.#remove(old);
    }
    return 0;
  }

  /** kernel: __htab_lru_percpu_map_update_elem() */
  #updatePercpu(key: number, value: number, flags: number, cpu: number, allCpus: boolean): Errno {
    const keyWord = this.keyAt(key);
    const hash = this.hashOf(keyWord);
    const entry = flags === BPF_EXIST ? 0 : this.#lru.pop(cpu);
    if (entry === 0 && flags !== BPF_EXIST) return -E.ENOMEM;
    const old = this.findHashed(keyWord, hash);
    const refused = this.checkFlags(old, flags);
    if (refused === 0) {
      const slots = this.valueAddress(old === 0 ? entry : old);
      const bytes = this.#stride * this.#slots;
      if (old === 0 && !allCpus) this.memory.u8.fill(0, slots, slots + bytes);
      if (allCpus) this.memory.u8.copyWithin(slots, value, value + bytes);
      else this.#copier.store(slots + cpu * this.#stride, value);
      if (old === 0) {
        this.link(entry, keyWord, hash);
        return 0;
      }
      this.#lru.setRef(old);
    }
    if (entry !== 0) this.#lru.push(entry);
    return refused;
  }

  #remove(entry: number): void {
    this.#evict(entry);
    this.#lru.push(entry);
  }

  #evict(entry: number): void {
    this.unlink(entry);
    if (this.fields === undefined) return;
    for (let slot = 0; slot < this.#slots; slot++) {
      this.#copier.release(this.env, this, this.valueAddress(entry) + slot * this.#stride);
    }
  }

  protected override releaseAll(): void {
    if (!needsRelease(this.fields)) return;
    this.eachValue((value) => {
      for (let slot = 0; slot < this.#slots; slot++) {
        this.#copier.release(this.env, this, value + slot * this.#stride);
      }
    });
  }

  /** Timers go with the last descriptor. kernel: htab_map_free_internal_structs() */
  releaseUserReference(): void {
    this.releaseAll();
  }

  #read(entry: number, out: Uint8Array): void {
    if (!this.#percpu) {
      this.#copier.read(this.valueAddress(entry), out);
      return;
    }
    for (let cpu = 0; cpu < this.#slots; cpu++) {
      this.#copier.read(this.valueAddress(entry) + cpu * this.#stride, out, cpu * this.#stride, this.#stride);
    }
  }

  /** None of these sets the reference bit. */
  #syscalls(): MapSyscalls {
    return {
      wireValueSize: this.#percpu ? this.#stride * this.#slots : this.valueSize,
      lookup: (key, _flags, out) => {
        const entry = this.find(this.stageKey(key));
        if (entry === 0) return -E.ENOENT;
        this.#read(entry, out);
        return 0;
      },
      update: (key, value, flags) => {
        if (flags > 2n) return -E.EINVAL;
        const keyAt = this.stageKey(key);
        const valueAt = this.stageValue(value);
        return this.#percpu
          ? this.#updatePercpu(keyAt, valueAt, Number(flags), this.userCpu, true)
          : this.#updateOne(keyAt, valueAt, Number(flags), this.userCpu);
      },
      delete: (key) => this.delete(this.stageKey(key)),
      nextKey: (key, out) => this.nextKey(key, out),
      lookupAndDelete: (key, _flags, out) => {
        const entry = this.find(this.stageKey(key));
        if (entry === 0) return -E.ENOENT;
        this.#read(entry, out);
        this.#remove(entry);
        return 0;
      },
      batch: this.batch(
        (entry, out) => this.#read(entry, out),
        (entry) => this.#remove(entry),
      ),
    };
  }
}

function create(env: MapEnv, attr: MapAttr, typeId: number, percpu: boolean): BpfMap {
  return withRegions(env.memory, (regions) => {
    let count = attr.maxEntries;
    if ((attr.flags ?? 0) & BPF_F_NO_COMMON_LRU) {
      // kernel: htab_map_alloc(); every CPU gets the same number of nodes
      count = Math.ceil(count / env.cpus) * env.cpus;
      if (count > 0xffffffff) count -= env.cpus;
    }
    const name = labelOf(attr);
    const buckets = allocateBuckets(regions, count, name);
    const slotStride = roundUp8(attr.valueSize);
    const shape = { keySize: attr.keySize, valueSize: attr.valueSize, slots: percpu ? env.cpus : 1, slotStride };
    const chunk = new EntryChunk(
      regions,
      { name, ...shape, links: true, writable: programsMayWrite(attr.flags) },
      count,
    );
    return new LruMap(env, attr, typeId, regions, { buckets, chunk, percpu });
  });
}

/** @throws BpfError ENOMEM when the lab's memory is too small */
export function createLruHash(env: MapEnv, attr: MapAttr, typeId: number): BpfMap {
  return create(env, attr, typeId, false);
}

/** @throws BpfError ENOMEM when the lab's memory is too small */
export function createLruPercpuHash(env: MapEnv, attr: MapAttr, typeId: number): BpfMap {
  return create(env, attr, typeId, true);
}
