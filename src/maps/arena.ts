import type { Memory, Region, RegionOptions } from '../base/memory.ts';
import { PAGE_SIZE } from '../base/memory.ts';
import { DESC_SIZE } from './layout.ts';

/** Nested bpf_for_each_map_elem calls of array maps that can be under way at once (8 call frames, and then some). */
const KEY_SLOTS = 64;

/** A region that grows by moving; its contents do not outlive one map operation. */
class Staging {
  #memory: Memory;
  #region: Region | undefined;
  #name: string;

  constructor(memory: Memory, name: string) {
    this.#memory = memory;
    this.#name = name;
  }

  /** Address of at least `bytes` bytes, 8-byte aligned. */
  at(bytes: number): number {
    if (this.#region && this.#region.size >= bytes) return this.#region.start;
    if (this.#region) this.#memory.free(this.#region);
    this.#region = undefined;
    this.#region = this.#memory.allocate(bytes, { kind: 'internal', name: this.#name, accessible: false });
    return this.#region.start;
  }
}

/** What the maps of one memory share: pages of descriptors, and places where user space's bytes wait to be copied. */
export class MapArena {
  /** Keys and values on their way in from user space. */
  readonly key: Staging;
  readonly value: Staging;
  /** Where keys that are not whole aligned words are padded before they are hashed and compared. */
  readonly pad: Staging;
  #memory: Memory;
  #freeDescriptors: number[] = [];
  #keySlots: Region | undefined;
  #keyDepth = 0;

  constructor(memory: Memory) {
    this.#memory = memory;
    this.key = new Staging(memory, 'map keys from user space');
    this.value = new Staging(memory, 'map values from user space');
    this.pad = new Staging(memory, 'padded map keys');
  }

  /** Address of a zeroed map descriptor. */
  takeDescriptor(): number {
    if (this.#freeDescriptors.length === 0) {
      const page = this.#memory.allocate(PAGE_SIZE, { kind: 'map_desc', name: 'map descriptors', accessible: false });
      for (let at = page.start + PAGE_SIZE - DESC_SIZE; at >= page.start; at -= DESC_SIZE) {
        this.#freeDescriptors.push(at);
      }
    }
    return this.#freeDescriptors.pop()!;
  }

  returnDescriptor(at: number): void {
    this.#memory.u8.fill(0, at, at + DESC_SIZE);
    this.#freeDescriptors.push(at);
  }

  /** A readable u32 for callbacks of index-keyed maps; given back in reverse order by `popKeySlot`. */
  pushKeySlot(): number {
    this.#keySlots ??= this.#memory.allocate(KEY_SLOTS * 8, {
      kind: 'map_key',
      name: 'array index',
      writable: false,
      stride: 8,
      elementSize: 4,
    });
    const slot = this.#keyDepth++ % KEY_SLOTS;
    return this.#keySlots.start + slot * 8;
  }

  popKeySlot(): void {
    this.#keyDepth--;
  }
}

const arenas = new WeakMap<Memory, MapArena>();

/** The one arena of a memory. */
export function arenaOf(memory: Memory): MapArena {
  let arena = arenas.get(memory);
  if (!arena) {
    arena = new MapArena(memory);
    arenas.set(memory, arena);
  }
  return arena;
}

/** Regions of one map. */
export class RegionSet {
  readonly memory: Memory;
  #regions = new Set<Region>();

  constructor(memory: Memory) {
    this.memory = memory;
  }

  /** @throws BpfError ENOMEM */
  allocate(bytes: number, options: RegionOptions): Region {
    const region = this.memory.allocate(bytes, options);
    this.#regions.add(region);
    return region;
  }

  free(region: Region): void {
    this.#regions.delete(region);
    this.memory.free(region);
  }

  freeAll(): void {
    for (const region of this.#regions) this.memory.free(region);
    this.#regions.clear();
  }
}

/** Builds a map; when the memory does not suffice, what it had taken goes back before the error goes on. */
export function withRegions<T>(memory: Memory, build: (regions: RegionSet) => T): T {
  const regions = new RegionSet(memory);
  try {
    return build(regions);
  } catch (error) {
    regions.freeAll();
    throw error;
  }
}
