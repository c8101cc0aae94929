// hot: no allocation, no closure, no BigInt per instruction

/** State that the loop shares with the interpreter around it. */
export interface LoopState {
  /** Call depth; 0 is the program's own frame. */
  depth: number;
  /** First depth at which the current run may not open a frame any more. */
  frameLimit: number;
  /** Words of code executed (4 per instruction) by loops that have ended. */
  words: number;
  /** Word index of the helper call or atomic under way. */
  pc: number;
}

/**
 * Everything that the loop touches. The arrays come as arguments of the factory, not of the loop, because V8 then treats
 * them as constants; see `makeLoop`.
 */
export interface LoopParts {
  /** Registers r0..r10 as lo/hi pairs, and room for an operand at 24. */
  readonly r: Int32Array;
  /** Frames (12 words each) and code, see predecode.ts. */
  readonly m: Int32Array;
  readonly u8: Uint8Array;
  readonly view: DataView;
  /** Memory.pageRow and Memory.regionTable. */
  readonly pages: Int32Array;
  readonly table: Int32Array;
  readonly state: LoopState;
  readonly helpers: readonly (() => void)[];
  /** Throws a FaultError for the access at `pc` through the register pair at `base`. */
  readonly fault: (pc: number, base: number, size: number, write: boolean) => never;
  /** 64-bit division and modulo where the fast path does not do. */
  readonly divide: (dst: number, src: number, modulo: boolean, signed: boolean) => void;
  readonly atomic32: (op: number, address: number, src: number) => void;
  readonly atomic64: (op: number, address: number, src: number) => void;
  /** Called when `words` passed its limit and was added to the state; throws when the budget is spent, else the next limit. */
  readonly flush: (pc: number) => number;
  /** Makes the frame at a depth that has none yet, or throws when that is too deep. */
  readonly grow: (pc: number, depth: number) => void;
  /** Closes a frame and gives the word index to go on at; the loop's `exit` does the same in line. */
  readonly leave: () => number;
  /** Word index of the called program, or 0 when the tail call falls through. */
  readonly tailCall: (pc: number) => number;
  /** Has the budget of may_goto run out? */
  readonly mayGoto: (pc: number) => boolean;
  /** LD_ABS and LD_IND into r0; false: outside of the packet. */
  readonly loadPacket: (pc: number, indirect: boolean) => boolean;
  readonly trace: (pc: number) => void;
}

/** Runs code from a word index until the frame that it began in exits. `limit`: words before `flush` is asked. */
export type Loop = (start: number, limit: number) => void;

/**
 * Makes the interpreter's loop. Its speed hangs on V8 knowing the arrays as constants of the closure, which it does only
 * for a function that exists once: so each machine after the first makes its own copy from this function's source text
 * (interpreter.ts), and nothing in the body may refer to this module's scope.
 */
