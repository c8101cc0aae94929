import type { Insn } from './decode.ts';
import { imm64 } from './decode.ts';
import {
  ALU_OPS,
  ATOMIC_OPS,
  BPF_ABS,
  BPF_ADDR_PERCPU,
  BPF_ADDR_SPACE_CAST,
  BPF_ALU,
  BPF_ALU64,
  BPF_ATOMIC,
  BPF_DIV,
  BPF_DW,
  BPF_END,
  BPF_IND,
  BPF_JMP,
  BPF_LD,
  BPF_LDX,
  BPF_MEM,
  BPF_MEMSX,
  BPF_MOD,
  BPF_MOV,
  BPF_NEG,
  BPF_PSEUDO_BTF_ID,
  BPF_PSEUDO_CALL,
  BPF_PSEUDO_FUNC,
  BPF_PSEUDO_KFUNC_CALL,
  BPF_PSEUDO_MAP_FD,
  BPF_PSEUDO_MAP_IDX,
  BPF_PSEUDO_MAP_IDX_VALUE,
  BPF_PSEUDO_MAP_VALUE,
  BPF_ST,
  BPF_STX,
  BPF_TO_BE,
  BPF_X,
  bpfClass,
  bpfMode,
  bpfOp,
  bpfSize,
  bpfSrc,
  JMP_OPS,
  OP_CALL,
  OP_EXIT,
  OP_JA,
  OP_JA32,
  OP_JCOND,
  OP_LD_IMM64,
  SIZES,
} from './insn.ts';

/** Names that the instructions alone do not hold; whoever knows the program gives them. */
export interface DisassembleContext {
  /** Helper by id; without a name `unknown` is printed. */
  readonly helperName?: (id: number) => string | undefined;
  /** Kernel function by BTF id and fd index. */
  readonly kfuncName?: (btfId: number, fdIndex: number) => string | undefined;
  /** Text for a reference of ld_imm64 (map, variable, function), in place of `map[id:3]` and the like. */
  readonly reference?: (insn: Insn) => string | undefined;
  /** Name of the function at a slot, printed after the distance of a call: `call pc+4#parse`. */
  readonly functionName?: (slot: number) => string | undefined;
  /** `kernel` (default): as bpftool and the verifier print; `llvm`: as llvm-objdump prints. */
  readonly syntax?: 'kernel' | 'llvm';
}

const aluRow = new Map<number, (typeof ALU_OPS)[number]>(ALU_OPS.map((row) => [row.code, row]));
const jmpSymbol = new Map<number, string>(JMP_OPS.map((row) => [row.code, row.symbol]));
const sizeRow = new Map<number, (typeof SIZES)[number]>(SIZES.map((row) => [row.code, row]));
const atomicRow = new Map<number, (typeof ATOMIC_OPS)[number]>(ATOMIC_OPS.map((row) => [row.code, row]));

/** printf's %+d */
function signed(value: number): string {
  return value < 0 ? `${value}` : `+${value}`;
}

function hex(value: number): string {
  return `0x${(value >>> 0).toString(16)}`;
}

/** Lowercase two-digit hexadecimal opcode. */
export function opcodeHex(opcode: number): string {
  return opcode.toString(16).padStart(2, '0');
}

/**
 * Text of one instruction, `r0 = *(u32 *)(r1 +4)`, in the words of bpftool and of the verifier's log (without the
 * opcode in parentheses), or in LLVM's. Encodings that have no text give `BUG_xx` as in the kernel.
 * kernel: print_bpf_insn()
 */
