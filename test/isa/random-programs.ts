import type { Rng } from '../../src/base/rng.ts';
import type { Insn } from '../../src/vm/isa/decode.ts';
import {
  alu32Imm,
  alu32Reg,
  alu64Imm,
  alu64Reg,
  atomic,
  bswap,
  callRel,
  encodeProgram,
  endian,
  exit,
  gotol,
  ja,
  jmp32Imm,
  jmp32Reg,
  jmpImm,
  jmpReg,
  ldAbs,
  ldImm64,
  ldInd,
  ldxMem,
  ldxMemsx,
  loadAcquire,
  mayGoto,
  mov32Imm,
  mov64Imm,
  mov64Reg,
  movsx32,
  movsx64,
  neg32,
  neg64,
  placeInsns,
  stMem,
  storeRelease,
  stxMem,
} from '../../src/vm/isa/encode.ts';
import {
  ALU_OPS,
  ATOMIC_OPS,
  accessBytes,
  BPF_ADD,
  BPF_AND,
  BPF_ARSH,
  BPF_B,
  BPF_CALL,
  BPF_DIV,
  BPF_DW,
  BPF_END,
  BPF_EXIT,
  BPF_H,
  BPF_JA,
  BPF_JCOND,
  BPF_JGT,
  BPF_JLE,
  BPF_JLT,
  BPF_JNE,
  BPF_LOAD_ACQ,
  BPF_LSH,
  BPF_MOD,
  BPF_MOV,
  BPF_MUL,
  BPF_NEG,
  BPF_REG_FP,
  BPF_RSH,
  BPF_STORE_REL,
  BPF_SUB,
  BPF_TO_BE,
  BPF_TO_LE,
  BPF_W,
  BPF_XOR,
  JMP_OPS,
} from '../../src/vm/isa/insn.ts';

export interface RandomProgramOptions {
  /** Default: either. A socket filter also has LD_ABS and LD_IND; XDP also reads and writes its packet. */
  readonly type?: 'socket_filter' | 'xdp';
  /** About how many instructions stand between set-up and the final fold; default 60. */
  readonly insns?: number;
  /** Most functions beside main; default 2. */
  readonly functions?: number;
  /** Bounded loops; default true. */
  readonly loops?: boolean;
  /** load_acquire and store_release, which kernels before 6.15 lack; default true. */
  readonly ordered?: boolean;
  /** may_goto in loops; default true. Loops end long before its budget does. */
  readonly mayGoto?: boolean;
}

export interface RandomProgram {
  /** BPF_PROG_TYPE_SOCKET_FILTER or BPF_PROG_TYPE_XDP. */
  readonly type: 1 | 6;
  readonly insns: readonly Insn[];
  readonly bytes: Uint8Array;
}

/** Bytes of packet that an XDP program asks for; with a shorter packet it returns at once. */
export const RANDOM_PACKET_BYTES = 64;

/**
 * A program that Linux takes and whose result depends on everything it computed: registers and stack are folded into
 * r0, packet bytes change. The same rng state gives the same program. No helpers, no maps, no pointers in results.
 */
export function randomProgram(rng: Rng, options: RandomProgramOptions = {}): RandomProgram {
  const type = options.type ?? (rng.below(2) === 0 ? 'socket_filter' : 'xdp');
  const code = new Code();
  const functions: Callee[] = [];
  const count = rng.below((options.functions ?? 2) + 1);
  for (let i = 0; i < count; i++) functions.push({ label: code.label(), byPointer: rng.below(2) === 0, called: false });
  const target = options.insns ?? 60;
  new Body(rng, code, options, type, functions, true).main(target);
  functions.forEach((callee, i) => {
    if (!callee.called) return;
    code.place(callee.label);
    // a function calls later ones only, so that the chain stays short
    new Body(rng, code, options, type, functions.slice(i + 1), false).callee(callee, Math.ceil(target / 4));
  });
  const insns = code.finish();
  return { type: type === 'xdp' ? 6 : 1, insns, bytes: encodeProgram(insns) };
}

interface Callee {
  readonly label: number;
  /** r1 points to 16 bytes of the caller's stack. */
  readonly byPointer: boolean;
  /** What nobody calls is left out: the kernel refuses unreachable code. */
  called: boolean;
}

