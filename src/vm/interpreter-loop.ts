// hot: no allocation, no closure, no BigInt per instruction

/** State that the loop shares with the interpreter around it. */
export interface LoopState {
  /** Call depth; 0 is the program's own frame. */
  depth: number;
  /** First depth at which the current run may not open a frame any more. */
  frameLimit: number;
  /** Words of code executed (8 per instruction) by loops that have ended. */
  words: number;
  /** Word index of the helper call or atomic under way. */
  pc: number;
}

/**
 * Everything that the loop touches. The arrays come as arguments of the factory, not of the loop, because V8 then treats
 * them as constants; see `makeLoop`.
 */
export interface LoopParts {
  /** Registers (r0 at 0 and 1, ...), frames (12 words each from word 32 on) and code, see predecode.ts. */
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
  const { m, u8, view, pages, table, state, helpers } = parts;
  const { fault, divide, atomic32, atomic64, flush, grow, leave, tailCall, mayGoto, loadPacket, trace } = parts;

  return function loop(from, firstLimit) {
    const base = state.depth;
    let pc = from;
    /** Where the current straight run of instructions began; jumps add its length to `words`. */
    let start = from;
    let words = 0;
    let limit = firstLimit;
    for (;;) {
      switch (m[pc]) {
        case 0: {
          // add64
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          const low = m[d]! + m[s]!;
          // Carry out of the low half: the unsigned sum does not fit in 32 bits.
          m[d + 1] = m[d + 1]! + m[s + 1]! + ((low | 0) >>> 0 < m[s]! >>> 0 ? 1 : 0);
          m[d] = low;
          pc += 8;
          continue;
        }
        case 1: {
          // sub64
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          const borrow = m[d]! >>> 0 < m[s]! >>> 0 ? 1 : 0;
          m[d + 1] = m[d + 1]! - m[s + 1]! - borrow;
          m[d] = m[d]! - m[s]!;
          pc += 8;
          continue;
        }
        case 2: {
          // mul64
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          const a = m[d]!;
          const b = m[s]!;
          // High half of the unsigned 32x32 product by 16-bit pieces.
          const a0 = a & 0xffff;
          const a1 = a >>> 16;
          const b0 = b & 0xffff;
          const b1 = b >>> 16;
          const mid = Math.imul(a1, b0) + (Math.imul(a0, b0) >>> 16);
          const mid2 = Math.imul(a0, b1) + (mid & 0xffff);
          const high = Math.imul(a1, b1) + (mid >>> 16) + (mid2 >>> 16);
          m[d + 1] = high + Math.imul(a, m[s + 1]!) + Math.imul(m[d + 1]!, b);
          m[d] = Math.imul(a, b);
          pc += 8;
          continue;
        }
        case 4: {
          // or64
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          m[d] = m[d]! | m[s]!;
          m[d + 1] = m[d + 1]! | m[s + 1]!;
          pc += 8;
          continue;
        }
        case 5: {
          // and64
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          m[d] = m[d]! & m[s]!;
          m[d + 1] = m[d + 1]! & m[s + 1]!;
          pc += 8;
          continue;
        }
        case 10: {
          // xor64
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          m[d] = m[d]! ^ m[s]!;
          m[d + 1] = m[d + 1]! ^ m[s + 1]!;
          pc += 8;
          continue;
        }
        case 6: {
          // lsh64
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          const n = m[s]! & 63;
          if (n >= 32) {
            m[d + 1] = m[d]! << (n - 32);
            m[d] = 0;
          } else if (n !== 0) {
            m[d + 1] = (m[d + 1]! << n) | (m[d]! >>> (32 - n));
            m[d] = m[d]! << n;
          }
          pc += 8;
          continue;
        }
        case 7: {
          // rsh64
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          const n = m[s]! & 63;
          if (n >= 32) {
            m[d] = m[d + 1]! >>> (n - 32);
            m[d + 1] = 0;
          } else if (n !== 0) {
            m[d] = (m[d]! >>> n) | (m[d + 1]! << (32 - n));
            m[d + 1] = m[d + 1]! >>> n;
          }
          pc += 8;
          continue;
        }
        case 12: {
          // arsh64
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          const n = m[s]! & 63;
          if (n >= 32) {
            m[d] = m[d + 1]! >> (n - 32);
            m[d + 1] = m[d + 1]! >> 31;
          } else if (n !== 0) {
            m[d] = (m[d]! >>> n) | (m[d + 1]! << (32 - n));
            m[d + 1] = m[d + 1]! >> n;
          }
          pc += 8;
          continue;
        }
        case 8: {
          // neg64
          const d = m[pc + 1]!;
          m[d + 1] = ~m[d + 1]! + (m[d] === 0 ? 1 : 0);
          m[d] = -m[d]!;
          pc += 8;
          continue;
        }
        case 11: {
          // mov64
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          m[d] = m[s]!;
          m[d + 1] = m[s + 1]!;
          pc += 8;
          continue;
        }
        case 3: {
          // div64
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          if ((m[d + 1]! | m[s + 1]!) === 0 && m[s] !== 0) {
            m[d] = (m[d]! >>> 0) / (m[s]! >>> 0);
          } else divide(d, s, false, false);
          pc += 8;
          continue;
        }
        case 9: {
          // mod64
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          if ((m[d + 1]! | m[s + 1]!) === 0 && m[s] !== 0) {
            m[d] = (m[d]! >>> 0) % (m[s]! >>> 0);
          } else divide(d, s, true, false);
          pc += 8;
          continue;
        }
        case 13: {
          // sdiv64
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          divide(d, s, false, true);
          pc += 8;
          continue;
        }
        case 14: {
          // smod64
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          divide(d, s, true, true);
          pc += 8;
          continue;
        }
        case 15: {
          // add32
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          m[d] = m[d]! + m[s]!;
          m[d + 1] = 0;
          pc += 8;
          continue;
        }
        case 16: {
          // sub32
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          m[d] = m[d]! - m[s]!;
          m[d + 1] = 0;
          pc += 8;
          continue;
        }
        case 17: {
          // mul32
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          m[d] = Math.imul(m[d]!, m[s]!);
          m[d + 1] = 0;
          pc += 8;
          continue;
        }
        case 19: {
          // or32
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          m[d] = m[d]! | m[s]!;
          m[d + 1] = 0;
          pc += 8;
          continue;
        }
        case 20: {
          // and32
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          m[d] = m[d]! & m[s]!;
          m[d + 1] = 0;
          pc += 8;
          continue;
        }
        case 25: {
          // xor32
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          m[d] = m[d]! ^ m[s]!;
          m[d + 1] = 0;
          pc += 8;
          continue;
        }
        case 21: {
          // lsh32
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          m[d] = m[d]! << m[s]!;
          m[d + 1] = 0;
          pc += 8;
          continue;
        }
        case 22: {
          // rsh32
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          m[d] = m[d]! >>> m[s]!;
          m[d + 1] = 0;
          pc += 8;
          continue;
        }
        case 27: {
          // arsh32
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          m[d] = m[d]! >> m[s]!;
          m[d + 1] = 0;
          pc += 8;
          continue;
        }
        case 26: {
          // mov32
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          m[d] = m[s]!;
          m[d + 1] = 0;
          pc += 8;
          continue;
        }
        case 18: {
          // div32
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          m[d] = m[s] === 0 ? 0 : (m[d]! >>> 0) / (m[s]! >>> 0);
          m[d + 1] = 0;
          pc += 8;
          continue;
        }
        case 24: {
          // mod32
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          m[d] = m[s] === 0 ? m[d]! : (m[d]! >>> 0) % (m[s]! >>> 0);
          m[d + 1] = 0;
          pc += 8;
          continue;
        }
        case 28: {
          // sdiv32
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          m[d] = m[s] === 0 ? 0 : m[d]! / m[s]!;
          m[d + 1] = 0;
          pc += 8;
          continue;
        }
        case 29: {
          // smod32
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          m[d] = m[s] === 0 ? m[d]! : m[d]! % m[s]!;
          m[d + 1] = 0;
          pc += 8;
          continue;
        }
        case 23: {
          // neg32
          const d = m[pc + 1]!;
          m[d] = -m[d]!;
          m[d + 1] = 0;
          pc += 8;
          continue;
        }
        case 30: {
          // movsx64_8
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          m[d] = (m[s]! << 24) >> 24;
          m[d + 1] = m[d]! >> 31;
          pc += 8;
          continue;
        }
        case 31: {
          // movsx64_16
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          m[d] = (m[s]! << 16) >> 16;
          m[d + 1] = m[d]! >> 31;
          pc += 8;
          continue;
        }
        case 32: {
          // movsx64_32
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          m[d] = m[s]!;
          m[d + 1] = m[d]! >> 31;
          pc += 8;
          continue;
        }
        case 33: {
          // movsx32_8
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          m[d] = (m[s]! << 24) >> 24;
          m[d + 1] = 0;
          pc += 8;
          continue;
        }
        case 34: {
          // movsx32_16
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          m[d] = (m[s]! << 16) >> 16;
          m[d + 1] = 0;
          pc += 8;
          continue;
        }
        case 35: {
          // zext16
          const d = m[pc + 1]!;
          m[d] = m[d]! & 0xffff;
          m[d + 1] = 0;
          pc += 8;
          continue;
        }
        case 36: {
          // zext32
          const d = m[pc + 1]!;
          m[d + 1] = 0;
          pc += 8;
          continue;
        }
        case 37: // nop
          pc += 8;
          continue;
        case 38: {
          // swap16
          const d = m[pc + 1]!;
          const v = m[d]!;
          m[d] = ((v & 0xff) << 8) | ((v >>> 8) & 0xff);
          m[d + 1] = 0;
          pc += 8;
          continue;
        }
        case 39: {
          // swap32
          const d = m[pc + 1]!;
          const v = m[d]!;
          m[d] = (v << 24) | ((v & 0xff00) << 8) | ((v >>> 8) & 0xff00) | (v >>> 24);
          m[d + 1] = 0;
          pc += 8;
          continue;
        }
        case 40: {
          // swap64
          const d = m[pc + 1]!;
          const v = m[d]!;
          const u = m[d + 1]!;
          m[d + 1] = (v << 24) | ((v & 0xff00) << 8) | ((v >>> 8) & 0xff00) | (v >>> 24);
          m[d] = (u << 24) | ((u & 0xff00) << 8) | ((u >>> 8) & 0xff00) | (u >>> 24);
          pc += 8;
          continue;
        }
        case 41: {
          // ldxb
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          const a = (m[s]! + m[pc + 3]!) | 0;
          const row = pages[a >>> 12]!;
          if (
            m[s + 1] !== 0 ||
            a < table[row]! ||
            ((a + 1) | 0) > table[row + 1]! ||
            (table[row + 3] !== 0 && ((a - table[row]!) % table[row + 3]!) + 1 > table[row + 4]!)
          ) {
            fault(pc, s, 1, false);
          }
          m[d] = u8[a]!;
          m[d + 1] = 0;
          pc += 8;
          continue;
        }
        case 42: {
          // ldxh
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          const a = (m[s]! + m[pc + 3]!) | 0;
          const row = pages[a >>> 12]!;
          if (
            m[s + 1] !== 0 ||
            a < table[row]! ||
            ((a + 2) | 0) > table[row + 1]! ||
            (table[row + 3] !== 0 && ((a - table[row]!) % table[row + 3]!) + 2 > table[row + 4]!)
          ) {
            fault(pc, s, 2, false);
          }
          m[d] = view.getUint16(a, true);
          m[d + 1] = 0;
          pc += 8;
          continue;
        }
        case 43: {
          // ldxw
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          const a = (m[s]! + m[pc + 3]!) | 0;
          const row = pages[a >>> 12]!;
          if (
            m[s + 1] !== 0 ||
            a < table[row]! ||
            ((a + 4) | 0) > table[row + 1]! ||
            (table[row + 3] !== 0 && ((a - table[row]!) % table[row + 3]!) + 4 > table[row + 4]!)
          ) {
            fault(pc, s, 4, false);
          }
          m[d] = view.getInt32(a, true);
          m[d + 1] = 0;
          pc += 8;
          continue;
        }
        case 44: {
          // ldxdw
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          const a = (m[s]! + m[pc + 3]!) | 0;
          const row = pages[a >>> 12]!;
          if (
            m[s + 1] !== 0 ||
            a < table[row]! ||
            ((a + 8) | 0) > table[row + 1]! ||
            (table[row + 3] !== 0 && ((a - table[row]!) % table[row + 3]!) + 8 > table[row + 4]!)
          ) {
            fault(pc, s, 8, false);
          }
          m[d] = view.getInt32(a, true);
          m[d + 1] = view.getInt32(a + 4, true);
          pc += 8;
          continue;
        }
        case 45: {
          // ldsxb
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          const a = (m[s]! + m[pc + 3]!) | 0;
          const row = pages[a >>> 12]!;
          if (
            m[s + 1] !== 0 ||
            a < table[row]! ||
            ((a + 1) | 0) > table[row + 1]! ||
            (table[row + 3] !== 0 && ((a - table[row]!) % table[row + 3]!) + 1 > table[row + 4]!)
          ) {
            fault(pc, s, 1, false);
          }
          m[d] = view.getInt8(a);
          m[d + 1] = m[d]! >> 31;
          pc += 8;
          continue;
        }
        case 46: {
          // ldsxh
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          const a = (m[s]! + m[pc + 3]!) | 0;
          const row = pages[a >>> 12]!;
          if (
            m[s + 1] !== 0 ||
            a < table[row]! ||
            ((a + 2) | 0) > table[row + 1]! ||
            (table[row + 3] !== 0 && ((a - table[row]!) % table[row + 3]!) + 2 > table[row + 4]!)
          ) {
            fault(pc, s, 2, false);
          }
          m[d] = view.getInt16(a, true);
          m[d + 1] = m[d]! >> 31;
          pc += 8;
          continue;
        }
        case 47: {
          // ldsxw
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          const a = (m[s]! + m[pc + 3]!) | 0;
          const row = pages[a >>> 12]!;
          if (
            m[s + 1] !== 0 ||
            a < table[row]! ||
            ((a + 4) | 0) > table[row + 1]! ||
            (table[row + 3] !== 0 && ((a - table[row]!) % table[row + 3]!) + 4 > table[row + 4]!)
          ) {
            fault(pc, s, 4, false);
          }
          m[d] = view.getInt32(a, true);
          m[d + 1] = m[d]! >> 31;
          pc += 8;
          continue;
        }
        case 48: {
          // stb
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          const a = (m[d]! + m[pc + 3]!) | 0;
          const row = pages[a >>> 12]!;
          if (
            m[d + 1] !== 0 ||
            a < table[row]! ||
            ((a + 1) | 0) > table[row + 1]! ||
            table[row + 2] === 0 ||
            (table[row + 3] !== 0 && ((a - table[row]!) % table[row + 3]!) + 1 > table[row + 4]!)
          ) {
            fault(pc, d, 1, true);
          }
          u8[a] = m[s]!;
          pc += 8;
          continue;
        }
        case 49: {
          // sth
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          const a = (m[d]! + m[pc + 3]!) | 0;
          const row = pages[a >>> 12]!;
          if (
            m[d + 1] !== 0 ||
            a < table[row]! ||
            ((a + 2) | 0) > table[row + 1]! ||
            table[row + 2] === 0 ||
            (table[row + 3] !== 0 && ((a - table[row]!) % table[row + 3]!) + 2 > table[row + 4]!)
          ) {
            fault(pc, d, 2, true);
          }
          view.setInt16(a, m[s]!, true);
          pc += 8;
          continue;
        }
        case 50: {
          // stw
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          const a = (m[d]! + m[pc + 3]!) | 0;
          const row = pages[a >>> 12]!;
          if (
            m[d + 1] !== 0 ||
            a < table[row]! ||
            ((a + 4) | 0) > table[row + 1]! ||
            table[row + 2] === 0 ||
            (table[row + 3] !== 0 && ((a - table[row]!) % table[row + 3]!) + 4 > table[row + 4]!)
          ) {
            fault(pc, d, 4, true);
          }
          view.setInt32(a, m[s]!, true);
          pc += 8;
          continue;
        }
        case 51: {
          // stdw
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          const a = (m[d]! + m[pc + 3]!) | 0;
          const row = pages[a >>> 12]!;
          if (
            m[d + 1] !== 0 ||
            a < table[row]! ||
            ((a + 8) | 0) > table[row + 1]! ||
            table[row + 2] === 0 ||
            (table[row + 3] !== 0 && ((a - table[row]!) % table[row + 3]!) + 8 > table[row + 4]!)
          ) {
            fault(pc, d, 8, true);
          }
          view.setInt32(a, m[s]!, true);
          view.setInt32(a + 4, m[s + 1]!, true);
          pc += 8;
          continue;
        }
        case 52: {
          // atomic32
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          const a = (m[d]! + m[pc + 3]!) | 0;
          const row = pages[a >>> 12]!;
          if (
            m[d + 1] !== 0 ||
            a < table[row]! ||
            ((a + 4) | 0) > table[row + 1]! ||
            table[row + 2] === 0 ||
            (table[row + 3] !== 0 && ((a - table[row]!) % table[row + 3]!) + 4 > table[row + 4]!)
          ) {
            fault(pc, d, 4, true);
          }
          state.pc = pc;
          atomic32(m[pc + 7]!, a, s);
          pc += 8;
          continue;
        }
        case 53: {
          // atomic64
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          const a = (m[d]! + m[pc + 3]!) | 0;
          const row = pages[a >>> 12]!;
          if (
            m[d + 1] !== 0 ||
            a < table[row]! ||
            ((a + 8) | 0) > table[row + 1]! ||
            table[row + 2] === 0 ||
            (table[row + 3] !== 0 && ((a - table[row]!) % table[row + 3]!) + 8 > table[row + 4]!)
          ) {
            fault(pc, d, 8, true);
          }
          state.pc = pc;
          atomic64(m[pc + 7]!, a, s);
          pc += 8;
          continue;
        }
        case 54: {
          // ja
          words += pc - start + 8;
          pc = start = m[pc + 3]!;
          if (words > limit) {
            state.words += words;
            words = 0;
            limit = flush(pc);
          }
          continue;
        }
        case 55: {
          // jeq
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          if (m[d] === m[s] && m[d + 1] === m[s + 1]) {
            words += pc - start + 8;
            pc = start = m[pc + 3]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc);
            }
          } else pc += 8;
          continue;
        }
        case 56: {
          // jgt
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          if (m[d + 1] === m[s + 1] ? m[d]! >>> 0 > m[s]! >>> 0 : m[d + 1]! >>> 0 > m[s + 1]! >>> 0) {
            words += pc - start + 8;
            pc = start = m[pc + 3]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc);
            }
          } else pc += 8;
          continue;
        }
        case 57: {
          // jge
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          if (m[d + 1] === m[s + 1] ? m[d]! >>> 0 >= m[s]! >>> 0 : m[d + 1]! >>> 0 > m[s + 1]! >>> 0) {
            words += pc - start + 8;
            pc = start = m[pc + 3]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc);
            }
          } else pc += 8;
          continue;
        }
        case 58: {
          // jset
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          if (((m[d]! & m[s]!) | (m[d + 1]! & m[s + 1]!)) !== 0) {
            words += pc - start + 8;
            pc = start = m[pc + 3]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc);
            }
          } else pc += 8;
          continue;
        }
        case 59: {
          // jne
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          if (m[d] !== m[s] || m[d + 1] !== m[s + 1]) {
            words += pc - start + 8;
            pc = start = m[pc + 3]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc);
            }
          } else pc += 8;
          continue;
        }
        case 60: {
          // jsgt
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          if (m[d + 1] === m[s + 1] ? m[d]! >>> 0 > m[s]! >>> 0 : m[d + 1]! > m[s + 1]!) {
            words += pc - start + 8;
            pc = start = m[pc + 3]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc);
            }
          } else pc += 8;
          continue;
        }
        case 61: {
          // jsge
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          if (m[d + 1] === m[s + 1] ? m[d]! >>> 0 >= m[s]! >>> 0 : m[d + 1]! > m[s + 1]!) {
            words += pc - start + 8;
            pc = start = m[pc + 3]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc);
            }
          } else pc += 8;
          continue;
        }
        case 62: {
          // jlt
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          if (m[d + 1] === m[s + 1] ? m[d]! >>> 0 < m[s]! >>> 0 : m[d + 1]! >>> 0 < m[s + 1]! >>> 0) {
            words += pc - start + 8;
            pc = start = m[pc + 3]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc);
            }
          } else pc += 8;
          continue;
        }
        case 63: {
          // jle
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          if (m[d + 1] === m[s + 1] ? m[d]! >>> 0 <= m[s]! >>> 0 : m[d + 1]! >>> 0 < m[s + 1]! >>> 0) {
            words += pc - start + 8;
            pc = start = m[pc + 3]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc);
            }
          } else pc += 8;
          continue;
        }
        case 64: {
          // jslt
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          if (m[d + 1] === m[s + 1] ? m[d]! >>> 0 < m[s]! >>> 0 : m[d + 1]! < m[s + 1]!) {
            words += pc - start + 8;
            pc = start = m[pc + 3]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc);
            }
          } else pc += 8;
          continue;
        }
        case 65: {
          // jsle
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          if (m[d + 1] === m[s + 1] ? m[d]! >>> 0 <= m[s]! >>> 0 : m[d + 1]! < m[s + 1]!) {
            words += pc - start + 8;
            pc = start = m[pc + 3]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc);
            }
          } else pc += 8;
          continue;
        }
        case 66: {
          // jeq32
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          if (m[d] === m[s]) {
            words += pc - start + 8;
            pc = start = m[pc + 3]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc);
            }
          } else pc += 8;
          continue;
        }
        case 67: {
          // jgt32
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          if (m[d]! >>> 0 > m[s]! >>> 0) {
            words += pc - start + 8;
            pc = start = m[pc + 3]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc);
            }
          } else pc += 8;
          continue;
        }
        case 68: {
          // jge32
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          if (m[d]! >>> 0 >= m[s]! >>> 0) {
            words += pc - start + 8;
            pc = start = m[pc + 3]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc);
            }
          } else pc += 8;
          continue;
        }
        case 69: {
          // jset32
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          if ((m[d]! & m[s]!) !== 0) {
            words += pc - start + 8;
            pc = start = m[pc + 3]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc);
            }
          } else pc += 8;
          continue;
        }
        case 70: {
          // jne32
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          if (m[d] !== m[s]) {
            words += pc - start + 8;
            pc = start = m[pc + 3]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc);
            }
          } else pc += 8;
          continue;
        }
        case 71: {
          // jsgt32
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          if (m[d]! > m[s]!) {
            words += pc - start + 8;
            pc = start = m[pc + 3]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc);
            }
          } else pc += 8;
          continue;
        }
        case 72: {
          // jsge32
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          if (m[d]! >= m[s]!) {
            words += pc - start + 8;
            pc = start = m[pc + 3]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc);
            }
          } else pc += 8;
          continue;
        }
        case 73: {
          // jlt32
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          if (m[d]! >>> 0 < m[s]! >>> 0) {
            words += pc - start + 8;
            pc = start = m[pc + 3]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc);
            }
          } else pc += 8;
          continue;
        }
        case 74: {
          // jle32
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          if (m[d]! >>> 0 <= m[s]! >>> 0) {
            words += pc - start + 8;
            pc = start = m[pc + 3]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc);
            }
          } else pc += 8;
          continue;
        }
        case 75: {
          // jslt32
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          if (m[d]! < m[s]!) {
            words += pc - start + 8;
            pc = start = m[pc + 3]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc);
            }
          } else pc += 8;
          continue;
        }
        case 76: {
          // jsle32
          const d = m[pc + 1]!;
          const s = m[pc + 2]!;
          if (m[d]! <= m[s]!) {
            words += pc - start + 8;
            pc = start = m[pc + 3]!;
            if (words > limit) {
              state.words += words;
              words = 0;
              limit = flush(pc);
            }
          } else pc += 8;
          continue;
        }
        case 77: // call_helper
          state.pc = pc;
          helpers[m[pc + 7]!]!();
          pc += 8;
          continue;
        case 78: // call
          words += pc - start + 8;
          {
            const depth = state.depth + 1;
            const at = 32 + depth * 12;
            if (depth >= state.frameLimit || m[at + 10] === 0) grow(pc, depth);
            m[at] = m[12]!;
            m[at + 1] = m[13]!;
            m[at + 2] = m[14]!;
            m[at + 3] = m[15]!;
            m[at + 4] = m[16]!;
            m[at + 5] = m[17]!;
            m[at + 6] = m[18]!;
            m[at + 7] = m[19]!;
            m[at + 8] = pc + 8;
            m[at + 9] = 0;
            m[20] = m[at + 10]!;
            state.depth = depth;
          }
          pc = start = m[pc + 3]!;
          if (words > limit) {
            state.words += words;
            words = 0;
            limit = flush(pc);
          }
          continue;
        case 79: // exit
          words += pc - start + 8;
          if (state.depth === base) {
            state.words += words;
            return;
          }
          {
            const at = 32 + state.depth * 12;
            state.depth--;
            m[12] = m[at]!;
            m[13] = m[at + 1]!;
            m[14] = m[at + 2]!;
            m[15] = m[at + 3]!;
            m[16] = m[at + 4]!;
            m[17] = m[at + 5]!;
            m[18] = m[at + 6]!;
            m[19] = m[at + 7]!;
            m[20] = m[at - 2]!;
            pc = start = m[at + 8]!;
          }
          continue;
        case 80: {
          // tail_call
          words += pc - start + 8;
          const target = tailCall(pc);
          pc = start = target === 0 ? pc + 8 : target;
          continue;
        }
        case 81: // may_goto
          if (mayGoto(pc)) {
            words += pc - start + 8;
            pc = start = m[pc + 3]!;
          } else pc += 8;
          continue;
        case 82: // ld_abs
        case 83: // ld_ind
          if (loadPacket(pc, m[pc] === 83)) pc += 8;
          else {
            // Out of range: the function ends with 0. kernel: bpf_gen_ld_abs()
            m[0] = 0;
            m[1] = 0;
            words += pc - start + 8;
            if (state.depth === base) {
              state.words += words;
              return;
            }
            pc = start = leave();
          }
          continue;
        case 84: // trace
          start += 8;
          pc += 8;
          trace(pc);
          continue;
        default:
          fault(pc, 0, 0, false);
      }
    }
  };
}
