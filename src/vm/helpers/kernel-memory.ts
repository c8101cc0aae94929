import { E } from '../../base/errno.ts';
import type { Memory } from '../../base/memory.ts';

/** Result of `readableAt` for an address that cannot be read. */
export type Unreadable = -14 | -34;

/** High half of the vsyscall page and its low half without the offset; Linux takes it for a user's. */
const VSYSCALL_HI = -1;
const VSYSCALL_LO = 0xff600000;

/**
 * May helpers read at a 64-bit address that the verifier knows nothing about? The lab's kernel addresses are offsets of
 * its linear memory; of all others, the upper half of the address space is the kernel's, but not mapped, and the rest is
 * the user's. Returns 0, -ERANGE for user addresses and impossible ones, or -EFAULT.
 * kernel: copy_from_kernel_nofault_allowed()
 */
export function checkAddress(memory: Memory, lo: number, hi: number): 0 | Unreadable {
  if (hi === 0 && memory.accessible(lo >>> 0, 1, false)) return 0;
  if (isLabAddress(memory, lo, hi)) return -14;
  if (hi < -0x8000 || hi >= 0) return -34;
  return hi === VSYSCALL_HI && (lo & ~0xfff) >>> 0 === VSYSCALL_LO ? -34 : -14;
}

/** Does the address lie in memory of the lab, readable or not? */
function isLabAddress(memory: Memory, lo: number, hi: number): boolean {
  return hi === 0 && memory.regionAt(lo >>> 0) !== undefined;
}

/** May a user's pointer have this value? kernel: access_ok() */
export function isUserAddress(memory: Memory, lo: number, hi: number): boolean {
  return hi >= 0 && hi < 0x8000 && !isLabAddress(memory, lo, hi);
}

/**
 * Copies `size` bytes from any address, or returns an errno with the destination untouched.
 * differs from kernel: memory ends where the object (a map value, a packet) ends; Linux reads on into the next one.
 */
export function copyFrom(memory: Memory, to: number, size: number, lo: number, hi: number): 0 | Unreadable {
  const bad = checkAddress(memory, lo, hi);
  if (bad === -34) return bad;
  if (size === 0) return 0;
  const from = lo >>> 0;
  if (bad !== 0 || !memory.accessible(from, size, false)) return -14;
  memory.u8.copyWithin(to, from, from + size);
  return 0;
}

/**
 * Copies a string of at most `size` bytes with its NUL, cutting it if need be; the NUL is always there. Returns its length
 * with the NUL, or an errno. kernel: strncpy_from_kernel_nofault()
 */
export function copyString(memory: Memory, into: Uint8Array, at: number, size: number, lo: number, hi: number): number {
  if (size === 0) return 0;
  const bad = checkAddress(memory, lo, hi);
  if (bad !== 0) return bad;
  const from = lo >>> 0;
  for (let i = 0; i < size - 1; i++) {
    if (!memory.accessible(from + i, 1, false)) return -E.EFAULT;
    const byte = memory.u8[from + i]!;
    into[at + i] = byte;
    if (byte === 0) return i + 1;
  }
  into[at + size - 1] = 0;
  return size;
}

/** Byte at an address that was checked by `checkAddress`, or -EFAULT past the readable bytes. */
export function byteAt(memory: Memory, address: number): number {
  return memory.accessible(address, 1, false) ? memory.u8[address]! : -E.EFAULT;
}
