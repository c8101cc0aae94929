#!/usr/bin/env node
// Writes src/vm/interpreter-loop.ts: one case per op, most of them in two forms (register and immediate operand) and two
// widths, from the templates below. No macro of TypeScript could share them, and a call per instruction would cost more than
// the instruction.
//   node scripts/interpreter-loop.mjs [--check]
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const path = join(root, 'src/vm/interpreter-loop.ts');

/** Cases in order of their numbers: `[name, code]`. */
const cases = [];
const emit = (name, code, end = 'pc = (pc + 4) | 0;\ncontinue;') => cases.push([name, `${code}\n${end}`]);

// Operands. Registers are lo/hi pairs in r; an instruction is m[pc] .. m[pc + 3], see predecode.ts.
const DST = 'const d = (w >>> 8) & 30;\n';
const SRC = 'const s = (w >>> 16) & 30;\n';
const IMM = 'const k = m[pc + 2]!;\n';
const FORMS = [
  { suffix: '', read: SRC, lo: 'r[s]!', hi: 'r[s + 1]!' },
  { suffix: '_k', read: IMM, lo: 'k', hi: '(k >> 31)' },
];
const both = (name, code) => {
  for (const form of FORMS) emit(name + form.suffix, DST + form.read + code(form.lo, form.hi));
};

// 64-bit arithmetic on halves.
both(
  'add64',
  (lo, hi) => `const low = (r[d]! + ${lo}) | 0;
// Carry out of the low half: the unsigned sum does not fit in 32 bits.
r[d + 1] = r[d + 1]! + ${hi} + (low >>> 0 < ${lo} >>> 0 ? 1 : 0);
r[d] = low;`,
);
both(
  'sub64',
  (lo, hi) => `const borrow = r[d]! >>> 0 < ${lo} >>> 0 ? 1 : 0;
r[d + 1] = r[d + 1]! - ${hi} - borrow;
r[d] = r[d]! - ${lo};`,
);
both(
  'mul64',
  (lo, hi) => `const a = r[d]!;
const b = ${lo};
// High half of the unsigned 32x32 product by 16-bit pieces.
const a0 = a & 0xffff;
const a1 = a >>> 16;
const b0 = b & 0xffff;
const b1 = b >>> 16;
const mid = Math.imul(a1, b0) + (Math.imul(a0, b0) >>> 16);
const mid2 = Math.imul(a0, b1) + (mid & 0xffff);
const high = Math.imul(a1, b1) + (mid >>> 16) + (mid2 >>> 16);
r[d + 1] = high + Math.imul(a, ${hi}) + Math.imul(r[d + 1]!, b);
r[d] = Math.imul(a, b);`,
);
for (const [name, sign] of [
  ['or64', '|'],
  ['and64', '&'],
  ['xor64', '^'],
]) {
  both(name, (lo, hi) => `r[d] = r[d]! ${sign} ${lo};\nr[d + 1] = r[d + 1]! ${sign} ${hi};`);
}
both('mov64', (lo, hi) => `r[d] = ${lo};\nr[d + 1] = ${hi};`);
const shift = (name, far, near) =>
  both(name, (lo) => `const n = ${lo} & 63;\nif (n >= 32) {\n${far}\n} else if (n !== 0) {\n${near}\n}`);
