// hot: take and give
import { BpfError } from '../base/error.ts';
import type { RegionSet } from './arena.ts';
import { ENTRY } from './layout.ts';

/** Sizes of a hash entry and of its value. */
export interface EntryShape {
  /** Shown in fault messages. */
  readonly name: string;
  readonly keySize: number;
  readonly valueSize: number;
  /** Slots of `slotStride` bytes per value: 1, or the number of CPUs. */
  readonly slots: number;
  readonly slotStride: number;
  /** LRU links in front of each entry. */
  readonly links: boolean;
  /** May programs store into values? Default true. */
  readonly writable?: boolean;
}

/** Entries and values of a hash in one piece; entries are laid out as ENTRY says, values apart from them. */
export class EntryChunk {
  readonly count: number;
  readonly #first: number;
  readonly #stride: number;
  readonly #values: number;
  readonly #valueStride: number;
  readonly #words: Uint32Array;

  /** @throws BpfError ENOMEM */
  constructor(regions: RegionSet, shape: EntryShape, count: number) {
    const head = shape.links ? 8 : 0;
    this.count = count;
    this.#stride = head + ENTRY.key + Math.ceil(shape.keySize / 8) * 8;
    this.#valueStride = shape.slots * shape.slotStride;
    const keys = regions.allocate(this.#stride * count, {
      kind: 'map_key',
      name: `key of ${shape.name}`,
      writable: false,
      stride: this.#stride,
      elementSize: shape.keySize,
    });
    regions.memory.setBounds(keys, keys.start + head + ENTRY.key, keys.start + this.#stride * count);
    this.#first = keys.start + head;
    try {
      this.#values = regions.allocate(this.#valueStride * count, {
        kind: 'map_value',
        name: shape.name,
        writable: shape.writable !== false,
        stride: shape.slotStride,
        elementSize: shape.valueSize,
      }).start;
    } catch (error) {
      regions.free(keys);
      throw error;
    }
    this.#words = regions.memory.u32;
  }

  /** Address of entry `index`; its value address is filled in here, so that no page is touched before it is needed. */
  entry(index: number): number {
    const entry = this.#first + index * this.#stride;
    this.#words[(entry + ENTRY.value) >> 2] = this.#values + index * this.#valueStride;
    return entry;
  }

  /** Entries that were handed out so far are `entry(0..used-1)`; for walks over all of them. */
  address(index: number): number {
    return this.#first + index * this.#stride;
  }
}

/** Entries that were never used, by CPU, beneath the free lists: `at` counts up to `end`. */
interface FreshRange {
  chunk: EntryChunk;
  at: number;
  end: number;
}

/**
 * Free entries of a preallocated hash: one LIFO list per CPU, filled with equal shares; a CPU whose list is empty takes
 * from the others. kernel: pcpu_freelist
 */
export class PreallocatedPool {
  readonly #words: Uint32Array;
  readonly #heads: Uint32Array;
  readonly #fresh: FreshRange[];

  /** @throws BpfError ENOMEM */
  constructor(regions: RegionSet, shape: EntryShape, count: number, cpus: number) {
    const chunk = new EntryChunk(regions, shape, count);
    this.#words = regions.memory.u32;
    this.#heads = new Uint32Array(cpus);
    this.#fresh = Array.from({ length: cpus }, () => ({ chunk, at: 0, end: 0 }));
    // kernel: pcpu_freelist_populate()
    const share = Math.floor(count / cpus);
    const rest = count % cpus;
    let at = 0;
    this.#fresh.forEach((range, cpu) => {
      range.at = at;
      at += share + (cpu < rest ? 1 : 0);
      range.end = at;
    });
  }

  /** An entry, or 0 when all are in use. */
  take(cpu: number): number {
    const cpus = this.#heads.length;
    for (let n = 0, c = cpu; n < cpus; n++, c = c + 1 === cpus ? 0 : c + 1) {
      const head = this.#heads[c]!;
      if (head !== 0) {
        this.#heads[c] = this.#words[(head + ENTRY.state) >> 2]!;
        return head;
      }
      const fresh = this.#fresh[c]!;
      if (fresh.at < fresh.end) return fresh.chunk.entry(fresh.at++);
    }
    return 0;
  }

  give(entry: number, cpu: number): void {
    this.#words[(entry + ENTRY.state) >> 2] = this.#heads[cpu]!;
    this.#heads[cpu] = entry;
  }
}

const FIRST_CHUNK = 1024;

/**
 * Entries allocated one by one (BPF_F_NO_PREALLOC): memory grows in doubling chunks, and an entry that was freed is
 * the next one that its CPU gets. kernel: bpf_mem_alloc
 */
export class GrowingPool {
  readonly #regions: RegionSet;
  readonly #shape: EntryShape;
  readonly #limit: number;
  readonly #words: Uint32Array;
  readonly #heads: Uint32Array;
  #chunk: EntryChunk | undefined;
  #used = 0;
  #total = 0;

  /** @param limit entries that can be in use at once */
  constructor(regions: RegionSet, shape: EntryShape, limit: number, cpus: number) {
    this.#regions = regions;
    this.#shape = shape;
    this.#limit = limit;
    this.#words = regions.memory.u32;
    this.#heads = new Uint32Array(cpus);
  }

  /** An entry, or 0 when the lab's memory is used up (ENOMEM). */
  take(cpu: number): number {
    const cpus = this.#heads.length;
    for (let n = 0, c = cpu; n < cpus; n++, c = c + 1 === cpus ? 0 : c + 1) {
      const head = this.#heads[c]!;
      if (head !== 0) {
        this.#heads[c] = this.#words[(head + ENTRY.state) >> 2]!;
        return head;
      }
      if (n === 0 && this.#total < this.#limit) {
        if (this.#chunk === undefined || this.#used === this.#chunk.count) this.#grow();
        if (this.#chunk !== undefined && this.#used < this.#chunk.count) {
          this.#total++;
          return this.#chunk.entry(this.#used++);
        }
      }
    }
    return 0;
  }

  give(entry: number, cpu: number): void {
    this.#words[(entry + ENTRY.state) >> 2] = this.#heads[cpu]!;
    this.#heads[cpu] = entry;
  }

  #grow(): void {
    let count = Math.min(this.#limit - this.#total, this.#chunk ? this.#chunk.count * 2 : FIRST_CHUNK);
    for (; count > 0; count >>= 1) {
      try {
        this.#chunk = new EntryChunk(this.#regions, this.#shape, count);
        this.#used = 0;
        return;
      } catch (error) {
        if (!(error instanceof BpfError)) throw error;
      }
    }
  }
}
