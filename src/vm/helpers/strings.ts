import { E } from '../../base/errno.ts';
import { FaultError } from '../../base/error.ts';
import type { Memory } from '../../base/memory.ts';
import { type HelperRow, helper, kfunc } from '../prototypes/helper.ts';
import { byteAt, checkAddress } from './kernel-memory.ts';

/** Bytes that are looked at after white space and sign. */
const MAX_DIGITS = 63;
const U64_MAX = 0xffff_ffff_ffff_ffffn;
const S64_MAX = 0x7fff_ffff_ffff_ffffn;

/** kernel: isspace() */
export function isSpace(byte: number): boolean {
  return (byte >= 9 && byte <= 13) || byte === 0x20 || byte === 0xa0;
}

/** Value of a digit in any base up to 36; a large number for other bytes. */
function digitOf(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x7a ? letter - 0x61 + 10 : 99;
}

interface Parsed {
  readonly consumed: number;
  readonly magnitude: bigint;
  readonly negative: boolean;
}

/** kernel: __bpf_strtoull() */
function parseInteger(text: Uint8Array, flagsLo: number, flagsHi: number): Parsed | number {
  let base = flagsLo & 0x1f;
  if ((base !== 0 && base !== 8 && base !== 10 && base !== 16) || (flagsLo & ~0x1f) !== 0 || flagsHi !== 0) {
    return -E.EINVAL;
  }
  let at = 0;
  while (at < text.length && isSpace(text[at]!)) at++;
  const negative = text[at] === 0x2d;
  if (negative) at++;
  if (at >= text.length) return -E.EINVAL;

  const end = Math.min(text.length, at + MAX_DIGITS);
  const byte = (index: number) => (index < end ? text[index]! : 0);
  const prefixed = byte(at) === 0x30 && (byte(at + 1) | 0x20) === 0x78;
  if (base === 0) base = byte(at) !== 0x30 ? 10 : prefixed && digitOf(byte(at + 2)) < 16 ? 16 : 8;
  if (base === 16 && prefixed) at += 2;

  const first = at;
  let magnitude = 0n;
  for (; digitOf(byte(at)) < base; at++) magnitude = magnitude * BigInt(base) + BigInt(digitOf(byte(at)));
  if (magnitude > U64_MAX) return -E.ERANGE;
  return at === first ? -E.EINVAL : { consumed: at, magnitude, negative };
}

/** Is it an errno instead of a byte? */
function isError(byte: number): boolean {
  return byte < 0;
}

export const stringHelpers: readonly HelperRow[] = [
  helper({
    id: 105,
    name: 'bpf_strtol',
    args: ['mem', 'const_size', 'anything', 'fixed_mem_w8'],
    ret: 'integer',
    types: 'all',
    call: (cpu, from, size, flagsLo, flagsHi, result) => {
      const { u8, view } = cpu.machine.memory;
      view.setBigInt64(result, 0n, true);
      const parsed = parseInteger(u8.subarray(from, from + size), flagsLo, flagsHi);
      if (typeof parsed === 'number') return parsed;
      if (parsed.magnitude > S64_MAX + (parsed.negative ? 1n : 0n)) return -E.ERANGE;
      view.setBigInt64(result, parsed.negative ? -parsed.magnitude : parsed.magnitude, true);
      return parsed.consumed;
    },
  }),
  helper({
    id: 106,
    name: 'bpf_strtoul',
    args: ['mem', 'const_size', 'anything', 'fixed_mem_w8'],
    ret: 'integer',
    types: 'all',
    call: (cpu, from, size, flagsLo, flagsHi, result) => {
      const { u8, view } = cpu.machine.memory;
      view.setBigInt64(result, 0n, true);
      const parsed = parseInteger(u8.subarray(from, from + size), flagsLo, flagsHi);
      if (typeof parsed === 'number') return parsed;
      if (parsed.negative) return -E.EINVAL;
      view.setBigUint64(result, parsed.magnitude, true);
      return parsed.consumed;
    },
  }),
  helper({
    id: 182,
    name: 'bpf_strncmp',
    args: ['mem', 'const_size', 'const_str'],
    ret: 'integer',
    types: 'all',
    call: (cpu, left, size, right) => {
      const { memory } = cpu.machine;
      for (let i = 0; i < size; i++) {
        const a = memory.u8[left + i]!;
        const b = byteAt(memory, right + i);
        if (isError(b)) {
          throw new FaultError(`bpf_strncmp: argument 3 (const_str): ${memory.describe(right + i)}`);
        }
        if (a !== b) return a < b ? -1 : 1;
        if (a === 0) return 0;
      }
      return 0;
    },
  }),
];