shift(
  'lsh64',
  'r[d + 1] = r[d]! << (n - 32);\nr[d] = 0;',
  'r[d + 1] = (r[d + 1]! << n) | (r[d]! >>> (32 - n));\nr[d] = r[d]! << n;',
);
const low = 'r[d] = (r[d]! >>> n) | (r[d + 1]! << (32 - n));';
shift('rsh64', 'r[d] = r[d + 1]! >>> (n - 32);\nr[d + 1] = 0;', `${low}\nr[d + 1] = r[d + 1]! >>> n;`);
shift('arsh64', 'r[d] = r[d + 1]! >> (n - 32);\nr[d + 1] = r[d + 1]! >> 31;', `${low}\nr[d + 1] = r[d + 1]! >> n;`);
for (const [name, sign] of [
  ['div64', '/'],
  ['mod64', '%'],
]) {
  const modulo = sign === '%';
  emit(
    name,
    `${DST}${SRC}if ((r[d + 1]! | r[s + 1]!) === 0 && r[s] !== 0) r[d] = (r[d]! >>> 0) ${sign} (r[s]! >>> 0);
else divide(d, s, ${modulo}, false);`,
  );
  emit(
    `${name}_k`,
    `${DST}${IMM}if (r[d + 1] === 0 && k > 0) r[d] = (r[d]! >>> 0) ${sign} k;
else {
  r[24] = k;
  r[25] = k >> 31;
  divide(d, 24, ${modulo}, false);
}`,
  );
  emit(`s${name}`, `${DST}${SRC}divide(d, s, ${modulo}, true);`);
  emit(`s${name}_k`, `${DST}${IMM}r[24] = k;\nr[25] = k >> 31;\ndivide(d, 24, ${modulo}, true);`);
}
emit('neg64', `${DST}r[d + 1] = ~r[d + 1]! + (r[d] === 0 ? 1 : 0);\nr[d] = -r[d]!;`);

// 32-bit arithmetic: the result is zero-extended. Stores into r truncate to 32 bits.
for (const [name, result] of [
  ['add32', (x) => `r[d]! + ${x}`],
  ['sub32', (x) => `r[d]! - ${x}`],
  ['mul32', (x) => `Math.imul(r[d]!, ${x})`],
  ['or32', (x) => `r[d]! | ${x}`],
  ['and32', (x) => `r[d]! & ${x}`],
  ['xor32', (x) => `r[d]! ^ ${x}`],
  ['mov32', (x) => x],
  ['lsh32', (x) => `r[d]! << ${x}`],
  ['rsh32', (x) => `r[d]! >>> ${x}`],
  ['arsh32', (x) => `r[d]! >> ${x}`],
  ['div32', (x) => `${x} === 0 ? 0 : (r[d]! >>> 0) / (${x} >>> 0)`],
  ['mod32', (x) => `${x} === 0 ? r[d]! : (r[d]! >>> 0) % (${x} >>> 0)`],
  ['sdiv32', (x) => `${x} === 0 ? 0 : r[d]! / ${x}`],
  ['smod32', (x) => `${x} === 0 ? r[d]! : r[d]! % ${x}`],
]) {
  both(name, (lo) => `r[d] = ${result(lo)};\nr[d + 1] = 0;`);
}
emit('neg32', `${DST}r[d] = -r[d]!;\nr[d + 1] = 0;`);

// Moves that extend, and byte order.
const SIGN = 'r[d + 1] = r[d]! >> 31;';
for (const bits of [8, 16]) {
  const value = `r[d] = (r[s]! << ${32 - bits}) >> ${32 - bits};`;
  emit(`movsx64_${bits}`, `${DST}${SRC}${value}\n${SIGN}`);
  emit(`movsx32_${bits}`, `${DST}${SRC}${value}\nr[d + 1] = 0;`);
}
emit('movsx64_32', `${DST}${SRC}r[d] = r[s]!;\n${SIGN}`);
emit('zext16', `${DST}r[d] = r[d]! & 0xffff;\nr[d + 1] = 0;`);
emit('zext32', `${DST}r[d + 1] = 0;`);
emit('nop', '');
const swap = (x) => `(${x} << 24) | ((${x} & 0xff00) << 8) | ((${x} >>> 8) & 0xff00) | (${x} >>> 24)`;
emit('swap16', `${DST}const v = r[d]!;\nr[d] = ((v & 0xff) << 8) | ((v >>> 8) & 0xff);\nr[d + 1] = 0;`);
emit('swap32', `${DST}const v = r[d]!;\nr[d] = ${swap('v')};\nr[d + 1] = 0;`);
emit('swap64', `${DST}const v = r[d]!;\nconst u = r[d + 1]!;\nr[d + 1] = ${swap('v')};\nr[d] = ${swap('u')};`);
emit('ld_imm64', `${DST}r[d] = m[pc + 2]!;\nr[d + 1] = m[pc + 3]!;`);

