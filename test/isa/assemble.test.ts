import { describe, expect, test } from 'vitest';
import { BpfError } from '../../src/base/error.ts';
import { Rng } from '../../src/base/rng.ts';
import { AssembleError, assemble } from '../../src/vm/isa/assemble.ts';
import { disassemble } from '../../src/vm/isa/disassemble.ts';
import { encodeProgram } from '../../src/vm/isa/encode.ts';
import { hex } from '../oracle/libc.ts';

const bytes = (text: string) => hex(encodeProgram(assemble(text)));
const texts = (text: string) => assemble(text).map((insn) => disassemble(insn));

describe('labels', () => {
  test('jumps go to them forwards and backwards, counted in slots', () => {
    const insns = assemble(`
      start:
        r1 = 1 ll            ; two slots
        if r1 == 0x0 goto out
        r2 = 0x2 ll
        goto start
      out: exit`);
    expect(insns.map((insn) => [insn.slot, insn.off])).toEqual([
      [0, 0],
      [2, 3],
      [3, 0],
      [5, -6],
      [6, 0],
    ]);
  });

  test('gotol, may_goto and calls take them too', () => {
    expect(texts('a: gotol b\nb: may_goto a\ncall c\nexit\nc: exit')).toEqual([
      'gotol pc+0',
      'may_goto pc-2',
      'call pc+1',
      'exit',
      'exit',
    ]);
  });

  test('two labels may stand before one instruction, and a label at the end', () => {
    expect(texts('goto b\na: b: exit\nc:')).toEqual(['goto pc+0', 'exit']);
  });

  test('a label too far away for goto is an error that names gotol', () => {
    const far = `goto out\n${'r0 = 0\n'.repeat(0x8000)}out: exit`;
    expect(() => assemble(far)).toThrow(
      'line 1, column 6: label out is 32768 slots away, too far for 16 bits; use gotol',
    );
    expect(assemble(far.replace('goto', 'gotol'))[0]).toMatchObject({ opcode: 0x06, imm: 0x8000, off: 0 });
  });
});

describe('forms of writing', () => {
  test.each([
    ['r0 = 0', 'b700000000000000'],
    ['r1 = -1', 'b7010000ffffffff'],
    ['w1 = 0xffffffff', 'b4010000ffffffff'],
    ['r1 = *(u32 *)(r1 +4)', '6111040000000000'],
    ['r1 = *(u32 *)(r1+4)', '6111040000000000'],
    ['r1=*(u32*)(r1 + 0x4)', '6111040000000000'],
    ['w1 = *(u8 *)(r2)', '7121000000000000'],
    ['*(u64 *)(r10 -8) = r1', '7b1af8ff00000000'],
    ['*(u32 *)(r10 - 8) = w1', '631af8ff00000000'],
    ['*(u16 *)(r10 -2) = 0xffff', '6a0afeffffff0000'],
    ['if r1 > 0x5 goto pc+3', '2501030005000000'],
    ['if r1 > 5 goto +3', '2501030005000000'],
    ['if r1 == 0xffffffff goto pc-1', '1501ffffffffffff'],
    ['if r1 s< -4 goto +0x10 <out>', 'c5011000fcffffff'],
    ['call bpf_map_lookup_elem#1', '8500000001000000'],
    ['call 1', '8500000001000000'],
    ['call pc+4', '8510000004000000'],
    ['call pc-4#bpf_prog_2f84_F', '85100000fcffffff'],
    ['call kernel-function#1234', '85200000d2040000'],
    ['r1 = 0x1122334455667788 ll', '18010000887766550000000044332211'],
    ['r1 = 5ll', undefined],
    ['r1 = -1 ll', '18010000ffffffff00000000ffffffff'],
    ['(18) r1 = 0x5', '18010000050000000000000000000000'],
    ['  12: (b7) r1 = 5', 'b701000005000000'],
    ['12: r1 = 5 // five', 'b701000005000000'],
    ['r1 = map[fd:3]', '18110000030000000000000000000000'],
    ['r0 = *(u16 *)skb[r3 + -4]', '48300000fcffffff'],
    ['r0 = *(u16 *)skb[r3]', '4830000000000000'],
    ['raw bf01010000000000', 'bf01010000000000'],
    ['# only a comment', ''],
    ['; source line @ a.c:3', ''],
  ])('%s', (text, expected) => {
    if (expected === undefined) expect(() => assemble(text)).toThrow(AssembleError);
    else expect(bytes(text)).toBe(expected);
  });

  test('helper names are asked for when no number follows', () => {
    const helperId = (name: string) => (name === 'bpf_ktime_get_ns' ? 5 : undefined);
    expect(assemble('call bpf_ktime_get_ns\nexit', { helperId })[0]).toMatchObject({ src: 0, imm: 5 });
    expect(() => assemble('call bpf_other\nexit', { helperId })).toThrow(
      'line 1, column 6: label bpf_other is not defined',
    );
  });
});

