// hot: find and link
import type { Errno } from '../base/errno.ts';
import { E } from '../base/errno.ts';
import type { RegionSet } from './arena.ts';
import { jhash } from './jhash.ts';
import { ENTRY } from './layout.ts';
import type { MapAttr, MapBatch, MapEnv } from './map.ts';
import { MapBase } from './map-base.ts';
import { BPF_EXIST, BPF_F_ZERO_SEED, BPF_NOEXIST } from './map-flags.ts';

/** What a table needs before its first entry: made before the map itself, so that a failure leaves nothing behind. */
export interface Buckets {
  readonly start: number;
  readonly count: number;
}

/** @throws BpfError ENOMEM */
export function allocateBuckets(regions: RegionSet, maxEntries: number, name: string): Buckets {
  let count = 1;
  while (count < maxEntries) count *= 2;
  const region = regions.allocate(count * 4, { kind: 'internal', name: `buckets of ${name}`, accessible: false });
  return { start: region.start, count };
}

/** `map flows`, before there is a map to ask. */
export function labelOf(attr: MapAttr): string {
  return attr.name ? `map ${attr.name}` : `map of type ${attr.type}`;
}

/**
 * Buckets of chained entries in the kernel's order: a new key goes to the head of its bucket, walks go from bucket 0
 * on, head first. Entries are laid out as ENTRY says.
 */
export abstract class HashTable extends MapBase {
  protected readonly words: Int32Array;
  protected readonly hashSeed: number;
  /** Entries that are linked. */
  protected count = 0;
  readonly #heads: number;
  readonly #mask: number;
  readonly #keyWords: number;
  /** Keys that are no whole words are padded before they are looked at. */
  readonly #odd: boolean;

