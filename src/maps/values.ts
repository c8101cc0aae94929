// hot: no allocation per copy
import type { Memory } from '../base/memory.ts';
import type { BpfMap, MapEnv, SpecialFields } from './map.ts';

/** Below this, a loop over words beats the call into copyWithin. */
const WORD_LOOP_LIMIT = 128;

/** memcpy inside of the linear memory; ranges may touch but not overlap. */
export function copyBytes(memory: Memory, to: number, from: number, size: number): void {
  if (size > WORD_LOOP_LIMIT || ((to | from) & 3) !== 0) {
    memory.u8.copyWithin(to, from, from + size);
    return;
  }
  const words = memory.i32;
  const count = size >> 2;
  const t = to >> 2;
  const f = from >> 2;
  for (let i = 0; i < count; i++) words[t + i] = words[f + i]!;
  const bytes = memory.u8;
  for (let i = count << 2; i < size; i++) bytes[to + i] = bytes[from + i]!;
}

/** Sizes in bytes of the fields that the kernel keeps to itself. */
const FIELD_SIZES = { spinLock: 4, timer: 16, workqueue: 16, kptr: 8 } as const;

/** Does the value hold anything that must be released when it goes away (a lock alone need not be)? */
export function needsRelease(fields: SpecialFields | undefined): boolean {
  if (!fields) return false;
  return fields.timer !== undefined || fields.workqueue !== undefined || (fields.kptrs?.length ?? 0) > 0;
}

/** Offsets and sizes of the special fields in ascending order, as a flat list. */
function fieldRanges(fields: SpecialFields | undefined): readonly number[] {
  if (!fields) return [];
  const ranges: [number, number][] = (fields.kptrs ?? []).map((offset) => [offset, FIELD_SIZES.kptr]);
  if (fields.spinLock !== undefined) ranges.push([fields.spinLock, FIELD_SIZES.spinLock]);
  if (fields.timer !== undefined) ranges.push([fields.timer, FIELD_SIZES.timer]);
  if (fields.workqueue !== undefined) ranges.push([fields.workqueue, FIELD_SIZES.workqueue]);
  return ranges.sort((a, b) => a[0] - b[0]).flat();
}

/** Copies values in and out of a map, minding the fields that belong to the kernel. */
export class ValueCopier {
  #memory: Memory;
  #size: number;
  #ranges: readonly number[];
  #release: boolean;

  constructor(memory: Memory, size: number, fields: SpecialFields | undefined) {
    this.#memory = memory;
    this.#size = size;
    this.#ranges = fieldRanges(fields);
    this.#release = needsRelease(fields);
  }

  /** Into an element: special fields of the source are not looked at. kernel: copy_map_value() */
  store(to: number, from: number): void {
    if (this.#ranges.length === 0) copyBytes(this.#memory, to, from, this.#size);
    else this.#storeAround(to, from);
  }

  #storeAround(to: number, from: number): void {
    let at = 0;
    for (let i = 0; i < this.#ranges.length; i += 2) {
      const offset = this.#ranges[i]!;
      this.#memory.u8.copyWithin(to + at, from + at, from + offset);
      at = offset + this.#ranges[i + 1]!;
    }
    this.#memory.u8.copyWithin(to + at, from + at, from + this.#size);
  }

  /** Out to user space: special fields read as zero. kernel: check_and_init_map_value() */
  read(from: number, out: Uint8Array, at = 0, size = this.#size): void {
    out.set(this.#memory.u8.subarray(from, from + size), at);
    for (let i = 0; i < this.#ranges.length; i += 2) {
      out.fill(0, at + this.#ranges[i]!, at + this.#ranges[i]! + this.#ranges[i + 1]!);
    }
  }

  /** Before the value at `address` goes away or after it was overwritten. kernel: bpf_obj_free_fields() */
  release(env: MapEnv, map: BpfMap, address: number): void {
    if (!this.#release) return;
    env.releaseFields?.(map, address);
    for (let i = 0; i < this.#ranges.length; i += 2) {
      this.#memory.u8.fill(0, address + this.#ranges[i]!, address + this.#ranges[i]! + this.#ranges[i + 1]!);
    }
  }
}