/** Instructions with labels, distances filled in at the end. */
class Code {
  #insns: { insn: Insn; label: number | undefined }[] = [];
  /** Index of the instruction that each label stands before. */
  #places: (number | undefined)[] = [];

  get length(): number {
    return this.#insns.length;
  }

  emit(insn: Insn, label?: number): void {
    this.#insns.push({ insn, label });
  }

  label(): number {
    return this.#places.push(undefined) - 1;
  }

  place(label: number): void {
    this.#places[label] = this.#insns.length;
  }

  finish(): Insn[] {
    const placed = placeInsns(this.#insns.map((item) => item.insn));
    return placed.map((insn, i) => {
      const { label } = this.#insns[i]!;
      if (label === undefined) return insn;
      const distance = placed[this.#places[label]!]!.slot - insn.slot - 1;
      const far = insn.opcode === callRel(0).opcode || insn.opcode === gotol(0).opcode;
      return far ? { ...insn, imm: distance } : { ...insn, off: distance };
    });
  }
}

const SIZES = [BPF_B, BPF_H, BPF_W, BPF_DW] as const;
const BINARY = ALU_OPS.map((row) => row.code).filter((code) => ![BPF_NEG, BPF_END, BPF_MOV].includes(code as never));
const CONDITIONS = JMP_OPS.map((row) => row.code).filter(
  (code) => ![BPF_JA, BPF_CALL, BPF_EXIT, BPF_JCOND].includes(code as never),
);
const EDGES = [0, 1, -1, 2, 7, 8, 31, 32, 63, 255, 0x7fff, -0x8000, 0x7fffffff, -0x80000000, 0x55555555, -0x100];
const STACK_WORDS = 8;

/** One function: which registers hold scalars that instructions may use, and how to add to its code. */
class Body {
  readonly #rng: Rng;
  readonly #code: Code;
  readonly #options: RandomProgramOptions;
  readonly #type: 'socket_filter' | 'xdp';
  readonly #functions: readonly Callee[];
  readonly #main: boolean;
  /** Registers that hold scalars; r0 to r5 always do. */
  #scalars: number[] = [0, 1, 2, 3, 4, 5];
  /** Register with a pointer to readable and writable memory, and how many bytes: packet, or the caller's stack. */
  #memory: { register: number; bytes: number; aligned: boolean } | undefined;
  #dataEnd: number | undefined;
  #depth = 0;
  /** What is left of each; paths through conditions multiply, and the verifier walks at most a million instructions. */
  readonly #left: { condition: number; loop: number; call: number };

  constructor(
    rng: Rng,
    code: Code,
    options: RandomProgramOptions,
    type: 'socket_filter' | 'xdp',
    functions: readonly Callee[],
    main: boolean,
  ) {
    this.#rng = rng;
    this.#code = code;
    this.#options = options;
    this.#type = type;
    this.#functions = functions;
    this.#main = main;
    this.#left = main ? { condition: 12, loop: 3, call: 4 } : { condition: 4, loop: 1, call: 1 };
  }

  main(insns: number): void {
    const { emit } = this;
    if (this.#type === 'xdp') {
      const [data, end] = [9, 8];
      emit(ldxMem(BPF_W, data, 1, 0));
      emit(ldxMem(BPF_W, end, 1, 4));
      emit(mov64Reg(2, data));
      emit(alu64Imm(BPF_ADD, 2, RANDOM_PACKET_BYTES));
      const room = this.#code.label();
      this.#jump(jmpReg(BPF_JLE, 2, end, 0), room);
      emit(mov64Imm(0, 1));
      emit(exit());
      this.#code.place(room);
      this.#memory = { register: data, bytes: RANDOM_PACKET_BYTES, aligned: false };
      this.#dataEnd = end;
      this.#seed([6, 7]);
    } else {
      emit(mov64Reg(6, 1));
      // __sk_buff: len, and cb[], which is zero for a fresh packet
      emit(ldxMem(BPF_W, 7, 6, 0));
      this.#scalars = [];
      this.#seed([7, 8, 9], 7);
    }
    this.#run(insns);
    this.#fold();
  }

  callee(callee: Callee, insns: number): void {
    if (callee.byPointer) {
      this.emit(mov64Reg(6, 1));
      this.#memory = { register: 6, bytes: 16, aligned: true };
      this.emit(mov64Reg(1, 2));
    }
    // r1 to r5 came as scalars
    this.emit(mov64Imm(0, this.#imm()));
    this.#seed(callee.byPointer ? [7, 8, 9] : [6, 7, 8, 9], undefined, [0, 1, 2, 3, 4, 5]);
    this.#run(insns);
    this.#fold();
  }

  readonly emit = (insn: Insn): void => this.#code.emit(insn);

  #jump(insn: Insn, label: number): void {
    this.#code.emit(insn, label);
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#rng.below(from.length)]!;
  }

  #imm(): number {
    return this.#rng.below(2) === 0 ? this.#pick(EDGES) : (this.#rng.u32() | 0) >> this.#rng.below(32);
  }

  #scalar(): number {
    return this.#pick(this.#scalars);
  }

  #otherScalar(not: readonly number[]): number {
    return this.#pick(this.#scalars.filter((register) => !not.includes(register)));
  }

