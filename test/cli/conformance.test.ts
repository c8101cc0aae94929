import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { assemble } from '../../src/vm/isa/assemble.ts';
import { encodeProgram } from '../../src/vm/isa/encode.ts';
import { bpflab } from './harness.ts';

const hex = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
const program = (text: string) => hex(encodeProgram(assemble(text)));

/** Instructions, memory as hex, r0 as RFC 9669 has it (worked out by hand or with BigInt, not with the interpreter). */
const CASES: [string, string, bigint, string?][] = [
  ['add wraps at 64 bits', 'r0 = -1; r0 += 2', 1n],
  ['32-bit add wraps and clears the upper half', 'r0 = -1; w0 += 2', 1n],
  ['sub', 'r0 = 1; r0 -= 2', 2n ** 64n - 1n],
  ['32-bit sub', 'r0 = 1; w0 -= 2', 2n ** 32n - 1n],
  ['mul keeps the low 64 bits', 'r0 = 0x100000001 ll; r0 *= r0', (0x100000001n * 0x100000001n) % 2n ** 64n],
  ['32-bit mul', 'r0 = 0x10001; w0 *= 0x10001', (0x10001n * 0x10001n) % 2n ** 32n],
  ['div is unsigned', 'r0 = -1; r0 /= 16', (2n ** 64n - 1n) / 16n],
  ['div by a negative immediate: it is sign-extended', 'r0 = -1; r0 /= -1', 1n],
  ['div by zero is 0', 'r0 = 7; r1 = 0; r0 /= r1', 0n],
  ['mod by zero keeps the dividend', 'r0 = 7; r1 = 0; r0 %= r1', 7n],
  ['32-bit mod by zero keeps the low half', 'r0 = -7; r1 = 0; w0 %= w1', 2n ** 32n - 7n],
  ['sdiv rounds to zero', 'r0 = -7; r0 s/= 2', 2n ** 64n - 3n],
  ['smod has the sign of the dividend', 'r0 = -7; r0 s%= 2', 2n ** 64n - 1n],
  ['sdiv of the least number by -1 wraps', 'r0 = 0x8000000000000000 ll; r0 s/= -1', 2n ** 63n],
  ['32-bit sdiv', 'w0 = -7; w0 s/= 2', 2n ** 32n - 3n],
  ['or, and, xor', 'r0 = 0xf0; r0 |= 0x0f; r0 &= 0x3c; r0 ^= 0xff', 0xc3n],
  ['shift amounts are taken modulo 64', 'r0 = 1; r1 = 65; r0 <<= r1', 2n],
  ['32-bit shift amounts modulo 32', 'w0 = 1; w1 = 33; w0 <<= w1', 2n],
  ['logical right shift', 'r0 = -1; r0 >>= 60', 15n],
  ['arithmetic right shift', 'r0 = -16; r0 s>>= 2', 2n ** 64n - 4n],
  ['32-bit arithmetic right shift', 'w0 = -16; w0 s>>= 2', 2n ** 32n - 4n],
  ['a 64-bit shift count is masked', 'r0 = 1; r0 <<= 65', 2n],
  ['a 32-bit shift count is masked', 'w0 = 4; w0 >>= 33', 2n],
  ['neg', 'r0 = 5; r0 = -r0', 2n ** 64n - 5n],
  ['32-bit neg', 'r0 = 5; w0 = -w0', 2n ** 32n - 5n],
  ['mov of a negative immediate', 'r0 = -1', 2n ** 64n - 1n],
  ['32-bit mov', 'w0 = -1', 2n ** 32n - 1n],
  ['movsx from 8 bits', 'r1 = 0x80; r0 = (s8)r1', 2n ** 64n - 0x80n],
  ['32-bit movsx from 16 bits', 'r1 = 0x8000; w0 = (s16)w1', 2n ** 32n - 0x8000n],
  ['movsx from 32 bits', 'r1 = 0x80000000 ll; r0 = (s32)r1', 2n ** 64n - 0x80000000n],
  ['be16 on a little-endian machine', 'r0 = 0x112233445566 ll; r0 = be16 r0', 0x6655n],
  ['be32', 'r0 = 0x1122334455667788 ll; r0 = be32 r0', 0x88776655n],
  ['le32 cuts', 'r0 = 0x1122334455667788 ll; r0 = le32 r0', 0x55667788n],
  ['be64', 'r0 = 0x1122334455667788 ll; r0 = be64 r0', 0x8877665544332211n],
  ['bswap64', 'r0 = 0x1122334455667788 ll; r0 = bswap64 r0', 0x8877665544332211n],
  ['bswap16', 'r0 = 0x11223344 ll; r0 = bswap16 r0', 0x4433n],
  ['load immediate of 64 bits', 'r0 = 0xfedcba9876543210 ll', 0xfedcba9876543210n],
  ['byte load', 'r0 = *(u8 *)(r1 + 2)', 0x33n, '11 22 33 44'],
  ['half-word load', 'r0 = *(u16 *)(r1 + 1)', 0x3322n, '11 22 33 44'],
  ['word load', 'r0 = *(u32 *)(r1 + 0)', 0x44332211n, '11 22 33 44'],
  ['double-word load', 'r0 = *(u64 *)(r1 + 0)', 0x8877665544332211n, '11 22 33 44 55 66 77 88'],
  ['sign-extending loads', 'r0 = *(s8 *)(r1 + 0); r2 = *(s16 *)(r1 + 1); r0 += r2', 2n ** 64n - 1n - 2n, 'ff fe ff'],
  ['store of an immediate', '*(u16 *)(r1 + 1) = 0x5566; r0 = *(u32 *)(r1 + 0)', 0x44556611n, '11 22 33 44'],
  ['store of a register', 'r2 = -2; *(u8 *)(r1 + 3) = r2; r0 = *(u32 *)(r1 + 0)', 0xfe332211n, '11 22 33 44'],
  ['atomic add', 'r2 = 3; lock *(u64 *)(r1 + 0) += r2; r0 = *(u64 *)(r1 + 0)', 8n, '05 00 00 00 00 00 00 00'],
  [
    'atomic fetch add',
    'r2 = 3; r2 = atomic64_fetch_add((u64 *)(r1 + 0), r2); r0 = *(u64 *)(r1 + 0); r0 <<= 8; r0 += r2',
    0x805n,
    '05 00 00 00 00 00 00 00',
  ],
  [
    'atomic exchange of 32 bits clears the upper half',
    'r0 = -1; r0 = atomic_xchg((u32 *)(r1 + 0), r0)',
    5n,
    '05 00 00 00',
  ],
  [
    'compare and exchange, equal',
    'r0 = 5; r2 = 9; r0 = atomic64_cmpxchg((u64 *)(r1 + 0), r0, r2); r3 = *(u64 *)(r1 + 0); r0 <<= 8; r0 += r3',
    0x509n,
    '05 00 00 00 00 00 00 00',
  ],
  [
    'compare and exchange, different',
    'r0 = 4; r2 = 9; r0 = atomic64_cmpxchg((u64 *)(r1 + 0), r0, r2); r3 = *(u64 *)(r1 + 0); r0 <<= 8; r0 += r3',
    0x505n,
    '05 00 00 00 00 00 00 00',
  ],
  ['unsigned comparison', 'r0 = 0; r1 = -1; if r1 > 1 goto +1; r0 = 1', 0n],
  ['signed comparison', 'r0 = 0; r1 = -1; if r1 s> 1 goto +1; r0 = 1', 1n],
  ['32-bit comparison looks at the low half', 'r0 = 0; r1 = 0x100000005 ll; if w1 == 5 goto +1; r0 = 1', 0n],
  ['bit test', 'r0 = 0; r1 = 6; if r1 & 2 goto +1; r0 = 1', 0n],
  ['loop', 'r0 = 0; r1 = 10; r0 += r1; r1 -= 1; if r1 != 0 goto -3', 55n],
  ['stack', '*(u64 *)(r10 - 8) = 77; r0 = *(u64 *)(r10 - 8)', 77n],
  ['length of the memory in r2', 'r0 = r2', 6n, '00 00 00 00 00 00'],
  ['no memory: r1 is 0', 'r0 = r1; r0 += r2', 0n],
];

