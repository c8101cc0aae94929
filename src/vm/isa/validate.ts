import type { ErrnoName } from '../../base/errno.ts';
import { type CheckInsnOptions, checkInsn, type InsnFinding } from './check-insn.ts';
import type { Insn } from './decode.ts';
import { decodeProgram } from './decode.ts';
import { encodeProgram } from './encode.ts';
import {
  BPF_ABS,
  BPF_IND,
  BPF_INSN_SIZE,
  BPF_JMP,
  BPF_JMP32,
  BPF_LD,
  BPF_LDX,
  BPF_MEM,
  BPF_MEMSX,
  BPF_PSEUDO_CALL,
  BPF_PSEUDO_FUNC,
  BPF_PSEUDO_MAP_FD,
  BPF_PSEUDO_MAP_IDX,
  BPF_PSEUDO_MAP_IDX_VALUE,
  bpfClass,
  bpfMode,
  bpfOp,
  OP_CALL,
  OP_EXIT,
  OP_JA,
  OP_JA32,
  OP_LD_IMM64,
} from './insn.ts';
import { KNOWN_OPCODES } from './instructions.ts';

/** The kernel's words about an instruction or, where slot is -1, about the whole program. */
export interface InsnError extends InsnFinding {
  /** 8-byte slot. */
  readonly slot: number;
}

export interface ValidateOptions extends CheckInsnOptions {
  /** Limit of slots: 1,000,000 with CAP_BPF (default), 4096 without. */
  readonly maxInsns?: number;
  /** false: there is no fd_array (no list of maps), so ld_imm64 by map index is refused. Default true. */
  readonly fdArray?: boolean;
  /** false: the program comes without func_info, so LD_ABS and tail calls in its subprograms are refused. Default true. */
  readonly funcInfo?: boolean;
}

export const MAX_PROGRAM_INSNS = 1_000_000;
export const MAX_SUBPROGS = 256;
export const MAX_CALL_FRAMES = 8;

const HELPER_TAIL_CALL = 12;

/**
 * The first error that Linux 6.18 would give for reasons that need no tracking of values: sizes, opcodes, jumps,
 * reachability, reserved fields, register numbers, constant divisors and shifts; undefined when there is none.
 *
 * checkStructure's errors the kernel gives for every program, dead code or not. checkInsn's errors it gives only when
 * symbolic execution comes to the instruction; here each instruction that the control-flow graph reaches is checked, in
 * address order. So this function also refuses a reserved field in code that branches with known outcome skip, which the
 * kernel takes; a caller that follows execution calls the two functions itself.
 */
export function validateProgram(
  program: Uint8Array | readonly Insn[],
  options: ValidateOptions = {},
): InsnError | undefined {
  const bytes = program instanceof Uint8Array ? program : encodeProgram(program);
  const structure = checkStructure(bytes, options);
  if (structure) return structure;
  const insns = program instanceof Uint8Array ? decodeProgram(bytes) : program;
  let slot = 0;
  for (const insn of insns) {
    const message = checkInsn(insn, options);
    if (message) return { ...message, slot };
    slot += insn.slots;
  }
  return checkCallDepth(bytes);
}

function error(slot: number, message: string, errno: ErrnoName = 'EINVAL'): InsnError {
  return { slot, message, errno };
}

/** Raw slots of a program, field by field: the early stages look at second halves of ld_imm64 as instructions, too. */
interface Slots {
  readonly count: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

function slotsOf(bytes: Uint8Array): Slots {
  return {
    count: Math.floor(bytes.length / BPF_INSN_SIZE),
    bytes,
    view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length),
  };
}

const opcodeAt = (s: Slots, slot: number) => s.bytes[slot * BPF_INSN_SIZE]!;
const srcAt = (s: Slots, slot: number) => s.bytes[slot * BPF_INSN_SIZE + 1]! >>> 4;
const offAt = (s: Slots, slot: number) => s.view.getInt16(slot * BPF_INSN_SIZE + 2, true);
const immAt = (s: Slots, slot: number) => s.view.getInt32(slot * BPF_INSN_SIZE + 4, true);

/** Slot to which the jump at `slot` goes. */
function jumpTarget(s: Slots, slot: number): number {
  return slot + 1 + (opcodeAt(s, slot) === OP_JA32 ? immAt(s, slot) : offAt(s, slot));
}

/**
 * What the kernel checks before it follows any value, in its order: length, calls, jumps inside subprograms, ld_imm64
 * and opcodes, reachability. Applies to all instructions, executed or not.
 */
