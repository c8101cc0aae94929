import { AssembleError, type TokenReader } from './assemble-lexer.ts';
import { type Operands, type Register, S32, sizeByType, U32_MAX } from './assemble-operands.ts';
import type { Insn } from './decode.ts';
import {
  addrSpaceCast,
  alu32Imm,
  alu32Reg,
  alu64Imm,
  alu64Reg,
  atomic,
  bswap,
  endian,
  ldAbs,
  ldBtfId,
  ldFunc,
  ldImm64,
  ldInd,
  ldMapFd,
  ldMapIdx,
  ldMapIdxValue,
  ldMapValue,
  ldxMem,
  ldxMemsx,
  loadAcquire,
  neg32,
  neg64,
} from './encode.ts';
import {
  ALU_OPS,
  ATOMIC_OPS,
  BPF_CMPXCHG,
  BPF_DW,
  BPF_END,
  BPF_MOV,
  BPF_NEG,
  BPF_TO_BE,
  BPF_TO_LE,
  BPF_W,
  BPF_XCHG,
  OP_LD_IMM64,
} from './insn.ts';

const aluBySymbol = new Map<string, { code: number; off: number }>();
for (const row of ALU_OPS) {
  if (row.code === BPF_NEG || row.code === BPF_END) continue;
  aluBySymbol.set(row.symbol, { code: row.code, off: 0 });
  if ('signed' in row) aluBySymbol.set(row.signed, { code: row.code, off: 1 });
}
const fetchByName = new Map<string, number>(ATOMIC_OPS.filter((row) => row.fetch).map((row) => [row.symbol, row.code]));

/** An instruction that begins with a register: `r1 = ...`, `w2 s>>= 3`. */
export class Assignment {
  readonly #in: TokenReader;
  readonly #ops: Operands;
  readonly #opcode: number | undefined;

  /** @param opcode the one that stands before the text, if any: it tells ld_imm64 from mov. */
  constructor(operands: Operands, opcode: number | undefined) {
    this.#in = operands.in;
    this.#ops = operands;
    this.#opcode = opcode;
  }

  parse(): Insn {
    const dst = this.#ops.register();
    const operator = this.#in.next();
    const op = aluBySymbol.get(operator.text);
    if (op === undefined) throw this.#in.expected('an operator (=, +=, s>>= ...)', operator);
    if (op.code === BPF_MOV) return this.#move(dst);
    if (this.#ops.isRegister()) {
      const src = this.#ops.sameWidth(dst.wide);
      return dst.wide ? alu64Reg(op.code, dst.number, src, op.off) : alu32Reg(op.code, dst.number, src, op.off);
    }
    const imm = this.#ops.imm32(dst.wide);
    return dst.wide ? alu64Imm(op.code, dst.number, imm, op.off) : alu32Imm(op.code, dst.number, imm, op.off);
  }

  #move(dst: Register): Insn {
    const token = this.#in.peek();
    if (this.#ops.isRegister()) {
      const src = this.#ops.sameWidth(dst.wide);
      return dst.wide ? alu64Reg(BPF_MOV, dst.number, src) : alu32Reg(BPF_MOV, dst.number, src);
    }
    if (token.text === '-' && this.#ops.isRegister(1)) {
      this.#in.next();
      if (this.#ops.sameWidth(dst.wide) !== dst.number)
        throw this.#in.error('negation is of one register: r1 = -r1', token);
      return dst.wide ? neg64(dst.number) : neg32(dst.number);
    }
    if (token.text === '(') return this.#signExtend(dst);
    if (token.text === '*') return this.#load(dst);
    if (token.kind === 'word') return this.#named(dst);
    if (token.kind === 'number' || token.text === '-' || token.text === '+') return this.#constant(dst);
    throw this.#in.expected('a register, a constant or a memory operand');
  }

