// hot: readIndex
import type { Errno } from '../base/errno.ts';
import { E } from '../base/errno.ts';
import type { Memory } from '../base/memory.ts';

/** The u32 at an address that may be unaligned. */
export function readIndex(memory: Memory, at: number): number {
  return (at & 3) === 0 ? memory.u32[at >> 2]! : memory.view.getUint32(at, true);
}

/** Key of an index map in user space's bytes. */
export function indexOf(key: Uint8Array): number {
  return new DataView(key.buffer, key.byteOffset, 4).getUint32(0, true);
}

/** kernel: bpf_array_get_next_key(): every index counts, occupied or not; an unknown one starts over. */
export function nextIndex(key: Uint8Array | undefined, maxEntries: number, out: Uint8Array): Errno {
  const index = key === undefined ? 0xffffffff : indexOf(key);
  let next = 0;
  if (index < maxEntries) {
    if (index === maxEntries - 1) return -E.ENOENT;
    next = index + 1;
  }
  new DataView(out.buffer, out.byteOffset, 4).setUint32(0, next, true);
  return 0;
}
