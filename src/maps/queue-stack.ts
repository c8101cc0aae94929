// hot: push, pop, peek
import type { Errno } from '../base/errno.ts';
import { E } from '../base/errno.ts';
import type { RegionSet } from './arena.ts';
import { withRegions } from './arena.ts';
import { labelOf } from './hash-table.ts';
import type { BpfMap, MapAttr, MapEnv, MapSyscalls } from './map.ts';
import { MapBase, unsupported } from './map-base.ts';
import { BPF_EXIST } from './map-flags.ts';
import { copyBytes } from './values.ts';

/**
 * kernel: BPF_MAP_TYPE_QUEUE and BPF_MAP_TYPE_STACK: a ring of values. A queue takes from the tail, a stack from the
 * head; either drops the tail, its oldest, when it is pushed with BPF_EXIST while it is full.
 */
class QueueStackMap extends MapBase {
  readonly sys: MapSyscalls;
  readonly #start: number;
  readonly #stack: boolean;
  /** Slot of the oldest value. */
  #tail = 0;
  #count = 0;

  constructor(env: MapEnv, attr: MapAttr, typeId: number, regions: RegionSet, start: number) {
    super(env, attr, typeId, regions);
    this.#start = start;
    this.#stack = attr.type === 'stack';
    const take = (out: Uint8Array, remove: boolean) => {
      if (this.#count === 0) return -E.ENOENT;
      const from = this.#front();
      out.set(this.memory.u8.subarray(from, from + this.valueSize));
      if (remove) this.#drop();
      return 0;
    };
    this.sys = {
      wireValueSize: attr.valueSize,
      lookup: (_key, _flags, out) => take(out, false),
      update: (_key, value, flags) =>
        this.push(this.stageValue(value), Number(flags & 0xffffffffn), Number(flags >> 32n)),
      delete: unsupported.EINVAL,
      nextKey: unsupported.EINVAL,
      lookupAndDelete: (_key, _flags, out) => take(out, true),
    };
  }

  push(value: number, flagsLo: number, flagsHi: number): Errno {
    // kernel: queue_stack_map_push_elem()
    if (flagsHi !== 0 || (flagsLo !== 0 && flagsLo !== BPF_EXIST)) return -E.EINVAL;
    if (this.#count === this.maxEntries) {
      if (flagsLo !== BPF_EXIST) return -E.E2BIG;
      this.#tail = this.#slot(1);
      this.#count--;
    }
    copyBytes(this.memory, this.#start + this.#slot(this.#count) * this.valueSize, value, this.valueSize);
    this.#count++;
    return 0;
  }

  pop(value: number): Errno {
    const result = this.peek(value);
    if (result === 0) this.#drop();
    return result;
  }

  peek(value: number): Errno {
    if (this.#count === 0) {
      this.memory.u8.fill(0, value, value + this.valueSize);
      return -E.ENOENT;
    }
    copyBytes(this.memory, value, this.#front(), this.valueSize);
    return 0;
  }

  /** Slot `distance` values after the oldest. */
  #slot(distance: number): number {
    const slot = this.#tail + distance;
    return slot >= this.maxEntries ? slot - this.maxEntries : slot;
  }

  /** Address of the value that the next pop gives. */
  #front(): number {
    return this.#start + (this.#stack ? this.#slot(this.#count - 1) : this.#tail) * this.valueSize;
  }

  #drop(): void {
    if (!this.#stack) this.#tail = this.#slot(1);
    this.#count--;
  }
}

/** @throws BpfError ENOMEM when the lab's memory is too small */
export function createQueueStack(env: MapEnv, attr: MapAttr, typeId: number): BpfMap {
  return withRegions(env.memory, (regions) => {
    const options = { kind: 'internal', name: labelOf(attr), accessible: false } as const;
    const region = regions.allocate(attr.maxEntries * attr.valueSize, options);
    return new QueueStackMap(env, attr, typeId, regions, region.start);
  });
}
