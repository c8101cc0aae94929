import { describe, expect, test } from 'vitest';
import { Rng } from '../../src/base/rng.ts';
import { assemble } from '../../src/vm/isa/assemble.ts';
import { decodeProgram } from '../../src/vm/isa/decode.ts';
import { disassembleProgram } from '../../src/vm/isa/disassemble.ts';
import { INSTRUCTIONS } from '../../src/vm/isa/instructions.ts';
import { validateProgram } from '../../src/vm/isa/validate.ts';
import { closeFd, kernelAvailable, progLoad } from '../oracle/kernel.ts';
import { randomProgram } from './random-programs.ts';

const SEEDS = Array.from({ length: 200 }, (_, seed) => seed);

describe('random programs', () => {
  test('the same seed gives the same bytes, another seed others', () => {
    expect(randomProgram(new Rng(7)).bytes).toEqual(randomProgram(new Rng(7)).bytes);
    expect(randomProgram(new Rng(7)).bytes).not.toEqual(randomProgram(new Rng(8)).bytes);
  });

  test('their encoding is valid, and they survive disassembling and assembling', () => {
    for (const seed of SEEDS) {
      const program = randomProgram(new Rng(seed));
      const funcInfo = { funcInfo: false, ldAbs: program.type === 1 };
      expect(validateProgram(program.bytes, funcInfo), `seed ${seed}`).toBeUndefined();
      expect(decodeProgram(program.bytes)).toEqual(program.insns);
      expect(assemble(disassembleProgram(program.insns))).toEqual(program.insns);
    }
  });

  test('together they hold every instruction that needs no map, helper or arena', () => {
    const seen = new Set<string>();
    for (const seed of SEEDS) {
      for (const insn of randomProgram(new Rng(seed), { insns: 150 }).insns) {
        for (const row of INSTRUCTIONS) {
          const same =
            row.opcode === insn.opcode &&
            (row.src === undefined || row.src === insn.src) &&
            (row.off === undefined || row.off === insn.off) &&
            (row.imm === undefined || row.imm === insn.imm);
          if (same) seen.add(row.name);
        }
      }
    }
    const missing = INSTRUCTIONS.map((row) => row.name).filter((name) => !seen.has(name));
    expect(missing).toEqual([
      'call_helper',
      'call_kfunc',
      'ld_imm64_map_fd',
      'ld_imm64_map_value',
      'ld_imm64_btf_id',
      'ld_imm64_func',
      'ld_imm64_map_idx',
      'ld_imm64_map_idx_value',
      'addr_space_cast',
    ]);
  });

  test('at least 95 of 100 are taken by the kernel', (ctx) => {
    const kernel = kernelAvailable();
    if (!kernel.ok) ctx.skip(kernel.reason);
    const refused: string[] = [];
    for (let seed = 0; seed < 100; seed++) {
      const program = randomProgram(new Rng(seed));
      const { fd, log } = progLoad({ type: program.type, insns: program.bytes });
      if (fd >= 0) closeFd(fd);
      else refused.push(`seed ${seed}: ${log.split('\n').slice(-4).join(' | ')}`);
    }
    expect(refused.length, refused.join('\n')).toBeLessThanOrEqual(5);
  });
});
