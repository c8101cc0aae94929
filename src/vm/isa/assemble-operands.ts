import { AssembleError, type TokenReader } from './assemble-lexer.ts';
import { BPF_B, BPF_DW, BPF_H, SIZES } from './insn.ts';

/** Ranges of the fields. */
export const S16 = { min: -0x8000, max: 0x7fff };
export const S32 = { min: -0x80000000, max: 0x7fffffff };
export const U32_MAX = 0xffffffff;

/** Access size by the C type in the text. */
export const sizeByType = new Map<string, { code: number; signed: boolean }>();
for (const row of SIZES) {
  sizeByType.set(row.symbol, { code: row.code, signed: false });
  if (row.signed) sizeByType.set(row.signed, { code: row.code, signed: true });
}

/** `r3` or, of 32 bits, `w3`. */
export interface Register {
  readonly number: number;
  readonly wide: boolean;
}

/** `(u32 *)(r1 +4)` */
export interface Memory {
  readonly size: number;
  readonly signed: boolean;
  readonly base: number;
  readonly off: number;
}

/** The parts that instructions share: registers, constants, memory operands. */
export class Operands {
  readonly in: TokenReader;

  constructor(reader: TokenReader) {
    this.in = reader;
  }

  isRegister(ahead = 0): boolean {
    const token = this.in.peek(ahead);
    return token.kind === 'word' && /^[rw]\d{1,2}$/.test(token.text) && Number(token.text.slice(1)) <= 15;
  }

  /** r0..r10; r11 to r15 can be written too, for programs that are to be refused. */
  register(what = 'a register'): Register {
    if (!this.isRegister()) throw this.in.expected(what);
    const token = this.in.next();
    return { number: Number(token.text.slice(1)), wide: token.text[0] === 'r' };
  }

  sameWidth(wide: boolean): number {
    const token = this.in.peek();
    const register = this.register();
    if (register.wide !== wide) {
      throw this.in.error(
        `expected ${wide ? 'a 64-bit register (r)' : 'a 32-bit register (w)'}, found ${token.text}`,
        token,
      );
    }
    return register.number;
  }

  /** A constant for a sign-extended 32-bit immediate; where only 32 bits count, unsigned writing is the same number. */
  imm32(wide: boolean): number {
    const hint = wide ? 'ld_imm64 is written with ll after the constant' : '';
    return this.in.integerIn('constant', S32.min, wide ? S32.max : U32_MAX, hint) | 0;
  }

  /** `(u32 *)`, without what comes before or after. */
  pointerType(): { size: number; signed: boolean } {
    this.in.expect('(');
    const token = this.in.next();
    const size = sizeByType.get(token.text);
    if (size === undefined) throw this.in.expected('an access size (u8, u16, u32, u64, s8, s16, s32)', token);
    this.in.expect('*');
    this.in.expect(')');
    return { size: size.code, signed: size.signed };
  }

  /** `r1 +4` */
  address(): { base: number; off: number } {
    const base = this.sameWidth(true);
    const token = this.in.peek();
    const off = token.text === '+' || token.text === '-' ? this.in.integerIn('offset', S16.min, S16.max) : 0;
    return { base, off };
  }

  /** `(u32 *)(r1 +4)` */
  memory(): Memory {
    const type = this.pointerType();
    this.in.expect('(');
    const address = this.address();
    this.in.expect(')');
    return { ...type, ...address };
  }

  unsignedMemory(): Memory {
    const token = this.in.peek(1);
    const memory = this.memory();
    if (memory.signed) throw this.in.error('only loads sign-extend: expected u8, u16, u32 or u64', token);
    return memory;
  }

  /** The operand of an atomic: w registers go with 32 bits and less, r registers with all. */
  operand(size: number): number {
    const token = this.in.peek();
    const register = this.register();
    if (!register.wide && size === BPF_DW) throw this.in.error('8 bytes need a 64-bit register (r)', token);
    return register.number;
  }

  atomicSize(size: number, column: number): void {
    if (size === BPF_B || size === BPF_H) {
      throw new AssembleError(this.in.line, column, 'atomic operations are of u32 or u64');
    }
  }
}
