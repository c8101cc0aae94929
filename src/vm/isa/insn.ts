/**
 * Instruction encoding (RFC 9669), as constants and as rows.
 *
 *   byte 0   byte 1       bytes 2-3   bytes 4-7
 *   opcode   src:4 dst:4  off (s16)   imm (s32)      little-endian; dst is the low nibble
 *
 *   opcode, ALU and JMP classes:     op:4   source:1  class:3
 *   opcode, load and store classes:  mode:3 size:2    class:3
 */

/** Bytes per instruction slot; ld_imm64 takes two slots. */
export const BPF_INSN_SIZE = 8;

export const BPF_LD = 0x00;
export const BPF_LDX = 0x01;
export const BPF_ST = 0x02;
export const BPF_STX = 0x03;
export const BPF_ALU = 0x04;
export const BPF_JMP = 0x05;
export const BPF_JMP32 = 0x06;
export const BPF_ALU64 = 0x07;

/** Source bit of ALU and JMP opcodes: immediate or register. */
export const BPF_K = 0x00;
export const BPF_X = 0x08;

export const BPF_W = 0x00;
export const BPF_H = 0x08;
export const BPF_B = 0x10;
export const BPF_DW = 0x18;

export const BPF_IMM = 0x00;
export const BPF_ABS = 0x20;
export const BPF_IND = 0x40;
export const BPF_MEM = 0x60;
export const BPF_MEMSX = 0x80;
export const BPF_ATOMIC = 0xc0;

export const BPF_ADD = 0x00;
export const BPF_SUB = 0x10;
export const BPF_MUL = 0x20;
export const BPF_DIV = 0x30;
export const BPF_OR = 0x40;
export const BPF_AND = 0x50;
export const BPF_LSH = 0x60;
export const BPF_RSH = 0x70;
export const BPF_NEG = 0x80;
export const BPF_MOD = 0x90;
export const BPF_XOR = 0xa0;
export const BPF_MOV = 0xb0;
export const BPF_ARSH = 0xc0;
export const BPF_END = 0xd0;

/** Source bit of BPF_END in class ALU: to little or to big endian. */
export const BPF_TO_LE = BPF_K;
export const BPF_TO_BE = BPF_X;

export const BPF_JA = 0x00;
export const BPF_JEQ = 0x10;
export const BPF_JGT = 0x20;
export const BPF_JGE = 0x30;
export const BPF_JSET = 0x40;
export const BPF_JNE = 0x50;
export const BPF_JSGT = 0x60;
export const BPF_JSGE = 0x70;
export const BPF_CALL = 0x80;
export const BPF_EXIT = 0x90;
export const BPF_JLT = 0xa0;
export const BPF_JLE = 0xb0;
export const BPF_JSLT = 0xc0;
export const BPF_JSLE = 0xd0;
export const BPF_JCOND = 0xe0;

/** Bit in the imm of an atomic: the source register receives the old value. */
export const BPF_FETCH = 0x01;
export const BPF_XCHG = 0xe1;
export const BPF_CMPXCHG = 0xf1;
export const BPF_LOAD_ACQ = 0x100;
export const BPF_STORE_REL = 0x110;

/** Source register of ld_imm64: what the immediate names. */
export const BPF_PSEUDO_MAP_FD = 1;
export const BPF_PSEUDO_MAP_VALUE = 2;
export const BPF_PSEUDO_BTF_ID = 3;
export const BPF_PSEUDO_FUNC = 4;
export const BPF_PSEUDO_MAP_IDX = 5;
export const BPF_PSEUDO_MAP_IDX_VALUE = 6;

/** Source register of call: 0 a helper by id, 1 a function of the program, 2 a kernel function by BTF id. */
export const BPF_HELPER_CALL = 0;
export const BPF_PSEUDO_CALL = 1;
export const BPF_PSEUDO_KFUNC_CALL = 2;

/** Source register of BPF_JCOND. */
export const BPF_MAY_GOTO = 0;

/** off of a 64-bit register move that is addr_space_cast; imm holds the two address spaces. */
export const BPF_ADDR_SPACE_CAST = 1;
/** off of the move that the kernel's own rewriting uses for per-CPU addresses; programs may not hold it. */
export const BPF_ADDR_PERCPU = -1;

/** Registers r0..r10; r10 is the read-only frame pointer. */
export const MAX_BPF_REG = 11;
export const BPF_REG_FP = 10;

