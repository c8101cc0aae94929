import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { Rng } from '../../src/base/rng.ts';
import { assemble } from '../../src/vm/isa/assemble.ts';
import { decodeProgram, type Insn, slotCount } from '../../src/vm/isa/decode.ts';
import { disassemble, disassembleProgram } from '../../src/vm/isa/disassemble.ts';
import { encodeProgram, exit, jmpImm, mov64Imm, placeInsns } from '../../src/vm/isa/encode.ts';
import { BPF_JEQ, OP_CALL } from '../../src/vm/isa/insn.ts';
import { INSTRUCTIONS } from '../../src/vm/isa/instructions.ts';
import { closeFd, objId, progLoad } from '../oracle/kernel.ts';
import { hex, unhex } from '../oracle/libc.ts';
import { recorded } from '../oracle/record.ts';
import { type Fields, sample } from './sample.ts';

const RECORDED = fileURLToPath(new URL('../recorded/', import.meta.url));

interface LogLine {
  readonly name: string;
  readonly hex: string;
  readonly text: string;
}

/** References need maps and BTF of the running kernel; their text is bpftool's, below. */
const inLog = INSTRUCTIONS.filter((row) => !row.name.startsWith('ld_imm64_') || row.name === 'ld_imm64_imm').filter(
  (row) => row.name !== 'call_kfunc',
);

/** The line that the verifier logs for the instruction; it prints before it checks, so refusal does not matter. */
function logged(name: string, insn: Insn): LogLine {
  const skip = slotCount([insn]);
  // r1 is never 0; the branch makes what follows the instruction reachable in the graph
  const before = jmpImm(BPF_JEQ, 1, 0, skip);
  const after = insn.opcode === OP_CALL && insn.src === 1 ? [exit(), mov64Imm(0, 0)] : [mov64Imm(0, 0), mov64Imm(0, 0)];
  const { fd, log } = progLoad({
    type: 1,
    insns: encodeProgram([before, insn, ...after, exit()]),
    logLevel: 1 | 2,
  });
  if (fd >= 0) closeFd(fd);
  const line = /^1: (.*?)( *; [RF].*)?$/m.exec(log);
  if (!line) throw new Error(`${name} ${hex(encodeProgram([insn]))}: not in the log:\n${log}`);
  return { name, hex: hex(encodeProgram([insn])), text: line[1]! };
}

function ask(): LogLine[] {
  const rng = new Rng(618);
  const imms = [0, 1, -1, 5, 0x7fffffff, -0x80000000, 1234];
  const imm = () => imms[rng.below(imms.length)]!;
  const fields: Fields = {
    reg: () => rng.below(10),
    off: () => [0, 4, -8, 0x7fff, -0x8000][rng.below(5)]!,
    imm,
    distance: () => [0, 1, -1][rng.below(3)]!,
  };
  return inLog.flatMap((row) =>
    [0, 1].map(() => {
      const insn = sample(row, fields);
      if (row.name === 'call') return logged(row.name, { ...insn, imm: 1 });
      return logged(row.name, insn);
    }),
  );
}

const { answer: lines } = recorded('isa/log-text', ask, RECORDED);
const HELPERS: Record<number, string> = { 0: 'bpf_unspec', 1: 'bpf_map_lookup_elem', 5: 'bpf_ktime_get_ns' };

describe('the verifier log', () => {
  test('has every instruction twice', () => {
    expect(lines.map((line) => line.name)).toEqual(inLog.flatMap((row) => [row.name, row.name]));
  });

  test.each(lines)('$name $hex prints as $text', ({ hex: bytes, text }) => {
    const [insn] = decodeProgram(unhex(bytes));
    const helperName = (id: number) => HELPERS[id];
    expect(`(${bytes.slice(0, 2)}) ${disassemble(insn!, { helperName })}`).toBe(text);
  });
});

