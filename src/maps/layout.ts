/**
 * Layouts that maps share with code generators: what a compiled lookup needs stands here once.
 *
 * ```
 * array, percpu_array:   value(index, cpu) = values + index * stride + cpu * cpuStride
 *
 *   values ->  | CPU 0: v0 v1 v2 ... | CPU 1: v0 v1 v2 ... |      CPU-major; plain arrays have one such row
 *                stride = round_up(value_size, 8)
 *
 * hash family:           u32 buckets[bucketMask + 1], each the address of its first entry or 0
 *
 *   entry ->   +0 next   +4 hash   +8 value   +12 state   +16 key, zero-padded to whole 32-bit words
 *              -8, -4: list links of LRU nodes
 *   value ->   | CPU 0 | CPU 1 | ...      one slot of round_up(value_size, 8) per CPU; plain hashes have one
 * ```
 */

/** Bytes of a map descriptor (`struct bpf_map *` of programs points at it). */
export const DESC_SIZE = 64;

/** Byte offsets of the u32 fields of a descriptor. */
export const DESC = {
  typeId: 0,
  flags: 4,
  keySize: 8,
  valueSize: 12,
  maxEntries: 16,
  id: 20,
  /** Arrays: address of element 0 of CPU 0. Fd arrays: of the u32 slots (address or id, 0 = empty). */
  values: 24,
  /** Bytes between elements. */
  stride: 28,
  /** Bytes between one CPU's slot of an element and the next CPU's; 0 for types that are not per CPU. */
  cpuStride: 32,
  /** Hash family: address of the bucket heads. */
  buckets: 36,
  bucketMask: 40,
  /** Initial value of jhash. */
  seed: 44,
} as const;

/** Byte offsets inside an entry of the hash family, relative to the entry's address. */
export const ENTRY = {
  next: 0,
  hash: 4,
  value: 8,
  /** Free entries of a pool: the next free one. LRU nodes: see LRU_REF and lru-list.ts. */
  state: 12,
  key: 16,
  lruNext: -8,
  lruPrev: -4,
} as const;

/** Bit of an LRU entry's state that a program's lookup sets. */
export const LRU_REF = 1;

export function roundUp8(bytes: number): number {
  return Math.ceil(bytes / 8) * 8;
}
