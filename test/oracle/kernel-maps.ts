import { readFileSync } from 'node:fs';
import { Attr, type Result } from './attr.ts';
import { pinned, pinnedCopy } from './libc.ts';

export interface MapCreate {
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags?: number;
  readonly name?: string;
  readonly innerMapFd?: number;
  readonly numaNode?: number;
  readonly ifindex?: number;
  readonly btfFd?: number;
  readonly btfKeyTypeId?: number;
  readonly btfValueTypeId?: number;
  readonly extra?: number | bigint;
}

/** BPF_MAP_CREATE: a file descriptor. */
export function mapCreate(map: MapCreate): Result {
  return new Attr()
    .u32(0, map.type)
    .u32(4, map.keySize)
    .u32(8, map.valueSize)
    .u32(12, map.maxEntries)
    .u32(16, map.flags ?? 0)
    .u32(20, map.innerMapFd ?? 0)
    .u32(24, map.numaNode ?? 0)
    .name(28, map.name ?? '')
    .u32(44, map.ifindex ?? 0)
    .u32(48, map.btfFd ?? 0)
    .u32(52, map.btfKeyTypeId ?? 0)
    .u32(56, map.btfValueTypeId ?? 0)
    .u64(64, map.extra ?? 0)
    .call('map_create');
}

function elem(fd: number, key: Uint8Array | undefined, value: Uint8Array | undefined, flags: number | bigint): Attr {
  return new Attr()
    .u32(0, fd)
    .ptr(8, key && pinnedCopy(key))
    .ptr(16, value)
    .u64(24, flags);
}

/** Bytes that user space reads and writes per element: every possible CPU's slot, 8-byte aligned, for per-CPU types. */
export function userValueSize(type: number, valueSize: number): number {
  return isPerCpu(type) ? Math.ceil(valueSize / 8) * 8 * possibleCpus() : valueSize;
}

/** percpu_hash, percpu_array, lru_percpu_hash, percpu_cgroup_storage. */
export function isPerCpu(type: number): boolean {
  return type === 5 || type === 6 || type === 10 || type === 21;
}

/** BPF_MAP_LOOKUP_ELEM of `size` bytes (see `userValueSize`); `key` is absent for queues and stacks. */
export function mapLookup(fd: number, key: Uint8Array | undefined, size: number, flags = 0): Uint8Array | Result {
  const value = pinned(size);
  const result = elem(fd, key, value, flags).call('map_lookup_elem');
  return result < 0 ? result : value;
}

export function mapLookupAndDelete(
  fd: number,
  key: Uint8Array | undefined,
  size: number,
  flags = 0,
): Uint8Array | Result {
  const value = pinned(size);
  const result = elem(fd, key, value, flags).call('map_lookup_and_delete_elem');
  return result < 0 ? result : value;
}

/** Bloom filters look a value up: 0 when it may be there, -ENOENT when it is not. */
export function mapPeekValue(fd: number, value: Uint8Array): Result {
  return elem(fd, undefined, pinnedCopy(value), 0).call('map_lookup_elem');
}

export function mapUpdate(
  fd: number,
  key: Uint8Array | undefined,
  value: Uint8Array,
  flags: number | bigint = 0,
): Result {
  return elem(fd, key, pinnedCopy(value), flags).call('map_update_elem');
}

export function mapDelete(fd: number, key: Uint8Array): Result {
  return elem(fd, key, undefined, 0).call('map_delete_elem');
}

/** BPF_MAP_GET_NEXT_KEY; no `key` asks for the first. */
export function mapNextKey(fd: number, key: Uint8Array | undefined, keySize: number): Uint8Array | Result {
  const next = pinned(keySize);
  const result = elem(fd, key, next, 0).call('map_get_next_key');
  return result < 0 ? result : next;
}

export interface BatchResult {
  readonly result: Result;
  readonly count: number;
  readonly keys: Uint8Array;
  readonly values: Uint8Array;
  /** Where the next batch starts. */
  readonly next: Uint8Array;
}

/** BPF_MAP_{LOOKUP,LOOKUP_AND_DELETE}_BATCH of up to `count` elements. */
export function mapLookupBatch(
  fd: number,
  options: {
    readonly keySize: number;
    readonly userValueSize: number;
    readonly count: number;
    readonly from?: Uint8Array;
    readonly delete?: boolean;
    readonly elemFlags?: number;
    readonly flags?: number;
  },
): BatchResult {
  const keys = pinned(options.keySize * options.count);
  const values = pinned(options.userValueSize * options.count);
  const next = pinned(Math.max(options.keySize, 8));
  const attr = batch(fd, options, keys, values)
    .ptr(0, options.from && pinnedCopy(options.from))
    .ptr(8, next);
  const result = attr.call(options.delete ? 'map_lookup_and_delete_batch' : 'map_lookup_batch');
  return { result, count: attr.read32(32), keys, values, next };
}

/** BPF_MAP_{UPDATE,DELETE}_BATCH; `count` of the answer is how many were done. */
export function mapWriteBatch(
  fd: number,
  options: {
    readonly keys: Uint8Array;
    /** Absent: delete. */
    readonly values?: Uint8Array;
    readonly count: number;
    readonly elemFlags?: number;
    readonly flags?: number;
  },
): { readonly result: Result; readonly count: number } {
  const attr = batch(fd, options, pinnedCopy(options.keys), options.values && pinnedCopy(options.values));
  const result = attr.call(options.values ? 'map_update_batch' : 'map_delete_batch');
  return { result, count: attr.read32(32) };
}

function batch(
  fd: number,
  options: { readonly count: number; readonly elemFlags?: number; readonly flags?: number },
  keys: Uint8Array,
  values: Uint8Array | undefined,
): Attr {
  return new Attr()
    .ptr(16, keys)
    .ptr(24, values)
    .u32(32, options.count)
    .u32(36, fd)
    .u64(40, options.elemFlags ?? 0)
    .u64(48, options.flags ?? 0);
}

export function mapFreeze(fd: number): Result {
  return new Attr().u32(0, fd).call('map_freeze');
}

export function mapFdById(id: number): Result {
  return new Attr().u32(0, id).call('map_get_fd_by_id');
}

let cpus: number | undefined;
/** Number of possible CPUs: what per-CPU values are wide. */
export function possibleCpus(): number {
  if (cpus === undefined) {
    const last = readFileSync('/sys/devices/system/cpu/possible', 'utf8').trim().split(/[,-]/).at(-1);
    cpus = Number(last) + 1;
  }
  return cpus;
}
