import { AssembleError, TokenReader, tokenize } from './assemble-lexer.ts';
import type { Insn } from './decode.ts';
import { opcodeHex } from './disassemble.ts';
import {
  addrSpaceCast,
  alu32Imm,
  alu32Reg,
  alu64Imm,
  alu64Reg,
  atomic,
  bswap,
  call,
  callKfunc,
  callRel,
  endian,
  exit,
  gotol,
  ja,
  jmp32Imm,
  jmp32Reg,
  jmpImm,
  jmpReg,
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
  mayGoto,
  neg32,
  neg64,
  rawInsn,
  stMem,
  storeRelease,
  stxMem,
} from './encode.ts';
import {
  ALU_OPS,
  ATOMIC_OPS,
  BPF_B,
  BPF_CALL,
  BPF_CMPXCHG,
  BPF_DW,
  BPF_END,
  BPF_EXIT,
  BPF_H,
  BPF_JA,
  BPF_JCOND,
  BPF_MOV,
  BPF_NEG,
  BPF_TO_BE,
  BPF_TO_LE,
  BPF_W,
  BPF_XCHG,
  JMP_OPS,
  OP_LD_IMM64,
  SIZES,
} from './insn.ts';

export { AssembleError } from './assemble-lexer.ts';

export interface AssembleOptions {
  /** Id of a helper by name, for `call bpf_ktime_get_ns` without `#5`. */
  readonly helperId?: (name: string) => number | undefined;
}

const S16 = { min: -0x8000, max: 0x7fff };
const S32 = { min: -0x80000000, max: 0x7fffffff };
const U32_MAX = 0xffffffff;

const aluBySymbol = new Map<string, { code: number; off: number }>();
for (const row of ALU_OPS) {
  if (row.code === BPF_NEG || row.code === BPF_END) continue;
  aluBySymbol.set(row.symbol, { code: row.code, off: 0 });
  if ('signed' in row) aluBySymbol.set(row.signed, { code: row.code, off: 1 });
}
const conditionBySymbol = new Map<string, number>(
  JMP_OPS.filter((row) => ![BPF_JA, BPF_CALL, BPF_EXIT, BPF_JCOND].includes(row.code as never)).map((row) => [
    row.symbol,
    row.code,
  ]),
);
const sizeByType = new Map<string, { code: number; signed: boolean }>();
for (const row of SIZES) {
  sizeByType.set(row.symbol, { code: row.code, signed: false });
  if (row.signed) sizeByType.set(row.signed, { code: row.code, signed: true });
}
const fetchByName = new Map<string, number>(ATOMIC_OPS.filter((row) => row.fetch).map((row) => [row.symbol, row.code]));
const lockBySymbol = new Map<string, number>(
  ATOMIC_OPS.filter((row) => !row.fetch && row.symbol.endsWith('=')).map((row) => [row.symbol, row.code]),
);

/** A statement: an instruction, and the label that its distance waits for. */
interface Item {
  readonly insn: Insn;
  readonly line: number;
  readonly label?: { name: string; column: number; field: 'off' | 'imm' };
}

/**
 * Assembles text in the form of the disassembler (`bpftool prog dump xlated`, the verifier's log) or of LLVM: one
 * instruction a line, labels `name:`, comments from `;` or `//`. Slot numbers and opcodes before an instruction,
 * `3: (b7)`, may stand there. `r1 = 5` is a 32-bit immediate move, `r1 = 5 ll` or `(18) r1 = 0x5` an ld_imm64.
 * `raw 1122334455667788` puts eight bytes as they are.
 *
 *   r6 = r1
 *   if r6 != 0x0 goto out
 *   *(u32 *)(r10 -4) = 7
 *   call bpf_ktime_get_ns#5
 *   out: exit
 *
 * @throws AssembleError with line, column and what was expected.
 */