  /** Gives every register of r0 to r5 and `more` a scalar, and the whole stack a content. */
  #seed(more: readonly number[], known?: number, given: readonly number[] = []): void {
    const registers = [...new Set([0, 1, 2, 3, 4, 5, ...more])];
    for (const register of registers) {
      if (register === known || given.includes(register)) continue;
      const memory = this.#memory;
      if (memory && this.#rng.below(2) === 0) {
        const size = this.#pick(SIZES);
        this.emit(ldxMem(size, register, memory.register, this.#offset(memory, size)));
      } else if (this.#rng.below(3) === 0) {
        this.emit(ldImm64(register, (BigInt(this.#rng.u32()) << 32n) | BigInt(this.#rng.u32())));
      } else {
        this.emit(mov64Imm(register, this.#imm()));
      }
    }
    this.#scalars = registers;
    for (let word = 1; word <= STACK_WORDS; word++) {
      if (this.#rng.below(3) === 0) this.emit(stMem(BPF_DW, BPF_REG_FP, -8 * word, this.#imm()));
      else this.emit(stxMem(BPF_DW, BPF_REG_FP, this.#scalar(), -8 * word));
    }
  }

  #offset(memory: { bytes: number; aligned: boolean }, size: number): number {
    const bytes = accessBytes(size);
    const at = this.#rng.below(memory.bytes - bytes + 1);
    return memory.aligned ? at - (at % bytes) : at;
  }

  /** An offset from r10 inside the initialised stack, aligned to the access. */
  #stackOffset(size: number): number {
    const bytes = accessBytes(size);
    return -8 * STACK_WORDS + bytes * this.#rng.below((8 * STACK_WORDS) / bytes);
  }

  #run(insns: number): void {
    const end = this.#code.length + insns;
    while (this.#code.length < end) this.#step();
  }

  #step(): void {
    const roll = this.#rng.below(100);
    if (roll < 40) this.#alu();
    else if (roll < 52) this.#unary();
    else if (roll < 66) this.#stack();
    else if (roll < 74) this.#atomic();
    else if (roll < 82) this.#access();
    else if (roll < 92) this.#branch();
    else if (roll < 95) this.#loop();
    else if (roll < 97) this.#call();
    else this.#packet();
  }

  #alu(): void {
    const op = this.#pick(BINARY);
    const dst = this.#scalar();
    const wide = this.#rng.below(2) === 0;
    const division = op === BPF_DIV || op === BPF_MOD;
    const off = division ? this.#rng.below(2) : 0;
    if (this.#rng.below(2) === 0) {
      this.emit((wide ? alu64Reg : alu32Reg)(op, dst, this.#scalar(), off));
      return;
    }
    const shift = op === BPF_LSH || op === BPF_RSH || op === BPF_ARSH;
    let imm = shift ? this.#rng.below(wide ? 64 : 32) : this.#imm();
    if (division && imm === 0) imm = 3;
    this.emit((wide ? alu64Imm : alu32Imm)(op, dst, imm, off));
  }

  #unary(): void {
    const dst = this.#scalar();
    const src = this.#scalar();
    switch (this.#rng.below(9)) {
      case 0:
        this.emit(mov64Imm(dst, this.#imm()));
        break;
      case 1:
        this.emit(mov32Imm(dst, this.#imm()));
        break;
      case 2:
        this.emit((this.#rng.below(2) === 0 ? alu64Reg : alu32Reg)(BPF_MOV, dst, src));
        break;
      case 3:
        this.emit(movsx64(dst, src, this.#pick([8, 16, 32])));
        break;
      case 4:
        this.emit(movsx32(dst, src, this.#pick([8, 16])));
        break;
      case 5:
        this.emit(this.#rng.below(2) === 0 ? neg64(dst) : neg32(dst));
        break;
      case 6:
        this.emit(endian(this.#pick([BPF_TO_LE, BPF_TO_BE]), dst, this.#pick([16, 32, 64])));
        break;
      case 7:
        this.emit(bswap(dst, this.#pick([16, 32, 64])));
        break;
      default:
        this.emit(ldImm64(dst, (BigInt(this.#rng.u32()) << 32n) | BigInt(this.#rng.u32())));
    }
  }

  #stack(): void {
    const size = this.#pick(SIZES);
    const off = this.#stackOffset(size);
    this.#loadOrStore(size, BPF_REG_FP, off);
  }

  #loadOrStore(size: number, base: number, off: number): void {
    switch (this.#rng.below(4)) {
      case 0:
        this.emit(ldxMem(size, this.#scalar(), base, off));
        break;
      case 1:
        this.emit((size === BPF_DW ? ldxMem : ldxMemsx)(size, this.#scalar(), base, off));
        break;
      case 2:
        this.emit(stxMem(size, base, this.#scalar(), off));
        break;
      default:
        this.emit(stMem(size, base, off, this.#imm()));
    }
  }

  #atomic(): void {
    const op = this.#pick(ATOMIC_OPS).code;
    if (op === BPF_LOAD_ACQ || op === BPF_STORE_REL) {
      if (this.#options.ordered === false) return;
      const size = this.#pick(SIZES);
      const off = this.#stackOffset(size);
      if (op === BPF_LOAD_ACQ) this.emit(loadAcquire(size, this.#scalar(), BPF_REG_FP, off));
      else this.emit(storeRelease(size, BPF_REG_FP, this.#scalar(), off));
      return;
    }
    const size = this.#pick([BPF_W, BPF_DW]);
    this.emit(atomic(size, op, BPF_REG_FP, this.#scalar(), this.#stackOffset(size)));
  }

  /** The packet at a constant offset, or the caller's stack. */
  #access(): void {
    const memory = this.#memory;
    if (!memory) return;
    const size = this.#pick(SIZES);
    this.#loadOrStore(size, memory.register, this.#offset(memory, size));
  }

  #condition(): Insn {
    const op = this.#pick(CONDITIONS);
    const wide = this.#rng.below(2) === 0;
    const dst = this.#scalar();
    if (this.#rng.below(2) === 0) return (wide ? jmpReg : jmp32Reg)(op, dst, this.#scalar(), 0);
    return (wide ? jmpImm : jmp32Imm)(op, dst, this.#imm(), 0);
  }

  /** if, or if with else; both arms join. */
  #branch(): void {
    if (this.#depth > 2 || this.#left.condition-- <= 0) return;
    this.#depth++;
    const otherwise = this.#code.label();
    this.#jump(this.#condition(), otherwise);
    this.#run(1 + this.#rng.below(6));
    if (this.#rng.below(2) === 0) {
      const end = this.#code.label();
      this.#jump(this.#rng.below(4) === 0 ? gotol(0) : ja(0), end);
      this.#code.place(otherwise);
      this.#run(1 + this.#rng.below(6));
      this.#code.place(end);
    } else {
      this.#code.place(otherwise);
    }
    this.#depth--;
  }

  /** A loop that counts in a register of its own; `depth` keeps loops out of loops. */
  #loop(): void {
    if (this.#options.loops === false || this.#depth > 0 || this.#left.loop-- <= 0) return;
    // callees clobber r0 to r5, so the counter is one of the others
    const counters = this.#scalars.filter((register) => register >= 6);
    if (counters.length === 0) return;
    const counter = this.#pick(counters);
    const before = this.#scalars;
    this.#scalars = before.filter((register) => register !== counter);
    this.#depth = 2;
    const rounds = 1 + this.#rng.below(8);
    const down = this.#rng.below(2) === 0;
    const head = this.#code.label();
    const out = this.#code.label();
    this.emit(mov64Imm(counter, down ? rounds : 0));
    this.#code.place(head);
    this.#run(2 + this.#rng.below(8));
    if (this.#options.mayGoto !== false && this.#rng.below(3) === 0) this.#jump(mayGoto(0), out);
    this.emit(alu64Imm(down ? BPF_SUB : BPF_ADD, counter, 1));
    this.#jump(down ? jmpImm(BPF_JNE, counter, 0, 0) : jmpImm(BPF_JLT, counter, rounds, 0), head);
    this.#code.place(out);
    this.#depth = 0;
    this.#scalars = before;
  }

  #call(): void {
    if (this.#functions.length === 0 || this.#left.call-- <= 0) return;
    const callee = this.#pick(this.#functions);
    if (callee.byPointer) {
      this.emit(mov64Reg(1, BPF_REG_FP));
      this.emit(alu64Imm(BPF_ADD, 1, -16 - 8 * this.#rng.below(STACK_WORDS - 1)));
    }
    callee.called = true;
    this.#jump(callRel(0), callee.label);
    this.#reseed();
  }

  /** r1 to r5 anew, after a call: from registers that were kept, or constants. */
  #reseed(): void {
    const kept = this.#scalars.filter((register) => register === 0 || register >= 6);
    for (let register = 1; register <= 5; register++) {
      if (this.#rng.below(2) === 0) this.emit(mov64Reg(register, this.#pick(kept)));
      else this.emit(mov64Imm(register, this.#imm()));
    }
  }

  /** LD_ABS and LD_IND in a socket filter; a checked access at a variable offset in XDP. */
  #packet(): void {
    if (!this.#main) return;
    if (this.#type === 'socket_filter') {
      const size = this.#pick([BPF_B, BPF_H, BPF_W]);
      if (this.#rng.below(2) === 0) {
        this.emit(ldAbs(size, this.#rng.below(24)));
      } else {
        const index = this.#scalar();
        this.emit(alu64Imm(BPF_AND, index, 15));
        this.emit(ldInd(size, index, this.#rng.below(8)));
      }
      this.#reseed();
      return;
    }
    if (this.#left.condition-- <= 0) return;
    const index = this.#scalar();
    const pointer = this.#otherScalar([index]);
    const limit = this.#otherScalar([index, pointer]);
    const size = this.#pick(SIZES);
    const before = this.#scalars;
    this.emit(alu64Imm(BPF_AND, index, 63));
    this.emit(mov64Reg(pointer, this.#memory!.register));
    this.emit(alu64Reg(BPF_ADD, pointer, index));
    this.emit(mov64Reg(limit, pointer));
    this.emit(alu64Imm(BPF_ADD, limit, accessBytes(size)));
    const over = this.#code.label();
    this.#jump(jmpReg(BPF_JGT, limit, this.#dataEnd!, 0), over);
    this.#scalars = before.filter((register) => register !== pointer && register !== limit);
    this.#loadOrStore(size, pointer, 0);
    this.#code.place(over);
    // pointers must not end up in results
    this.emit(mov64Imm(pointer, this.#imm()));
    this.emit(mov64Imm(limit, this.#imm()));
    this.#scalars = before;
  }

  /** Everything into r0, 64 bits into 32; each step is reversible, so a difference in one input shows. */
  #fold(): void {
    for (const register of this.#scalars) {
      if (register === 0) continue;
      this.emit(alu64Imm(BPF_MUL, 0, 0x01000193));
      this.emit(alu64Reg(BPF_XOR, 0, register));
    }
    for (let word = 1; word <= STACK_WORDS; word++) {
      this.emit(ldxMem(BPF_DW, 1, BPF_REG_FP, -8 * word));
      this.emit(alu64Imm(BPF_MUL, 0, 0x01000193));
      this.emit(alu64Reg(BPF_XOR, 0, 1));
    }
    this.emit(mov64Reg(1, 0));
    this.emit(alu64Imm(BPF_RSH, 1, 32));
    this.emit(alu64Reg(BPF_XOR, 0, 1));
    this.emit(exit());
  }
}