/** Whole opcodes that code asks for often. */
export const OP_LD_IMM64 = BPF_LD | BPF_IMM | BPF_DW;
export const OP_CALL = BPF_JMP | BPF_CALL;
export const OP_EXIT = BPF_JMP | BPF_EXIT;
export const OP_JA = BPF_JMP | BPF_JA;
export const OP_JA32 = BPF_JMP32 | BPF_JA;
export const OP_JCOND = BPF_JMP | BPF_JCOND;

/** The three low bits of an opcode. */
export const CLASSES = [
  { code: BPF_LD, name: 'ld', symbol: 'ld' },
  { code: BPF_LDX, name: 'ldx', symbol: 'ldx' },
  { code: BPF_ST, name: 'st', symbol: 'st' },
  { code: BPF_STX, name: 'stx', symbol: 'stx' },
  { code: BPF_ALU, name: 'alu', symbol: 'alu' },
  { code: BPF_JMP, name: 'jmp', symbol: 'jmp' },
  { code: BPF_JMP32, name: 'jmp32', symbol: 'jmp32' },
  { code: BPF_ALU64, name: 'alu64', symbol: 'alu64' },
] as const;
export type InsnClass = (typeof CLASSES)[number]['name'];

/** Access sizes; `signed` is the type that a sign-extending load shows (there is none of 8 bytes). */
export const SIZES = [
  { code: BPF_W, name: 'w', bytes: 4, symbol: 'u32', signed: 's32' },
  { code: BPF_H, name: 'h', bytes: 2, symbol: 'u16', signed: 's16' },
  { code: BPF_B, name: 'b', bytes: 1, symbol: 'u8', signed: 's8' },
  { code: BPF_DW, name: 'dw', bytes: 8, symbol: 'u64', signed: undefined },
] as const;
export type SizeName = (typeof SIZES)[number]['name'];

/** Modes of load and store opcodes. */
export const MODES = [
  { code: BPF_IMM, name: 'imm', symbol: 'imm' },
  { code: BPF_ABS, name: 'abs', symbol: 'abs' },
  { code: BPF_IND, name: 'ind', symbol: 'ind' },
  { code: BPF_MEM, name: 'mem', symbol: 'mem' },
  { code: BPF_MEMSX, name: 'memsx', symbol: 'memsx' },
  { code: BPF_ATOMIC, name: 'atomic', symbol: 'atomic' },
] as const;
export type ModeName = (typeof MODES)[number]['name'];

/** ALU operations; `signed` is the operator when off is 1 (div and mod, cpu v4). */
export const ALU_OPS = [
  { code: BPF_ADD, name: 'add', symbol: '+=' },
  { code: BPF_SUB, name: 'sub', symbol: '-=' },
  { code: BPF_MUL, name: 'mul', symbol: '*=' },
  { code: BPF_DIV, name: 'div', symbol: '/=', signed: 's/=' },
  { code: BPF_OR, name: 'or', symbol: '|=' },
  { code: BPF_AND, name: 'and', symbol: '&=' },
  { code: BPF_LSH, name: 'lsh', symbol: '<<=' },
  { code: BPF_RSH, name: 'rsh', symbol: '>>=' },
  { code: BPF_NEG, name: 'neg', symbol: '-' },
  { code: BPF_MOD, name: 'mod', symbol: '%=', signed: 's%=' },
  { code: BPF_XOR, name: 'xor', symbol: '^=' },
  { code: BPF_MOV, name: 'mov', symbol: '=' },
  { code: BPF_ARSH, name: 'arsh', symbol: 's>>=' },
  { code: BPF_END, name: 'end', symbol: 'endian' },
] as const;
export type AluOp = (typeof ALU_OPS)[number]['name'];

/** Jump operations of classes JMP and JMP32. */
export const JMP_OPS = [
  { code: BPF_JA, name: 'ja', symbol: 'goto' },
  { code: BPF_JEQ, name: 'jeq', symbol: '==' },
  { code: BPF_JGT, name: 'jgt', symbol: '>' },
  { code: BPF_JGE, name: 'jge', symbol: '>=' },
  { code: BPF_JSET, name: 'jset', symbol: '&' },
  { code: BPF_JNE, name: 'jne', symbol: '!=' },
  { code: BPF_JSGT, name: 'jsgt', symbol: 's>' },
  { code: BPF_JSGE, name: 'jsge', symbol: 's>=' },
  { code: BPF_CALL, name: 'call', symbol: 'call' },
  { code: BPF_EXIT, name: 'exit', symbol: 'exit' },
  { code: BPF_JLT, name: 'jlt', symbol: '<' },
  { code: BPF_JLE, name: 'jle', symbol: '<=' },
  { code: BPF_JSLT, name: 'jslt', symbol: 's<' },
  { code: BPF_JSLE, name: 'jsle', symbol: 's<=' },
  { code: BPF_JCOND, name: 'jcond', symbol: 'may_goto' },
] as const;
export type JmpOp = (typeof JMP_OPS)[number]['name'];