describe('mistakes are told with line, column and what was expected', () => {
  test.each([
    ['r0 = 0\nfoo', 2, 1, 'expected an instruction'],
    ['r0 == 1', 1, 4, 'expected an operator (=, +=, s>>= ...), found "=="'],
    ['r0 =', 1, 5, 'expected a register, a constant or a memory operand, found the end of the line'],
    ['r0 += w1', 1, 7, 'expected a 64-bit register (r), found w1'],
    ['w0 = r1', 1, 6, 'expected a 32-bit register (w), found r1'],
    ['r1 = 0x100000000', 1, 6, 'not between -2147483648 and 2147483647; ld_imm64 is written with ll'],
    ['r1 = 4294967295', 1, 6, 'ld_imm64 is written with ll after the constant'],
    ['w1 = 5 ll', 1, 6, 'a 64-bit constant needs a 64-bit register (r)'],
    ['r1 = 0x11223344556677889 ll', 1, 6, 'needs more than 64 bits'],
    ['r1 = *(u24 *)(r2 +0)', 1, 8, 'expected an access size (u8, u16, u32, u64, s8, s16, s32), found "u24"'],
    ['r1 = *(u32 *)(r2 +40000)', 1, 18, 'offset 40000 is not between -32768 and 32767'],
    ['r1 = *(u32 *)(r2 +4', 1, 20, 'expected ")", found the end of the line'],
    ['r1 = *(u32 *)(w2 +4)', 1, 15, 'expected a 64-bit register (r), found w2'],
    ['*(s8 *)(r2 +0) = r1', 1, 3, 'only loads sign-extend'],
    ['*(u64 *)(r2 +0) = w1', 1, 19, 'a store of 8 bytes needs a 64-bit register (r)'],
    ['if r1 = 5 goto +1', 1, 7, 'expected a condition'],
    ['if r1 > 5 +1', 1, 11, 'expected "goto", found "+"'],
    ['if r1 > 5 goto 3', 1, 16, 'expected pc+N, +N or a label, found "3"'],
    ['goto pc+40000', 1, 8, 'distance 40000 is not between -32768 and 32767; gotol reaches further'],
    ['goto nowhere', 1, 6, 'label nowhere is not defined'],
    ['a: r0 = 0\na: exit', 2, 1, 'label a is defined twice'],
    ['lock *(u8 *)(r1 +0) += r2', 1, 8, 'atomic operations are of u32 or u64'],
    ['lock *(u64 *)(r1 +0) -= r2', 1, 22, 'expected an atomic operator (+=, |=, &=, ^=), found "-="'],
    ['r1 = atomic64_fetch_add((u64 *)(r3 +0), r2)', 1, 41, 'both registers are the same'],
    ['r1 = atomic64_cmpxchg((u64 *)(r3 +0), r0, r2)', 1, 39, 'cmpxchg compares with r0 and returns in r0'],
    ['r1 = atomic64_fetch_add((u32 *)(r3 +0), r1)', 1, 26, 'atomic64_fetch_add is of u64'],
    ['r1 = nonsense(r2)', 1, 6, 'found "nonsense"'],
    ['r1 = -r2', 1, 6, 'negation is of one register'],
    ['r1 = be16 r2', 1, 11, 'a byte swap is of one 64-bit register'],
    ['w1 = (s32)w2', 1, 7, 'a 32-bit move extends from s8 or s16'],
    ['r1 = (u8)r2', 1, 7, 'expected s8, s16 or s32, found "u8"'],
    ['r0 = *(u64 *)skb[0]', 1, 6, 'a packet load is u8, u16 or u32 into r0'],
    ['r0 = 0 r1', 1, 8, 'expected the end of the line, found "r1"'],
    ['raw 1234', 1, 5, 'expected 16 hexadecimal digits'],
    ['r0 = $"', 1, 7, 'unexpected character'],
    ['3: (07) r1 = 5', 1, 9, 'the text is opcode b7, but (07) stands before it'],
    ['r16 = 0', 1, 1, 'expected an instruction'],
  ])('%j', (text, line, column, message) => {
    let caught: unknown;
    try {
      assemble(text);
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(AssembleError);
    expect(caught).toMatchObject({ line, column, message: expect.stringContaining(message) });
  });

  test('text of any kind gives instructions or a BpfError', () => {
    const rng = new Rng(99);
    const parts = [
      'r1',
      'w2',
      '=',
      '*',
      '(',
      ')',
      'u32',
      ' ',
      '+',
      '-',
      '5',
      '0x',
      'll',
      'goto',
      'if',
      's>',
      ':',
      'x',
      '\n',
    ];
    parts.push(
      'skb',
      '[',
      ']',
      'call',
      'map',
      'idx',
      ',',
      'lock',
      'be16',
      '#',
      '"',
      '\u00e9',
      'raw',
      '(07)',
      'pc',
      '<',
    );
    for (let round = 0; round < 3000; round++) {
      const text = Array.from({ length: rng.below(14) }, () => parts[rng.below(parts.length)]).join(
        rng.below(2) ? '' : ' ',
      );
      try {
        assemble(text);
      } catch (error) {
        expect(error, text).toBeInstanceOf(BpfError);
      }
    }
  });
});