export function makeLoop(parts: LoopParts): Loop {
  const { r, m, u8, view, pages, table, state, helpers } = parts;
  const { fault, divide, atomic32, atomic64, flush, grow, leave, tailCall, mayGoto, loadPacket, trace } = parts;

  return function loop(from, firstLimit) {
    const base = state.depth;
    // `| 0` wherever a number that lives across instructions is set: without it V8 keeps the number tagged and untags it in
    // every op, which costs a third of the speed (2.2 instead of 1.6 ns per instruction).
    let pc = from | 0;
    /** Where the current straight run of instructions began; jumps add its length to `words`. */
    let start = from | 0;
    let words = 0;
    let limit = firstLimit | 0;
    for (;;) {
      const w = m[pc]!;
      // Register numbers are doubled: `& 30` leaves r0..r15, of which validated code names r0..r10.
      switch (w & 0xff) {
        case 0: {
          // add64
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          const low = (r[d]! + r[s]!) | 0;
          // Carry out of the low half: the unsigned sum does not fit in 32 bits.
          r[d + 1] = r[d + 1]! + r[s + 1]! + (low >>> 0 < r[s]! >>> 0 ? 1 : 0);
          r[d] = low;
          pc = (pc + 4) | 0;
          continue;
        }
        case 1: {
          // add64_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          const low = (r[d]! + k) | 0;
          // Carry out of the low half: the unsigned sum does not fit in 32 bits.
          r[d + 1] = r[d + 1]! + (k >> 31) + (low >>> 0 < k >>> 0 ? 1 : 0);
          r[d] = low;
          pc = (pc + 4) | 0;
          continue;
        }
        case 2: {
          // sub64
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          const borrow = r[d]! >>> 0 < r[s]! >>> 0 ? 1 : 0;
          r[d + 1] = r[d + 1]! - r[s + 1]! - borrow;
          r[d] = r[d]! - r[s]!;
          pc = (pc + 4) | 0;
          continue;
        }
        case 3: {
          // sub64_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          const borrow = r[d]! >>> 0 < k >>> 0 ? 1 : 0;
          r[d + 1] = r[d + 1]! - (k >> 31) - borrow;
          r[d] = r[d]! - k;
          pc = (pc + 4) | 0;
          continue;
        }
        case 4: {
          // mul64
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          const a = r[d]!;
          const b = r[s]!;
          // High half of the unsigned 32x32 product by 16-bit pieces.
          const a0 = a & 0xffff;
          const a1 = a >>> 16;
          const b0 = b & 0xffff;
          const b1 = b >>> 16;
          const mid = Math.imul(a1, b0) + (Math.imul(a0, b0) >>> 16);
          const mid2 = Math.imul(a0, b1) + (mid & 0xffff);
          const high = Math.imul(a1, b1) + (mid >>> 16) + (mid2 >>> 16);
          r[d + 1] = high + Math.imul(a, r[s + 1]!) + Math.imul(r[d + 1]!, b);
          r[d] = Math.imul(a, b);
          pc = (pc + 4) | 0;
          continue;
        }
        case 5: {
          // mul64_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          const a = r[d]!;
          const b = k;
          // High half of the unsigned 32x32 product by 16-bit pieces.
          const a0 = a & 0xffff;
          const a1 = a >>> 16;
          const b0 = b & 0xffff;
          const b1 = b >>> 16;
          const mid = Math.imul(a1, b0) + (Math.imul(a0, b0) >>> 16);
          const mid2 = Math.imul(a0, b1) + (mid & 0xffff);
          const high = Math.imul(a1, b1) + (mid >>> 16) + (mid2 >>> 16);
          r[d + 1] = high + Math.imul(a, k >> 31) + Math.imul(r[d + 1]!, b);
          r[d] = Math.imul(a, b);
          pc = (pc + 4) | 0;
          continue;
        }
        case 8: {
          // or64
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          r[d] = r[d]! | r[s]!;
          r[d + 1] = r[d + 1]! | r[s + 1]!;
          pc = (pc + 4) | 0;
          continue;
        }
        case 9: {
          // or64_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          r[d] = r[d]! | k;
          r[d + 1] = r[d + 1]! | (k >> 31);
          pc = (pc + 4) | 0;
          continue;
        }
        case 10: {
          // and64
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          r[d] = r[d]! & r[s]!;
          r[d + 1] = r[d + 1]! & r[s + 1]!;
          pc = (pc + 4) | 0;
          continue;
        }
        case 11: {
          // and64_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          r[d] = r[d]! & k;
          r[d + 1] = r[d + 1]! & (k >> 31);
          pc = (pc + 4) | 0;
          continue;
        }
        case 18: {
          // xor64
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          r[d] = r[d]! ^ r[s]!;
          r[d + 1] = r[d + 1]! ^ r[s + 1]!;
          pc = (pc + 4) | 0;
          continue;
        }
        case 19: {
          // xor64_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          r[d] = r[d]! ^ k;
          r[d + 1] = r[d + 1]! ^ (k >> 31);
          pc = (pc + 4) | 0;
          continue;
        }
        case 20: {
          // mov64
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          r[d] = r[s]!;
          r[d + 1] = r[s + 1]!;
          pc = (pc + 4) | 0;
          continue;
        }
        case 21: {
          // mov64_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          r[d] = k;
          r[d + 1] = k >> 31;
          pc = (pc + 4) | 0;
          continue;
        }
        case 12: {
          // lsh64
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          const n = r[s]! & 63;
          if (n >= 32) {
            r[d + 1] = r[d]! << (n - 32);
            r[d] = 0;
          } else if (n !== 0) {
            r[d + 1] = (r[d + 1]! << n) | (r[d]! >>> (32 - n));
            r[d] = r[d]! << n;
          }
          pc = (pc + 4) | 0;
          continue;
        }
        case 13: {
          // lsh64_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          const n = k & 63;
          if (n >= 32) {
            r[d + 1] = r[d]! << (n - 32);
            r[d] = 0;
          } else if (n !== 0) {
            r[d + 1] = (r[d + 1]! << n) | (r[d]! >>> (32 - n));
            r[d] = r[d]! << n;
          }
          pc = (pc + 4) | 0;
          continue;
        }
        case 14: {
          // rsh64
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          const n = r[s]! & 63;
          if (n >= 32) {
            r[d] = r[d + 1]! >>> (n - 32);
            r[d + 1] = 0;
          } else if (n !== 0) {
            r[d] = (r[d]! >>> n) | (r[d + 1]! << (32 - n));
            r[d + 1] = r[d + 1]! >>> n;
          }
          pc = (pc + 4) | 0;
          continue;
        }
        case 15: {
          // rsh64_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          const n = k & 63;
          if (n >= 32) {
            r[d] = r[d + 1]! >>> (n - 32);
            r[d + 1] = 0;
          } else if (n !== 0) {
            r[d] = (r[d]! >>> n) | (r[d + 1]! << (32 - n));
            r[d + 1] = r[d + 1]! >>> n;
          }
          pc = (pc + 4) | 0;
          continue;
        }
        case 22: {
          // arsh64
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          const n = r[s]! & 63;
          if (n >= 32) {
            r[d] = r[d + 1]! >> (n - 32);
            r[d + 1] = r[d + 1]! >> 31;
          } else if (n !== 0) {
            r[d] = (r[d]! >>> n) | (r[d + 1]! << (32 - n));
            r[d + 1] = r[d + 1]! >> n;
          }
          pc = (pc + 4) | 0;
          continue;
        }
        case 23: {
          // arsh64_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          const n = k & 63;
          if (n >= 32) {
            r[d] = r[d + 1]! >> (n - 32);
            r[d + 1] = r[d + 1]! >> 31;
          } else if (n !== 0) {
            r[d] = (r[d]! >>> n) | (r[d + 1]! << (32 - n));
            r[d + 1] = r[d + 1]! >> n;
          }
          pc = (pc + 4) | 0;
          continue;
        }
        case 6: {
          // div64
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          if ((r[d + 1]! | r[s + 1]!) === 0 && r[s] !== 0) {
            r[d] = (r[d]! >>> 0) / (r[s]! >>> 0);
          } else divide(d, s, false, false);
          pc = (pc + 4) | 0;
          continue;
        }
        case 7: {
          // div64_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          if (r[d + 1] === 0 && k > 0) {
            r[d] = (r[d]! >>> 0) / k;
          } else {
            r[24] = k;
            r[25] = k >> 31;
            divide(d, 24, false, false);
          }
          pc = (pc + 4) | 0;
          continue;
        }
        case 16: {
          // mod64
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          if ((r[d + 1]! | r[s + 1]!) === 0 && r[s] !== 0) {
            r[d] = (r[d]! >>> 0) % (r[s]! >>> 0);
          } else divide(d, s, true, false);
          pc = (pc + 4) | 0;
          continue;
        }
        case 17: {
          // mod64_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          if (r[d + 1] === 0 && k > 0) {
            r[d] = (r[d]! >>> 0) % k;
          } else {
            r[24] = k;
            r[25] = k >> 31;
            divide(d, 24, true, false);
          }
          pc = (pc + 4) | 0;
          continue;
        }
        case 24: {
          // sdiv64
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          divide(d, s, false, true);
          pc = (pc + 4) | 0;
          continue;
        }
        case 25: {
          // sdiv64_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          r[24] = k;
          r[25] = k >> 31;
          divide(d, 24, false, true);
          pc = (pc + 4) | 0;
          continue;
        }
        case 26: {
          // smod64
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          divide(d, s, true, true);
          pc = (pc + 4) | 0;
          continue;
        }
        case 27: {
          // smod64_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          r[24] = k;
          r[25] = k >> 31;
          divide(d, 24, true, true);
          pc = (pc + 4) | 0;
          continue;
        }
        case 29: {
          // add32
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          r[d] = r[d]! + r[s]!;
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 30: {
          // add32_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          r[d] = r[d]! + k;
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 31: {
          // sub32
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          r[d] = r[d]! - r[s]!;
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 32: {
          // sub32_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          r[d] = r[d]! - k;
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 33: {
          // mul32
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          r[d] = Math.imul(r[d]!, r[s]!);
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 34: {
          // mul32_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          r[d] = Math.imul(r[d]!, k);
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 37: {
          // or32
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          r[d] = r[d]! | r[s]!;
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 38: {
          // or32_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          r[d] = r[d]! | k;
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 39: {
          // and32
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          r[d] = r[d]! & r[s]!;
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 40: {
          // and32_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          r[d] = r[d]! & k;
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 47: {
          // xor32
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          r[d] = r[d]! ^ r[s]!;
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 48: {
          // xor32_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          r[d] = r[d]! ^ k;
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 41: {
          // lsh32
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          r[d] = r[d]! << r[s]!;
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 42: {
          // lsh32_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          r[d] = r[d]! << k;
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 43: {
          // rsh32
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          r[d] = r[d]! >>> r[s]!;
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 44: {
          // rsh32_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          r[d] = r[d]! >>> k;
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 51: {
          // arsh32
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          r[d] = r[d]! >> r[s]!;
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 52: {
          // arsh32_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          r[d] = r[d]! >> k;
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 49: {
          // mov32
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          r[d] = r[s]!;
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 50: {
          // mov32_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          r[d] = k;
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 35: {
          // div32
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          r[d] = r[s]! === 0 ? 0 : (r[d]! >>> 0) / (r[s]! >>> 0);
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 36: {
          // div32_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          r[d] = k === 0 ? 0 : (r[d]! >>> 0) / (k >>> 0);
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 45: {
          // mod32
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          r[d] = r[s]! === 0 ? r[d]! : (r[d]! >>> 0) % (r[s]! >>> 0);
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 46: {
          // mod32_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          r[d] = k === 0 ? r[d]! : (r[d]! >>> 0) % (k >>> 0);
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 53: {
          // sdiv32
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          r[d] = r[s]! === 0 ? 0 : r[d]! / r[s]!;
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 54: {
          // sdiv32_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          r[d] = k === 0 ? 0 : r[d]! / k;
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 55: {
          // smod32
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          r[d] = r[s]! === 0 ? r[d]! : r[d]! % r[s]!;
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 56: {
          // smod32_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          r[d] = k === 0 ? r[d]! : r[d]! % k;
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 28: {
          // neg64
          const d = (w >>> 8) & 30;
          r[d + 1] = ~r[d + 1]! + (r[d] === 0 ? 1 : 0);
          r[d] = -r[d]!;
          pc = (pc + 4) | 0;
          continue;
        }
        case 57: {
          // neg32
          const d = (w >>> 8) & 30;
          r[d] = -r[d]!;
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 58: {
          // movsx64_8
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          r[d] = (r[s]! << 24) >> 24;
          r[d + 1] = r[d]! >> 31;
          pc = (pc + 4) | 0;
          continue;
        }
        case 59: {
          // movsx64_16
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          r[d] = (r[s]! << 16) >> 16;
          r[d + 1] = r[d]! >> 31;
          pc = (pc + 4) | 0;
          continue;
        }
        case 60: {
          // movsx64_32
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          r[d] = r[s]!;
          r[d + 1] = r[d]! >> 31;
          pc = (pc + 4) | 0;
          continue;
        }
        case 61: {
          // movsx32_8
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          r[d] = (r[s]! << 24) >> 24;
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 62: {
          // movsx32_16
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          r[d] = (r[s]! << 16) >> 16;
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 63: {
          // zext16
          const d = (w >>> 8) & 30;
          r[d] = r[d]! & 0xffff;
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 64: {
          // zext32
          const d = (w >>> 8) & 30;
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 65: {
          // nop
          pc = (pc + 4) | 0;
          continue;
        }
        case 66: {
          // swap16
          const d = (w >>> 8) & 30;
          const v = r[d]!;
          r[d] = ((v & 0xff) << 8) | ((v >>> 8) & 0xff);
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 67: {
          // swap32
          const d = (w >>> 8) & 30;
          const v = r[d]!;
          r[d] = (v << 24) | ((v & 0xff00) << 8) | ((v >>> 8) & 0xff00) | (v >>> 24);
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 68: {
          // swap64
          const d = (w >>> 8) & 30;
          const v = r[d]!;
          const u = r[d + 1]!;
          r[d + 1] = (v << 24) | ((v & 0xff00) << 8) | ((v >>> 8) & 0xff00) | (v >>> 24);
          r[d] = (u << 24) | ((u & 0xff00) << 8) | ((u >>> 8) & 0xff00) | (u >>> 24);
          pc = (pc + 4) | 0;
          continue;
        }
        case 69: {
          // ld_imm64
          const d = (w >>> 8) & 30;
          r[d] = m[pc + 2]!;
          r[d + 1] = m[pc + 3]!;
          pc = (pc + 4) | 0;
          continue;
        }
        case 70: {
          // ldxb
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          const a = (r[s]! + m[pc + 1]!) | 0;
          const row = pages[a >>> 12]!;
          if (
            r[s + 1] !== 0 ||
            a < table[row]! ||
            ((a + 1) | 0) > table[row + 1]! ||
            (table[row + 3] !== 0 && ((a - table[row]!) % table[row + 3]!) + 1 > table[row + 4]!)
          ) {
            fault(pc, s, 1, false);
          }
          r[d] = u8[a]!;
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 71: {
          // ldxh
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          const a = (r[s]! + m[pc + 1]!) | 0;
          const row = pages[a >>> 12]!;
          if (
            r[s + 1] !== 0 ||
            a < table[row]! ||
            ((a + 2) | 0) > table[row + 1]! ||
            (table[row + 3] !== 0 && ((a - table[row]!) % table[row + 3]!) + 2 > table[row + 4]!)
          ) {
            fault(pc, s, 2, false);
          }
          r[d] = view.getUint16(a, true);
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 72: {
          // ldxw
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          const a = (r[s]! + m[pc + 1]!) | 0;
          const row = pages[a >>> 12]!;
          if (
            r[s + 1] !== 0 ||
            a < table[row]! ||
            ((a + 4) | 0) > table[row + 1]! ||
            (table[row + 3] !== 0 && ((a - table[row]!) % table[row + 3]!) + 4 > table[row + 4]!)
          ) {
            fault(pc, s, 4, false);
          }
          r[d] = view.getInt32(a, true);
          r[d + 1] = 0;
          pc = (pc + 4) | 0;
          continue;
        }
        case 73: {
          // ldxdw
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          const a = (r[s]! + m[pc + 1]!) | 0;
          const row = pages[a >>> 12]!;
          if (
            r[s + 1] !== 0 ||
            a < table[row]! ||
            ((a + 8) | 0) > table[row + 1]! ||
            (table[row + 3] !== 0 && ((a - table[row]!) % table[row + 3]!) + 8 > table[row + 4]!)
          ) {
            fault(pc, s, 8, false);
          }
          r[d] = view.getInt32(a, true);
          r[d + 1] = view.getInt32(a + 4, true);
          pc = (pc + 4) | 0;
          continue;
        }
        case 74: {
          // ldsxb
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          const a = (r[s]! + m[pc + 1]!) | 0;
          const row = pages[a >>> 12]!;
          if (
            r[s + 1] !== 0 ||
            a < table[row]! ||
            ((a + 1) | 0) > table[row + 1]! ||
            (table[row + 3] !== 0 && ((a - table[row]!) % table[row + 3]!) + 1 > table[row + 4]!)
          ) {
            fault(pc, s, 1, false);
          }
          r[d] = view.getInt8(a);
          r[d + 1] = r[d]! >> 31;
          pc = (pc + 4) | 0;
          continue;
        }
        case 75: {
          // ldsxh
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          const a = (r[s]! + m[pc + 1]!) | 0;
          const row = pages[a >>> 12]!;
          if (
            r[s + 1] !== 0 ||
            a < table[row]! ||
            ((a + 2) | 0) > table[row + 1]! ||
            (table[row + 3] !== 0 && ((a - table[row]!) % table[row + 3]!) + 2 > table[row + 4]!)
          ) {
            fault(pc, s, 2, false);
          }
          r[d] = view.getInt16(a, true);
          r[d + 1] = r[d]! >> 31;
          pc = (pc + 4) | 0;
          continue;
        }
        case 76: {
          // ldsxw
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          const a = (r[s]! + m[pc + 1]!) | 0;
          const row = pages[a >>> 12]!;
          if (
            r[s + 1] !== 0 ||
            a < table[row]! ||
            ((a + 4) | 0) > table[row + 1]! ||
            (table[row + 3] !== 0 && ((a - table[row]!) % table[row + 3]!) + 4 > table[row + 4]!)
          ) {
            fault(pc, s, 4, false);
          }
          r[d] = view.getInt32(a, true);
          r[d + 1] = r[d]! >> 31;
          pc = (pc + 4) | 0;
          continue;
        }
        case 77: {
          // stb
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          const a = (r[d]! + m[pc + 1]!) | 0;
          const row = pages[a >>> 12]!;
          if (
            r[d + 1] !== 0 ||
            a < table[row]! ||
            ((a + 1) | 0) > table[row + 1]! ||
            table[row + 2] === 0 ||
            (table[row + 3] !== 0 && ((a - table[row]!) % table[row + 3]!) + 1 > table[row + 4]!)
          ) {
            fault(pc, d, 1, true);
          }
          u8[a] = r[s]!;
          pc = (pc + 4) | 0;
          continue;
        }
        case 81: {
          // stb_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          const a = (r[d]! + m[pc + 1]!) | 0;
          const row = pages[a >>> 12]!;
          if (
            r[d + 1] !== 0 ||
            a < table[row]! ||
            ((a + 1) | 0) > table[row + 1]! ||
            table[row + 2] === 0 ||
            (table[row + 3] !== 0 && ((a - table[row]!) % table[row + 3]!) + 1 > table[row + 4]!)
          ) {
            fault(pc, d, 1, true);
          }
          u8[a] = k;
          pc = (pc + 4) | 0;
          continue;
        }
        case 78: {
          // sth
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          const a = (r[d]! + m[pc + 1]!) | 0;
          const row = pages[a >>> 12]!;
          if (
            r[d + 1] !== 0 ||
            a < table[row]! ||
            ((a + 2) | 0) > table[row + 1]! ||
            table[row + 2] === 0 ||
            (table[row + 3] !== 0 && ((a - table[row]!) % table[row + 3]!) + 2 > table[row + 4]!)
          ) {
            fault(pc, d, 2, true);
          }
          view.setInt16(a, r[s]!, true);
          pc = (pc + 4) | 0;
          continue;
        }
        case 82: {
          // sth_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          const a = (r[d]! + m[pc + 1]!) | 0;
          const row = pages[a >>> 12]!;
          if (
            r[d + 1] !== 0 ||
            a < table[row]! ||
            ((a + 2) | 0) > table[row + 1]! ||
            table[row + 2] === 0 ||
            (table[row + 3] !== 0 && ((a - table[row]!) % table[row + 3]!) + 2 > table[row + 4]!)
          ) {
            fault(pc, d, 2, true);
          }
          view.setInt16(a, k, true);
          pc = (pc + 4) | 0;
          continue;
        }
        case 79: {
          // stw
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          const a = (r[d]! + m[pc + 1]!) | 0;
          const row = pages[a >>> 12]!;
          if (
            r[d + 1] !== 0 ||
            a < table[row]! ||
            ((a + 4) | 0) > table[row + 1]! ||
            table[row + 2] === 0 ||
            (table[row + 3] !== 0 && ((a - table[row]!) % table[row + 3]!) + 4 > table[row + 4]!)
          ) {
            fault(pc, d, 4, true);
          }
          view.setInt32(a, r[s]!, true);
          pc = (pc + 4) | 0;
          continue;
        }
        case 83: {
          // stw_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          const a = (r[d]! + m[pc + 1]!) | 0;
          const row = pages[a >>> 12]!;
          if (
            r[d + 1] !== 0 ||
            a < table[row]! ||
            ((a + 4) | 0) > table[row + 1]! ||
            table[row + 2] === 0 ||
            (table[row + 3] !== 0 && ((a - table[row]!) % table[row + 3]!) + 4 > table[row + 4]!)
          ) {
            fault(pc, d, 4, true);
          }
          view.setInt32(a, k, true);
          pc = (pc + 4) | 0;
          continue;
        }
        case 80: {
          // stdw
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          const a = (r[d]! + m[pc + 1]!) | 0;
          const row = pages[a >>> 12]!;
          if (
            r[d + 1] !== 0 ||
            a < table[row]! ||
            ((a + 8) | 0) > table[row + 1]! ||
            table[row + 2] === 0 ||
            (table[row + 3] !== 0 && ((a - table[row]!) % table[row + 3]!) + 8 > table[row + 4]!)
          ) {
            fault(pc, d, 8, true);
          }
          view.setInt32(a, r[s]!, true);
          view.setInt32(a + 4, r[s + 1]!, true);
          pc = (pc + 4) | 0;
          continue;
        }
        case 84: {
          // stdw_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          const a = (r[d]! + m[pc + 1]!) | 0;
          const row = pages[a >>> 12]!;
          if (
            r[d + 1] !== 0 ||
            a < table[row]! ||
            ((a + 8) | 0) > table[row + 1]! ||
            table[row + 2] === 0 ||
            (table[row + 3] !== 0 && ((a - table[row]!) % table[row + 3]!) + 8 > table[row + 4]!)
          ) {
            fault(pc, d, 8, true);
          }
          view.setInt32(a, k, true);
          view.setInt32(a + 4, k >> 31, true);
          pc = (pc + 4) | 0;
          continue;
        }
        case 85: {
          // atomic32
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          const a = (r[d]! + m[pc + 1]!) | 0;
          const row = pages[a >>> 12]!;
          if (
            r[d + 1] !== 0 ||
            a < table[row]! ||
            ((a + 4) | 0) > table[row + 1]! ||
            table[row + 2] === 0 ||
            (table[row + 3] !== 0 && ((a - table[row]!) % table[row + 3]!) + 4 > table[row + 4]!)
          ) {
            fault(pc, d, 4, true);
          }
          state.pc = pc;
          atomic32(m[pc + 2]!, a, s);
          pc = (pc + 4) | 0;
          continue;
        }
        case 86: {
          // atomic64
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          const a = (r[d]! + m[pc + 1]!) | 0;
          const row = pages[a >>> 12]!;
          if (
            r[d + 1] !== 0 ||
            a < table[row]! ||
            ((a + 8) | 0) > table[row + 1]! ||
            table[row + 2] === 0 ||
            (table[row + 3] !== 0 && ((a - table[row]!) % table[row + 3]!) + 8 > table[row + 4]!)
          ) {
            fault(pc, d, 8, true);
          }
          state.pc = pc;
          atomic64(m[pc + 2]!, a, s);
          pc = (pc + 4) | 0;
          continue;
        }
        case 87: {
          // ja
          words = (words + pc - start + 4) | 0;
          pc = start = m[pc + 1]!;
          if (words > limit) {
            state.words += words;
            words = 0;
            limit = flush(pc) | 0;
          }
          continue;
        }
        case 88: {
          // jeq
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          if (r[d] === r[s]! && r[d + 1] === r[s + 1]!) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 89: {
          // jeq_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          if (r[d] === k && r[d + 1] === k >> 31) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 96: {
          // jne
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          if (r[d] !== r[s]! || r[d + 1] !== r[s + 1]!) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 97: {
          // jne_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          if (r[d] !== k || r[d + 1] !== k >> 31) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 94: {
          // jset
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          if (((r[d]! & r[s]!) | (r[d + 1]! & r[s + 1]!)) !== 0) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 95: {
          // jset_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          if (((r[d]! & k) | (r[d + 1]! & (k >> 31))) !== 0) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 90: {
          // jgt
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          if (r[d + 1] === r[s + 1]! ? r[d]! >>> 0 > r[s]! >>> 0 : r[d + 1]! >>> 0 > r[s + 1]! >>> 0) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 91: {
          // jgt_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          if (r[d + 1] === k >> 31 ? r[d]! >>> 0 > k >>> 0 : r[d + 1]! >>> 0 > (k >> 31) >>> 0) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 112: {
          // jgt32
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          if (r[d]! >>> 0 > r[s]! >>> 0) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 113: {
          // jgt32_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          if (r[d]! >>> 0 > k >>> 0) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 92: {
          // jge
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          if (r[d + 1] === r[s + 1]! ? r[d]! >>> 0 >= r[s]! >>> 0 : r[d + 1]! >>> 0 > r[s + 1]! >>> 0) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 93: {
          // jge_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          if (r[d + 1] === k >> 31 ? r[d]! >>> 0 >= k >>> 0 : r[d + 1]! >>> 0 > (k >> 31) >>> 0) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 114: {
          // jge32
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          if (r[d]! >>> 0 >= r[s]! >>> 0) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 115: {
          // jge32_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          if (r[d]! >>> 0 >= k >>> 0) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 102: {
          // jlt
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          if (r[d + 1] === r[s + 1]! ? r[d]! >>> 0 < r[s]! >>> 0 : r[d + 1]! >>> 0 < r[s + 1]! >>> 0) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 103: {
          // jlt_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          if (r[d + 1] === k >> 31 ? r[d]! >>> 0 < k >>> 0 : r[d + 1]! >>> 0 < (k >> 31) >>> 0) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 124: {
          // jlt32
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          if (r[d]! >>> 0 < r[s]! >>> 0) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 125: {
          // jlt32_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          if (r[d]! >>> 0 < k >>> 0) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 104: {
          // jle
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          if (r[d + 1] === r[s + 1]! ? r[d]! >>> 0 <= r[s]! >>> 0 : r[d + 1]! >>> 0 < r[s + 1]! >>> 0) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 105: {
          // jle_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          if (r[d + 1] === k >> 31 ? r[d]! >>> 0 <= k >>> 0 : r[d + 1]! >>> 0 < (k >> 31) >>> 0) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 126: {
          // jle32
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          if (r[d]! >>> 0 <= r[s]! >>> 0) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 127: {
          // jle32_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          if (r[d]! >>> 0 <= k >>> 0) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 98: {
          // jsgt
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          if (r[d + 1] === r[s + 1]! ? r[d]! >>> 0 > r[s]! >>> 0 : r[d + 1]! > r[s + 1]!) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 99: {
          // jsgt_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          if (r[d + 1] === k >> 31 ? r[d]! >>> 0 > k >>> 0 : r[d + 1]! > k >> 31) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 120: {
          // jsgt32
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          if (r[d]! > r[s]!) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 121: {
          // jsgt32_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          if (r[d]! > k) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 100: {
          // jsge
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          if (r[d + 1] === r[s + 1]! ? r[d]! >>> 0 >= r[s]! >>> 0 : r[d + 1]! > r[s + 1]!) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 101: {
          // jsge_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          if (r[d + 1] === k >> 31 ? r[d]! >>> 0 >= k >>> 0 : r[d + 1]! > k >> 31) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 122: {
          // jsge32
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          if (r[d]! >= r[s]!) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 123: {
          // jsge32_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          if (r[d]! >= k) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 106: {
          // jslt
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          if (r[d + 1] === r[s + 1]! ? r[d]! >>> 0 < r[s]! >>> 0 : r[d + 1]! < r[s + 1]!) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 107: {
          // jslt_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          if (r[d + 1] === k >> 31 ? r[d]! >>> 0 < k >>> 0 : r[d + 1]! < k >> 31) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 128: {
          // jslt32
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          if (r[d]! < r[s]!) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 129: {
          // jslt32_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          if (r[d]! < k) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 108: {
          // jsle
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          if (r[d + 1] === r[s + 1]! ? r[d]! >>> 0 <= r[s]! >>> 0 : r[d + 1]! < r[s + 1]!) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 109: {
          // jsle_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          if (r[d + 1] === k >> 31 ? r[d]! >>> 0 <= k >>> 0 : r[d + 1]! < k >> 31) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 130: {
          // jsle32
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          if (r[d]! <= r[s]!) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 131: {
          // jsle32_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          if (r[d]! <= k) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 110: {
          // jeq32
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          if (r[d] === r[s]!) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 111: {
          // jeq32_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          if (r[d] === k) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 118: {
          // jne32
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          if (r[d] !== r[s]!) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 119: {
          // jne32_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          if (r[d] !== k) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 116: {
          // jset32
          const d = (w >>> 8) & 30;
          const s = (w >>> 16) & 30;
          if ((r[d]! & r[s]!) !== 0) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 117: {
          // jset32_k
          const d = (w >>> 8) & 30;
          const k = m[pc + 2]!;
          if ((r[d]! & k) !== 0) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc) | 0;
            }
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 132: {
          // call_helper
          state.pc = pc;
          helpers[m[pc + 1]!]!();
          pc = (pc + 4) | 0;
          continue;
        }
        case 133: {
          // call
          words = (words + pc - start + 4) | 0;
          const depth = state.depth + 1;
          const at = depth * 12;
          if (depth >= state.frameLimit || m[at + 10] === 0) grow(pc, depth);
          m[at] = r[12]!;
          m[at + 1] = r[13]!;
          m[at + 2] = r[14]!;
          m[at + 3] = r[15]!;
          m[at + 4] = r[16]!;
          m[at + 5] = r[17]!;
          m[at + 6] = r[18]!;
          m[at + 7] = r[19]!;
          m[at + 8] = pc + 4;
          m[at + 9] = 0;
          r[20] = m[at + 10]!;
          state.depth = depth;
          pc = start = m[pc + 1]!;
          if (words > limit) {
            state.words += words;
            words = 0;
            limit = flush(pc) | 0;
          }
          continue;
        }
        case 134: {
          // exit
          words = (words + pc - start + 4) | 0;
          if (state.depth === base) {
            state.words += words;
            return;
          }
          const at = state.depth * 12;
          state.depth--;
          r[12] = m[at]!;
          r[13] = m[at + 1]!;
          r[14] = m[at + 2]!;
          r[15] = m[at + 3]!;
          r[16] = m[at + 4]!;
          r[17] = m[at + 5]!;
          r[18] = m[at + 6]!;
          r[19] = m[at + 7]!;
          r[20] = m[at - 2]!;
          pc = start = m[at + 8]!;
          continue;
        }
        case 135: {
          // tail_call
          words = (words + pc - start + 4) | 0;
          const target = tailCall(pc) | 0;
          pc = start = target === 0 ? (pc + 4) | 0 : target;
          continue;
        }
        case 136: {
          // may_goto
          if (mayGoto(pc)) {
            words = (words + pc - start + 4) | 0;
            pc = start = m[pc + 1]!;
          } else pc = (pc + 4) | 0;
          continue;
        }
        case 137: {
          // ld_abs
          if (loadPacket(pc, false)) pc = (pc + 4) | 0;
          else {
            // Out of range: the function ends with 0. kernel: bpf_gen_ld_abs()
            r[0] = 0;
            r[1] = 0;
            words = (words + pc - start + 4) | 0;
            if (state.depth === base) {
              state.words += words;
              return;
            }
            pc = start = leave() | 0;
          }
          continue;
        }
        case 138: {
          // ld_ind
          if (loadPacket(pc, true)) pc = (pc + 4) | 0;
          else {
            // Out of range: the function ends with 0. kernel: bpf_gen_ld_abs()
            r[0] = 0;
            r[1] = 0;
            words = (words + pc - start + 4) | 0;
            if (state.depth === base) {
              state.words += words;
              return;
            }
            pc = start = leave() | 0;
          }
          continue;
        }
        case 139: {
          // trace
          start = (start + 4) | 0;
          pc = (pc + 4) | 0;
          trace(pc);
          continue;
        }
        default:
          fault(pc, 0, 0, false);
      }
    }
  };
}
