import { AssembleError, TokenReader, tokenize } from './assemble-lexer.ts';
import { S16 } from './assemble-operands.ts';
import { type AssembleOptions, type Item, Statement } from './assemble-statement.ts';
import type { Insn } from './decode.ts';
import { opcodeHex } from './disassemble.ts';

export { AssembleError } from './assemble-lexer.ts';
export type { AssembleOptions } from './assemble-statement.ts';

/**
 * Assembles text in the form of the disassembler (`bpftool prog dump xlated`, the verifier's log) or of LLVM: one
 * instruction a line, labels `name:`, comments from `;` or `//`. Slot numbers and opcodes before an instruction,
 * `3: (b7)`, may stand there. `r1 = 5` is a 32-bit immediate move, `r1 = 5 ll` or `(18) r1 = 0x5` an ld_imm64.
 * `raw 1122334455667788` puts eight bytes as they are.
 *
 *   r6 = r1
 *   if r6 != 0x0 goto out
 *   *(u32 *)(r10 -4) = 7
 *   call bpf_ktime_get_ns#5
 *   out: exit
 *
 * @throws AssembleError with line, column and what was expected.
 */
export function assemble(text: string, options: AssembleOptions = {}): Insn[] {
  const items: Item[] = [];
  const labels = new Map<string, number>();
  let slot = 0;
  for (const [index, source] of text.split(/\r?\n/).entries()) {
    const line = index + 1;
    const prefix = /^\s*(?:\d+:\s*)?(?:\(([0-9a-f]{2})\)\s*)?/.exec(source)!;
    const opcode = prefix[1] === undefined ? undefined : Number.parseInt(prefix[1], 16);
    const reader = new TokenReader(tokenize(source, line, prefix[0].length), line);
    while (reader.peek().kind === 'word' && reader.peek(1).text === ':' && reader.peek(1).glued) {
      const name = reader.next();
      reader.next();
      if (labels.has(name.text)) throw reader.error(`label ${name.text} is defined twice`, name);
      labels.set(name.text, slot);
    }
    if (reader.peek().kind === 'end') continue;
    const first = reader.peek();
    const item = new Statement(reader, options, opcode).parse();
    if (opcode !== undefined && item.insn.opcode !== opcode) {
      const made = opcodeHex(item.insn.opcode);
      throw reader.error(`the text is opcode ${made}, but (${opcodeHex(opcode)}) stands before it`, first);
    }
    items.push({ ...item, insn: { ...item.insn, slot } });
    slot += item.insn.slots;
  }
  return items.map((item) => resolve(item, labels));
}

function resolve(item: Item, labels: ReadonlyMap<string, number>): Insn {
  if (!item.label) return item.insn;
  const { name, column, field } = item.label;
  const target = labels.get(name);
  if (target === undefined) throw new AssembleError(item.line, column, `label ${name} is not defined`);
  const distance = target - item.insn.slot - 1;
  if (field === 'imm') return { ...item.insn, imm: distance };
  if (distance < S16.min || distance > S16.max) {
    throw new AssembleError(
      item.line,
      column,
      `label ${name} is ${distance} slots away, too far for 16 bits; use gotol`,
    );
  }
  return { ...item.insn, off: distance };
}
