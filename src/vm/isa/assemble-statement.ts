import { Assignment } from './assemble-assignment.ts';
import type { TokenReader } from './assemble-lexer.ts';
import { Operands, S16, S32, U32_MAX } from './assemble-operands.ts';
import type { Insn } from './decode.ts';
import {
  atomic,
  call,
  callKfunc,
  callRel,
  exit,
  gotol,
  ja,
  jmp32Imm,
  jmp32Reg,
  jmpImm,
  jmpReg,
  mayGoto,
  rawInsn,
  stMem,
  storeRelease,
  stxMem,
} from './encode.ts';
import { ATOMIC_OPS, BPF_CALL, BPF_DW, BPF_EXIT, BPF_JA, BPF_JCOND, JMP_OPS } from './insn.ts';

const conditionBySymbol = new Map<string, number>(
  JMP_OPS.filter((row) => ![BPF_JA, BPF_CALL, BPF_EXIT, BPF_JCOND].includes(row.code as never)).map((row) => [
    row.symbol,
    row.code,
  ]),
);
const lockBySymbol = new Map<string, number>(
  ATOMIC_OPS.filter((row) => !row.fetch && row.symbol.endsWith('=')).map((row) => [row.symbol, row.code]),
);

export interface AssembleOptions {
  /** Id of a helper by name, for `call bpf_ktime_get_ns` without `#5`. */
  readonly helperId?: (name: string) => number | undefined;
}

/** A statement: an instruction, and the label that its distance waits for. */
export interface Item {
  readonly insn: Insn;
  readonly line: number;
  readonly label?: { name: string; column: number; field: 'off' | 'imm' };
}

/** Parses one statement. */
export class Statement {
  readonly #in: TokenReader;
  readonly #ops: Operands;
  readonly #options: AssembleOptions;
  readonly #opcode: number | undefined;

  /** @param opcode the one that stands before the text, if any. */
  constructor(reader: TokenReader, options: AssembleOptions, opcode: number | undefined) {
    this.#in = reader;
    this.#ops = new Operands(reader);
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
    if (this.#ops.isRegister()) return this.#item(new Assignment(this.#ops, this.#opcode).parse());
    throw this.#in.expected('an instruction (a register, *(size *)(...), if, goto, call, lock, exit ...)');
  }

  #store(): Insn {
    this.#in.expect('*');
    const memory = this.#ops.unsignedMemory();
    this.#in.expect('=');
    if (this.#ops.isRegister()) {
      const token = this.#in.peek();
      const src = this.#ops.register();
      if (!src.wide && memory.size === BPF_DW)
        throw this.#in.error('a store of 8 bytes needs a 64-bit register (r)', token);
      return stxMem(memory.size, memory.base, src.number, memory.off);
    }
    return stMem(memory.size, memory.base, memory.off, this.#ops.imm32(memory.size === BPF_DW));
  }

  #lock(): Insn {
    this.#in.expect('*');
    const token = this.#in.peek(1);
    const memory = this.#ops.unsignedMemory();
    this.#ops.atomicSize(memory.size, token.column);
    const operator = this.#in.next();
    const op = lockBySymbol.get(operator.text);
    if (op === undefined) throw this.#in.expected('an atomic operator (+=, |=, &=, ^=)', operator);
    return atomic(memory.size, op, memory.base, this.#ops.operand(memory.size), memory.off);
  }

  #storeRelease(): Insn {
    this.#in.expect('(');
    const memory = this.#ops.unsignedMemory();
    this.#in.expect(',');
    const src = this.#ops.operand(memory.size);
    this.#in.expect(')');
    return storeRelease(memory.size, memory.base, src, memory.off);
  }

  #condition(): Item {
    const dst = this.#ops.register();
    const operator = this.#in.next();
    const op = conditionBySymbol.get(operator.text);
    if (op === undefined) throw this.#in.expected('a condition (==, !=, >, s>=, & ...)', operator);
    let insn: Insn;
    if (this.#ops.isRegister()) {
      const src = this.#ops.sameWidth(dst.wide);
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