export function disassemble(insn: Insn, context: DisassembleContext = {}): string {
  if (context.syntax === 'llvm') return disassembleLlvm(insn, context);
  switch (bpfClass(insn.opcode)) {
    case BPF_ALU:
    case BPF_ALU64:
      return alu(insn);
    case BPF_STX:
      return stx(insn);
    case BPF_ST:
      if (bpfMode(insn.opcode) === BPF_MEM) return `*(${type(insn)} *)(r${insn.dst} ${signed(insn.off)}) = ${insn.imm}`;
      if (bpfMode(insn.opcode) === BPF_ATOMIC) return 'nospec';
      return `BUG_st_${opcodeHex(insn.opcode)}`;
    case BPF_LDX: {
      const mode = bpfMode(insn.opcode);
      if (mode !== BPF_MEM && mode !== BPF_MEMSX) return `BUG_ldx_${opcodeHex(insn.opcode)}`;
      const size = sizeRow.get(bpfSize(insn.opcode))!;
      // there is no signed type of 8 bytes; printf prints the missing string so
      const shown = mode === BPF_MEM ? size.symbol : (size.signed ?? '(null)');
      return `r${insn.dst} = *(${shown} *)(r${insn.src} ${signed(insn.off)})`;
    }
    case BPF_LD:
      return ld(insn, context);
    default:
      return jump(insn, context);
  }
}

/** One line as `bpftool prog dump xlated` prints it: `   0: (b7) r0 = 0`. */
export function disassembleLine(insn: Insn, context: DisassembleContext = {}): string {
  const text = disassemble(insn, context);
  const body = text.startsWith('BUG_') ? text : `(${opcodeHex(insn.opcode)}) ${text}`;
  return `${String(insn.slot).padStart(4)}: ${body}`;
}

/** The whole program, a line per instruction. */
export function disassembleProgram(insns: readonly Insn[], context: DisassembleContext = {}): string {
  return insns.map((insn) => `${disassembleLine(insn, context)}\n`).join('');
}

function type(insn: Insn): string {
  return sizeRow.get(bpfSize(insn.opcode))!.symbol;
}

function alu(insn: Insn): string {
  const { opcode, dst, src, off, imm } = insn;
  const wide = bpfClass(opcode) === BPF_ALU64;
  const op = bpfOp(opcode);
  const r = wide ? 'r' : 'w';
  if (op === BPF_END) {
    const name = wide ? 'bswap' : bpfSrc(opcode) === BPF_TO_BE ? 'be' : 'le';
    return `r${dst} = ${name}${imm} r${dst}`;
  }
  if (op === BPF_NEG) return `${r}${dst} = -${r}${dst}`;
  const byRegister = bpfSrc(opcode) === BPF_X;
  if (isAddrSpaceCast(insn)) return addrSpaceCastText(insn, String);
  if (wide && op === BPF_MOV && byRegister && off === BPF_ADDR_PERCPU) return `r${dst} = &(void __percpu *)(r${src})`;
  const row = aluRow.get(op);
  const signedForm = off === 1 && (op === BPF_DIV || op === BPF_MOD);
  const symbol = row === undefined ? '(null)' : signedForm && 'signed' in row ? row.signed : row.symbol;
  if (!byRegister) return `${r}${dst} ${symbol} ${imm}`;
  const cast = op === BPF_MOV && (off === 8 || off === 16 || off === 32) ? `(s${off})` : '';
  return `${r}${dst} ${symbol} ${cast}${r}${src}`;
}

function isAddrSpaceCast(insn: Insn): boolean {
  return insn.opcode === (BPF_ALU64 | BPF_MOV | BPF_X) && insn.off === BPF_ADDR_SPACE_CAST;
}

function addrSpaceCastText(insn: Insn, number: (value: number) => string): string {
  const { dst, src, imm } = insn;
  return `r${dst} = addr_space_cast(r${src}, ${number(imm >>> 16)}, ${number(imm & 0xffff)})`;
}

function stx(insn: Insn): string {
  const { opcode, dst, src, off, imm } = insn;
  const mode = bpfMode(opcode);
  const at = `(${type(insn)} *)(r${dst} ${signed(off)})`;
  if (mode === BPF_MEM) return `*${at} = r${src}`;
  const row = mode === BPF_ATOMIC ? atomicRow.get(imm) : undefined;
  if (row === undefined) return `BUG_${opcodeHex(opcode)}`;
  const atomic = bpfSize(opcode) === BPF_DW ? 'atomic64' : 'atomic';
  switch (row.name) {
    case 'add':
    case 'or':
    case 'and':
    case 'xor':
      return `lock *${at} ${row.symbol} r${src}`;
    case 'cmpxchg':
      return `r0 = ${atomic}_cmpxchg(${at}, r0, r${src})`;
    case 'load_acquire':
      return `r${dst} = load_acquire((${type(insn)} *)(r${src} ${signed(off)}))`;
    case 'store_release':
      return `store_release(${at}, r${src})`;
    default:
      return `r${src} = ${atomic}_${row.symbol}(${at}, r${src})`;
  }
}

