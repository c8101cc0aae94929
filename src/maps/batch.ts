import type { Errno } from '../base/errno.ts';
import { E } from '../base/errno.ts';
import type { BatchCommand, BpfMap, MapBatch } from './map.ts';
import { BPF_F_LOCK } from './map-flags.ts';

/** union bpf_attr of the batch commands. Buffers hold `count` keys and values in a row. */
export interface BatchRequest {
  /** Where the last call stopped: a key, or for the hash family a u32 bucket number. Absent: from the start. */
  readonly from?: Uint8Array | undefined;
  readonly keys?: Uint8Array;
  readonly values?: Uint8Array;
  readonly count: number;
  readonly elemFlags?: bigint;
  readonly flags?: bigint;
}

export interface BatchResult {
  readonly errno: Errno;
  /** Elements done; untouched (as asked for) when the command was refused. */
  readonly count: number;
  /** out_batch, where it was written. */
  readonly next?: Uint8Array;
}

interface Batch {
  readonly map: BpfMap;
  readonly keys: Uint8Array;
  readonly values: Uint8Array;
  readonly count: number;
  readonly elemFlags: bigint;
  readonly from: Uint8Array | undefined;
  readonly file: object;
}

/** One batch command on a map whose descriptor permits it. */
export function runBatch(map: BpfMap, command: BatchCommand, request: BatchRequest, file: object): BatchResult {
  const refusal = (errno: Errno) => ({ errno, count: request.count });
  const batch = map.sys.batch;
  if (!batch?.commands.includes(command)) return refusal(-E.ENOTSUPP);
  const elemFlags = request.elemFlags ?? 0n;
  if ((elemFlags & ~BigInt(BPF_F_LOCK)) !== 0n) return refusal(-E.EINVAL);
  if (elemFlags !== 0n && map.fields?.spinLock === undefined) return refusal(-E.EINVAL);
  const byBuckets = batch.buckets !== undefined && command.startsWith('lookup');
  if (byBuckets && request.flags) return refusal(-E.EINVAL);
  if (request.count === 0) return { errno: 0, count: 0 };
  const keys = request.keys ?? new Uint8Array(0);
  const values = request.values ?? new Uint8Array(0);
  const needsValues = command !== 'delete';
  if (keys.length < request.count * map.keySize) return { errno: -E.EFAULT, count: 0 };
  if (needsValues && values.length < request.count * map.sys.wireValueSize) return { errno: -E.EFAULT, count: 0 };
  const work: Batch = { map, keys, values, count: request.count, elemFlags, from: request.from, file };
  if (byBuckets) return lookupBuckets(work, batch.buckets!, command === 'lookup_and_delete');
  return command === 'lookup' ? lookupKeys(work) : writeKeys(work, command === 'update');
}

function keyAt(batch: Batch, index: number): Uint8Array {
  const size = batch.map.keySize;
  return batch.keys.subarray(index * size, (index + 1) * size);
}

function valueAt(batch: Batch, index: number): Uint8Array {
  const size = batch.map.sys.wireValueSize;
  return batch.values.subarray(index * size, (index + 1) * size);
}

/** kernel: generic_map_lookup_batch() */
function lookupKeys(batch: Batch): BatchResult {
  const { map, count } = batch;
  let previous = batch.from?.subarray(0, map.keySize);
  let copied = 0;
  let errno = 0;
  while (copied < count) {
    const key = new Uint8Array(map.keySize);
    errno = map.sys.nextKey(previous, key);
    if (errno !== 0) break;
    errno = map.sys.lookup(key, batch.elemFlags, valueAt(batch, copied));
    previous = key;
    if (errno === -E.ENOENT) continue;
    if (errno !== 0) return { errno, count: 0 };
    keyAt(batch, copied).set(key);
    copied++;
  }
  return { errno, count: copied, ...(copied > 0 && previous ? { next: previous } : {}) };
}

/** kernel: generic_map_update_batch(), generic_map_delete_batch() */
function writeKeys(batch: Batch, update: boolean): BatchResult {
  const { sys } = batch.map;
  for (let i = 0; i < batch.count; i++) {
    const errno = update
      ? sys.update(keyAt(batch, i), valueAt(batch, i), batch.elemFlags, batch.file)
      : sys.delete(keyAt(batch, i));
    if (errno !== 0) return { errno, count: i };
  }
  return { errno: 0, count: batch.count };
}

/** kernel: __htab_map_lookup_and_delete_batch(): whole buckets, or none of it */
function lookupBuckets(batch: Batch, buckets: NonNullable<MapBatch['buckets']>, remove: boolean): BatchResult {
  const { from } = batch;
  if (from !== undefined && from.length < 4) return { errno: -E.EFAULT, count: 0 };
  let bucket = from === undefined ? 0 : new DataView(from.buffer, from.byteOffset).getUint32(0, true);
  if (bucket >= buckets.count) return { errno: -E.ENOENT, count: 0 };
  let total = 0;
  let errno = -E.ENOENT;
  for (; bucket < buckets.count; bucket++) {
    const entries = buckets.entries(bucket);
    if (entries.length > batch.count - total) {
      errno = total === 0 ? -E.ENOSPC : 0;
      break;
    }
    for (const entry of entries) {
      buckets.read(entry, keyAt(batch, total), valueAt(batch, total));
      if (remove) buckets.remove(entry);
      total++;
    }
  }
  const next = new Uint8Array(4);
  new DataView(next.buffer).setUint32(0, bucket, true);
  return { errno, count: total, next };
}
