import { BpfError } from '../../base/error.ts';
import { BPF_INSN_SIZE, OP_LD_IMM64 } from './insn.ts';

/** One instruction, decoded from its one or two 8-byte slots; fields are raw, nothing is checked. */
export interface Insn {
  readonly opcode: number;
  /** Destination register, 0..15 as encoded. */
  readonly dst: number;
  /** Source register or pseudo source, 0..15 as encoded. */
  readonly src: number;
  /** s16 */
  readonly off: number;
  /** s32; of ld_imm64 the low half. */
  readonly imm: number;
  /** s32: the imm of ld_imm64's second slot, the high half of its constant; 0 elsewhere. */
  readonly imm64Hi: number;
  /** Index in 8-byte slots: what jump distances, line info and the verifier count in. */
  readonly slot: number;
  /** 2 for ld_imm64, else 1. */
  readonly slots: 1 | 2;
}

/**
 * Decodes little-endian instructions, one entry per instruction. Never refuses an encoding: an ld_imm64 opcode at the
 * end, or before a slot that is not its second half (opcode, registers and off all 0), is an entry of one slot, so that
 * encoding the result again gives the same bytes.
 * @throws BpfError when the length is not a multiple of 8.
 */
export function decodeProgram(bytes: Uint8Array): Insn[] {
  if (bytes.length % BPF_INSN_SIZE !== 0) {
    throw new BpfError(`program of ${bytes.length} bytes is not a whole number of ${BPF_INSN_SIZE}-byte instructions`, {
      errno: 'EINVAL',
    });
  }
  const count = bytes.length / BPF_INSN_SIZE;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const insns: Insn[] = [];
  for (let slot = 0; slot < count; slot++) {
    const at = slot * BPF_INSN_SIZE;
    const opcode = bytes[at]!;
    const regs = bytes[at + 1]!;
    const wide = opcode === OP_LD_IMM64 && slot + 1 < count && view.getUint32(at + BPF_INSN_SIZE, true) === 0;
    insns.push({
      opcode,
      dst: regs & 15,
      src: regs >>> 4,
      off: view.getInt16(at + 2, true),
      imm: view.getInt32(at + 4, true),
      imm64Hi: wide ? view.getInt32(at + BPF_INSN_SIZE + 4, true) : 0,
      slot,
      slots: wide ? 2 : 1,
    });
    if (wide) slot++;
  }
  return insns;
}

/** Number of 8-byte slots of a decoded program. */
export function slotCount(insns: readonly Insn[]): number {
  const last = insns[insns.length - 1];
  return last === undefined ? 0 : last.slot + last.slots;
}

/** Index in `insns` by slot; -1 for the second half of an ld_imm64. */
export function slotToIndex(insns: readonly Insn[]): Int32Array {
  const map = new Int32Array(slotCount(insns)).fill(-1);
  for (let i = 0; i < insns.length; i++) map[insns[i]!.slot] = i;
  return map;
}

/** The constant of an ld_imm64 as an unsigned 64-bit number. For messages and tests; not for hot paths. */
export function imm64(insn: Insn): bigint {
  return (BigInt(insn.imm64Hi >>> 0) << 32n) | BigInt(insn.imm >>> 0);
}