/** Operations in the imm of an atomic; `fetch`: a register receives the old value. */
export const ATOMIC_OPS = [
  { code: BPF_ADD, name: 'add', symbol: '+=', fetch: false },
  { code: BPF_OR, name: 'or', symbol: '|=', fetch: false },
  { code: BPF_AND, name: 'and', symbol: '&=', fetch: false },
  { code: BPF_XOR, name: 'xor', symbol: '^=', fetch: false },
  { code: BPF_ADD | BPF_FETCH, name: 'fetch_add', symbol: 'fetch_add', fetch: true },
  { code: BPF_OR | BPF_FETCH, name: 'fetch_or', symbol: 'fetch_or', fetch: true },
  { code: BPF_AND | BPF_FETCH, name: 'fetch_and', symbol: 'fetch_and', fetch: true },
  { code: BPF_XOR | BPF_FETCH, name: 'fetch_xor', symbol: 'fetch_xor', fetch: true },
  { code: BPF_XCHG, name: 'xchg', symbol: 'xchg', fetch: true },
  { code: BPF_CMPXCHG, name: 'cmpxchg', symbol: 'cmpxchg', fetch: true },
  { code: BPF_LOAD_ACQ, name: 'load_acquire', symbol: 'load_acquire', fetch: false },
  { code: BPF_STORE_REL, name: 'store_release', symbol: 'store_release', fetch: false },
] as const;
export type AtomicOp = (typeof ATOMIC_OPS)[number]['name'];

/** What the source register of ld_imm64 makes of the immediate. */
export const PSEUDO_LD_IMM64 = [
  { code: 0, name: 'imm', symbol: '' },
  { code: BPF_PSEUDO_MAP_FD, name: 'map_fd', symbol: 'map' },
  { code: BPF_PSEUDO_MAP_VALUE, name: 'map_value', symbol: 'map' },
  { code: BPF_PSEUDO_BTF_ID, name: 'btf_id', symbol: 'btf_id' },
  { code: BPF_PSEUDO_FUNC, name: 'func', symbol: 'subprog' },
  { code: BPF_PSEUDO_MAP_IDX, name: 'map_idx', symbol: 'map_idx' },
  { code: BPF_PSEUDO_MAP_IDX_VALUE, name: 'map_idx_value', symbol: 'map_idx' },
] as const;
export type PseudoLdImm64 = (typeof PSEUDO_LD_IMM64)[number]['name'];

/** What the source register of call makes of the immediate. */
export const PSEUDO_CALLS = [
  { code: BPF_HELPER_CALL, name: 'helper', symbol: 'helper' },
  { code: BPF_PSEUDO_CALL, name: 'call', symbol: 'pc' },
  { code: BPF_PSEUDO_KFUNC_CALL, name: 'kfunc', symbol: 'kernel-function' },
] as const;
export type PseudoCall = (typeof PSEUDO_CALLS)[number]['name'];

/** Class of an opcode. */
export function bpfClass(opcode: number): number {
  return opcode & 0x07;
}

/** Operation of an ALU or JMP opcode, also of an atomic's imm. */
export function bpfOp(opcode: number): number {
  return opcode & 0xf0;
}

/** Source bit of an ALU or JMP opcode: BPF_K or BPF_X. */
export function bpfSrc(opcode: number): number {
  return opcode & 0x08;
}

/** Size of a load or store opcode: BPF_B, BPF_H, BPF_W, BPF_DW. */
export function bpfSize(opcode: number): number {
  return opcode & 0x18;
}

/** Mode of a load or store opcode. */
export function bpfMode(opcode: number): number {
  return opcode & 0xe0;
}

/** Bytes that a load or store opcode moves: 1, 2, 4 or 8. */
export function accessBytes(opcode: number): number {
  switch (opcode & 0x18) {
    case BPF_W:
      return 4;
    case BPF_H:
      return 2;
    case BPF_B:
      return 1;
    default:
      return 8;
  }
}