function ld(insn: Insn, context: DisassembleContext): string {
  const { opcode, dst, src, imm } = insn;
  switch (bpfMode(opcode)) {
    case BPF_ABS:
      return `r0 = *(${type(insn)} *)skb[${imm}]`;
    case BPF_IND:
      return `r0 = *(${type(insn)} *)skb[r${src} + ${imm}]`;
  }
  if (opcode !== OP_LD_IMM64) return `BUG_ld_${opcodeHex(opcode)}`;
  return `r${dst} = ${context.reference?.(insn) ?? reference(insn)}`;
}

/** The operand of ld_imm64 where no names are known. */
function reference(insn: Insn): string {
  const { src, imm, imm64Hi } = insn;
  switch (src) {
    case BPF_PSEUDO_MAP_FD:
      return `map[id:${imm}]`;
    case BPF_PSEUDO_MAP_VALUE:
      return `map[id:${imm}][0]+${imm64Hi}`;
    case BPF_PSEUDO_MAP_IDX:
      return `map[idx:${imm}]`;
    case BPF_PSEUDO_MAP_IDX_VALUE:
      return `map[idx:${imm}]+${imm64Hi}`;
    case BPF_PSEUDO_FUNC:
      return `subprog[${signed(imm)}]`;
    case BPF_PSEUDO_BTF_ID:
      return imm64Hi === 0 ? `btf_id[${imm}]` : `btf_id[${imm},fd:${imm64Hi}]`;
    default:
      return `0x${imm64(insn).toString(16)}`;
  }
}

function jump(insn: Insn, context: DisassembleContext): string {
  const { opcode, dst, src, off, imm } = insn;
  const wide = bpfClass(opcode) === BPF_JMP;
  if (bpfOp(opcode) === 0x80) {
    if (src === BPF_PSEUDO_CALL) {
      const name = context.functionName?.(insn.slot + imm + 1);
      return `call pc${signed(imm)}${name === undefined ? '' : `#${name}`}`;
    }
    if (src === BPF_PSEUDO_KFUNC_CALL) return `call ${context.kfuncName?.(imm, off) ?? 'kernel-function'}#${imm}`;
    return `call ${context.helperName?.(imm) ?? 'unknown'}#${imm}`;
  }
  switch (opcode) {
    case OP_JA:
      return `goto pc${signed(off)}`;
    case OP_JA32:
      return `gotol pc${signed(imm)}`;
    case OP_JCOND:
      if (src === 0) return `may_goto pc${signed(off)}`;
      break;
    case OP_EXIT:
      return 'exit';
  }
  const r = wide ? 'r' : 'w';
  const symbol = jmpSymbol.get(bpfOp(opcode)) ?? '(null)';
  const right = bpfSrc(opcode) === BPF_X ? `${r}${src}` : hex(imm);
  return `if ${r}${dst} ${symbol} ${right} goto pc${signed(off)}`;
}

/** Sign and hexadecimal magnitude as llvm-objdump prints memory offsets and distances. */
function llvmSigned(value: number, gap = ''): string {
  return value < 0 ? `-${gap}0x${(-value).toString(16)}` : `+${gap}0x${value.toString(16)}`;
}

function llvmHex(value: number): string {
  return value < 0 ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;
}

