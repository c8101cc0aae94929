/** A program in assembler text, and how to load it; BPF program types by number as in BPF_PROG_LOAD. */
export interface ValidateCase {
  readonly name: string;
  readonly text: string;
  readonly type?: number;
  /** The kernel says this only about instructions that symbolic execution reaches. */
  readonly executed?: true;
  readonly behaviour?: string;
}

export const SOCKET_FILTER = 1;
export const XDP = 6;

const wide = (first: string, second = '0000000000000000') => `raw ${first}\nraw ${second}`;

/** Programs that Linux refuses for their encoding or shape. */
export const REFUSED: readonly ValidateCase[] = [
  { name: 'empty program', text: '' },
  { name: 'call is last', text: 'r0 = 0\ncall 7' },
  { name: 'conditional jump is last', text: 'x: r0 = 0\nif r0 == 0 goto x' },
  { name: 'ld_imm64 is last', text: 'r0 = 5 ll' },
  { name: 'may_goto is last', text: 'r0 = 0\nmay_goto pc-1' },
  { name: 'jump past the end', text: 'r0 = 0\nif r0 == 0 goto pc+5\nexit' },
  { name: 'jump to one past the end', text: 'r0 = 0\ngoto pc+1\nexit' },
  { name: 'jump before the start', text: 'r0 = 0\ngoto pc-9\nexit' },
  { name: 'gotol past the end', text: 'r0 = 0\ngotol pc+70000\nexit' },
  { name: 'may_goto past the end', text: 'r0 = 0\nmay_goto pc+4\nexit' },
  { name: 'jump into another subprogram', text: 'call a\nr0 = 0\ngoto b\nexit\na: r0 = 0\nb: exit' },
  { name: 'fall into a subprogram', text: 'r0 = 0\ncall a\na: r0 = 0\nexit' },
  { name: 'call to outside', text: 'r0 = 0\ncall pc+100\nexit' },
  { name: 'call to before the start', text: 'r0 = 0\ncall pc-100\nexit' },
  { name: 'call to one past the end', text: 'r0 = 0\ncall pc+1\nexit' },
  { name: 'function reference to outside', text: 'r1 = subprog[+100]\nr0 = 0\nexit' },
  { name: 'unreachable instruction', text: 'r0 = 0\nexit\nr0 = 1\nexit' },
  { name: 'the lowest unreachable instruction', text: 'r0 = 0\ngoto x\nr0 = 1\nr0 = 2\nx: exit' },
  { name: 'unreachable subprogram call', text: 'r0 = 0\nexit\ncall a\nexit\na: r0 = 0\nexit' },
  { name: 'jump into ld_imm64', text: 'r0 = 0\nif r0 == 1 goto pc+1\nr1 = 5 ll\nexit' },
  { name: 'call into ld_imm64', text: 'r0 = 0\ncall pc+1\nr1 = 5 ll\nexit' },
  {
    name: 'unknown opcode in code that is never executed',
    text: 'r0 = 0\nif r0 == 0 goto x\nraw ff00000000000000\nx: exit',
  },
  { name: 'callx', text: 'r0 = 0\nraw 8d00000000000000\nexit' },
  { name: 'zero instruction', text: 'r0 = 0\nraw 0000000000000000\nexit' },
  { name: 'neg of a register', text: 'r0 = 0\nraw 8f00000000000000\nexit' },
  { name: 'JMP32 exit', text: 'r0 = 0\nraw 9600000000000000' },
  { name: 'JMP32 exit inside', text: 'r0 = 0\nraw 9600000000000000\nexit' },
  { name: 'JMP32 call', text: 'r0 = 0\nraw 8600000007000000\nexit' },
  { name: 'JA with a register', text: 'r0 = 0\nraw 0d00000000000000\nexit' },
  { name: 'JCOND of JMP32', text: 'r0 = 0\nraw e600000000000000\nexit' },
  { name: 'bswap with the source bit', text: 'r0 = 0\nraw df00000010000000\nexit' },
  { name: 'ALU operation 14', text: 'r0 = 0\nraw e700000000000000\nexit' },
  { name: 'sign-extending load of 8 bytes', text: 'r0 = 0\nraw 9901000000000000\nexit' },
  { name: 'LD_ABS of 8 bytes', text: 'r6 = r1\nraw 3800000000000000\nexit' },
  { name: 'LD MEM', text: 'r0 = 0\nraw 6000000000000000\nexit' },
  { name: 'LDX with imm', text: 'r0 = 0\nraw 7901000001000000\nexit' },
  {
    name: 'LDX with imm in code that is never executed',
    text: 'r0 = 0\nif r0 == 0 goto x\nraw 7901000001000000\nx: exit',
  },
  { name: 'LDX with imm before unreachable code', text: 'r0 = 0\nexit\nraw 7901000001000000\nexit' },
  { name: 'LDX ABS', text: 'r0 = 0\nraw 2101000000000000\nexit' },
  { name: 'LDX ATOMIC', text: 'r0 = 0\nraw c101000000000000\nexit' },
  { name: 'ld_imm64 without second half', text: 'r0 = 0\nexit\nraw 1800000000000000' },
  { name: 'ld_imm64 whose second half has a register', text: `${wide('1800000005000000', '0001000000000000')}\nexit` },
  { name: 'ld_imm64 whose second half has an off', text: `${wide('1800000005000000', '0000010000000000')}\nexit` },
  { name: 'ld_imm64 whose second half is an instruction', text: 'raw 1800000005000000\nr0 = 0\nexit' },
  { name: 'ld_imm64 of source 7', text: `${wide('1870000005000000')}\nexit` },
  { name: 'map fd with an offset', text: `${wide('1811000003000000', '0000000001000000')}\nr0 = 0\nexit` },
  { name: 'map index with an offset', text: `${wide('1851000003000000', '0000000001000000')}\nr0 = 0\nexit` },
  { name: 'map index without a list of maps', text: 'r1 = map[idx:0]\nr0 = 0\nexit' },
  { name: 'ld_imm64 with off', text: `${wide('1800010005000000')}\nexit`, executed: true },
  { name: 'ld_imm64 into r10', text: 'r10 = 5 ll\nr0 = 0\nexit', executed: true },
  { name: 'ld_imm64 into r11', text: 'r11 = 5 ll\nr0 = 0\nexit', executed: true },

  { name: 'call with source 3', text: 'r0 = 0\nraw 8530000007000000\nexit', executed: true },
  { name: 'call with a destination register', text: 'r0 = 0\nraw 8501000007000000\nexit', executed: true },
  { name: 'helper call with off', text: 'r0 = 0\nraw 8500010007000000\nexit', executed: true },
  { name: 'local call with off', text: 'raw 8510010001000000\nexit\nr0 = 0\nexit', executed: true },
  { name: 'exit with imm', text: 'r0 = 0\nraw 9500000005000000', executed: true },
  { name: 'exit with a source register', text: 'r0 = 0\nraw 9510000000000000', executed: true },
  { name: 'goto with imm', text: 'r0 = 0\nraw 0500000001000000\nexit', executed: true },
  { name: 'goto with a register', text: 'r0 = 0\nraw 0501000000000000\nexit', executed: true },
  { name: 'gotol with off', text: 'r0 = 0\nraw 0600010000000000\nexit', executed: true },
  { name: 'condition with imm and a source register', text: 'r0 = 0\nraw 1510000000000000\nexit', executed: true },
  { name: 'condition on a register with imm', text: 'r0 = 0\nraw 1d00000001000000\nexit', executed: true },
  { name: '32-bit condition on a register with imm', text: 'r0 = 0\nraw 1e00000001000000\nexit', executed: true },
  { name: 'condition on r11', text: 'r0 = 0\nif r11 == 0 goto pc+0\nexit', executed: true },
  { name: 'condition against r12', text: 'r0 = 0\nif r0 == r12 goto pc+0\nexit', executed: true },
  { name: 'may_goto with imm', text: 'r0 = 0\nraw e500000001000000\nexit', executed: true },
  { name: 'may_goto with a source register', text: 'r0 = 0\nraw e510000000000000\nexit', executed: true },

  { name: 'add with off', text: 'r0 = 0\nraw 0700010001000000\nexit', executed: true },
  { name: 'add of a register with imm', text: 'r0 = 0\nraw 0f00000001000000\nexit', executed: true },
  { name: 'add of imm with a source register', text: 'r0 = 0\nraw 0710000001000000\nexit', executed: true },
  { name: 'div with off 2', text: 'r0 = 0\nraw 3700020001000000\nexit', executed: true },
  { name: 'neg with imm', text: 'r0 = 0\nraw 8700000001000000\nexit', executed: true },
  { name: 'neg with a source register', text: 'r0 = 0\nraw 8410000000000000\nexit', executed: true },
  { name: 'le16 with off', text: 'r0 = 0\nraw d400010010000000\nexit', executed: true },
  { name: 'be of 8 bits', text: 'r0 = 0\nraw dc00000008000000\nexit', executed: true },
  { name: 'bswap of 8 bits', text: 'r0 = 0\nraw d700000008000000\nexit', executed: true },
  { name: 'bswap with a source register', text: 'r0 = 0\nraw d710000010000000\nexit', executed: true },
  { name: 'mov with off 4', text: 'r0 = 0\nraw bf00040000000000\nexit', executed: true },
  { name: 'mov with off -1', text: 'r0 = 0\nraw bf00ffff00000000\nexit', executed: true },
  { name: 'mov of a register with imm', text: 'r0 = 0\nraw bf00000001000000\nexit', executed: true },
  { name: 'mov of imm with a source register', text: 'r0 = 0\nraw b710000001000000\nexit', executed: true },
  { name: 'movsx32 from 32 bits', text: 'r0 = 0\nraw bc00200000000000\nexit', executed: true, behaviour: 'M-301' },
  { name: 'movsx64 from 64 bits', text: 'r0 = 0\nraw bf00400000000000\nexit', executed: true },
  { name: 'movsx64 of an immediate', text: 'r0 = 0\nraw b700080000000000\nexit', executed: true, behaviour: 'M-301' },
  { name: 'movsx32 of an immediate', text: 'r0 = 0\nraw b400100000000000\nexit', executed: true, behaviour: 'M-301' },
  { name: '32-bit mov with off 1', text: 'r0 = 0\nraw bc00010001000000\nexit', executed: true },
  {
    name: 'addr_space_cast between spaces 2 and 0',
    text: 'r0 = 0\nr0 = addr_space_cast(r0, 0, 2)\nexit',
    executed: true,
  },
  { name: 'mov from r11', text: 'r0 = 0\nr0 = r11\nexit', executed: true },
  { name: 'mov into r15', text: 'r0 = 0\nr15 = 1\nexit', executed: true },
  { name: 'add to r11', text: 'r0 = 0\nr11 += 1\nexit', executed: true },
  { name: 'write of r10', text: 'r0 = 0\nr10 = 0\nexit', executed: true },
  { name: 'add to r10', text: 'r0 = 0\nr10 += 8\nexit', executed: true },
  { name: 'neg of r10', text: 'r0 = 0\nr10 = -r10\nexit', executed: true },
  { name: 'byte swap of r10', text: 'r0 = 0\nr10 = be16 r10\nexit', executed: true },
  { name: 'load into r10', text: 'r0 = 0\n*(u64 *)(r10 -8) = r0\nr10 = *(u64 *)(r10 -8)\nexit', executed: true },
  { name: 'load from r11', text: 'r0 = *(u64 *)(r11 +0)\nexit', executed: true },
  { name: 'store of r11', text: 'r0 = 0\n*(u64 *)(r10 -8) = r11\nexit', executed: true },
  { name: 'store at r11', text: 'r0 = 0\n*(u64 *)(r11 -8) = r0\nexit', executed: true },
  { name: 'constant store at r11', text: 'r0 = 0\n*(u64 *)(r11 -8) = 1\nexit', executed: true },
  { name: 'div by 0', text: 'r0 = 1\nr0 /= 0\nexit', executed: true },
  { name: '32-bit mod by 0', text: 'r0 = 1\nw0 %= 0\nexit', executed: true },
  { name: 'signed div by 0', text: 'r0 = 1\nr0 s/= 0\nexit', executed: true },
  { name: 'div of r10 by 0', text: 'r0 = 1\nr10 /= 0\nexit', executed: true },
  { name: 'shift by 64', text: 'r0 = 1\nr0 <<= 64\nexit', executed: true },
  { name: '32-bit shift by 32', text: 'r0 = 1\nw0 >>= 32\nexit', executed: true },
  { name: 'shift by -1', text: 'r0 = 1\nr0 s>>= -1\nexit', executed: true },

  { name: 'STX with imm', text: 'r0 = 0\nraw 7b0af8ff01000000\nexit', executed: true },
  { name: 'ST with a source register', text: 'r0 = 0\nraw 7a1af8ff01000000\nexit', executed: true },
  { name: 'atomic operation 0x30', text: 'r0 = 0\n*(u64 *)(r10 -8) = r0\nraw db0af8ff30000000\nexit', executed: true },
  { name: 'atomic operation 0xe0', text: 'r0 = 0\n*(u64 *)(r10 -8) = r0\nraw db0af8ffe0000000\nexit', executed: true },
  { name: 'atomic operation 2', text: 'r0 = 0\n*(u64 *)(r10 -8) = r0\nraw db0af8ff02000000\nexit', executed: true },
  { name: 'atomic operation -1', text: 'r0 = 0\n*(u64 *)(r10 -8) = r0\nraw db0af8ffffffffff\nexit', executed: true },
  { name: 'atomic add of a byte', text: 'r0 = 0\n*(u64 *)(r10 -8) = r0\nraw d30af8ff00000000\nexit', executed: true },
  {
    name: 'atomic exchange of 2 bytes',
    text: 'r0 = 0\n*(u64 *)(r10 -8) = r0\nraw cb0af8ffe1000000\nexit',
    executed: true,
  },
  {
    name: 'atomic add of r11',
    text: 'r0 = 0\n*(u64 *)(r10 -8) = r0\nlock *(u64 *)(r10 -8) += r11\nexit',
    executed: true,
  },
  {
    name: 'atomic fetch into r10',
    text: 'r0 = 0\n*(u64 *)(r10 -8) = r0\nr10 = atomic64_fetch_add((u64 *)(r10 -8), r10)\nexit',
    executed: true,
  },
  {
    name: 'load_acquire into r10',
    text: 'r0 = 0\n*(u64 *)(r10 -8) = r0\nr10 = load_acquire((u64 *)(r10 -8))\nexit',
    executed: true,
  },
  { name: 'store_release of r11', text: 'r0 = 0\nstore_release((u64 *)(r10 -8), r11)\nexit', executed: true },

  { name: 'LD_ABS in XDP', text: 'r6 = r1\nr0 = *(u32 *)skb[0]\nexit', type: XDP, executed: true, behaviour: 'M-295' },
  {
    name: 'LD_IND in XDP',
    text: 'r6 = r1\nr2 = 0\nr0 = *(u32 *)skb[r2 + 0]\nexit',
    type: XDP,
    executed: true,
    behaviour: 'M-295',
  },
  { name: 'LD_ABS with a destination register', text: 'r6 = r1\nraw 2001000000000000\nexit', executed: true },
  { name: 'LD_ABS with a source register', text: 'r6 = r1\nraw 2010000000000000\nexit', executed: true },
  { name: 'LD_ABS with off', text: 'r6 = r1\nraw 2000010000000000\nexit', executed: true },
  { name: 'LD_IND from r11', text: 'r6 = r1\nr0 = *(u32 *)skb[r11 + 0]\nexit', executed: true },
  { name: 'LD_ABS in a subprogram without BTF', text: 'r6 = r1\ncall a\nexit\na: r6 = r1\nr0 = *(u32 *)skb[0]\nexit' },
  {
    name: 'tail call in a subprogram without BTF',
    text: 'call a\nexit\na: r2 = 0\nr3 = 0\ncall 12\nr0 = 0\nexit',
  },
  {
    name: 'nine frames',
    text: `r0 = 0\ncall f1\nexit\n${Array.from({ length: 8 }, (_, i) => `f${i + 1}: ${i < 7 ? `call f${i + 2}` : 'r0 = 0'}\nexit`).join('\n')}`,
    behaviour: 'M-299',
  },
  { name: 'recursion', text: 'r1 = *(u32 *)(r1 +0)\ncall a\nexit\na: r0 = 0\nif r1 == 0 goto x\ncall a\nx: exit' },
  {
    name: '257 subprograms',
    text: `${'call a0\n'.repeat(1)}${Array.from({ length: 256 }, (_, i) => `call a${i}`).join('\n')}\nr0 = 0\nexit\n${Array.from({ length: 256 }, (_, i) => `a${i}: r0 = 0\nexit`).join('\n')}`,
  },
];