const run = (text: string, memory?: string, more: string[] = []) =>
  bpflab(['conformance', ...(memory === undefined ? [] : [memory]), ...more], { stdin: program(text) });

/** `a; b; c` as lines. */
const lines = (text: string) => `${text.split('; ').join('\n')}\nexit\n`;

describe('the plugin gives what RFC 9669 says', () => {
  test.each(CASES)('%s', async (_name, text, expected, memory) => {
    const { code, out, err } = await run(lines(text), memory);
    expect(err).toBe('');
    expect(out).toBe(`${expected.toString(16)}\n`);
    expect(code).toBe(0);
  });

  test('call of a local function, whose r6 is its own', async () => {
    // r6 = 7; call +2; r0 += r6; exit; r6 = 1; r0 = r1; exit
    const text = 'r6 = 7\nr1 = 35\ncall pc+2\nr0 += r6\nexit\nr6 = 1\nr0 = r1\nexit\n';
    expect((await run(text)).out).toBe('2a\n');
  });
});

describe('the protocol of the suite', () => {
  const three = program('r0 = 3\nexit\n');

  test("the runner's way: memory with doubled blanks, then an empty option string", async () => {
    const stdin = `${three.replaceAll(' ', '  ')} \n`;
    expect(await bpflab(['conformance', '01  02  ', ''], { stdin })).toMatchObject({ code: 0, out: '3\n' });
  });

  test('the program as an option, without reading standard input', async () => {
    expect(await bpflab(['conformance', '--program', three, '0102'])).toMatchObject({ code: 0, out: '3\n' });
  });

  test('an object file as hex: its first XDP program gets the memory as packet', async () => {
    const object = hex(new Uint8Array(readFileSync('progs/parse_count.bpf.o')));
    expect(await bpflab(['conformance', '00'.repeat(60), '--elf'], { stdin: object })).toMatchObject({
      code: 0,
      out: '2\n',
    });
  });

  /** What the runner makes with --elf: one section with one function, no licence, no BTF. */
  const object = (section: string, insns: Uint8Array) => hex(objectOf(section, insns));
  const minusTwo = encodeProgram(assemble('r0 = -2\nexit\n'));
  const third = encodeProgram(assemble('r0 = *(u8 *)(r1 + 2)\nr0 += r2\nexit\n'));
  const prologue = encodeProgram(
    assemble(
      [
        'r0 = -1',
        'r6 = r1',
        'r1 = *(u32 *)(r6 + 0)',
        'r2 = *(u32 *)(r6 + 4)',
        'r3 = r1',
        'r3 += 3',
        'if r3 <= r2 goto +1',
        'exit',
        'r2 = 3\n',
      ].join('\n'),
    ),
  );
  const joined = (...parts: Uint8Array[]) => Uint8Array.from(parts.flatMap((part) => [...part]));

  test.each([
    ['an XDP program gives all 64 bits of r0', 'xdp', minusTwo, [], 'fffffffffffffffe\n'],
    ['an XDP program with a prologue reads a short memory', 'xdp', joined(prologue, third), ['0a0b0c'], 'f\n'],
    ['.text alone runs as bare instructions', '.text', third, ['0a0b0c'], 'f\n'],
    ['.text alone, without memory', '.text', minusTwo, [], 'fffffffffffffffe\n'],
  ])("the runner's object files: %s", async (_name, section, insns, memory, out) => {
    const outcome = await bpflab(['conformance', ...memory, '--elf'], { stdin: object(section, insns) });
    expect(outcome).toMatchObject({ code: 0, out, err: '' });
  });

  test("an object of another type's programs is an error", async () => {
    expect(await bpflab(['conformance', '--elf'], { stdin: object('tc', minusTwo) })).toMatchObject({
      code: 3,
      out: 'the object has no XDP program\n',
    });
  });

  test.each([
    ['a fault', 'r1 = 0\nr0 = *(u8 *)(r1 + 0)\nexit\n', 1, /^raw: insn 1: read of 1 byte at 0x0/],
    ['an invalid encoding', undefined, 3, /^raw: insn 0: unknown opcode ff/],
    ['a jump out of the program', 'goto pc+5\nexit\n', 3, /^raw: insn 0: /],
  ])('%s: a message on standard output, for the suite to compare, and not 0', async (_name, text, code, message) => {
    const stdin = text === undefined ? 'ff 00 00 00 00 00 00 00 95 00 00 00 00 00 00 00' : program(text);
    const outcome = await bpflab(['conformance', '', '--debug'], { stdin });
    expect(outcome.code).toBe(code);
    expect(outcome.out).toMatch(message);
    expect(outcome.err).toMatch(/^bpflab: (Fault|Load)Error: raw/);
  });

  test.each([
    ['no program', ['conformance'], ''],
    ['a program that is no hex', ['conformance'], 'hello'],
    ['memory that is no hex', ['conformance', 'xyz'], three],
    ['something else', ['conformance', '00', 'x'], three],
  ])('%s: wrong usage', async (_name, args, stdin) => {
    expect(await bpflab(args, { stdin })).toMatchObject({ code: 2, out: '' });
  });
});