// Memory. The check reads one row of the access table, see Memory.regionTable.
const access = (base, size, write) => `const a = (r[${base}]! + m[pc + 1]!) | 0;
const row = pages[a >>> 12]!;
if (
  r[${base} + 1] !== 0 ||
  a < table[row]! ||
  ((a + ${size}) | 0) > table[row + 1]! ||
  ${write ? 'table[row + 2] === 0 ||' : ''}
  (table[row + 3] !== 0 && ((a - table[row]!) % table[row + 3]!) + ${size} > table[row + 4]!)
) {
  fault(pc, ${base}, ${size}, ${write});
}
`;
for (const [name, size, value, high] of [
  ['ldxb', 1, 'u8[a]!', '0'],
  ['ldxh', 2, 'view.getUint16(a, true)', '0'],
  ['ldxw', 4, 'view.getInt32(a, true)', '0'],
  ['ldxdw', 8, 'view.getInt32(a, true)', 'view.getInt32(a + 4, true)'],
  ['ldsxb', 1, 'view.getInt8(a)', 'r[d]! >> 31'],
  ['ldsxh', 2, 'view.getInt16(a, true)', 'r[d]! >> 31'],
  ['ldsxw', 4, 'view.getInt32(a, true)', 'r[d]! >> 31'],
]) {
  emit(name, `${DST}${SRC}${access('s', size, false)}r[d] = ${value};\nr[d + 1] = ${high};`);
}
for (const [name, size, store] of [
  ['stb', 1, (lo) => `u8[a] = ${lo};`],
  ['sth', 2, (lo) => `view.setInt16(a, ${lo}, true);`],
  ['stw', 4, (lo) => `view.setInt32(a, ${lo}, true);`],
  ['stdw', 8, (lo, hi) => `view.setInt32(a, ${lo}, true);\nview.setInt32(a + 4, ${hi}, true);`],
]) {
  both(name, (lo, hi) => `${access('d', size, true)}${store(lo, hi)}`);
}
for (const [name, size] of [
  ['atomic32', 4],
  ['atomic64', 8],
]) {
  emit(name, `${DST}${SRC}${access('d', size, true)}state.pc = pc;\n${name}(m[pc + 2]!, a, s);`);
}

// Jumps. Only a taken jump counts: it adds the length of the straight run before it.
const COUNT = 'words = (words + pc - start + 4) | 0;\n';
const FLUSH = `if (words > limit) {
  state.words += words;
  words = 0;
  limit = flush(pc) | 0;
}`;
const TAKE = `${COUNT}pc = start = m[pc + 1]!;\n${FLUSH}`;
emit('ja', TAKE, 'continue;');
const jump = (name, condition) => {
  for (const { suffix, read, lo, hi } of FORMS) {
    const code = `${DST}${read}if (${condition(lo, hi)}) {\n${TAKE}\n} else pc = (pc + 4) | 0;`;
    emit(name + suffix, code, 'continue;');
  }
};
jump('jeq', (lo, hi) => `r[d] === ${lo} && r[d + 1] === ${hi}`);
jump('jne', (lo, hi) => `r[d] !== ${lo} || r[d + 1] !== ${hi}`);
jump('jset', (lo, hi) => `((r[d]! & ${lo}) | (r[d + 1]! & ${hi})) !== 0`);
jump('jeq32', (lo) => `r[d] === ${lo}`);
jump('jne32', (lo) => `r[d] !== ${lo}`);
jump('jset32', (lo) => `(r[d]! & ${lo}) !== 0`);
for (const [name, sign] of [
  ['gt', '>'],
  ['ge', '>='],
  ['lt', '<'],
  ['le', '<='],
]) {
  // High halves decide unless they are equal; then the low ones do, unsigned either way.
  const wide = (cast) => (lo, hi) =>
    `r[d + 1] === ${hi} ? r[d]! >>> 0 ${sign} ${lo} >>> 0 : r[d + 1]!${cast} ${sign[0]} ${hi}${cast}`;
  jump(`j${name}`, wide(' >>> 0'));
  jump(`js${name}`, wide(''));
  jump(`j${name}32`, (lo) => `r[d]! >>> 0 ${sign} ${lo} >>> 0`);
  jump(`js${name}32`, (lo) => `r[d]! ${sign} ${lo}`);
}

