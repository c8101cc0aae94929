import type { Insn } from './decode.ts';
import {
  BPF_ABS,
  BPF_ADDR_SPACE_CAST,
  BPF_ALU,
  BPF_ALU64,
  BPF_ATOMIC,
  BPF_CALL,
  BPF_END,
  BPF_IND,
  BPF_INSN_SIZE,
  BPF_JMP,
  BPF_JMP32,
  BPF_K,
  BPF_LD,
  BPF_LDX,
  BPF_LOAD_ACQ,
  BPF_MEM,
  BPF_MEMSX,
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
  BPF_STORE_REL,
  BPF_STX,
  BPF_X,
  OP_EXIT,
  OP_JA,
  OP_JA32,
  OP_JCOND,
  OP_LD_IMM64,
} from './insn.ts';

/**
 * Encodes instructions one after the other; `slot` is not looked at, jump distances are taken as they are. The inverse
 * of decodeProgram.
 */
export function encodeProgram(insns: readonly Insn[]): Uint8Array {
  let slots = 0;
  for (const insn of insns) slots += insn.slots;
  const bytes = new Uint8Array(slots * BPF_INSN_SIZE);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const insn of insns) {
    bytes[at] = insn.opcode;
    bytes[at + 1] = (insn.src << 4) | (insn.dst & 15);
    view.setInt16(at + 2, insn.off, true);
    view.setInt32(at + 4, insn.imm, true);
    at += BPF_INSN_SIZE;
    if (insn.slots === 2) {
      view.setInt32(at + 4, insn.imm64Hi, true);
      at += BPF_INSN_SIZE;
    }
  }
  return bytes;
}

/** The same instructions with `slot` counted from 0. */
export function placeInsns(insns: readonly Insn[]): Insn[] {
  let slot = 0;
  return insns.map((insn) => {
    const placed = { ...insn, slot };
    slot += insn.slots;
    return placed;
  });
}

/** An instruction from raw fields; the constructors below are this one with names, in the words of the kernel's macros. */
export function rawInsn(opcode: number, dst: number, src: number, off: number, imm: number): Insn {
  return { opcode, dst, src, off: (off << 16) >> 16, imm: imm | 0, imm64Hi: 0, slot: 0, slots: 1 };
}

function wideInsn(dst: number, src: number, lo: number, hi: number): Insn {
  return { opcode: OP_LD_IMM64, dst, src, off: 0, imm: lo | 0, imm64Hi: hi | 0, slot: 0, slots: 2 };
}

/** `op` is BPF_ADD..BPF_ARSH; `off` 1 makes BPF_DIV and BPF_MOD signed. */
export function alu64Imm(op: number, dst: number, imm: number, off = 0): Insn {
  return rawInsn(BPF_ALU64 | op | BPF_K, dst, 0, off, imm);
}

export function alu64Reg(op: number, dst: number, src: number, off = 0): Insn {
  return rawInsn(BPF_ALU64 | op | BPF_X, dst, src, off, 0);
}

export function alu32Imm(op: number, dst: number, imm: number, off = 0): Insn {
  return rawInsn(BPF_ALU | op | BPF_K, dst, 0, off, imm);
}

export function alu32Reg(op: number, dst: number, src: number, off = 0): Insn {
  return rawInsn(BPF_ALU | op | BPF_X, dst, src, off, 0);
}

export function mov64Imm(dst: number, imm: number): Insn {
  return alu64Imm(BPF_MOV, dst, imm);
}

export function mov64Reg(dst: number, src: number): Insn {
  return alu64Reg(BPF_MOV, dst, src);
}

export function mov32Imm(dst: number, imm: number): Insn {
  return alu32Imm(BPF_MOV, dst, imm);
}

export function mov32Reg(dst: number, src: number): Insn {
  return alu32Reg(BPF_MOV, dst, src);
}

/** Sign-extending move from the low `bits`: 8, 16 or 32. */
export function movsx64(dst: number, src: number, bits: number): Insn {
  return alu64Reg(BPF_MOV, dst, src, bits);
}

/** Sign-extending 32-bit move from the low `bits`: 8 or 16. */
export function movsx32(dst: number, src: number, bits: number): Insn {
  return alu32Reg(BPF_MOV, dst, src, bits);
}

export function neg64(dst: number): Insn {
  return rawInsn(BPF_ALU64 | BPF_NEG, dst, 0, 0, 0);
}

export function neg32(dst: number): Insn {
  return rawInsn(BPF_ALU | BPF_NEG, dst, 0, 0, 0);
}

/** To little (BPF_TO_LE) or big (BPF_TO_BE) endian; `bits` 16, 32 or 64. */
export function endian(order: number, dst: number, bits: number): Insn {
  return rawInsn(BPF_ALU | BPF_END | order, dst, 0, 0, bits);
}

/** Unconditional byte swap; `bits` 16, 32 or 64. */
export function bswap(dst: number, bits: number): Insn {
  return rawInsn(BPF_ALU64 | BPF_END, dst, 0, 0, bits);
}

export function addrSpaceCast(dst: number, src: number, toSpace: number, fromSpace: number): Insn {
  return rawInsn(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, BPF_ADDR_SPACE_CAST, (toSpace << 16) | fromSpace);
}

