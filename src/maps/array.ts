// hot: lookup and update

import type { Errno } from '../base/errno.ts';
import { E } from '../base/errno.ts';
import type { Region } from '../base/memory.ts';
import type { RegionSet } from './arena.ts';
import { withRegions } from './arena.ts';
import { indexOf, nextIndex, readIndex } from './index-keys.ts';
import { roundUp8 } from './layout.ts';
import type { BpfMap, MapAttr, MapEnv, MapMmap, MapSyscalls } from './map.ts';
import { MapBase } from './map-base.ts';
import { BPF_F_LOCK, BPF_F_MMAPABLE, BPF_NOEXIST, programsMayWrite } from './map-flags.ts';
import { ValueCopier } from './values.ts';

/** kernel: ARRAY of BPF_MAP_TYPE_ARRAY and BPF_MAP_TYPE_PERCPU_ARRAY; layout in layout.ts. */
class ArrayMap extends MapBase {
  readonly sys: MapSyscalls;
  readonly #values: number;
  readonly #stride: number;
  readonly #cpuStride: number;
  readonly #percpu: boolean;
  readonly #copier: ValueCopier;

  constructor(env: MapEnv, attr: MapAttr, typeId: number, percpu: boolean, regions: RegionSet) {
    const stride = roundUp8(attr.valueSize);
    const rowBytes = stride * attr.maxEntries;
    const region = regions.allocate(percpu ? rowBytes * env.cpus : rowBytes, {
      kind: 'map_value',
      name: attr.name ? `map ${attr.name}` : `map of type ${attr.type}`,
      stride,
      elementSize: attr.valueSize,
      writable: programsMayWrite(attr.flags),
    });
    super(env, attr, typeId, regions);
    this.#values = region.start;
    this.#stride = stride;
    this.#cpuStride = percpu ? rowBytes : 0;
    this.#percpu = percpu;
    this.#copier = new ValueCopier(env.memory, attr.valueSize, attr.fields);
    this.describe({ values: this.#values, stride, cpuStride: this.#cpuStride });
    this.sys = this.#syscalls(region);
  }

  lookup(key: number, cpu: number): number {
    const index = readIndex(this.memory, key);
    if (index >= this.maxEntries) return 0;
    return this.#values + index * this.#stride + cpu * this.#cpuStride;
  }

  lookupPercpu(key: number, cpu: number): number {
    return this.#percpu && cpu < this.env.cpus ? this.lookup(key, cpu) : 0;
  }

  update(key: number, value: number, flagsLo: number, flagsHi: number, cpu: number): Errno {
    // kernel: array_map_update_elem()
    if (flagsHi !== 0 || (flagsLo & ~BPF_F_LOCK) >>> 0 > 2) return -E.EINVAL;
    const index = readIndex(this.memory, key);
    if (index >= this.maxEntries) return -E.E2BIG;
    if (flagsLo & BPF_NOEXIST) return -E.EEXIST;
    if (flagsLo & BPF_F_LOCK && this.fields?.spinLock === undefined) return -E.EINVAL;
    const to = this.#values + index * this.#stride + cpu * this.#cpuStride;
    this.#copier.store(to, value);
    this.#copier.release(this.env, this, to);
    return 0;
  }

  delete(): Errno {
    return -E.EINVAL;
  }

  directValue(offset: number): number | undefined {
    // kernel: array_map_direct_value_addr()
    if (this.#percpu || this.maxEntries !== 1 || offset >= this.valueSize) return undefined;
    return this.#values + offset;
  }

  forEach(cpu: number, visit: (key: number, value: number) => number): number {
    // kernel: bpf_for_each_array_elem()
    const key = this.arena.pushKeySlot();
    try {
      for (let index = 0; index < this.maxEntries; index++) {
        this.memory.u32[key >> 2] = index;
        const value = this.#values + index * this.#stride + cpu * this.#cpuStride;
        if (visit(key, value) !== 0) return index + 1;
      }
      return this.maxEntries;
    } finally {
      this.arena.popKeySlot();
    }
  }

  protected override releaseAll(): void {
    if (this.fields === undefined) return;
    for (let index = 0; index < this.maxEntries; index++) {
      for (let cpu = 0; cpu < (this.#percpu ? this.env.cpus : 1); cpu++) {
        this.#copier.release(this.env, this, this.#values + index * this.#stride + cpu * this.#cpuStride);
      }
    }
  }

  /** Timers go with the last descriptor. kernel: array_map_free_internal_structs() */
  releaseUserReference(): void {
    this.releaseAll();
  }

  #syscalls(region: Region): MapSyscalls {
    const wireValueSize = this.#percpu ? this.#stride * this.env.cpus : this.valueSize;
    const address = (index: number) => this.#values + index * this.#stride;
    const common = {
      wireValueSize,
      delete: () => -E.EINVAL,
      nextKey: (key: Uint8Array | undefined, out: Uint8Array) => nextIndex(key, this.maxEntries, out),
      batch: { commands: ['lookup', 'update'] as const },
      mmap: this.#percpu ? undefined : this.#mmap(region),
    };
    if (!this.#percpu) {
      return {
        ...common,
        lookup: (key, _flags, out) => {
          const index = indexOf(key);
          if (index >= this.maxEntries) return -E.ENOENT;
          this.#copier.read(address(index), out);
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
      };
    }
    return {
      ...common,
      lookup: (key, _flags, out) => {
        const index = indexOf(key);
        if (index >= this.maxEntries) return -E.ENOENT;
        for (let cpu = 0; cpu < this.env.cpus; cpu++) {
          this.#copier.read(address(index) + cpu * this.#cpuStride, out, cpu * this.#stride, this.#stride);
        }
        return 0;
      },
      update: (key, value, flags) => {
        // kernel: bpf_percpu_array_update(); the padding of every slot is stored too
        if (flags > 2n) return -E.EINVAL;
        const index = indexOf(key);
        if (index >= this.maxEntries) return -E.E2BIG;
        if (flags === 1n) return -E.EEXIST;
        for (let cpu = 0; cpu < this.env.cpus; cpu++) {
          const slot = value.subarray(cpu * this.#stride, (cpu + 1) * this.#stride);
          this.memory.write(address(index) + cpu * this.#cpuStride, slot);
        }
        return 0;
      },
    };
  }

  #mmap(region: Region): MapMmap {
    const length = region.size;
    return {
      length,
      // kernel: array_map_mmap()
      check: (offset, size) => {
        if (!(this.flags & BPF_F_MMAPABLE)) return -E.EINVAL;
        return offset + size > length ? -E.EINVAL : 0;
      },
      view: (offset, size) => this.memory.u8.subarray(region.start + offset, region.start + offset + size),
    };
  }
}

/** @throws BpfError ENOMEM when the lab's memory is too small */
export function createArray(env: MapEnv, attr: MapAttr, typeId: number): BpfMap {
  return withRegions(env.memory, (regions) => new ArrayMap(env, attr, typeId, false, regions));
}

/** @throws BpfError ENOMEM when the lab's memory is too small */
export function createPercpuArray(env: MapEnv, attr: MapAttr, typeId: number): BpfMap {
  return withRegions(env.memory, (regions) => new ArrayMap(env, attr, typeId, true, regions));
}