export function assemble(text: string, options: AssembleOptions = {}): Insn[] {
  const items: Item[] = [];
  const labels = new Map<string, number>();
  let slot = 0;
  for (const [index, source] of text.split(/\r?\n/).entries()) {
    const line = index + 1;
    const prefix = /^\s*(?:\d+:\s*)?(?:\(([0-9a-f]{2})\)\s*)?/.exec(source)!;
    const opcode = prefix[1] === undefined ? undefined : Number.parseInt(prefix[1], 16);
    const reader = new TokenReader(tokenize(source, line, prefix[0].length), line);
    while (reader.peek().kind === 'word' && reader.peek(1).text === ':' && reader.peek(1).glued) {
      const name = reader.next();
      reader.next();
      if (labels.has(name.text)) throw reader.error(`label ${name.text} is defined twice`, name);
      labels.set(name.text, slot);
    }
    if (reader.peek().kind === 'end') continue;
    const first = reader.peek();
    const item = new Statement(reader, options, opcode).parse();
    if (opcode !== undefined && item.insn.opcode !== opcode) {
      const made = opcodeHex(item.insn.opcode);
      throw reader.error(`the text is opcode ${made}, but (${opcodeHex(opcode)}) stands before it`, first);
    }
    items.push({ ...item, insn: { ...item.insn, slot } });
    slot += item.insn.slots;
  }
  return items.map((item) => resolve(item, labels));
}

function resolve(item: Item, labels: ReadonlyMap<string, number>): Insn {
  if (!item.label) return item.insn;
  const { name, column, field } = item.label;
  const target = labels.get(name);
  if (target === undefined) throw new AssembleError(item.line, column, `label ${name} is not defined`);
  const distance = target - item.insn.slot - 1;
  if (field === 'imm') return { ...item.insn, imm: distance };
  if (distance < S16.min || distance > S16.max) {
    throw new AssembleError(
      item.line,
      column,
      `label ${name} is ${distance} slots away, too far for 16 bits; use gotol`,
    );
  }
  return { ...item.insn, off: distance };
}

interface Register {
  readonly number: number;
  readonly wide: boolean;
}

interface Memory {
  readonly size: number;
  readonly signed: boolean;
  readonly base: number;
  readonly off: number;
}

class Statement {
  readonly #in: TokenReader;
  readonly #options: AssembleOptions;
  readonly #opcode: number | undefined;

  constructor(reader: TokenReader, options: AssembleOptions, opcode: number | undefined) {
    this.#in = reader;
    this.#options = options;
    this.#opcode = opcode;
  }

  parse(): Item {
    const item = this.#statement();
    this.#in.finish();
    return item;
  }

  #item(insn: Insn): Item {
    return { insn, line: this.#in.line };
  }

  #statement(): Item {
    const token = this.#in.peek();
    switch (token.text) {
      case 'exit':
        this.#in.next();
        return this.#item(exit());
      case 'goto':
        this.#in.next();
        return this.#jump(ja(0), 'off');
      case 'gotol':
        this.#in.next();
        return this.#jump(gotol(0), 'imm');
      case 'may_goto':
        this.#in.next();
        return this.#jump(mayGoto(0), 'off');
      case 'if':
        this.#in.next();
        return this.#condition();
      case 'call':
        this.#in.next();
        return this.#call();
      case 'lock':
        this.#in.next();
        return this.#item(this.#lock());
      case 'store_release':
        this.#in.next();
        return this.#item(this.#storeRelease());
      case 'raw':
        this.#in.next();
        return this.#item(this.#raw());
      case '*':
        return this.#item(this.#store());
    }
    if (this.#isRegister()) return this.#item(this.#assignment());
    throw this.#in.expected('an instruction (a register, *(size *)(...), if, goto, call, lock, exit ...)');
  }