/** A 64-bit constant; a bigint is taken modulo 2^64, a number is a signed integer. */
export function ldImm64(dst: number, value: bigint | number): Insn {
  const bits = BigInt.asUintN(64, BigInt(value));
  return wideInsn(dst, 0, Number(bits & 0xffffffffn), Number(bits >> 32n));
}

export function ldMapFd(dst: number, fd: number): Insn {
  return wideInsn(dst, BPF_PSEUDO_MAP_FD, fd, 0);
}

export function ldMapValue(dst: number, fd: number, offset: number): Insn {
  return wideInsn(dst, BPF_PSEUDO_MAP_VALUE, fd, offset);
}

/** A map by its index in the list of maps that comes with the program. */
export function ldMapIdx(dst: number, mapIndex: number): Insn {
  return wideInsn(dst, BPF_PSEUDO_MAP_IDX, mapIndex, 0);
}

export function ldMapIdxValue(dst: number, mapIndex: number, offset: number): Insn {
  return wideInsn(dst, BPF_PSEUDO_MAP_IDX_VALUE, mapIndex, offset);
}

/** Address of a function of the program, `delta` slots after the next instruction counted from the first slot. */
export function ldFunc(dst: number, delta: number): Insn {
  return wideInsn(dst, BPF_PSEUDO_FUNC, delta, 0);
}

/** Address of a kernel variable or function; `btfFd` 0 is the kernel's own BTF. */
export function ldBtfId(dst: number, btfId: number, btfFd = 0): Insn {
  return wideInsn(dst, BPF_PSEUDO_BTF_ID, btfId, btfFd);
}

/** Packet load into r0 at `imm`; `size` BPF_B, BPF_H or BPF_W. */
export function ldAbs(size: number, imm: number): Insn {
  return rawInsn(BPF_LD | BPF_ABS | size, 0, 0, 0, imm);
}

/** Packet load into r0 at src + `imm`. */
export function ldInd(size: number, src: number, imm: number): Insn {
  return rawInsn(BPF_LD | BPF_IND | size, 0, src, 0, imm);
}

export function ldxMem(size: number, dst: number, src: number, off: number): Insn {
  return rawInsn(BPF_LDX | BPF_MEM | size, dst, src, off, 0);
}

/** Sign-extending load; `size` BPF_B, BPF_H or BPF_W. */
export function ldxMemsx(size: number, dst: number, src: number, off: number): Insn {
  return rawInsn(BPF_LDX | BPF_MEMSX | size, dst, src, off, 0);
}

export function stxMem(size: number, dst: number, src: number, off: number): Insn {
  return rawInsn(BPF_STX | BPF_MEM | size, dst, src, off, 0);
}

export function stMem(size: number, dst: number, off: number, imm: number): Insn {
  return rawInsn(BPF_ST | BPF_MEM | size, dst, 0, off, imm);
}

/** `op` as in the imm: BPF_ADD | BPF_FETCH, BPF_XCHG, BPF_CMPXCHG ...; memory at dst + off, operand in src. */
export function atomic(size: number, op: number, dst: number, src: number, off: number): Insn {
  return rawInsn(BPF_STX | BPF_ATOMIC | size, dst, src, off, op);
}

/** dst = memory at src + off. */
export function loadAcquire(size: number, dst: number, src: number, off: number): Insn {
  return atomic(size, BPF_LOAD_ACQ, dst, src, off);
}

/** Memory at dst + off = src. */
export function storeRelease(size: number, dst: number, src: number, off: number): Insn {
  return atomic(size, BPF_STORE_REL, dst, src, off);
}

/** `op` is BPF_JEQ..BPF_JSLE; distances count slots from the next instruction. */
export function jmpImm(op: number, dst: number, imm: number, off: number): Insn {
  return rawInsn(BPF_JMP | op | BPF_K, dst, 0, off, imm);
}

export function jmpReg(op: number, dst: number, src: number, off: number): Insn {
  return rawInsn(BPF_JMP | op | BPF_X, dst, src, off, 0);
}

export function jmp32Imm(op: number, dst: number, imm: number, off: number): Insn {
  return rawInsn(BPF_JMP32 | op | BPF_K, dst, 0, off, imm);
}

export function jmp32Reg(op: number, dst: number, src: number, off: number): Insn {
  return rawInsn(BPF_JMP32 | op | BPF_X, dst, src, off, 0);
}

export function ja(off: number): Insn {
  return rawInsn(OP_JA, 0, 0, off, 0);
}

/** Jump with a 32-bit distance. */
export function gotol(distance: number): Insn {
  return rawInsn(OP_JA32, 0, 0, 0, distance);
}

/** Jumps by `off` when the loop budget is used up. */
export function mayGoto(off: number): Insn {
  return rawInsn(OP_JCOND, 0, 0, off, 0);
}

/** Helper by id. */
export function call(id: number): Insn {
  return rawInsn(BPF_JMP | BPF_CALL, 0, 0, 0, id);
}

/** Function of the program, `delta` slots after the next instruction. */
export function callRel(delta: number): Insn {
  return rawInsn(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, delta);
}

/** Kernel function by BTF id; `fdIndex` 0 is the kernel's own BTF. */
export function callKfunc(btfId: number, fdIndex = 0): Insn {
  return rawInsn(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_KFUNC_CALL, fdIndex, btfId);
}

export function exit(): Insn {
  return rawInsn(OP_EXIT, 0, 0, 0, 0);
}