  #constant(dst: Register): Insn {
    const token = this.#in.peek();
    const after = this.#in.peek(token.kind === 'number' ? 1 : 2);
    if (after.text === 'll' || this.#opcode === OP_LD_IMM64) {
      if (!dst.wide) throw this.#in.error('a 64-bit constant needs a 64-bit register (r)', token);
      const value = this.#in.integer('constant');
      if (value < -(2n ** 63n) || value >= 2n ** 64n)
        throw this.#in.error(`constant ${value} needs more than 64 bits`, token);
      this.#in.take('ll');
      return ldImm64(dst.number, value);
    }
    const imm = this.#ops.imm32(dst.wide);
    return dst.wide ? alu64Imm(BPF_MOV, dst.number, imm) : alu32Imm(BPF_MOV, dst.number, imm);
  }

  #signExtend(dst: Register): Insn {
    this.#in.expect('(');
    const token = this.#in.next();
    const size = sizeByType.get(token.text);
    if (!size?.signed) throw this.#in.expected('s8, s16 or s32', token);
    this.#in.expect(')');
    const src = this.#ops.sameWidth(dst.wide);
    const bits = Number(token.text.slice(1));
    if (!dst.wide && bits === 32) throw this.#in.error('a 32-bit move extends from s8 or s16', token);
    return dst.wide ? alu64Reg(BPF_MOV, dst.number, src, bits) : alu32Reg(BPF_MOV, dst.number, src, bits);
  }

  #load(dst: Register): Insn {
    const star = this.#in.expect('*');
    if (this.#in.peek(4).text === 'skb') return this.#loadPacket(dst, star.column);
    const memory = this.#ops.memory();
    // LLVM shows narrow plain loads with w registers; the encoding is one
    if (!dst.wide && (memory.signed || memory.size === BPF_DW)) {
      throw this.#in.error('this load fills a 64-bit register (r)', star);
    }
    const make = memory.signed ? ldxMemsx : ldxMem;
    return make(memory.size, dst.number, memory.base, memory.off);
  }

  /** `r0 = *(u16 *)skb[r3 + 4]` */
  #loadPacket(dst: Register, column: number): Insn {
    const type = this.#ops.pointerType();
    if (type.signed || type.size === BPF_DW || dst.number !== 0) {
      throw new AssembleError(this.#in.line, column, 'a packet load is u8, u16 or u32 into r0');
    }
    this.#in.expect('skb');
    this.#in.expect('[');
    let insn: Insn;
    if (this.#ops.isRegister()) {
      const src = this.#ops.sameWidth(true);
      const more = this.#in.peek().text === '+' || this.#in.peek().text === '-';
      if (this.#in.peek().text === '+' && this.#in.peek(1).text === '-') this.#in.next();
      insn = ldInd(type.size, src, more ? this.#in.integerIn('offset', S32.min, S32.max) : 0);
    } else {
      insn = ldAbs(type.size, this.#in.integerIn('offset', S32.min, S32.max));
    }
    this.#in.expect(']');
    return insn;
  }

  /** What begins with a word after `=`. */
  #named(dst: Register): Insn {
    const token = this.#in.next();
    const swap = /^(bswap|be|le)(16|32|64)$/.exec(token.text);
    if (swap) {
      const register = this.#in.peek();
      if (this.#ops.register().number !== dst.number || !dst.wide) {
        throw this.#in.error(`a byte swap is of one 64-bit register: r1 = ${token.text} r1`, register);
      }
      const bits = Number(swap[2]);
      if (swap[1] === 'bswap') return bswap(dst.number, bits);
      return endian(swap[1] === 'be' ? BPF_TO_BE : BPF_TO_LE, dst.number, bits);
    }
    switch (token.text) {
      case 'load_acquire': {
        this.#in.expect('(');
        const memory = this.#ops.unsignedMemory();
        this.#in.expect(')');
        return loadAcquire(memory.size, dst.number, memory.base, memory.off);
      }
      case 'addr_space_cast': {
        this.#in.expect('(');
        const src = this.#ops.sameWidth(true);
        this.#in.expect(',');
        const to = this.#in.integerIn('address space', 0, 0xffff);
        this.#in.expect(',');
        const from = this.#in.integerIn('address space', 0, 0xffff);
        this.#in.expect(')');
        return addrSpaceCast(dst.number, src, to, from);
      }
      case 'map':
        return this.#mapReference(dst);
      case 'subprog': {
        this.#in.expect('[');
        const delta = this.#in.integerIn('distance', S32.min, S32.max);
        this.#in.expect(']');
        return ldFunc(dst.number, delta);
      }
      case 'btf_id': {
        this.#in.expect('[');
        const id = this.#in.integerIn('BTF id', S32.min, S32.max);
        let fd = 0;
        if (this.#in.take(',')) {
          this.#in.expect('fd');
          this.#in.expect(':');
          fd = this.#in.integerIn('fd', S32.min, S32.max);
        }
        this.#in.expect(']');
        return ldBtfId(dst.number, id, fd);
      }
    }
    return this.#fetch(dst, token.text, token.column);
  }

  /** `map[id:3]`, `map[id:3][0]+8`, `map[idx:1]`, `map[idx:1]+8` */
  #mapReference(dst: Register): Insn {
    this.#in.expect('[');
    const kind = this.#in.next();
    if (kind.text !== 'id' && kind.text !== 'fd' && kind.text !== 'idx') throw this.#in.expected('id, fd or idx', kind);
    this.#in.expect(':');
    const map = this.#in.integerIn('map number', S32.min, S32.max);
    this.#in.expect(']');
    const element = this.#in.take('[');
    if (element) {
      this.#in.expect('0');
      this.#in.expect(']');
    }
    const value = element || this.#in.peek().text === '+';
    if (!value) return kind.text === 'idx' ? ldMapIdx(dst.number, map) : ldMapFd(dst.number, map);
    this.#in.expect('+');
    const offset = this.#in.integerIn('offset', S32.min, U32_MAX);
    return kind.text === 'idx' ? ldMapIdxValue(dst.number, map, offset) : ldMapValue(dst.number, map, offset);
  }

  /**
   * `atomic64_fetch_add((u64 *)(r1 +0), r2)`, `atomic_xchg(...)`, `atomic64_cmpxchg(..., r0, r2)` of the kernel;
   * `atomic_fetch_add(...)` with w registers, `xchg_64(r1 + 0, r2)`, `cmpxchg32_32(...)` of LLVM.
   */
  #fetch(dst: Register, name: string, column: number): Insn {
    const short = /^(xchg|cmpxchg)(?:_64|32_32)$/.exec(name);
    if (short) {
      const size = name.endsWith('_64') ? BPF_DW : BPF_W;
      this.#in.expect('(');
      const address = this.#ops.address();
      return this.#fetchOperands(dst, short[1] === 'xchg' ? BPF_XCHG : BPF_CMPXCHG, { size, ...address });
    }
    const long = /^atomic(?:64)?_(\w+)$/.exec(name);
    const op = long ? fetchByName.get(long[1]!) : undefined;
    if (op === undefined) {
      throw new AssembleError(
        this.#in.line,
        column,
        `expected a register, a constant or an operation, found "${name}"`,
      );
    }
    this.#in.expect('(');
    const token = this.#in.peek(1);
    const memory = this.#ops.unsignedMemory();
    this.#ops.atomicSize(memory.size, token.column);
    if (name.startsWith('atomic64') && memory.size !== BPF_DW) throw this.#in.error(`${name} is of u64`, token);
    return this.#fetchOperands(dst, op, memory);
  }

  #fetchOperands(dst: Register, op: number, memory: { size: number; base: number; off: number }): Insn {
    this.#in.expect(',');
    if (op === BPF_CMPXCHG) {
      const token = this.#in.peek();
      if (this.#ops.operand(memory.size) !== 0 || dst.number !== 0) {
        throw this.#in.error('cmpxchg compares with r0 and returns in r0', token);
      }
      this.#in.expect(',');
    }
    const token = this.#in.peek();
    const src = this.#ops.operand(memory.size);
    if (op !== BPF_CMPXCHG && src !== dst.number) {
      throw this.#in.error('the old value comes back in the operand: both registers are the same', token);
    }
    this.#in.expect(')');
    return atomic(memory.size, op, memory.base, src, memory.off);
  }
}