// Calls. A frame is a row of twelve words: r6..r9 of the caller, return address, may_goto count, top of the stack.
const eight = (line) => Array.from({ length: 8 }, (_, i) => line(i)).join('\n');
const LEAVE = `const at = state.depth * 12;
state.depth--;
${eight((i) => `r[${12 + i}] = m[at + ${i}]!;`)}
r[20] = m[at - 2]!;
pc = start = m[at + 8]!;`;
const END = `if (state.depth === base) {
  state.words += words;
  return;
}`;
emit('call_helper', 'state.pc = pc;\nhelpers[m[pc + 1]!]!();');
emit(
  'call',
  `${COUNT}const depth = state.depth + 1;
const at = depth * 12;
if (depth >= state.frameLimit || m[at + 10] === 0) grow(pc, depth);
${eight((i) => `m[at + ${i}] = r[${12 + i}]!;`)}
m[at + 8] = pc + 4;
m[at + 9] = 0;
r[20] = m[at + 10]!;
state.depth = depth;
pc = start = m[pc + 1]!;
${FLUSH}`,
  'continue;',
);
emit('exit', `${COUNT}${END}\n${LEAVE}`, 'continue;');
emit(
  'tail_call',
  `${COUNT}const target = tailCall(pc) | 0;\npc = start = target === 0 ? (pc + 4) | 0 : target;`,
  'continue;',
);
emit('may_goto', `if (mayGoto(pc)) {\n${COUNT}pc = start = m[pc + 1]!;\n} else pc = (pc + 4) | 0;`, 'continue;');
for (const [name, indirect] of [
  ['ld_abs', false],
  ['ld_ind', true],
]) {
  emit(
    name,
    `if (loadPacket(pc, ${indirect})) pc = (pc + 4) | 0;
else {
  // Out of range: the function ends with 0. kernel: bpf_gen_ld_abs()
  r[0] = 0;
  r[1] = 0;
  ${COUNT}${END}
  pc = start = leave() | 0;
}`,
    'continue;',
  );
}
emit('trace', 'start = (start + 4) | 0;\npc = (pc + 4) | 0;\ntrace(pc);', 'continue;');