function disassembleLlvm(insn: Insn, context: DisassembleContext): string {
  const { opcode, dst, src, off, imm } = insn;
  const at = (register: number) => `(r${register} ${llvmSigned(off, ' ')})`;
  const cls = bpfClass(opcode);
  switch (cls) {
    case BPF_ALU:
    case BPF_ALU64: {
      if (isAddrSpaceCast(insn)) return addrSpaceCastText(insn, hex);
      const text = alu(insn);
      const constant = bpfSrc(opcode) !== BPF_X && bpfOp(opcode) !== BPF_NEG && bpfOp(opcode) !== BPF_END;
      return constant ? `${text.slice(0, text.lastIndexOf(' '))} ${llvmHex(imm)}` : text;
    }
    case BPF_ST:
      if (bpfMode(opcode) === BPF_MEM) return `*(${type(insn)} *)${at(dst)} = ${llvmHex(imm)}`;
      break;
    case BPF_STX:
      if (bpfMode(opcode) === BPF_ATOMIC) return llvmAtomic(insn, at);
      if (bpfMode(opcode) === BPF_MEM) {
        return `*(${type(insn)} *)${at(dst)} = ${bpfSize(opcode) === BPF_DW ? 'r' : 'w'}${src}`;
      }
      break;
    case BPF_LDX: {
      const size = sizeRow.get(bpfSize(opcode))!;
      if (bpfMode(opcode) === BPF_MEM) {
        return `${size.code === BPF_DW ? 'r' : 'w'}${dst} = *(${size.symbol} *)${at(src)}`;
      }
      if (bpfMode(opcode) === BPF_MEMSX && size.signed) return `r${dst} = *(${size.signed} *)${at(src)}`;
      break;
    }
    case BPF_LD:
      if (bpfMode(opcode) === BPF_ABS) return `r0 = *(${type(insn)} *)skb[${llvmHex(imm)}]`;
      if (bpfMode(opcode) === BPF_IND) return `r0 = *(${type(insn)} *)skb[r${src}]`;
      if (opcode === OP_LD_IMM64) {
        const text = context.reference?.(insn);
        return `r${dst} = ${text ?? `0x${imm64(insn).toString(16)}`} ll`;
      }
      break;
    default:
      return llvmJump(insn, context);
  }
  return disassemble(insn, { ...context, syntax: 'kernel' });
}

function llvmAtomic(insn: Insn, at: (register: number) => string): string {
  const { opcode, dst, src, off, imm } = insn;
  const row = atomicRow.get(imm);
  if (row === undefined) return `BUG_${opcodeHex(opcode)}`;
  const wide = bpfSize(opcode) === BPF_DW;
  const r = wide ? 'r' : 'w';
  switch (row.name) {
    case 'add':
    case 'or':
    case 'and':
    case 'xor':
      return `lock *(${type(insn)} *)${at(dst)} ${row.symbol} ${r}${src}`;
    case 'xchg':
      return `${r}${src} = ${wide ? 'xchg_64' : 'xchg32_32'}(r${dst} ${llvmSigned(off, ' ')}, ${r}${src})`;
    case 'cmpxchg': {
      const name = wide ? 'cmpxchg_64' : 'cmpxchg32_32';
      return `${r}0 = ${name}(r${dst} ${llvmSigned(off, ' ')}, ${r}0, ${r}${src})`;
    }
    case 'load_acquire':
      return `${r}${dst} = load_acquire((${type(insn)} *)${at(src)})`;
    case 'store_release':
      return `store_release((${type(insn)} *)${at(dst)}, ${r}${src})`;
    default:
      return `${r}${src} = atomic_${row.symbol}((${type(insn)} *)${at(dst)}, ${r}${src})`;
  }
}

function llvmJump(insn: Insn, context: DisassembleContext): string {
  const { opcode, dst, src, off, imm } = insn;
  if (opcode === OP_CALL) return `call ${llvmHex(imm)}`;
  switch (opcode) {
    case OP_JA:
      return `goto ${llvmSigned(off)}`;
    case OP_JA32:
      return `gotol ${llvmSigned(imm)}`;
    case OP_JCOND:
      return `may_goto ${llvmSigned(off)}`;
    case OP_EXIT:
      return 'exit';
  }
  const symbol = jmpSymbol.get(bpfOp(opcode));
  if (symbol === undefined) return disassemble(insn, { ...context, syntax: 'kernel' });
  const r = bpfClass(opcode) === BPF_JMP ? 'r' : 'w';
  const right = bpfSrc(opcode) === BPF_X ? `${r}${src}` : llvmHex(imm);
  return `if ${r}${dst} ${symbol} ${right} goto ${llvmSigned(off)}`;
}