/** An object file of one section with one global function `main` over all of it. */
function objectOf(section: string, insns: Uint8Array): Uint8Array {
  const names = `\0.strtab\0.symtab\0${section}\0main\0`;
  const at = (name: string) => names.indexOf(`\0${name}\0`) + 1;
  const code = 64;
  const symbols = code + insns.length;
  const strings = symbols + 48;
  const headers = Math.ceil((strings + names.length) / 8) * 8;
  const bytes = new Uint8Array(headers + 4 * 64);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 1, true); // ET_REL
  view.setUint16(18, 247, true); // EM_BPF
  view.setUint32(20, 1, true);
  view.setUint32(40, headers, true);
  for (const [offset, value] of [64, 0, 0, 64, 4, 1].entries()) view.setUint16(52 + offset * 2, value, true);
  bytes.set(insns, code);
  view.setUint32(symbols + 24, at('main'), true);
  bytes[symbols + 28] = 0x12; // global function
  view.setUint16(symbols + 30, 3, true);
  view.setUint32(symbols + 40, insns.length, true);
  bytes.set(new TextEncoder().encode(names), strings);
  // name, type, flags, offset, size, link, info, entry size
  const sections = [
    [at('.strtab'), 3, 0, strings, names.length, 0, 0, 0],
    [at('.symtab'), 2, 0, symbols, 48, 1, 1, 24],
    [at(section), 1, 6, code, insns.length, 0, 0, 0],
  ];
  for (const [index, row] of sections.entries()) {
    const header = headers + (index + 1) * 64;
    for (const [field, where] of [0, 4, 8, 24, 32, 40, 44, 56].entries()) {
      view.setUint32(header + where, row[field]!, true);
    }
    view.setUint32(header + 48, 1, true);
  }
  return bytes;
}