const HEAD = `// hot: no allocation, no closure, no BigInt per instruction
// Generated by scripts/interpreter-loop.mjs; do not edit.

/** State that the loop shares with the interpreter around it. */
export interface LoopState {
  /** Call depth; 0 is the program's own frame, -1 that nothing runs. */
  depth: number;
  /** First depth at which the current run may not open a frame any more. */
  frameLimit: number;
  /** Words of code executed (4 per instruction) by loops that have ended. */
  words: number;
  /** Word index of the helper call or atomic under way. */
  pc: number;
}

/**
 * Everything that the loop touches. The arrays come as arguments of the factory, not of the loop, because V8 then treats
 * them as constants; see \`makeLoop\`.
 */
export interface LoopParts {
  /** Registers r0..r10 as lo/hi pairs, and room for an operand at 24. */
  readonly r: Int32Array;
  /** Frames (12 words each) and code, see predecode.ts. */
  readonly m: Int32Array;
  readonly u8: Uint8Array;
  readonly view: DataView;
  /** Memory.pageRow and Memory.regionTable. */
  readonly pages: Int32Array;
  readonly table: Int32Array;
  readonly state: LoopState;
  readonly helpers: readonly (() => void)[];
  /** Throws a FaultError for the access at \`pc\` through the register pair at \`base\`. */
  readonly fault: (pc: number, base: number, size: number, write: boolean) => never;
  /** 64-bit division and modulo where the fast path does not do. */
  readonly divide: (dst: number, src: number, modulo: boolean, signed: boolean) => void;
  readonly atomic32: (op: number, address: number, src: number) => void;
  readonly atomic64: (op: number, address: number, src: number) => void;
  /** Called when \`words\` passed its limit and was added to the state; throws when the budget is spent, else the next limit. */
  readonly flush: (pc: number) => number;
  /** Makes the frame at a depth that has none yet, or throws when that is too deep. */
  readonly grow: (pc: number, depth: number) => void;
  /** Closes a frame and gives the word index to go on at; the loop's \`exit\` does the same in line. */
  readonly leave: () => number;
  /** Word index of the called program, or 0 when the tail call falls through. */
  readonly tailCall: (pc: number) => number;
  /** Has the budget of may_goto run out? */
  readonly mayGoto: (pc: number) => boolean;
  /** LD_ABS and LD_IND into r0; false: outside of the packet. */
  readonly loadPacket: (pc: number, indirect: boolean) => boolean;
  readonly trace: (pc: number) => void;
}

/** Runs code from a word index until the frame that it began in exits. \`limit\`: words before \`flush\` is asked. */
export type Loop = (start: number, limit: number) => void;

/** Names of the ops by number. The switch has the numbers as literals, because V8 builds a jump table only from those. */
export const OPS = [
${cases.map(([name]) => `'${name}'`).join(',\n')}
] as const;
export type OpName = (typeof OPS)[number];

/**
 * Makes the interpreter's loop. Its speed hangs on V8 knowing the arrays as constants of the closure, which it does only
 * for a function that exists once: so each machine after the first makes its own copy from this function's source text
 * (interpreter.ts), and nothing in the body may refer to this module's scope.
 */
export function makeLoop(parts: LoopParts): Loop {
  const { r, m, u8, view, pages, table, state, helpers } = parts;
  const { fault, divide, atomic32, atomic64, flush, grow, leave, tailCall, mayGoto, loadPacket, trace } = parts;

  return function loop(from, firstLimit) {
    const base = state.depth;
    // \`| 0\` wherever a number that lives across instructions is set: without it V8 keeps the number tagged and untags it in
    // every op, which costs a third of the speed (2.2 instead of 1.6 ns per instruction).
    let pc = from | 0;
    /** Where the current straight run of instructions began; jumps add its length to \`words\`. */
    let start = from | 0;
    let words = 0;
    let limit = firstLimit | 0;
    for (;;) {
      const w = m[pc]!;
      // Register numbers are doubled: \`& 30\` leaves r0..r15, of which validated code names r0..r10.
      switch (w & 0xff) {
`;
const TAIL = `
        default:
          fault(pc, 0, 0, false);
      }
    }
  };
}
`;
const body = cases.map(([name, code], number) => `case ${number}: {\n// ${name}\n${code}\n}`).join('\n');
const text = execFileSync(
  join(root, 'node_modules/.bin/biome'),
  ['check', '--write', '--stdin-file-path=src/vm/interpreter-loop.ts'],
  { cwd: root, input: HEAD + body + TAIL, encoding: 'utf8' },
);

if (process.argv.includes('--check')) {
  if (readFileSync(path, 'utf8') !== text) {
    console.error('src/vm/interpreter-loop.ts is not what its templates give: run npm run generate');
    process.exit(1);
  }
} else {
  writeFileSync(path, text);
  console.log(`${cases.length} ops, ${text.split('\n').length} lines`);
}
