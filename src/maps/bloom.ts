// hot: push, peek
import type { Errno } from '../base/errno.ts';
import { E } from '../base/errno.ts';
import type { RegionSet } from './arena.ts';
import { withRegions } from './arena.ts';
import { labelOf } from './hash-table.ts';
import { jhash } from './jhash.ts';
import type { BpfMap, MapAttr, MapEnv, MapSyscalls } from './map.ts';
import { MapBase, unsupported } from './map-base.ts';
import { BPF_F_ZERO_SEED } from './map-flags.ts';

const DEFAULT_HASHES = 5;

/** Last bit number of a filter. kernel: bloom_map_alloc() */
export function bloomMask(maxEntries: number, hashes: number): number {
  const product = maxEntries * hashes;
  const bits = Math.floor(product / 5) * 7;
  if (product > 0xffffffff || bits > 2 ** 31) return 0xffffffff;
  let size = 64;
  while (size < bits) size *= 2;
  return size - 1;
}

function hashesOf(attr: MapAttr): number {
  return Number((attr.mapExtra ?? 0n) & 0xfn) || DEFAULT_HASHES;
}

/** kernel: BPF_MAP_TYPE_BLOOM_FILTER */
class BloomFilter extends MapBase {
  readonly sys: MapSyscalls;
  readonly #bits: number;
  readonly #mask: number;
  readonly #hashes: number;
  readonly #seed: number;

  constructor(env: MapEnv, attr: MapAttr, typeId: number, regions: RegionSet, bits: number, mask: number) {
    super(env, attr, typeId, regions);
    this.#bits = bits;
    this.#mask = mask;
    this.#hashes = hashesOf(attr);
    this.#seed = this.flags & BPF_F_ZERO_SEED ? 0 : env.rng.u32();
    this.arena.pad.at(attr.valueSize + 4);
    this.sys = {
      wireValueSize: attr.valueSize,
      // The value buffer is the question: it is read, not written.
      lookup: (_key, _flags, value) => this.peek(this.stageValue(value)),
      update: (_key, value, flags) =>
        this.push(this.stageValue(value), Number(flags & 0xffffffffn), Number(flags >> 32n)),
      delete: unsupported.EOPNOTSUPP,
      nextKey: unsupported.EOPNOTSUPP,
    };
  }

  push(value: number, flagsLo: number, flagsHi: number): Errno {
    // kernel: bloom_map_push_elem()
    if (flagsLo !== 0 || flagsHi !== 0) return -E.EINVAL;
    const at = this.#wordsOf(value);
    for (let i = 0; i < this.#hashes; i++) {
      const bit = this.#bit(at, i);
      this.memory.u8[this.#bits + Math.floor(bit / 8)]! |= 1 << (bit & 7);
    }
    return 0;
  }

  peek(value: number): Errno {
    const at = this.#wordsOf(value);
    for (let i = 0; i < this.#hashes; i++) {
      const bit = this.#bit(at, i);
      if ((this.memory.u8[this.#bits + Math.floor(bit / 8)]! & (1 << (bit & 7))) === 0) return -E.ENOENT;
    }
    return 0;
  }

  #bit(words: number, index: number): number {
    return (jhash(this.memory.i32, words, this.valueSize, (this.#seed + index) | 0) & this.#mask) >>> 0;
  }

  #wordsOf(value: number): number {
    if (this.valueSize % 4 === 0 && (value & 3) === 0) return value >> 2;
    const words = Math.ceil(this.valueSize / 4);
    const at = this.arena.pad.at(words * 4);
    this.memory.i32[(at >> 2) + words - 1] = 0;
    this.memory.u8.copyWithin(at, value, value + this.valueSize);
    return at >> 2;
  }
}

/** @throws BpfError ENOMEM when the lab's memory is too small */
export function createBloom(env: MapEnv, attr: MapAttr, typeId: number): BpfMap {
  return withRegions(env.memory, (regions) => {
    const mask = bloomMask(attr.maxEntries, hashesOf(attr));
    const options = { kind: 'internal', name: labelOf(attr), accessible: false } as const;
    const region = regions.allocate((mask + 1) / 8, options);
    return new BloomFilter(env, attr, typeId, regions, region.start, mask);
  });
}
