import { InternalError } from '../base/error.ts';
import { OPS, type OpName } from './interpreter-loop.ts';
import {
  ALU_OPS,
  accessBytes,
  BPF_ABS,
  BPF_ALU,
  BPF_ALU64,
  BPF_ATOMIC,
  BPF_FETCH,
  BPF_JMP32,
  BPF_LD,
  BPF_LDX,
  BPF_LOAD_ACQ,
  BPF_MEMSX,
  BPF_ST,
  BPF_STORE_REL,
  BPF_STX,
  BPF_X,
  bpfClass,
  bpfMode,
  bpfOp,
  bpfSize,
  bpfSrc,
  JMP_OPS,
  OP_CALL,
  OP_EXIT,
  OP_JCOND,
  OP_LD_IMM64,
  SIZES,
} from './isa/insn.ts';
import type { LinkedInsn, Program } from './program.ts';

/**
 * The interpreter's own code: WORDS 32-bit words per instruction. Register numbers are doubled, because registers are
 * lo/hi pairs; an op has one form for a register operand and one for an immediate (`_k`).
 *
 * ```
 * word  0                               1                                       2                 3
 *       op | dst << 8 | src << 16       offset of memory, target of a jump,     immediate, low    high half of
 *                                       number of a helper                                        ld_imm64
 * ```
 */
export const WORDS = 4;

/** Registers r0..r10 as lo/hi pairs, in an array of their own; an operand that has none is put at 24 and 25. */
export const REG_WORDS = 32;

/**
 * Row of a frame (by depth, from word 0 of the code array on; interpreter-loop.ts repeats the numbers as literals):
 *
 * ```
 * word  0..7                      8            9               10                     11
 *       caller's r6..r9, lo/hi    return to    may_goto count  address above 512 B    -
 * ```
 */
export const FRAME_WORDS = 12;
export const FRAME_RETURN = 8;
export const FRAME_MAY_GOTO = 9;
export const FRAME_TOP = 10;

const number = new Map<string, number>(OPS.map((name, index) => [name, index]));

function op(name: OpName): number {
  const found = number.get(name);
  if (found === undefined) throw new InternalError(`the interpreter has no op ${name}`);
  return found;
}

const aluName = new Map<number, string>(ALU_OPS.map((row) => [row.code, row.name]));
const jmpName = new Map<number, string>(JMP_OPS.map((row) => [row.code, row.name]));

export interface PredecodeOptions {
  /** Put a `trace` op before each instruction. */
  readonly trace: boolean;
}

/** Words that `predecode` writes for the program. */
export function predecodedSize(program: Program, { trace }: PredecodeOptions): number {
  return program.insns.length * WORDS * (trace ? 2 : 1);
}

/**
 * Writes the program's code at word index `base`.
 * @param helperIndex number that the interpreter gave to the helper of a call.
 * @param codePointer value of a pointer to the function whose code starts at a word index.
 */
export function predecode(
  program: Program,
  words: Int32Array,
  base: number,
  options: PredecodeOptions,
  helperIndex: (insn: LinkedInsn) => number,
  codePointer: (word: number) => number,
): void {
  const step = options.trace ? 2 * WORDS : WORDS;
  const target = (insn: LinkedInsn) => {
    if (insn.target < 0) throw new InternalError(`${program.name}: insn ${insn.slot} has no target`);
    return base + insn.target * step;
  };
  let at = base;
  for (const insn of program.insns) {
    if (options.trace) {
      words.fill(0, at, at + WORDS);
      words[at] = op('trace');
      at += WORDS;
    }
    words[at + 1] = insn.off;
    words[at + 2] = insn.imm;
    words[at + 3] = insn.imm64Hi;
    let code: number;
    switch (bpfClass(insn.opcode)) {
      case BPF_ALU:
      case BPF_ALU64:
        code = aluOp(insn);
        break;
      case BPF_LDX:
        code = op(`${bpfMode(insn.opcode) === BPF_MEMSX ? 'ldsx' : 'ldx'}${sizeOf(insn)}` as OpName);
        break;
      case BPF_ST:
        code = op(`st${sizeOf(insn)}_k` as OpName);
        break;
      case BPF_STX:
        code = storeOp(insn);
        if (bpfMode(insn.opcode) === BPF_ATOMIC) words[at + 2] = insn.imm & (0xf0 | BPF_FETCH);
        break;
      case BPF_LD:
        if (insn.opcode === OP_LD_IMM64) {
          code = op('ld_imm64');
          if (insn.target >= 0) {
            words[at + 2] = codePointer(target(insn));
            words[at + 3] = 0;
          }
        } else {
          code = op(bpfMode(insn.opcode) === BPF_ABS ? 'ld_abs' : 'ld_ind');
          words[at + 1] = accessBytes(insn.opcode);
        }
        break;
      default:
        // JMP, JMP32
        if (insn.opcode === OP_EXIT) code = op('exit');
        else if (insn.opcode === OP_CALL) {
          if (insn.helper) {
            code = insn.helper.engine === 'tail_call' ? op('tail_call') : op('call_helper');
            words[at + 1] = helperIndex(insn);
          } else {
            code = op('call');
            words[at + 1] = target(insn);
          }
        } else {
          words[at + 1] = target(insn);
          code = jumpOp(insn);
        }
    }
    words[at] = code | (insn.dst << 9) | (insn.src << 17);
    at += WORDS;
  }
}

/** `_k` for the form with an immediate. */
function form(insn: LinkedInsn): string {
  return bpfSrc(insn.opcode) === BPF_X ? '' : '_k';
}

function sizeOf(insn: LinkedInsn): string {
  return SIZES.find((row) => row.code === bpfSize(insn.opcode))!.name;
}

function jumpOp(insn: LinkedInsn): number {
  if (insn.opcode === OP_JCOND) return op('may_goto');
  const name = jmpName.get(bpfOp(insn.opcode))!;
  if (name === 'ja') return op('ja');
  return op(`${name}${bpfClass(insn.opcode) === BPF_JMP32 ? '32' : ''}${form(insn)}` as OpName);
}

function aluOp(insn: LinkedInsn): number {
  const wide = bpfClass(insn.opcode) === BPF_ALU64;
  const register = bpfSrc(insn.opcode) === BPF_X;
  const name = aluName.get(bpfOp(insn.opcode))!;
  if (name === 'end') {
    // Of class ALU64 it is bswap; else the source bit tells to big endian from to little endian.
    if (wide || register) return op(`swap${insn.imm}` as OpName);
    return op(insn.imm === 64 ? 'nop' : (`zext${insn.imm}` as OpName));
  }
  const bits = wide ? '64' : '32';
  if (name === 'neg') return op(`neg${bits}` as OpName);
  if (name === 'mov' && register && insn.off !== 0) return op(`movsx${bits}_${insn.off}` as OpName);
  const signed = (name === 'div' || name === 'mod') && insn.off === 1 ? 's' : '';
  return op(`${signed}${name}${bits}${form(insn)}` as OpName);
}

/** STX: plain stores, atomics, and the acquire and release forms, which are plain accesses on one thread. */
function storeOp(insn: LinkedInsn): number {
  const size = sizeOf(insn);
  if (bpfMode(insn.opcode) !== BPF_ATOMIC || insn.imm === BPF_STORE_REL) return op(`st${size}` as OpName);
  if (insn.imm === BPF_LOAD_ACQ) return op(`ldx${size}` as OpName);
  return op(size === 'dw' ? 'atomic64' : 'atomic32');
}
