import { InternalError } from '../base/error.ts';
import {
  ALU_OPS,
  BPF_ATOMIC,
  BPF_FETCH,
  BPF_MEMSX,
  bpfClass,
  bpfMode,
  bpfOp,
  bpfSize,
  JMP_OPS,
  OP_CALL,
  OP_EXIT,
  OP_JCOND,
  OP_LD_IMM64,
} from './isa/insn.ts';
import type { LinkedInsn, Program } from './program.ts';

/**
 * The interpreter's own code: WORDS 32-bit words per instruction, in the same Int32Array as the registers, so that an
 * immediate operand is "the register at word 4 of this instruction" and one case serves both forms.
 *
 * ```
 * word  0    1           2                       3               4       5        6      7
 *       op   dst index   src index or own word 4 offset, target  imm lo  imm hi   slot   aux
 * ```
 */
export const WORDS = 8;

/** Registers r0..r10 as lo/hi pairs at the start of the array; after them, a row for each frame. */
export const REG_WORDS = 32;

/**
 * Row of a frame (by depth, from REG_WORDS on; interpreter-loop.ts repeats the numbers as literals):
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

/**
 * Op numbers. interpreter.ts repeats them as literals in its switch, because V8 builds a jump table only from literals;
 * test/vm/predecode.test.ts compares the two.
 */
export const OPS = [
  'add64',
  'sub64',
  'mul64',
  'div64',
  'or64',
  'and64',
  'lsh64',
  'rsh64',
  'neg64',
  'mod64',
  'xor64',
  'mov64',
  'arsh64',
  'sdiv64',
  'smod64',
  'add32',
  'sub32',
  'mul32',
  'div32',
  'or32',
  'and32',
  'lsh32',
  'rsh32',
  'neg32',
  'mod32',
  'xor32',
  'mov32',
  'arsh32',
  'sdiv32',
  'smod32',
  'movsx64_8',
  'movsx64_16',
  'movsx64_32',
  'movsx32_8',
  'movsx32_16',
  'zext16',
  'zext32',
  'nop',
  'swap16',
  'swap32',
  'swap64',
  'ldxb',
  'ldxh',
  'ldxw',
  'ldxdw',
  'ldsxb',
  'ldsxh',
  'ldsxw',
  'stb',
  'sth',
  'stw',
  'stdw',
  'atomic32',
  'atomic64',
  'ja',
  'jeq',
  'jgt',
  'jge',
  'jset',
  'jne',
  'jsgt',
  'jsge',
  'jlt',
  'jle',
  'jslt',
  'jsle',
  'jeq32',
  'jgt32',
  'jge32',
  'jset32',
  'jne32',
  'jsgt32',
  'jsge32',
  'jlt32',
  'jle32',
  'jslt32',
  'jsle32',
  'call_helper',
  'call',
  'exit',
  'tail_call',
  'may_goto',
  'ld_abs',
  'ld_ind',
  'trace',
] as const;
export type OpName = (typeof OPS)[number];

const number = new Map<string, number>(OPS.map((name, index) => [name, index]));
const op = (name: OpName): number => number.get(name)!;

const aluName = new Map<number, string>(ALU_OPS.map((row) => [row.code, row.name]));
const jmpName = new Map<number, string>(JMP_OPS.map((row) => [row.code, row.name]));