export function checkStructure(bytes: Uint8Array, options: ValidateOptions = {}): InsnError | undefined {
  const s = slotsOf(bytes);
  const limit = options.maxInsns ?? MAX_PROGRAM_INSNS;
  // kernel: bpf_prog_load(); it writes no log here, the words are ours
  if (bytes.length % BPF_INSN_SIZE !== 0) return error(-1, `${bytes.length} bytes are not whole instructions`);
  if (s.count === 0) return error(-1, 'program is empty', 'E2BIG');
  if (s.count > limit) return error(-1, `program has ${s.count} instructions, the limit is ${limit}`, 'E2BIG');

  const starts = subprogStarts(s);
  if ('message' in starts) return starts;
  return (
    checkSubprogs(s, starts) ??
    (options.funcInfo === false ? checkAbnormalReturn(s, starts) : undefined) ??
    checkOpcodes(s, options) ??
    checkCfg(s)
  );
}

/** Sorted first slots of the subprograms, main first. kernel: add_subprog_and_kfunc() */
function subprogStarts(s: Slots): number[] | InsnError {
  const starts = new Set([0]);
  for (let slot = 0; slot < s.count; slot++) {
    const opcode = opcodeAt(s, slot);
    const src = srcAt(s, slot);
    const isCall = opcode === OP_CALL && src === BPF_PSEUDO_CALL;
    if (!isCall && !(opcode === OP_LD_IMM64 && src === BPF_PSEUDO_FUNC)) continue;
    const target = slot + immAt(s, slot) + 1;
    if (target < 0 || target >= s.count) return error(slot, 'call to invalid destination');
    if (starts.has(target)) continue;
    if (starts.size >= MAX_SUBPROGS) return error(slot, 'too many subprograms', 'E2BIG');
    starts.add(target);
  }
  return [...starts].sort((a, b) => a - b);
}

/** Jumps stay inside their subprogram, and each subprogram ends in exit or goto. kernel: check_subprogs() */
function checkSubprogs(s: Slots, starts: readonly number[]): InsnError | undefined {
  for (const [i, start] of starts.entries()) {
    const end = starts[i + 1] ?? s.count;
    for (let slot = start; slot < end; slot++) {
      const opcode = opcodeAt(s, slot);
      const cls = bpfClass(opcode);
      if ((cls === BPF_JMP || cls === BPF_JMP32) && bpfOp(opcode) !== 0x80 && bpfOp(opcode) !== 0x90) {
        const target = jumpTarget(s, slot);
        if (target < start || target >= end) {
          return error(slot, `jump out of range from insn ${slot} to ${target}`);
        }
      }
      if (slot === end - 1 && opcode !== OP_EXIT && opcode !== OP_JA && opcode !== OP_JA32) {
        return error(slot, 'last insn is not an exit or jmp');
      }
    }
  }
  return undefined;
}

/** kernel: check_abnormal_return() */
function checkAbnormalReturn(s: Slots, starts: readonly number[]): InsnError | undefined {
  for (let i = 1; i < starts.length; i++) {
    let ldAbs = -1;
    let tailCall = -1;
    for (let slot = starts[i]!; slot < (starts[i + 1] ?? s.count); slot++) {
      const opcode = opcodeAt(s, slot);
      const mode = bpfMode(opcode);
      if (bpfClass(opcode) === BPF_LD && (mode === BPF_ABS || mode === BPF_IND)) ldAbs = slot;
      if (opcode === OP_CALL && srcAt(s, slot) === 0 && immAt(s, slot) === HELPER_TAIL_CALL) tailCall = slot;
    }
    if (ldAbs >= 0) return error(ldAbs, 'LD_ABS is not allowed in subprogs without BTF');
    if (tailCall >= 0) return error(tailCall, 'tail_call is not allowed in subprogs without BTF');
  }
  return undefined;
}

/** Opcodes, LDX fields and the form of ld_imm64; not what maps and BTF ids stand for. kernel: resolve_pseudo_ldimm64() */
function checkOpcodes(s: Slots, options: ValidateOptions): InsnError | undefined {
  for (let slot = 0; slot < s.count; slot++) {
    const opcode = opcodeAt(s, slot);
    if (bpfClass(opcode) === BPF_LDX) {
      const mode = bpfMode(opcode);
      if ((mode !== BPF_MEM && mode !== BPF_MEMSX) || immAt(s, slot) !== 0) {
        return error(slot, 'BPF_LDX uses reserved fields');
      }
    }
    if (opcode === OP_LD_IMM64) {
      const failed = checkLdImm64(s, slot, options);
      if (failed) return failed;
      slot++;
    } else if (KNOWN_OPCODES[opcode] === 0) {
      return error(slot, `unknown opcode ${opcode.toString(16).padStart(2, '0')}`);
    }
  }
  return undefined;
}

