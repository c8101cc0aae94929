import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { Rng } from '../../src/base/rng.ts';
import { assemble } from '../../src/vm/isa/assemble.ts';
import { decodeProgram } from '../../src/vm/isa/decode.ts';
import { disassemble } from '../../src/vm/isa/disassemble.ts';
import { encodeProgram } from '../../src/vm/isa/encode.ts';
import { INSTRUCTIONS } from '../../src/vm/isa/instructions.ts';
import { hex, unhex } from '../oracle/libc.ts';
import { type Fields, sample } from './sample.ts';

const FILE = fileURLToPath(new URL('../recorded/isa/llvm.json', import.meta.url));

/** What LLVM made of a line: the bytes of llvm-mc, and the text of llvm-objdump for them. */
interface LlvmRow {
  readonly name: string;
  readonly hex: string;
  readonly text: string;
}

/** Instructions that the text of LLVM 19 cannot name. */
function known(name: string): boolean {
  return !/load_acquire|store_release|^ld_imm64_.|^call$|^call_kfunc/.test(name) || name === 'ld_imm64_imm';
}

/** Feeds our LLVM text to llvm-mc; BPFLAB_RECORD=llvm with llvm-mc-19 on the path writes the file anew. */
function record(): LlvmRow[] {
  const rng = new Rng(19);
  const fields: Fields = {
    reg: () => rng.below(10),
    off: () => rng.below(200) - 100,
    imm: () => (rng.u32() & 0x7fffffff) >>> rng.below(31),
    distance: () => rng.below(200) - 100,
  };
  const rows = INSTRUCTIONS.filter((row) => known(row.name)).flatMap((row) => [row, row]);
  const insns = rows.map((row) => {
    const insn = sample(row, fields);
    return row.name.startsWith('ld_ind') ? { ...insn, imm: 0 } : insn;
  });
  const folder = mkdtempSync(join(tmpdir(), 'bpflab-llvm-'));
  try {
    const source = join(folder, 'a.s');
    const object = join(folder, 'a.o');
    writeFileSync(source, insns.map((insn) => `${disassemble(insn, { syntax: 'llvm' })}\n`).join(''));
    execFileSync('llvm-mc-19', ['-triple=bpfel', '-mcpu=v4', '-filetype=obj', source, '-o', object]);
    const dump = execFileSync('llvm-objdump-19', ['-d', '--mcpu=v4', object], { encoding: 'utf8' });
    const lines = [...dump.matchAll(/^\s*\d+:\t([0-9a-f ]+)\t(.*?)(?: <\S+>)?$/gm)];
    return lines.map((line, i) => ({ name: rows[i]!.name, hex: line[1]!.replaceAll(' ', ''), text: line[2]! }));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (process.env.BPFLAB_RECORD === 'llvm') {
  writeFileSync(
    FILE,
    `[\n${record()
      .map((row) => JSON.stringify(row))
      .join(',\n')}\n]\n`,
  );
}
const rows = JSON.parse(readFileSync(FILE, 'utf8')) as LlvmRow[];

describe('LLVM 19', () => {
  test('the record has every instruction that it can name, twice', () => {
    const names = INSTRUCTIONS.filter((row) => known(row.name)).flatMap((row) => [row.name, row.name]);
    expect(rows.map((row) => row.name)).toEqual(names);
  });

  test.each(rows)('$name: its text $text assembles to its bytes, and the bytes print as its text', (row) => {
    expect(hex(encodeProgram(assemble(row.text)))).toBe(row.hex);
    const insns = decodeProgram(unhex(row.hex));
    expect(insns.map((insn) => disassemble(insn, { syntax: 'llvm' }))).toEqual([row.text]);
  });
});
