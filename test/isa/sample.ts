import type { Rng } from '../../src/base/rng.ts';
import type { Insn } from '../../src/vm/isa/decode.ts';
import { rawInsn } from '../../src/vm/isa/encode.ts';
import {
  BPF_ABS,
  BPF_ALU,
  BPF_ALU64,
  BPF_ATOMIC,
  BPF_END,
  BPF_IND,
  BPF_JMP,
  BPF_JMP32,
  BPF_LD,
  BPF_NEG,
  BPF_ST,
  BPF_X,
  bpfClass,
  bpfMode,
  bpfOp,
  bpfSrc,
  OP_CALL,
  OP_EXIT,
  OP_JA,
  OP_JA32,
  OP_JCOND,
  OP_LD_IMM64,
} from '../../src/vm/isa/insn.ts';
import type { InstructionRow } from '../../src/vm/isa/instructions.ts';

/** Where the free fields of a sample come from. */
export interface Fields {
  reg(): number;
  off(): number;
  imm(): number;
  /** Distances of jumps and calls. */
  distance(): number;
}

/** Fields of every value that they can have. */
export function anyFields(rng: Rng): Fields {
  const edge = [0, 1, -1, 0x7fff, -0x8000, 0x7fffffff, -0x80000000];
  const imm = () => (rng.below(3) === 0 ? edge[rng.below(edge.length)]! : rng.u32() | 0);
  const off = () => (imm() << 16) >> 16;
  return { reg: () => rng.below(11), off, imm, distance: imm };
}

/** An instruction of the row; the fields that its encoding leaves free come from `fields`. */
export function sample(row: InstructionRow, fields: Fields): Insn {
  const { opcode } = row;
  const cls = bpfClass(opcode);
  const make = (dst: number, src: number, off: number, imm: number) => rawInsn(opcode, dst, src, off, imm);
  if (opcode === OP_LD_IMM64) {
    const src = row.src!;
    const highUsed = src === 0 || src === 2 || src === 6;
    const wide = make(fields.reg(), src, 0, fields.imm());
    return { ...wide, imm64Hi: highUsed ? fields.imm() : 0, slots: 2 };
  }
  if (row.name === 'addr_space_cast') return make(fields.reg(), fields.reg(), 1, 1 << 16);
  switch (cls) {
    case BPF_ALU:
    case BPF_ALU64: {
      const op = bpfOp(opcode);
      if (op === BPF_NEG) return make(fields.reg(), 0, 0, 0);
      if (op === BPF_END) return make(fields.reg(), 0, 0, row.imm!);
      const off = row.off ?? 0;
      return bpfSrc(opcode) === BPF_X
        ? make(fields.reg(), fields.reg(), off, 0)
        : make(fields.reg(), 0, off, fields.imm());
    }
    case BPF_JMP:
    case BPF_JMP32: {
      const near = () => (fields.distance() << 16) >> 16;
      if (opcode === OP_CALL) return make(0, row.src!, 0, row.src === 1 ? fields.distance() : fields.imm());
      if (opcode === OP_EXIT) return make(0, 0, 0, 0);
      if (opcode === OP_JA || opcode === OP_JCOND) return make(0, 0, near(), 0);
      if (opcode === OP_JA32) return make(0, 0, 0, fields.distance());
      return bpfSrc(opcode) === BPF_X
        ? make(fields.reg(), fields.reg(), near(), 0)
        : make(fields.reg(), 0, near(), fields.imm());
    }
    case BPF_LD:
      if (bpfMode(opcode) === BPF_ABS) return make(0, 0, 0, fields.imm());
      if (bpfMode(opcode) === BPF_IND) return make(0, fields.reg(), 0, fields.imm());
      break;
    case BPF_ST:
      return make(fields.reg(), 0, fields.off(), fields.imm());
  }
  return make(fields.reg(), fields.reg(), fields.off(), bpfMode(opcode) === BPF_ATOMIC ? row.imm! : 0);
}
