import type { ErrnoName } from '../../base/errno.ts';
import type { Insn } from './decode.ts';
import {
  ATOMIC_OPS,
  BPF_ABS,
  BPF_ADDR_PERCPU,
  BPF_ADDR_SPACE_CAST,
  BPF_ALU,
  BPF_ALU64,
  BPF_ARSH,
  BPF_ATOMIC,
  BPF_CMPXCHG,
  BPF_DIV,
  BPF_DW,
  BPF_END,
  BPF_FETCH,
  BPF_IMM,
  BPF_IND,
  BPF_LD,
  BPF_LDX,
  BPF_LOAD_ACQ,
  BPF_LSH,
  BPF_MEM,
  BPF_MOD,
  BPF_MOV,
  BPF_NEG,
  BPF_PSEUDO_KFUNC_CALL,
  BPF_REG_FP,
  BPF_RSH,
  BPF_ST,
  BPF_STORE_REL,
  BPF_STX,
  BPF_W,
  BPF_X,
  bpfClass,
  bpfMode,
  bpfOp,
  bpfSize,
  bpfSrc,
  MAX_BPF_REG,
  OP_CALL,
  OP_EXIT,
  OP_JA,
  OP_JA32,
  OP_JCOND,
} from './insn.ts';

/** What the kernel says about an instruction: its log line and errno. */
export interface InsnFinding {
  readonly message: string;
  readonly errno: ErrnoName;
}

export interface CheckInsnOptions {
  /** false: a program type without LD_ABS/LD_IND (all but SOCKET_FILTER, SCHED_CLS, SCHED_ACT). Default true. */
  readonly ldAbs?: boolean;
}

type Finding = InsnFinding | undefined;

function finding(message: string, errno: ErrnoName = 'EINVAL'): Finding {
  return { message, errno };
}

function readable(reg: number): Finding {
  return reg >= MAX_BPF_REG ? finding(`R${reg} is invalid`) : undefined;
}

function writable(reg: number): Finding {
  return readable(reg) ?? (reg === BPF_REG_FP ? finding('frame pointer is read only', 'EACCES') : undefined);
}

/**
 * What the kernel checks on one instruction when execution comes to it, as far as the instruction alone tells: reserved
 * fields, register numbers, writes to r10, constant divisors and shifts. In the kernel's order; its own checks of values
 * (`!read_ok` and so on) lie between these.
 * kernel: do_check()
 */
export function checkInsn(insn: Insn, options: CheckInsnOptions = {}): Finding {
  switch (bpfClass(insn.opcode)) {
    case BPF_ALU:
    case BPF_ALU64:
      return checkAlu(insn);
    case BPF_LDX:
      return readable(insn.src) ?? writable(insn.dst);
    case BPF_STX:
      if (bpfMode(insn.opcode) === BPF_ATOMIC) return checkAtomic(insn);
      if (bpfMode(insn.opcode) !== BPF_MEM || insn.imm !== 0) return finding('BPF_STX uses reserved fields');
      return readable(insn.src) ?? readable(insn.dst);
    case BPF_ST:
      if (bpfMode(insn.opcode) !== BPF_MEM || insn.src !== 0) return finding('BPF_ST uses reserved fields');
      return readable(insn.dst);
    case BPF_LD:
      return checkLd(insn, options);
    default:
      return checkJump(insn);
  }
}

/** kernel: check_alu_op() */
function checkAlu(insn: Insn): Finding {
  const { opcode, dst, src, off, imm } = insn;
  const wide = bpfClass(opcode) === BPF_ALU64;
  const op = bpfOp(opcode);
  const byRegister = bpfSrc(opcode) === BPF_X;
  if (op === BPF_NEG) {
    if (src !== 0 || off !== 0 || imm !== 0) return finding('BPF_NEG uses reserved fields');
    return readable(dst) ?? writable(dst);
  }
  if (op === BPF_END) {
    if (src !== 0 || off !== 0 || (imm !== 16 && imm !== 32 && imm !== 64)) {
      return finding('BPF_END uses reserved fields');
    }
    return readable(dst) ?? writable(dst);
  }
  if (op === BPF_MOV) return checkMov(insn, wide, byRegister);

  const signedForm = off === 1 && (op === BPF_DIV || op === BPF_MOD);
  if ((byRegister ? imm !== 0 : src !== 0) || (off !== 0 && !signedForm)) {
    return finding('BPF_ALU uses reserved fields');
  }
  const unreadable = (byRegister ? readable(src) : undefined) ?? readable(dst);
  if (unreadable) return unreadable;
  if (!byRegister) {
    if ((op === BPF_DIV || op === BPF_MOD) && imm === 0) return finding('div by zero');
    const shift = op === BPF_LSH || op === BPF_RSH || op === BPF_ARSH;
    if (shift && (imm < 0 || imm >= (wide ? 64 : 32))) return finding(`invalid shift ${imm}`);
  }
  return writable(dst);
}