const SIZE_SUFFIX: Record<number, string> = { 0: 'w', 8: 'h', 16: 'b', 24: 'dw' };
const X = 0x08;

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
  for (const [index, insn] of program.insns.entries()) {
    if (options.trace) {
      words.fill(0, at, at + WORDS);
      words[at] = op('trace');
      words[at + 6] = insn.slot;
      words[at + 7] = index;
      at += WORDS;
    }
    const immediate = at + 4;
    words[at + 1] = insn.dst * 2;
    words[at + 2] = insn.src * 2;
    words[at + 3] = insn.off;
    words[at + 4] = insn.imm;
    words[at + 5] = insn.imm >> 31;
    words[at + 6] = insn.slot;
    words[at + 7] = 0;
    let code: number;
    switch (bpfClass(insn.opcode)) {
      case 0x04: // ALU
      case 0x07: // ALU64
        code = aluOp(insn);
        if ((insn.opcode & X) === 0 && (insn.opcode & 0xf0) !== 0xd0) words[at + 2] = immediate;
        break;
      case 0x01: // LDX
        code = op(
          `${bpfMode(insn.opcode) === BPF_MEMSX ? 'ldsx' : 'ldx'}${SIZE_SUFFIX[bpfSize(insn.opcode)]}` as OpName,
        );
        break;
      case 0x02: // ST
        code = op(`st${SIZE_SUFFIX[bpfSize(insn.opcode)]}` as OpName);
        words[at + 2] = immediate;
        break;
      case 0x03: // STX
        code = storeOp(insn, words, at);
        break;
      case 0x00: // LD
        if (insn.opcode === OP_LD_IMM64) {
          code = op('mov64');
          words[at + 2] = immediate;
          words[at + 5] = insn.imm64Hi;
          if (insn.target >= 0) {
            words[at + 4] = codePointer(target(insn));
            words[at + 5] = 0;
          }
        } else {
          code = op(bpfMode(insn.opcode) === 0x20 ? 'ld_abs' : 'ld_ind');
          words[at + 7] = insn.opcode & 0x18 ? ((insn.opcode & 0x18) === 0x08 ? 2 : 1) : 4;
        }
        break;
      default:
        // JMP, JMP32
        if (insn.opcode === OP_EXIT) code = op('exit');
        else if (insn.opcode === OP_CALL) {
          if (insn.helper) {
            code = insn.helper.engine === 'tail_call' ? op('tail_call') : op('call_helper');
            words[at + 7] = helperIndex(insn);
          } else {
            code = op('call');
            words[at + 3] = target(insn);
          }
        } else {
          const name = jmpName.get(bpfOp(insn.opcode))!;
          words[at + 3] = target(insn);
          if (insn.opcode === OP_JCOND) code = op('may_goto');
          else if (name === 'ja') code = op('ja');
          else code = op(`${name}${bpfClass(insn.opcode) === 0x06 ? '32' : ''}` as OpName);
          if ((insn.opcode & X) === 0) words[at + 2] = immediate;
        }
    }
    words[at] = code;
    at += WORDS;
  }
}

function aluOp(insn: LinkedInsn): number {
  const wide = bpfClass(insn.opcode) === 0x07;
  const name = aluName.get(bpfOp(insn.opcode))!;
  if (name === 'end') {
    const swap = wide || (insn.opcode & X) !== 0;
    if (swap) return op(`swap${insn.imm}` as OpName);
    return op(insn.imm === 64 ? 'nop' : (`zext${insn.imm}` as OpName));
  }
  const bits = wide ? '64' : '32';
  if (name === 'mov' && (insn.opcode & X) !== 0 && insn.off !== 0) return op(`movsx${bits}_${insn.off}` as OpName);
  if ((name === 'div' || name === 'mod') && insn.off === 1) return op(`s${name}${bits}` as OpName);
  return op(`${name}${bits}` as OpName);
}

/** STX: plain stores, atomics, and the acquire and release forms, which are plain accesses on one thread. */
function storeOp(insn: LinkedInsn, words: Int32Array, at: number): number {
  const suffix = SIZE_SUFFIX[bpfSize(insn.opcode)];
  if (bpfMode(insn.opcode) !== BPF_ATOMIC) return op(`st${suffix}` as OpName);
  if (insn.imm === 0x100) return op(`ldx${suffix}` as OpName);
  if (insn.imm === 0x110) return op(`st${suffix}` as OpName);
  words[at + 7] = insn.imm & (0xf0 | BPF_FETCH);
  return op(bpfSize(insn.opcode) === 0x18 ? 'atomic64' : 'atomic32');
}