/** Bytes that string functions look at before they give up with E2BIG. kernel: XATTR_SIZE_MAX */
const MAX_STRING = 65536;

/** A string at an address that nothing is known about. */
class UnsafeString {
  readonly #memory: Memory;
  readonly #at: number;
  /** 0, or the errno with which reading it fails. */
  readonly error: number;

  constructor(memory: Memory, lo: number, hi: number) {
    this.#memory = memory;
    this.#at = lo >>> 0;
    this.error = checkAddress(memory, lo, hi);
  }

  /** Byte at an index, or -EFAULT. */
  byte(index: number): number {
    return byteAt(this.#memory, this.#at + index);
  }
}

/** Walks a string; `visit` returns the result, or undefined to go on. Past MAX_STRING: E2BIG. */
function scan(text: UnsafeString, visit: (byte: number, index: number) => number | undefined): number {
  if (text.error) return text.error;
  for (let i = 0; i < MAX_STRING; i++) {
    const byte = text.byte(i);
    if (isError(byte)) return byte;
    const result = visit(byte, i);
    if (result !== undefined) return result;
  }
  return -E.E2BIG;
}

const lower = (byte: number) => (byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte);

function compare(a: UnsafeString, b: UnsafeString, fold: (byte: number) => number): number {
  if (b.error) return a.error || b.error;
  return scan(a, (byte, i) => {
    const other = b.byte(i);
    if (isError(other)) return other;
    const left = fold(byte);
    const right = fold(other);
    if (left !== right) return left < right ? -1 : 1;
    return byte === 0 ? 0 : undefined;
  });
}

/** Index of a byte among the first `count`; 0 finds the end. */
function find(text: UnsafeString, wanted: number, count: number): number {
  if (count === 0) return text.error || -E.ENOENT;
  return scan(text, (byte, i) => {
    if (byte === wanted) return i;
    return byte === 0 || i + 1 === count ? -E.ENOENT : undefined;
  });
}

/** Bytes before the first that is in the set (`inside` false) or not in it (true). */
function span(text: UnsafeString, set: UnsafeString, inside: boolean): number {
  if (set.error) return text.error || set.error;
  return scan(text, (byte, i) => {
    if (byte === 0) return i;
    const found = scan(set, (member) => (member === 0 ? 0 : member === byte ? 1 : undefined));
    if (found < 0) return found;
    return (found === 1) === inside ? undefined : i;
  });
}

/** Index of `needle` in the first `count` bytes of `text`. kernel: bpf_strnstr() */
function search(text: UnsafeString, needle: UnsafeString, count: number): number {
  if (text.error || needle.error) return text.error || needle.error;
  for (let start = 0; start < MAX_STRING; start++) {
    let i = 0;
    for (; start + i <= count && i < MAX_STRING; i++) {
      const wanted = needle.byte(i);
      if (isError(wanted)) return wanted;
      if (wanted === 0) return start;
      if (start + i === count) break;
      const byte = text.byte(start + i);
      if (isError(byte)) return byte;
      if (byte === 0) return -E.ENOENT;
      if (byte !== wanted) break;
    }
    if (i === MAX_STRING) return -E.E2BIG;
    if (start + i === count) return -E.ENOENT;
  }
  return -E.E2BIG;
}

/** size_t arguments as numbers; nothing is ever longer than MAX_STRING. */
const size = (lo: number, hi: number) => (hi >>> 0) * 0x100000000 + (lo >>> 0);

/** kernel: bpf_strcmp() and its family in kernel/bpf/helpers.c */
export const stringKfuncs: readonly HelperRow[] = [
  kfunc({
    name: 'bpf_strcmp',
    args: ['anything', 'anything'],
    ret: 'u32',
    types: 'all',
    call: ({ machine: { memory } }, aLo, aHi, bLo, bHi) =>
      compare(new UnsafeString(memory, aLo, aHi), new UnsafeString(memory, bLo, bHi), (byte) => byte),
  }),
  kfunc({
    name: 'bpf_strcasecmp',
    args: ['anything', 'anything'],
    ret: 'u32',
    types: 'all',
    call: ({ machine: { memory } }, aLo, aHi, bLo, bHi) =>
      compare(new UnsafeString(memory, aLo, aHi), new UnsafeString(memory, bLo, bHi), lower),
  }),
  kfunc({
    name: 'bpf_strchr',
    args: ['anything', 'anything32'],
    ret: 'u32',
    types: 'all',
    call: ({ machine: { memory } }, lo, hi, wanted) => find(new UnsafeString(memory, lo, hi), wanted & 0xff, Infinity),
  }),
  kfunc({
    name: 'bpf_strnchr',
    args: ['anything', 'anything', 'anything32'],
    ret: 'u32',
    types: 'all',
    call: ({ machine: { memory } }, lo, hi, countLo, countHi, wanted) =>
      find(new UnsafeString(memory, lo, hi), wanted & 0xff, size(countLo, countHi)),
  }),
  kfunc({
    name: 'bpf_strchrnul',
    args: ['anything', 'anything32'],
    ret: 'u32',
    types: 'all',
    call: ({ machine: { memory } }, lo, hi, wanted) =>
      scan(new UnsafeString(memory, lo, hi), (byte, i) => (byte === 0 || byte === (wanted & 0xff) ? i : undefined)),
  }),
  kfunc({
    name: 'bpf_strrchr',
    args: ['anything', 'anything32'],
    ret: 'u32',
    types: 'all',
    call: ({ machine: { memory } }, lo, hi, wanted) => {
      let last = -E.ENOENT;
      return scan(new UnsafeString(memory, lo, hi), (byte, i) => {
        if (byte === (wanted & 0xff)) last = i;
        return byte === 0 ? last : undefined;
      });
    },
  }),
  kfunc({
    name: 'bpf_strlen',
    args: ['anything'],
    ret: 'u32',
    types: 'all',
    call: ({ machine: { memory } }, lo, hi) =>
      scan(new UnsafeString(memory, lo, hi), (byte, i) => (byte === 0 ? i : undefined)),
  }),
  kfunc({
    name: 'bpf_strnlen',
    args: ['anything', 'anything'],
    ret: 'u32',
    types: 'all',
    call: ({ machine: { memory } }, lo, hi, countLo, countHi) => {
      const count = size(countLo, countHi);
      const text = new UnsafeString(memory, lo, hi);
      if (count === 0) return text.error;
      return scan(text, (byte, i) => (byte === 0 ? i : i + 1 === count && count < MAX_STRING ? count : undefined));
    },
  }),
  kfunc({
    name: 'bpf_strspn',
    args: ['anything', 'anything'],
    ret: 'u32',
    types: 'all',
    call: ({ machine: { memory } }, lo, hi, setLo, setHi) =>
      span(new UnsafeString(memory, lo, hi), new UnsafeString(memory, setLo, setHi), true),
  }),
  kfunc({
    name: 'bpf_strcspn',
    args: ['anything', 'anything'],
    ret: 'u32',
    types: 'all',
    call: ({ machine: { memory } }, lo, hi, setLo, setHi) =>
      span(new UnsafeString(memory, lo, hi), new UnsafeString(memory, setLo, setHi), false),
  }),
  kfunc({
    name: 'bpf_strstr',
    args: ['anything', 'anything'],
    ret: 'u32',
    types: 'all',
    call: ({ machine: { memory } }, lo, hi, needleLo, needleHi) =>
      search(new UnsafeString(memory, lo, hi), new UnsafeString(memory, needleLo, needleHi), MAX_STRING),
  }),
  kfunc({
    name: 'bpf_strnstr',
    args: ['anything', 'anything', 'anything'],
    ret: 'u32',
    types: 'all',
    call: ({ machine: { memory } }, lo, hi, needleLo, needleHi, countLo, countHi) =>
      search(new UnsafeString(memory, lo, hi), new UnsafeString(memory, needleLo, needleHi), size(countLo, countHi)),
  }),
];