function checkLdImm64(s: Slots, slot: number, options: ValidateOptions): InsnError | undefined {
  // code, registers and off of the second half are its first four bytes
  if (slot === s.count - 1 || s.view.getUint32((slot + 1) * BPF_INSN_SIZE, true) !== 0) {
    return error(slot, 'invalid bpf_ld_imm64 insn');
  }
  const src = srcAt(s, slot);
  const byMap = src === BPF_PSEUDO_MAP_FD || src === BPF_PSEUDO_MAP_IDX;
  if ((byMap && immAt(s, slot + 1) !== 0) || src > BPF_PSEUDO_MAP_IDX_VALUE) {
    return error(slot, 'unrecognized bpf_ld_imm64 insn');
  }
  if (options.fdArray === false && (src === BPF_PSEUDO_MAP_IDX || src === BPF_PSEUDO_MAP_IDX_VALUE)) {
    return error(slot, 'fd_idx without fd_array is invalid', 'EPROTO');
  }
  return undefined;
}

/** Every instruction is reached, and no jump goes into a second half; loops are allowed. kernel: check_cfg() */
function checkCfg(s: Slots): InsnError | undefined {
  const reached = reachableSlots(s);
  for (let slot = 0; slot < s.count; slot++) {
    if (reached[slot] === 0) return error(slot, `unreachable insn ${slot}`);
    if (opcodeAt(s, slot) === OP_LD_IMM64) {
      if (reached[slot + 1] !== 0) return error(slot, `jump into the middle of ldimm64 insn ${slot}`);
      slot++;
    }
  }
  return undefined;
}

function reachableSlots(s: Slots): Uint8Array {
  const reached = new Uint8Array(s.count);
  const pending = [0];
  const visit = (slot: number) => {
    if (slot < s.count && reached[slot] === 0) {
      reached[slot] = 1;
      pending.push(slot);
    }
  };
  reached[0] = 1;
  for (let slot = pending.pop(); slot !== undefined; slot = pending.pop()) {
    const opcode = opcodeAt(s, slot);
    const cls = bpfClass(opcode);
    if (opcode === OP_LD_IMM64) {
      visit(slot + 2);
      if (srcAt(s, slot) === BPF_PSEUDO_FUNC) visit(slot + immAt(s, slot) + 1);
    } else if (cls !== BPF_JMP && cls !== BPF_JMP32) {
      visit(slot + 1);
    } else if (opcode === OP_CALL) {
      visit(slot + 1);
      if (srcAt(s, slot) === BPF_PSEUDO_CALL) visit(slot + immAt(s, slot) + 1);
    } else if (opcode === OP_JA || opcode === OP_JA32) {
      visit(jumpTarget(s, slot));
    } else if (opcode !== OP_EXIT) {
      visit(slot + 1);
      visit(jumpTarget(s, slot));
    }
  }
  return reached;
}

/**
 * Frames of the deepest call chain from main, over all calls present; function pointers count as calls. The words are
 * those for a chain that is executed; of one that never is, the kernel says after all else that it has `8 frames` and is
 * `too deep !`, with the same errno.
 * kernel: setup_func_entry(), check_max_stack_depth()
 */
function checkCallDepth(bytes: Uint8Array): InsnError | undefined {
  const s = slotsOf(bytes);
  const starts = subprogStarts(s);
  if ('message' in starts) return undefined;
  const index = new Map(starts.map((start, i) => [start, i]));
  const calls = starts.map((start, i) => {
    const found: { slot: number; callee: number }[] = [];
    for (let slot = start; slot < (starts[i + 1] ?? s.count); slot++) {
      const opcode = opcodeAt(s, slot);
      const src = srcAt(s, slot);
      if ((opcode === OP_CALL && src === BPF_PSEUDO_CALL) || (opcode === OP_LD_IMM64 && src === BPF_PSEUDO_FUNC)) {
        found.push({ slot, callee: index.get(slot + immAt(s, slot) + 1)! });
      }
    }
    return found;
  });
  // deepest[i]: frames already known to lead into subprogram i, so that each is walked at most 8 times
  const deepest = new Uint8Array(starts.length);
  let failed: InsnError | undefined;
  const walk = (subprog: number, frames: number) => {
    if (failed || deepest[subprog]! >= frames) return;
    deepest[subprog] = frames;
    for (const call of calls[subprog]!) {
      if (frames + 1 > MAX_CALL_FRAMES) {
        failed ??= error(call.slot, `the call stack of ${frames + 1} frames is too deep`, 'E2BIG');
        return;
      }
      walk(call.callee, frames + 1);
    }
  };
  walk(0, 1);
  return failed;
}