/** Nothing here is rewritten by the verifier, so xlated is what was loaded. Without cpu v4, which older bpftools lack. */
const XLATED = `
  r6 = 1
  *(u64 *)(r10 -8) = r6
  *(u32 *)(r10 -16) = 7
  *(u32 *)(r10 -12) = -1
  r7 = *(u64 *)(r10 -8)
  w8 = w7
  r9 = 0x1122334455667788 ll
  lock *(u64 *)(r10 -8) += r9
  r6 = atomic64_fetch_xor((u64 *)(r10 -8), r6)
  w6 <<= 3
  r6 s>>= 2
  r6 = be16 r6
  r6 = -r6
  call sub
  exit
sub:
  r0 = 4294967295 ll
  w0 ^= 305419896
  exit
`;
const XLATED_FILE = fileURLToPath(new URL('../recorded/isa/xlated.txt', import.meta.url));

function bpftoolDump(bytes: Uint8Array): string {
  const { fd, log } = progLoad({ type: 1, insns: bytes });
  if (fd < 0) throw new Error(log);
  try {
    return execFileSync('bpftool', ['prog', 'dump', 'xlated', 'id', String(objId(fd))], { encoding: 'utf8' });
  } finally {
    closeFd(fd);
  }
}

describe('bpftool prog dump xlated', () => {
  const insns = assemble(XLATED);

  test('prints the same lines, and its text assembles to the same program', () => {
    // BPFLAB_RECORD=bpftool with bpftool and a kernel writes the file anew
    if (process.env.BPFLAB_RECORD === 'bpftool') writeFileSync(XLATED_FILE, bpftoolDump(encodeProgram(insns)));
    const text = readFileSync(XLATED_FILE, 'utf8');
    // names and tags of the subprogram come from the kernel that has it loaded
    const plain = text.replace(/^\w.*\n/gm, '').replace(/(call pc[+-]\d+)#.*/, '$1');
    expect(disassembleProgram(insns)).toBe(plain);
    expect(assemble(plain)).toEqual(insns);
  });
});

describe('text that only the context knows', () => {
  const one = (text: string) => assemble(text)[0]!;

  test.each([
    ['r1 = map[id:3]', 'r1 = map[id:3]'],
    ['r1 = map[id:3][0]+8', 'r1 = map[id:3][0]+8'],
    ['r1 = map[idx:2]', 'r1 = map[idx:2]'],
    ['r1 = map[idx:2]+16', 'r1 = map[idx:2]+16'],
    ['r1 = subprog[+4]', 'r1 = subprog[+4]'],
    ['r1 = btf_id[77]', 'r1 = btf_id[77]'],
    ['r1 = btf_id[77,fd:3]', 'r1 = btf_id[77,fd:3]'],
    ['call 5', 'call unknown#5'],
    ['call kernel-function#99', 'call kernel-function#99'],
  ])('%s without names is %s', (text, expected) => {
    expect(disassemble(one(text))).toBe(expected);
  });

  test('names of helpers, kernel functions, functions and references are asked for', () => {
    const context = {
      helperName: (id: number) => `helper_${id}`,
      kfuncName: (id: number, fd: number) => `kfunc_${id}_${fd}`,
      functionName: (slot: number) => (slot === 4 ? 'parse' : undefined),
      reference: (insn: Insn) => (insn.src === 5 ? `counters[${insn.imm}]` : undefined),
    };
    expect(disassemble(one('call 5'), context)).toBe('call helper_5#5');
    expect(disassemble(one('call kernel-function#9'), context)).toBe('call kfunc_9_0#9');
    expect(disassemble(one('call pc+3'), context)).toBe('call pc+3#parse');
    expect(disassemble(one('call pc+4'), context)).toBe('call pc+4');
    expect(disassemble(one('r1 = map[idx:2]'), context)).toBe('r1 = counters[2]');
    expect(disassemble(one('r1 = map[id:2]'), context)).toBe('r1 = map[id:2]');
  });

  test.each([
    ['6000000000000000', 'BUG_ld_60'],
    ['c101000000000000', 'BUG_ldx_c1'],
    ['8201000000000000', 'BUG_st_82'],
    ['db01000099000000', 'BUG_db'],
    ['8301000000000000', 'BUG_83'],
  ])('encoding %s that has no text prints %s', (bytes, text) => {
    expect(disassemble(decodeProgram(unhex(bytes))[0]!)).toBe(text);
    expect(disassembleProgram(placeInsns(decodeProgram(unhex(bytes))))).toBe(`   0: ${text}\n`);
  });
});