  constructor(
    env: MapEnv,
    attr: MapAttr,
    typeId: number,
    regions: RegionSet,
    buckets: Buckets,
    changes: { readonly maxEntries?: number; readonly flags?: number } = {},
  ) {
    super(env, attr, typeId, regions, changes);
    this.words = env.memory.i32;
    this.hashSeed = this.flags & BPF_F_ZERO_SEED ? 0 : env.rng.u32();
    this.#heads = buckets.start >> 2;
    this.#mask = buckets.count - 1;
    this.#keyWords = Math.ceil(attr.keySize / 4);
    this.#odd = attr.keySize % 4 !== 0;
    this.arena.pad.at(this.#keyWords * 4);
    this.describe({ buckets: buckets.start, bucketMask: this.#mask, seed: this.hashSeed });
  }

  /** Number of elements, for reports. */
  get size(): number {
    return this.count;
  }

  /** Word index of the key's words: the key itself, or a padded copy when it is not whole aligned words. */
  protected keyAt(key: number): number {
    return this.#odd || (key & 3) !== 0 ? this.#padded(key) : key >> 2;
  }

  #padded(key: number): number {
    const at = this.arena.pad.at(this.#keyWords * 4);
    this.words[(at >> 2) + this.#keyWords - 1] = 0;
    this.memory.u8.copyWithin(at, key, key + this.keySize);
    return at >> 2;
  }

  protected hashOf(keyWord: number): number {
    return jhash(this.words, keyWord, this.keySize, this.hashSeed);
  }

  /** Entry of the key at a word index (see `keyAt`), or 0. */
  protected findHashed(keyWord: number, hash: number): number {
    const words = this.words;
    const keyWords = this.#keyWords;
    let entry = words[this.#heads + (hash & this.#mask)]!;
    while (entry !== 0) {
      const at = entry >> 2;
      if (words[at + 1] === hash) {
        let i = 0;
        while (i < keyWords && words[at + 4 + i] === words[keyWord + i]) i++;
        if (i === keyWords) return entry;
      }
      entry = words[at]!;
    }
    return 0;
  }

  /** Entry of the key at an address, or 0. */
  protected find(key: number): number {
    const keyWord = this.keyAt(key);
    return this.findHashed(keyWord, this.hashOf(keyWord));
  }

  protected valueAddress(entry: number): number {
    return this.words[(entry + ENTRY.value) >> 2]!;
  }

  /** Writes the key and puts the entry at the head of its bucket. */
  protected link(entry: number, keyWord: number, hash: number): void {
    const words = this.words;
    const at = entry >> 2;
    const bucket = this.#heads + (hash & this.#mask);
    for (let i = 0; i < this.#keyWords; i++) words[at + 4 + i] = words[keyWord + i]!;
    words[at + 1] = hash;
    words[at] = words[bucket]!;
    words[bucket] = entry;
    this.count++;
  }

  /** Takes the entry out of its bucket; its own link stays, as a walk that stands on it may still follow it. */
  protected unlink(entry: number): void {
    const words = this.words;
    let at = this.#heads + (words[(entry + ENTRY.hash) >> 2]! & this.#mask);
    while (words[at] !== entry) at = words[at]! >> 2;
    words[at] = words[entry >> 2]!;
    this.count--;
  }

  /** kernel: check_flags() */
  protected checkFlags(entry: number, flags: number): Errno {
    if (entry !== 0 && (flags & 3) === BPF_NOEXIST) return -E.EEXIST;
    if (entry === 0 && (flags & 3) === BPF_EXIST) return -E.ENOENT;
    return 0;
  }

  /** First entry of the first bucket from `bucket` on that has one, or 0. */
  protected firstFrom(bucket: number): number {
    for (let i = bucket; i <= this.#mask; i++) {
      const entry = this.words[this.#heads + i]!;
      if (entry !== 0) return entry;
    }
    return 0;
  }

  protected keyBytes(entry: number, out: Uint8Array): void {
    const key = entry + ENTRY.key;
    out.set(this.memory.u8.subarray(key, key + this.keySize));
  }

  /** kernel: htab_map_get_next_key() */
  protected nextKey(key: Uint8Array | undefined, out: Uint8Array): Errno {
    const current = key === undefined ? 0 : this.find(this.stageKey(key));
    let next = 0;
    if (current === 0) next = this.firstFrom(0);
    else {
      next = this.words[current >> 2]!;
      if (next === 0) next = this.firstFrom((this.words[(current + ENTRY.hash) >> 2]! & this.#mask) + 1);
    }
    if (next === 0) return -E.ENOENT;
    this.keyBytes(next, out);
    return 0;
  }

  /** kernel: bpf_for_each_hash_elem(); the successor is fetched before the call, as there. */
  protected walk(cpuOffset: number, visit: (key: number, value: number) => number): number {
    let calls = 0;
    for (let bucket = 0; bucket <= this.#mask; bucket++) {
      let entry = this.words[this.#heads + bucket]!;
      while (entry !== 0) {
        const next = this.words[entry >> 2]!;
        calls++;
        if (visit(entry + ENTRY.key, this.valueAddress(entry) + cpuOffset) !== 0) return calls;
        entry = next;
      }
    }
    return calls;
  }

  /** Linked entries of one bucket in walking order. */
  protected bucketEntries(bucket: number): number[] {
    const entries: number[] = [];
    for (let entry = this.words[this.#heads + bucket]!; entry !== 0; entry = this.words[entry >> 2]!) {
      entries.push(entry);
    }
    return entries;
  }

  protected batch(read: (entry: number, value: Uint8Array) => void, remove: (entry: number) => void): MapBatch {
    return {
      commands: ['lookup', 'update', 'delete', 'lookup_and_delete'],
      buckets: {
        count: this.#mask + 1,
        entries: (bucket) => this.bucketEntries(bucket),
        read: (entry, key, value) => {
          this.keyBytes(entry, key);
          read(entry, value);
        },
        remove,
      },
    };
  }

  /** Every linked entry in walking order. */
  protected *linked(): IterableIterator<number> {
    for (let bucket = 0; bucket <= this.#mask; bucket++) yield* this.bucketEntries(bucket);
  }

  /** Calls `visit` with the value of each linked entry. */
  protected eachValue(visit: (value: number) => void): void {
    for (const entry of this.linked()) visit(this.valueAddress(entry));
  }
}
