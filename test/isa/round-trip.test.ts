import { describe, expect, test } from 'vitest';
import { BpfError } from '../../src/base/error.ts';
import { Rng } from '../../src/base/rng.ts';
import { assemble } from '../../src/vm/isa/assemble.ts';
import { decodeProgram, imm64, slotCount, slotToIndex } from '../../src/vm/isa/decode.ts';
import { disassemble, disassembleLine, disassembleProgram } from '../../src/vm/isa/disassemble.ts';
import { encodeProgram, exit, ldImm64, mov64Imm, placeInsns } from '../../src/vm/isa/encode.ts';
import { BPF_IND, BPF_LD, bpfClass, bpfMode, OP_CALL, OP_LD_IMM64 } from '../../src/vm/isa/insn.ts';
import { INSTRUCTIONS } from '../../src/vm/isa/instructions.ts';
import { anyFields, sample } from './sample.ts';

describe.each(INSTRUCTIONS)('$name', (row) => {
  const rng = new Rng(row.opcode * 1000 + (row.imm ?? 0) + (row.off ?? 0) * 7 + (row.src ?? 0));
  const samples = Array.from({ length: 40 }, () => sample(row, anyFields(rng)));

  test('decoding the encoding gives the same fields', () => {
    expect(decodeProgram(encodeProgram(samples))).toEqual(placeInsns(samples));
  });

  test('assembling its text gives the same instruction', () => {
    for (const insn of samples) expect(assemble(disassembleLine(insn)), disassembleLine(insn)).toEqual([insn]);
  });

  test('assembling its LLVM text gives the same instruction', () => {
    for (const insn of samples) {
      const text = disassemble(insn, { syntax: 'llvm' });
      // LLVM's text does not tell what a call or an ld_imm64 refers to, nor the constant part of an indirect load
      const hidden =
        ((insn.opcode === OP_CALL || insn.opcode === OP_LD_IMM64) && insn.src !== 0) ||
        (insn.opcode === OP_CALL && insn.imm < 0) ||
        (bpfClass(insn.opcode) === BPF_LD && bpfMode(insn.opcode) === BPF_IND);
      if (hidden) expect(text).toMatch(/call|ll$|skb\[r/);
      else expect(assemble(text), text).toEqual([insn]);
    }
  });
});

describe('decoding', () => {
  test('bytes of any kind decode, print, and encode back to the same bytes', () => {
    const rng = new Rng(5);
    const wide = Array.from(encodeProgram([ldImm64(1, 0x1122334455667788n)]));
    for (let round = 0; round < 300; round++) {
      const bytes = Uint8Array.from({ length: 8 * rng.below(20) }, () => rng.below(256));
      // real second halves, also cut off by the end
      for (let at = 0; at + 8 <= bytes.length; at += 8)
        if (rng.below(5) === 0) bytes.set(wide.slice(0, bytes.length - at), at);
      const insns = decodeProgram(bytes);
      expect(encodeProgram(insns)).toEqual(bytes);
      expect(disassembleProgram(insns).split('\n')).toHaveLength(insns.length + 1);
    }
  });

  test('slots count second halves, and map back to instructions', () => {
    const insns = placeInsns([mov64Imm(0, 1), ldImm64(1, -2), exit()]);
    expect(insns.map((insn) => insn.slot)).toEqual([0, 1, 3]);
    expect([...slotToIndex(insns)]).toEqual([0, 1, -1, 2]);
    expect(slotCount(insns)).toBe(4);
    expect(imm64(insns[1]!)).toBe(0xfffffffffffffffen);
  });

  test('an ld_imm64 without its second half is one slot', () => {
    const bytes = encodeProgram([ldImm64(1, 5)]).slice(0, 8);
    expect(decodeProgram(bytes)).toMatchObject([{ opcode: OP_LD_IMM64, imm: 5, slots: 1 }]);
    const broken = Uint8Array.from([...bytes, 0, 1, 0, 0, 0, 0, 0, 0]);
    expect(decodeProgram(broken).map((insn) => insn.slots)).toEqual([1, 1]);
  });

  test('a length that is not whole instructions is an error that names it', () => {
    expect(() => decodeProgram(new Uint8Array(9))).toThrow(BpfError);
    expect(() => decodeProgram(new Uint8Array(9))).toThrow('program of 9 bytes');
  });

  test('a view into a larger buffer is decoded from its own start', () => {
    const program = encodeProgram([mov64Imm(3, 7), exit()]);
    const larger = new Uint8Array(64).fill(255);
    larger.set(program, 24);
    expect(decodeProgram(larger.subarray(24, 24 + program.length))).toEqual(decodeProgram(program));
  });
});
