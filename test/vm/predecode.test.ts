import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { BpfError } from '../../src/base/error.ts';
import { assemble } from '../../src/vm/isa/assemble.ts';
import { encodeProgram, placeInsns } from '../../src/vm/isa/encode.ts';
import { INSTRUCTIONS } from '../../src/vm/isa/instructions.ts';
import { FRAME_MAY_GOTO, FRAME_RETURN, FRAME_TOP, FRAME_WORDS, WORDS } from '../../src/vm/predecode.ts';
import { sample } from '../isa/sample.ts';
import { Vm } from '../support/vm.ts';

const source = readFileSync(new URL('../../src/vm/interpreter-loop.ts', import.meta.url), 'utf8');

describe("the interpreter's literals", () => {
  test('frames lie where predecode.ts says', () => {
    expect(source).toContain(`const at = depth * ${FRAME_WORDS};`);
    expect(source).toContain(`m[at + ${FRAME_TOP}] === 0`);
    expect(source).toContain(`m[at + ${FRAME_RETURN}] = pc + ${WORDS};`);
    expect(source).toContain(`m[at + ${FRAME_MAY_GOTO}] = 0;`);
    expect(source).toContain(`r[20] = m[at - ${FRAME_WORDS - FRAME_TOP}]!;`);
  });

  test('every instruction of the list runs or is refused by name', () => {
    const vm = new Vm();
    const map = vm.map({ type: 'array', name: 'a', keySize: 4, valueSize: 8, maxEntries: 1 });
    const outcomes = new Map<string, string>();
    for (const row of INSTRUCTIONS) {
      const insn = sample(row, {
        reg: () => 7,
        off: () => 0,
        imm: () => (row.name.startsWith('call') ? 8 : 0),
        distance: () => 0,
      });
      const start = assemble('r6 = r1\nr7 = r10\nr7 += -8\n*(u64 *)(r10 -8) = 1\nr0 = 0');
      const bytes = encodeProgram(placeInsns([...start, insn, ...assemble('r0 = 0\nexit')]));
      let outcome = 'runs';
      try {
        const program = vm.load(bytes, { type: 'sched_cls', maps: [map] });
        expect(program.insns.some(({ opcode }) => opcode === row.opcode)).toBe(true);
        vm.run(program);
      } catch (error) {
        if (!(error instanceof BpfError)) throw error;
        outcome = error.constructor.name;
      }
      outcomes.set(row.name, outcome);
    }
    // Bits that only a program around them can make good: a constant divisor or shift of 0, a pointer used as a number.
    const refused = [...outcomes].filter(([, outcome]) => outcome === 'LoadError').map(([name]) => name);
    expect(refused).toMatchInlineSnapshot(`
      [
        "alu64_div_k",
        "alu64_sdiv_k",
        "alu64_mod_k",
        "alu64_smod_k",
        "alu32_div_k",
        "alu32_sdiv_k",
        "alu32_mod_k",
        "alu32_smod_k",
        "call",
        "call_kfunc",
        "exit",
        "ld_imm64_map_fd",
        "ld_imm64_map_value",
        "ld_imm64_btf_id",
        "ld_imm64_func",
        "addr_space_cast",
      ]
    `);
    expect([...outcomes.values()].filter((outcome) => outcome === 'runs').length).toBeGreaterThan(150);
  });

  test('the loop refers to nothing outside of its factory, so that its text can be compiled again', () => {
    const first = new Vm();
    const second = new Vm();
    const text = 'r0 = 7\nr0 *= 6\n*(u64 *)(r10 -8) = r0\nr0 = *(u64 *)(r10 -8)\nexit';
    expect(first.r0(text)).toBe(42n);
    expect(second.r0(text)).toBe(42n);
    expect(source.match(/^import /gm)).toBeNull();
  });
});