function checkMov(insn: Insn, wide: boolean, byRegister: boolean): Finding {
  const { dst, src, off, imm } = insn;
  if (!byRegister) {
    if (src !== 0 || off !== 0) return finding('BPF_MOV uses reserved fields');
    return writable(dst);
  }
  if (wide && off === BPF_ADDR_SPACE_CAST) {
    if (imm !== 1 && imm !== 1 << 16) {
      return finding('addr_space_cast insn can only convert between address space 1 and 0');
    }
  } else {
    const extends_ = off === 8 || off === 16 || (wide && off === 32);
    // BPF_ADDR_PERCPU is for the kernel's own rewriting
    if (imm !== 0 || off === BPF_ADDR_PERCPU || (off !== 0 && !extends_)) {
      return finding('BPF_MOV uses reserved fields');
    }
  }
  return readable(src) ?? writable(dst);
}

const ATOMIC_CODES: ReadonlySet<number> = new Set(ATOMIC_OPS.map((row) => row.code));

/** kernel: check_atomic() */
function checkAtomic(insn: Insn): Finding {
  const { opcode, dst, src, imm } = insn;
  if (!ATOMIC_CODES.has(imm)) {
    return finding(`BPF_ATOMIC uses invalid atomic opcode ${(imm >>> 0).toString(16).padStart(2, '0')}`);
  }
  if (imm === BPF_LOAD_ACQ) return readable(src) ?? writable(dst);
  if (imm === BPF_STORE_REL) return readable(src) ?? readable(dst);
  const size = bpfSize(opcode);
  if (size !== BPF_W && size !== BPF_DW) return finding('invalid atomic operand size');
  const unreadable = readable(src) ?? readable(dst);
  if (unreadable) return unreadable;
  // the fetched value goes to src, of cmpxchg to r0
  return (imm & BPF_FETCH) !== 0 && imm !== BPF_CMPXCHG ? writable(src) : undefined;
}

/** kernel: check_ld_imm(), check_ld_abs() */
function checkLd(insn: Insn, options: CheckInsnOptions): Finding {
  const { opcode, dst, src, off } = insn;
  const mode = bpfMode(opcode);
  if (mode === BPF_ABS || mode === BPF_IND) {
    if (options.ldAbs === false) {
      return finding('BPF_LD_[ABS|IND] instructions not allowed for this program type');
    }
    if (dst !== 0 || off !== 0 || bpfSize(opcode) === BPF_DW || (mode === BPF_ABS && src !== 0)) {
      return finding('BPF_LD_[ABS|IND] uses reserved fields');
    }
    return mode === BPF_IND ? readable(src) : undefined;
  }
  if (mode !== BPF_IMM) return finding('invalid BPF_LD mode');
  if (off !== 0) return finding('BPF_LD_IMM64 uses reserved fields');
  return writable(dst);
}

function checkJump(insn: Insn): Finding {
  const { opcode, dst, src, off, imm } = insn;
  switch (opcode) {
    case OP_CALL: {
      if (dst !== 0 || src > BPF_PSEUDO_KFUNC_CALL || (off !== 0 && src !== BPF_PSEUDO_KFUNC_CALL)) {
        return finding('BPF_CALL uses reserved fields');
      }
      return undefined;
    }
    case OP_EXIT:
      // off is not looked at
      return imm !== 0 || src !== 0 || dst !== 0 ? finding('BPF_EXIT uses reserved fields') : undefined;
    case OP_JA:
      return src !== 0 || dst !== 0 || imm !== 0 ? finding('BPF_JA uses reserved fields') : undefined;
    case OP_JA32:
      return src !== 0 || dst !== 0 || off !== 0 ? finding('BPF_JA uses reserved fields') : undefined;
    case OP_JCOND:
      return src !== 0 || dst !== 0 || imm !== 0 ? finding(`invalid may_goto imm ${imm}`) : undefined;
  }
  const unreadable = readable(dst);
  if (unreadable) return unreadable;
  const byRegister = bpfSrc(opcode) === BPF_X;
  if (byRegister ? imm !== 0 : src !== 0) return finding('BPF_JMP/JMP32 uses reserved fields');
  return byRegister ? readable(src) : undefined;
}