  #isRegister(ahead = 0): boolean {
    const token = this.#in.peek(ahead);
    return token.kind === 'word' && /^[rw]\d{1,2}$/.test(token.text) && Number(token.text.slice(1)) <= 15;
  }

  /** r0..r10; r11 to r15 can be written too, for programs that are to be refused. */
  #register(what = 'a register'): Register {
    if (!this.#isRegister()) throw this.#in.expected(what);
    const token = this.#in.next();
    return { number: Number(token.text.slice(1)), wide: token.text[0] === 'r' };
  }

  #sameWidth(wide: boolean): number {
    const token = this.#in.peek();
    const register = this.#register();
    if (register.wide !== wide) {
      throw this.#in.error(
        `expected ${wide ? 'a 64-bit register (r)' : 'a 32-bit register (w)'}, found ${token.text}`,
        token,
      );
    }
    return register.number;
  }

  /** A constant for a sign-extended 32-bit immediate; where only 32 bits count, unsigned writing is the same number. */
  #imm32(wide: boolean): number {
    const hint = wide ? 'ld_imm64 is written with ll after the constant' : '';
    return this.#in.integerIn('constant', S32.min, wide ? S32.max : U32_MAX, hint) | 0;
  }

  #assignment(): Insn {
    const dst = this.#register();
    const operator = this.#in.next();
    const op = aluBySymbol.get(operator.text);
    if (op === undefined) throw this.#in.expected('an operator (=, +=, s>>= ...)', operator);
    if (op.code === BPF_MOV) return this.#move(dst);
    if (this.#isRegister()) {
      const src = this.#sameWidth(dst.wide);
      return dst.wide ? alu64Reg(op.code, dst.number, src, op.off) : alu32Reg(op.code, dst.number, src, op.off);
    }
    const imm = this.#imm32(dst.wide);
    return dst.wide ? alu64Imm(op.code, dst.number, imm, op.off) : alu32Imm(op.code, dst.number, imm, op.off);
  }

  #move(dst: Register): Insn {
    const token = this.#in.peek();
    if (this.#isRegister()) {
      const src = this.#sameWidth(dst.wide);
      return dst.wide ? alu64Reg(BPF_MOV, dst.number, src) : alu32Reg(BPF_MOV, dst.number, src);
    }
    if (token.text === '-' && this.#isRegister(1)) {
      this.#in.next();
      if (this.#sameWidth(dst.wide) !== dst.number)
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
    const imm = this.#imm32(dst.wide);
    return dst.wide ? alu64Imm(BPF_MOV, dst.number, imm) : alu32Imm(BPF_MOV, dst.number, imm);
  }

  #signExtend(dst: Register): Insn {
    this.#in.expect('(');
    const token = this.#in.next();
    const size = sizeByType.get(token.text);
    if (!size?.signed) throw this.#in.expected('s8, s16 or s32', token);
    this.#in.expect(')');
    const src = this.#sameWidth(dst.wide);
    const bits = Number(token.text.slice(1));
    if (!dst.wide && bits === 32) throw this.#in.error('a 32-bit move extends from s8 or s16', token);
    return dst.wide ? alu64Reg(BPF_MOV, dst.number, src, bits) : alu32Reg(BPF_MOV, dst.number, src, bits);
  }

  /** `(u32 *)`, without what comes before or after. */
  #pointerType(): { size: number; signed: boolean } {
    this.#in.expect('(');
    const token = this.#in.next();
    const size = sizeByType.get(token.text);
    if (size === undefined) throw this.#in.expected('an access size (u8, u16, u32, u64, s8, s16, s32)', token);
    this.#in.expect('*');
    this.#in.expect(')');
    return { size: size.code, signed: size.signed };
  }

  /** `r1 +4` */
  #address(): { base: number; off: number } {
    const base = this.#sameWidth(true);
    const token = this.#in.peek();
    const off = token.text === '+' || token.text === '-' ? this.#in.integerIn('offset', S16.min, S16.max) : 0;
    return { base, off };
  }

  /** `(u32 *)(r1 +4)` */
  #memory(): Memory {
    const type = this.#pointerType();
    this.#in.expect('(');
    const address = this.#address();
    this.#in.expect(')');
    return { ...type, ...address };
  }

  #unsignedMemory(): Memory {
    const token = this.#in.peek(1);
    const memory = this.#memory();
    if (memory.signed) throw this.#in.error('only loads sign-extend: expected u8, u16, u32 or u64', token);
    return memory;
  }

  #load(dst: Register): Insn {
    const star = this.#in.expect('*');
    if (this.#in.peek(4).text === 'skb') return this.#loadPacket(dst, star.column);
    const memory = this.#memory();
    // LLVM shows narrow plain loads with w registers; the encoding is one
    if (!dst.wide && (memory.signed || memory.size === BPF_DW)) {
      throw this.#in.error('this load fills a 64-bit register (r)', star);
    }
    const make = memory.signed ? ldxMemsx : ldxMem;
    return make(memory.size, dst.number, memory.base, memory.off);
  }

  /** `r0 = *(u16 *)skb[r3 + 4]` */
  #loadPacket(dst: Register, column: number): Insn {
    const type = this.#pointerType();
    if (type.signed || type.size === BPF_DW || dst.number !== 0) {
      throw new AssembleError(this.#in.line, column, 'a packet load is u8, u16 or u32 into r0');
    }
    this.#in.expect('skb');
    this.#in.expect('[');
    let insn: Insn;
    if (this.#isRegister()) {
      const src = this.#sameWidth(true);
      const more = this.#in.peek().text === '+' || this.#in.peek().text === '-';
      if (this.#in.peek().text === '+' && this.#in.peek(1).text === '-') this.#in.next();
      insn = ldInd(type.size, src, more ? this.#in.integerIn('offset', S32.min, S32.max) : 0);
    } else {
      insn = ldAbs(type.size, this.#in.integerIn('offset', S32.min, S32.max));
    }
    this.#in.expect(']');
    return insn;
  }

  #store(): Insn {
    this.#in.expect('*');
    const memory = this.#unsignedMemory();
    this.#in.expect('=');
    if (this.#isRegister()) {
      const token = this.#in.peek();
      const src = this.#register();
      if (!src.wide && memory.size === BPF_DW)
        throw this.#in.error('a store of 8 bytes needs a 64-bit register (r)', token);
      return stxMem(memory.size, memory.base, src.number, memory.off);
    }
    return stMem(memory.size, memory.base, memory.off, this.#imm32(memory.size === BPF_DW));
  }

  /** The operand of an atomic: w registers go with 32 bits and less, r registers with all. */
  #operand(size: number): number {
    const token = this.#in.peek();
    const register = this.#register();
    if (!register.wide && size === BPF_DW) throw this.#in.error('8 bytes need a 64-bit register (r)', token);
    return register.number;
  }

  #lock(): Insn {
    this.#in.expect('*');
    const token = this.#in.peek(1);
    const memory = this.#unsignedMemory();
    this.#atomicSize(memory.size, token.column);
    const operator = this.#in.next();
    const op = lockBySymbol.get(operator.text);
    if (op === undefined) throw this.#in.expected('an atomic operator (+=, |=, &=, ^=)', operator);
    return atomic(memory.size, op, memory.base, this.#operand(memory.size), memory.off);
  }

  #atomicSize(size: number, column: number): void {
    if (size === BPF_B || size === BPF_H) {
      throw new AssembleError(this.#in.line, column, 'atomic operations are of u32 or u64');
    }
  }

  #storeRelease(): Insn {
    this.#in.expect('(');
    const memory = this.#unsignedMemory();
    this.#in.expect(',');
    const src = this.#operand(memory.size);
    this.#in.expect(')');
    return storeRelease(memory.size, memory.base, src, memory.off);
  }

  /** What begins with a word after `=`. */
  #named(dst: Register): Insn {
    const token = this.#in.next();
    const swap = /^(bswap|be|le)(16|32|64)$/.exec(token.text);
    if (swap) {
      const register = this.#in.peek();
      if (this.#register().number !== dst.number || !dst.wide) {
        throw this.#in.error(`a byte swap is of one 64-bit register: r1 = ${token.text} r1`, register);
      }
      const bits = Number(swap[2]);
      if (swap[1] === 'bswap') return bswap(dst.number, bits);
      return endian(swap[1] === 'be' ? BPF_TO_BE : BPF_TO_LE, dst.number, bits);
    }
    switch (token.text) {
      case 'load_acquire': {
        this.#in.expect('(');
        const memory = this.#unsignedMemory();
        this.#in.expect(')');
        return loadAcquire(memory.size, dst.number, memory.base, memory.off);
      }
      case 'addr_space_cast': {
        this.#in.expect('(');
        const src = this.#sameWidth(true);
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
      const address = this.#address();
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
    const memory = this.#unsignedMemory();
    this.#atomicSize(memory.size, token.column);
    return this.#fetchOperands(dst, op, memory);
  }

  #fetchOperands(dst: Register, op: number, memory: { size: number; base: number; off: number }): Insn {
    this.#in.expect(',');
    if (op === BPF_CMPXCHG) {
      const token = this.#in.peek();
      if (this.#operand(memory.size) !== 0 || dst.number !== 0) {
        throw this.#in.error('cmpxchg compares with r0 and returns in r0', token);
      }
      this.#in.expect(',');
    }
    const token = this.#in.peek();
    const src = this.#operand(memory.size);
    if (op !== BPF_CMPXCHG && src !== dst.number) {
      throw this.#in.error('the old value comes back in the operand: both registers are the same', token);
    }
    this.#in.expect(')');
    return atomic(memory.size, op, memory.base, src, memory.off);
  }

  #condition(): Item {
    const dst = this.#register();
    const operator = this.#in.next();
    const op = conditionBySymbol.get(operator.text);
    if (op === undefined) throw this.#in.expected('a condition (==, !=, >, s>=, & ...)', operator);
    let insn: Insn;
    if (this.#isRegister()) {
      const src = this.#sameWidth(dst.wide);
      insn = dst.wide ? jmpReg(op, dst.number, src, 0) : jmp32Reg(op, dst.number, src, 0);
    } else {
      // the kernel prints immediates of jumps unsigned, so 0xffffffff is -1 also where 64 bits are compared
      const imm = this.#in.integerIn('constant', S32.min, U32_MAX) | 0;
      insn = dst.wide ? jmpImm(op, dst.number, imm, 0) : jmp32Imm(op, dst.number, imm, 0);
    }
    this.#in.expect('goto');
    return this.#jump(insn, 'off');
  }

  /** `pc+3`, `+3`, or a label. */
  #jump(insn: Insn, field: 'off' | 'imm'): Item {
    const range = field === 'off' ? S16 : S32;
    const token = this.#in.peek();
    if (this.#relative()) {
      const distance = this.#in.integerIn(
        'distance',
        range.min,
        range.max,
        field === 'off' ? 'gotol reaches further' : '',
      );
      this.#skipTargetName();
      return this.#item({ ...insn, [field]: distance });
    }
    if (token.kind !== 'word') throw this.#in.expected('pc+N, +N or a label');
    this.#in.next();
    return { insn, line: this.#in.line, label: { name: token.text, column: token.column, field } };
  }

  /** Takes `pc` when a sign follows; true when a distance stands here. */
  #relative(): boolean {
    const sign = (ahead: number) => this.#in.peek(ahead).text === '+' || this.#in.peek(ahead).text === '-';
    if (this.#in.peek().text === 'pc' && sign(1)) this.#in.next();
    return sign(0);
  }

  /** llvm-objdump names the target after the distance: `goto +0x3 <out>`. */
  #skipTargetName(): void {
    if (!this.#in.take('<')) return;
    while (this.#in.peek().kind !== 'end' && this.#in.peek().text !== '>') this.#in.next();
    this.#in.expect('>');
  }

  #call(): Item {
    const token = this.#in.peek();
    if (this.#relative()) {
      const delta = this.#in.integerIn('distance', S32.min, S32.max);
      // bpftool adds the function's name
      if (this.#in.take('#')) this.#in.next();
      return this.#item(callRel(delta));
    }
    if (token.kind === 'number') return this.#item(call(this.#in.integerIn('helper id', 0, S32.max)));
    if (token.kind !== 'word') throw this.#in.expected('a helper, pc+N or a label');
    this.#in.next();
    const kfunc = token.text === 'kernel' && this.#in.take('-');
    if (kfunc) this.#in.expect('function');
    if (this.#in.take('#')) {
      const id = this.#in.integerIn('id', S32.min, S32.max);
      return this.#item(kfunc ? callKfunc(id) : call(id));
    }
    if (kfunc) throw this.#in.expected('"#" and the BTF id of the kernel function');
    const id = this.#options.helperId?.(token.text);
    if (id !== undefined) return this.#item(call(id));
    return { insn: callRel(0), line: this.#in.line, label: { name: token.text, column: token.column, field: 'imm' } };
  }

  #raw(): Insn {
    const token = this.#in.next();
    if (!/^[0-9a-fA-F]{16}$/.test(token.text)) throw this.#in.expected('16 hexadecimal digits', token);
    const byte = (at: number) => Number.parseInt(token.text.slice(2 * at, 2 * at + 2), 16);
    const imm = byte(4) | (byte(5) << 8) | (byte(6) << 16) | (byte(7) << 24);
    return rawInsn(byte(0), byte(1) & 15, byte(1) >>> 4, byte(2) | (byte(3) << 8), imm);
  }
}