/** Programs near the refused ones that Linux takes. */
export const TAKEN: readonly ValidateCase[] = [
  { name: 'goto is last', text: 'r0 = 0\ngoto x\ny: exit\nx: goto y' },
  { name: 'gotol is last', text: 'r0 = 0\ngoto x\ny: exit\nx: gotol y' },
  { name: 'exit with off', text: 'r0 = 0\nraw 9500050000000000' },
  { name: 'reserved LDX field absent, r0 of the stack', text: '*(u64 *)(r10 -8) = 1\nr0 = *(u64 *)(r10 -8)\nexit' },
  { name: 'signed division', text: 'r0 = 5\nr0 s/= -1\nw0 s%= 3\nexit' },
  {
    name: 'sign-extending moves',
    text: 'r0 = 5\nr0 = (s8)r0\nr0 = (s16)r0\nr0 = (s32)r0\nw0 = (s8)w0\nw0 = (s16)w0\nexit',
  },
  { name: 'shift by 63 and 31', text: 'r0 = 5\nr0 <<= 63\nw0 >>= 31\nexit' },
  {
    name: 'eight frames',
    text: `r0 = 0\ncall f1\nexit\n${Array.from({ length: 7 }, (_, i) => `f${i + 1}: ${i < 6 ? `call f${i + 2}` : 'r0 = 0'}\nexit`).join('\n')}`,
  },
  {
    name: '256 subprograms',
    text: `${Array.from({ length: 255 }, (_, i) => `call a${i}`).join('\n')}\nr0 = 0\nexit\n${Array.from({ length: 255 }, (_, i) => `a${i}: r0 = 0\nexit`).join('\n')}`,
  },
  { name: 'may_goto loop', text: 'r0 = 0\nx: r0 += 1\nmay_goto y\ngoto x\ny: r0 = 0\nexit' },
  { name: 'may_goto over nothing', text: 'r0 = 0\nmay_goto pc+0\nexit' },
  {
    name: 'LD_ABS and LD_IND of a socket filter',
    text: 'r6 = r1\nr0 = *(u32 *)skb[0]\nr7 = r0\nr7 &= 1\nr0 = *(u8 *)skb[r7 + 2]\nexit',
  },
  { name: 'second half of ld_imm64 is skipped by jumps', text: 'r0 = 0\nif r0 == 1 goto pc+2\nr1 = 5 ll\nexit' },
];

/** Dead code that the kernel takes because no execution comes to it; CFG-wide checking refuses it. */
export const DEAD_CODE: readonly ValidateCase[] = [
  { name: 'dead mov with imm and register', text: 'r0 = 0\nif r0 == 0 goto x\nraw bf01010000000000\nx: exit' },
  { name: 'dead STX with imm', text: 'r0 = 0\nif r0 == 0 goto x\nraw 7b0af8ff01000000\nx: exit' },
];
