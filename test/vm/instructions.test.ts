import { describe, expect, test } from 'vitest';
import { E } from '../../src/base/errno.ts';
import { FaultError, LoadError } from '../../src/base/error.ts';
import { Vm } from '../support/vm.ts';

const vm = new Vm();
const X = '0x1122334455667788';

describe('run-time behaviour of instructions', () => {
  test.each<[string, string, bigint]>([
    ['[M-282] unsigned 64-bit division by zero gives 0', `r0 = ${X} ll\nr1 = 0\nr0 /= r1`, 0n],
    ['[M-282] unsigned 32-bit division by zero gives 0', `r0 = ${X} ll\nr1 = 0\nw0 /= w1`, 0n],
    ['32-bit division looks at the low half of the divisor', `r0 = 8\nr1 = 0x100000000 ll\nw0 /= w1`, 0n],
    ['unsigned 64-bit modulo by zero leaves the dividend', `r0 = ${X} ll\nr1 = 0\nr0 %= r1`, 0x1122334455667788n],
    ['[M-283] 32-bit modulo by zero leaves the low half, zero-extended', `r0 = ${X} ll\nr1 = 0\nw0 %= w1`, 0x55667788n],
    ['signed division by zero gives 0', 'r0 = -7\nr1 = 0\nr0 s/= r1', 0n],
    ['signed 32-bit modulo by zero leaves the low half', 'r0 = -7\nr1 = 0\nw0 s%= w1', 0xfffffff9n],
    ['[M-284] signed 64-bit MIN / -1 gives MIN', 'r0 = 0x8000000000000000 ll\nr1 = -1\nr0 s/= r1', 1n << 63n],
    ['[M-284] signed 64-bit MIN % -1 gives 0', 'r0 = 0x8000000000000000 ll\nr1 = -1\nr0 s%= r1', 0n],
    ['[M-284] signed 32-bit MIN / -1 gives MIN, zero-extended', 'w0 = 0x80000000\nw1 = -1\nw0 s/= w1', 0x80000000n],
    ['[M-284] signed 32-bit MIN % -1 gives 0', 'w0 = 0x80000000\nw1 = -1\nw0 s%= w1', 0n],
    ['signed division truncates towards zero', 'r0 = -7\nr0 s/= 2', 0xfffffffffffffffdn],
    ['signed modulo has the sign of the dividend', 'r0 = -7\nr0 s%= 2', 0xffffffffffffffffn],
    ['signed modulo of a positive by a negative is positive', 'r0 = 7\nr0 s%= -2', 1n],
    ['signed 32-bit division', 'r0 = -7\nw0 s/= 2', 0xfffffffdn],
    ['64-bit division by immediate -1 divides by 2^64-1', `r0 = ${X} ll\nr0 /= -1`, 0n],
    ['64-bit division of the greatest number by -1 gives 1', 'r0 = -1\nr0 /= -1', 1n],
    ['32-bit division by immediate -1 divides by 2^32-1', 'w0 = -1\nw0 /= -1', 1n],
    [
      '64-bit division with large operands',
      `r0 = ${X} ll\nr1 = 0x123456789 ll\nr0 /= r1`,
      0x1122334455667788n / 0x123456789n,
    ],
    [
      '64-bit modulo with large operands',
      `r0 = ${X} ll\nr1 = 0x123456789 ll\nr0 %= r1`,
      0x1122334455667788n % 0x123456789n,
    ],
    ['[M-285] a shift by 64 in a register changes nothing', `r0 = ${X} ll\nr1 = 64\nr0 <<= r1`, 0x1122334455667788n],
    ['a shift by 65 shifts by 1', 'r0 = 1\nr1 = 65\nr0 <<= r1', 2n],
    ['a right shift by 0xffffffff shifts by 63', 'r0 = -1\nw1 = -1\nr0 >>= r1', 1n],
    ['a shift count uses its low bits only', 'r0 = 1\nr1 = 0x100000004 ll\nr0 <<= r1', 16n],
    ['[M-286] a 32-bit shift by 33 in a register shifts by 1', 'w0 = 0x40000001\nr1 = 33\nw0 <<= w1', 0x80000002n],
    ['a 32-bit shift by 32 truncates only', `r0 = ${X} ll\nr1 = 32\nw0 <<= w1`, 0x55667788n],
    ['arsh32 takes the sign of the low half and zero-extends', 'w0 = 0x80000000\nw0 s>>= 1', 0xc0000000n],
    ['arsh64 by 40 keeps the sign', 'r0 = 0x8000000000000000 ll\nr0 s>>= 40', 0xffffffffff800000n],
    ['arsh64 by 4 moves bits between the halves', 'r0 = 0x8000000500000000 ll\nr0 s>>= 4', 0xf800000050000000n],
    ['lsh64 by 36 moves the low half up', 'r0 = 0x12345678\nr0 <<= 36', 0x2345678000000000n],
    ['rsh64 by 36 moves the high half down', `r0 = ${X} ll\nr0 >>= 36`, 0x1122334n],
    ['[M-287] be16 swaps and clears the upper bits', `r0 = ${X} ll\nr0 = be16 r0`, 0x8877n],
    ['be32', `r0 = ${X} ll\nr0 = be32 r0`, 0x88776655n],
    ['be64', `r0 = ${X} ll\nr0 = be64 r0`, 0x8877665544332211n],
    ['le16 clears the upper bits', `r0 = ${X} ll\nr0 = le16 r0`, 0x7788n],
    ['le32 clears the upper half', `r0 = ${X} ll\nr0 = le32 r0`, 0x55667788n],
    ['le64 changes nothing', `r0 = ${X} ll\nr0 = le64 r0`, 0x1122334455667788n],
    ['bswap16', `r0 = ${X} ll\nr0 = bswap16 r0`, 0x8877n],
    ['bswap32', `r0 = ${X} ll\nr0 = bswap32 r0`, 0x88776655n],
    ['bswap64', `r0 = ${X} ll\nr0 = bswap64 r0`, 0x8877665544332211n],
    ['mov32 of a register to itself clears the upper half', `r0 = ${X} ll\nw0 = w0`, 0x55667788n],
    ['an immediate is sign-extended for and64', `r0 = ${X} ll\nr0 &= -256`, 0x1122334455667700n],
    ['an immediate is sign-extended for or64', 'r0 = 0\nr0 |= -256', 0xffffffffffffff00n],
    ['mov64 of -1 sets all bits', 'r0 = -1', 0xffffffffffffffffn],
    ['mov32 of -1 sets the low half', 'w0 = -1', 0xffffffffn],
    ['neg64 of MIN is MIN', 'r0 = 0x8000000000000000 ll\nr0 = -r0', 1n << 63n],
    ['neg64 of a number with a zero low half', 'r0 = 0x100000000 ll\nr0 = -r0', 0xffffffff00000000n],
    ['neg32 zero-extends', 'w0 = 1\nw0 = -w0', 0xffffffffn],
    ['add64 carries into the high half', 'r0 = 0xffffffff ll\nr0 += 1', 0x100000000n],
    ['add64 of a register to itself', 'r0 = 0x80000001 ll\nr0 += r0', 0x100000002n],
    ['sub64 borrows from the high half', 'r0 = 0x100000000 ll\nr0 -= 1', 0xffffffffn],
    ['mul64 takes in both halves', `r0 = ${X} ll\nr0 *= r0`, BigInt.asUintN(64, 0x1122334455667788n ** 2n)],
    ['mul64 of two large low halves', 'r0 = 0xfffffffb ll\nr1 = 0xfffffff1 ll\nr0 *= r1', 0xfffffffbn * 0xfffffff1n],
    ['mul32 zero-extends', 'w0 = 0x10001\nw0 *= 0x10001', 0x20001n],
    ['movsx64 from 8 bits', 'r1 = 0x80\nr0 = (s8)r1', 0xffffffffffffff80n],
    ['movsx64 from 16 bits', 'r1 = 0x8000\nr0 = (s16)r1', 0xffffffffffff8000n],
    ['movsx64 from 32 bits', 'w1 = 0x80000000\nr0 = (s32)r1', 0xffffffff80000000n],
    ['movsx32 from 8 bits zero-extends', 'r1 = 0xc3\nw0 = (s8)w1', 0xffffffc3n],
    ['movsx32 from 16 bits zero-extends', 'r1 = 0x8001\nw0 = (s16)w1', 0xffff8001n],
    [
      '[M-302] st dw of -2 stores the sign-extended immediate',
      '*(u64 *)(r10 -8) = -2\nr0 = *(u64 *)(r10 -8)',
      0xfffffffffffffffen,
    ],
    ['st w stores the low part', '*(u64 *)(r10 -8) = 0\n*(u32 *)(r10 -8) = -2\nr0 = *(u64 *)(r10 -8)', 0xfffffffen],
    [
      'st b and st h store their bytes',
      '*(u64 *)(r10 -8) = 0\n*(u8 *)(r10 -8) = 258\n*(u16 *)(r10 -6) = -1\nr0 = *(u64 *)(r10 -8)',
      0xffff0002n,
    ],
    ['ldxb zero-extends', '*(u64 *)(r10 -8) = -2\nr0 = *(u8 *)(r10 -8)', 0xfen],
    ['ldsxb sign-extends', '*(u64 *)(r10 -8) = -2\nr0 = *(s8 *)(r10 -8)', 0xfffffffffffffffen],
    ['ldsxh sign-extends', '*(u64 *)(r10 -8) = 0x8000\nr0 = *(s16 *)(r10 -8)', 0xffffffffffff8000n],
    ['ldsxw sign-extends', 'w1 = 0x80000000\n*(u64 *)(r10 -8) = r1\nr0 = *(s32 *)(r10 -8)', 0xffffffff80000000n],
    [
      'an unaligned load reads what stands there',
      `r1 = ${X} ll\n*(u64 *)(r10 -16) = r1\n*(u64 *)(r10 -8) = r1\nr0 = *(u64 *)(r10 -13)`,
      0x6677881122334455n,
    ],
  ])('%s', (_name, text, expected) => {
    expect(vm.r0(`${text}\nexit`)).toBe(expected);
  });

  test('[M-298] the return value is the low half of r0', () => {
    expect(vm.run(vm.load('r0 = 0x180000002 ll\nexit')).retval).toBe(0x80000002);
    expect(vm.run(vm.load('r0 = -1\nexit')).retval).toBe(0xffffffff);
  });
});

describe('compares', () => {
  const taken = (setup: string, condition: string) =>
    vm.r0(`${setup}\nr0 = 1\nif ${condition} goto out\nr0 = 0\nout: exit`);
  test.each<[string, string, string, bigint]>([
    ['jeq sign-extends its immediate', 'w1 = -1', 'r1 == -1', 0n],
    ['jeq with all bits', 'r1 = -1', 'r1 == -1', 1n],
    ['jne looks at the high half', 'r1 = 0x100000000 ll', 'r1 != 0', 1n],
    ['jgt compares unsigned', 'r1 = -1', 'r1 > 5', 1n],
    ['jgt with equal high halves compares the low ones', 'r1 = 0x1ffffffff ll\nr2 = 0x100000001 ll', 'r1 > r2', 1n],
    ['jge is taken on equality', 'r1 = 0x100000001 ll\nr2 = 0x100000001 ll', 'r1 >= r2', 1n],
    ['jlt compares high halves first', 'r1 = 0x1ffffffff ll\nr2 = 0x200000000 ll', 'r1 < r2', 1n],
    ['jle is not taken above', 'r1 = 0x200000000 ll\nr2 = 0x1ffffffff ll', 'r1 <= r2', 0n],
    ['jsgt compares signed', 'r1 = -1', 'r1 s> 5', 0n],
    ['jslt compares signed', 'r1 = -1', 'r1 s< 5', 1n],
    ['jsge with negative high halves compares the low ones unsigned', 'r1 = -1\nr2 = -2', 'r1 s>= r2', 1n],
    ['jsle on equality', 'r1 = -3\nr2 = -3', 'r1 s<= r2', 1n],
    ['jset tests the upper bits of a negative immediate', 'r1 = 0x100000000 ll', 'r1 & 0x80000000', 1n],
    ['jset is not taken without common bits', 'r1 = 4', 'r1 & 3', 0n],
    ['jeq32 ignores the high half', 'r1 = 0x100000005 ll', 'w1 == 5', 1n],
    ['jgt32 compares unsigned', 'w1 = -1', 'w1 > 5', 1n],
    ['jsgt32 compares signed', 'w1 = -1', 'w1 s> 5', 0n],
    ['jslt32 compares signed', 'w1 = -1', 'w1 s< 0', 1n],
    ['jle32 on equality', 'r1 = 0x700000005 ll', 'w1 <= 5', 1n],
    ['jset32 ignores the high half', 'r1 = 0x100000000 ll', 'w1 & -1', 0n],
  ])('%s', (_name, setup, condition, expected) => {
    expect(taken(setup, condition)).toBe(expected);
  });
});

describe('atomics', () => {
  const set = `r1 = ${X} ll\n*(u64 *)(r10 -8) = r1\n`;
  test.each<[string, string, bigint]>([
    ['add64 carries', `${set}r2 = -1\nlock *(u64 *)(r10 -8) += r2\nr0 = *(u64 *)(r10 -8)`, 0x1122334455667787n],
    [
      'add32 leaves the other half alone',
      `${set}w2 = -1\nlock *(u32 *)(r10 -8) += w2\nr0 = *(u64 *)(r10 -8)`,
      0x1122334455667787n,
    ],
    ['or64', `${set}r2 = 0x77\nlock *(u64 *)(r10 -8) |= r2\nr0 = *(u64 *)(r10 -8)`, 0x11223344556677ffn],
    ['and64', `${set}r2 = 0xff\nlock *(u64 *)(r10 -8) &= r2\nr0 = *(u64 *)(r10 -8)`, 0x88n],
    ['xor64', `${set}r2 = 0xff\nlock *(u64 *)(r10 -8) ^= r2\nr0 = *(u64 *)(r10 -8)`, 0x1122334455667777n],
    [
      'fetch_add64 gives the old value',
      `${set}r0 = 1\nr0 = atomic64_fetch_add((u64 *)(r10 -8), r0)`,
      0x1122334455667788n,
    ],
    [
      '[M-289] fetch_add32 gives the old value, zero-extended',
      `${set}r0 = -1\nw0 = atomic_fetch_add((u32 *)(r10 -8), w0)`,
      0x55667788n,
    ],
    [
      'xchg64 swaps',
      `${set}r2 = 5\nr2 = atomic64_xchg((u64 *)(r10 -8), r2)\nr0 = *(u64 *)(r10 -8)\nr0 += r2`,
      0x112233445566778dn,
    ],
    [
      'cmpxchg64 stores on equality',
      `${set}r0 = r1\nr2 = 5\nr0 = atomic64_cmpxchg((u64 *)(r10 -8), r0, r2)\nr0 = *(u64 *)(r10 -8)`,
      5n,
    ],
    [
      'cmpxchg64 loads on difference',
      `${set}r0 = 1\nr2 = 5\nr0 = atomic64_cmpxchg((u64 *)(r10 -8), r0, r2)`,
      0x1122334455667788n,
    ],
    [
      '[M-288] cmpxchg32 compares low halves and zero-extends r0',
      `${set}r0 = 0x9999999955667788 ll\nr2 = 5\nw0 = atomic_cmpxchg((u32 *)(r10 -8), w0, w2)`,
      0x55667788n,
    ],
    [
      '[M-288] cmpxchg32 stores when the low halves are equal',
      `${set}r0 = 0x9999999955667788 ll\nr2 = 5\nw0 = atomic_cmpxchg((u32 *)(r10 -8), w0, w2)\nr0 = *(u64 *)(r10 -8)`,
      0x1122334400000005n,
    ],
    ['[M-291] load_acquire of 8 bits zero-extends', `${set}r0 = -1\nw0 = load_acquire((u8 *)(r10 -8))`, 0x88n],
    ['[M-291] load_acquire of 16 bits zero-extends', `${set}r0 = -1\nw0 = load_acquire((u16 *)(r10 -8))`, 0x7788n],
    ['[M-291] load_acquire of 32 bits zero-extends', `${set}r0 = -1\nw0 = load_acquire((u32 *)(r10 -8))`, 0x55667788n],
    ['[M-291] load_acquire of 64 bits', `${set}r0 = load_acquire((u64 *)(r10 -8))`, 0x1122334455667788n],
    [
      'store_release of 16 bits',
      `${set}w2 = -1\nstore_release((u16 *)(r10 -8), w2)\nr0 = *(u64 *)(r10 -8)`,
      0x112233445566ffffn,
    ],
  ])('%s', (_name, text, expected) => {
    expect(vm.r0(`${text}\nexit`)).toBe(expected);
  });
});

describe('LD_ABS and LD_IND', () => {
  const tc = { type: 'sched_cls' };
  test.each<[string, string, string, bigint]>([
    ['a word in network order', 'sched_cls', 'r0 = *(u32 *)skb[16]', 0x10111213n],
    ['an unaligned half word', 'sched_cls', 'r0 = *(u16 *)skb[17]', 0x1112n],
    ['LD_IND adds the low half of its register', 'sched_cls', 'r2 = 0x100000004 ll\nr0 = *(u8 *)skb[r2 + 16]', 0x14n],
    ['[M-292] one byte too far ends the program with 0', 'sched_cls', 'r0 = 7\nr0 = *(u32 *)skb[61]\nr0 = 9', 0n],
    ['the last word is inside', 'sched_cls', 'r0 = *(u32 *)skb[60]', 0x3c3d3e3fn],
    ['[M-293] SKF_NET_OFF reads from the network header', 'sched_cls', 'r0 = *(u8 *)skb[-0x100000]', 14n],
    ['SKF_LL_OFF reads from the MAC header', 'sched_cls', 'r0 = *(u8 *)skb[-0x1fffff]', 1n],
    ['other negative offsets fail', 'sched_cls', 'r0 = *(u8 *)skb[-1]\nr0 = 9', 0n],
    ['[M-294] a socket filter starts behind the MAC header', 'socket_filter', 'r0 = *(u8 *)skb[0]', 14n],
  ])('%s', (_name, type, text, expected) => {
    expect(vm.r0(`r6 = r1\n${text}\nexit`, { type })).toBe(expected);
  });

  test('a failing load in a subprogram ends the subprogram with 0', () => {
    expect(vm.r0('r6 = r1\nr0 = 3\ncall pc+2\nr0 += 5\nexit\nr6 = r1\nr0 = *(u8 *)skb[100]\nr0 = 9\nexit', tc)).toBe(
      5n,
    );
  });

  test('[M-295] XDP programs cannot hold LD_ABS', () => {
    expect(() => vm.load('r6 = r1\nr0 = *(u8 *)skb[0]\nexit')).toThrow(LoadError);
    expect(() => vm.load('r6 = r1\nr0 = *(u8 *)skb[0]\nexit')).toThrow(/LD_\[ABS\|IND\] instructions not allowed/);
  });
});

describe('calls and frames', () => {
  test('a subprogram has its own r6 to r9 and its own stack', () => {
    const text = `
      r6 = 1
      r7 = 2
      *(u64 *)(r10 -8) = 40
      r1 = 10
      call pc+5
      r0 += r6
      r0 += r7
      r1 = *(u64 *)(r10 -8)
      r0 += r1
      exit
      r6 = 100
      r7 = 200
      *(u64 *)(r10 -8) = 0
      r0 = r1
      exit`;
    expect(vm.r0(text)).toBe(53n);
  });

  test('a caller can pass a pointer to its stack', () => {
    expect(
      vm.r0('*(u64 *)(r10 -8) = 7\nr1 = r10\nr1 += -8\ncall pc+1\nexit\nr0 = *(u64 *)(r1 +0)\nr0 += 1\nexit'),
    ).toBe(8n);
  });

  test('[M-299] a ninth frame is refused', () => {
    const chain = (frames: number) => `${'call pc+1\nexit\n'.repeat(frames - 1)}r0 = 1\nexit`;
    expect(vm.r0(chain(8))).toBe(1n);
    expect(() => vm.load(chain(9))).toThrow(/the call stack of 9 frames is too deep/);
    expect(() => vm.load(chain(9))).toThrow(expect.objectContaining({ errno: -E.E2BIG }));
  });

  test('[M-301] movsx of 32 bits in ALU32 and of an immediate are refused', () => {
    const bytes = (opcode: number, off: number) =>
      Uint8Array.from([opcode, 0x10, off, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0]);
    expect(() => vm.load(bytes(0xbc, 32))).toThrow(/BPF_MOV uses reserved fields/);
    expect(() => vm.load(Uint8Array.from([0xb7, 0, 8, 0, 1, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0]))).toThrow(
      /BPF_MOV uses reserved fields/,
    );
  });
});

describe('may_goto', () => {
  test('[M-297] a second loop after the first ran out makes no iteration', () => {
    const text = `
      r0 = 0
      first: may_goto pc+1
      goto first
      r0 = 0
      second: may_goto pc+2
      r0 += 1
      goto second
      exit`;
    expect(vm.r0(text)).toBe(0n);
  });

  test('the first loop runs until its budget is used', () => {
    expect(vm.r0('r0 = 0\nagain: may_goto pc+2\nr0 += 1\ngoto again\nexit')).toBe(8_388_608n);
  });
});

describe('counts and limits', () => {
  test.each([
    ['straight line', 'r0 = 0\nr0 += 1\nexit', 3],
    ['ld_imm64 counts once', 'r0 = 5 ll\nexit', 2],
    ['a loop of ten', 'r0 = 10\nagain: r0 += -1\nif r0 != 0 goto again\nexit', 22],
    ['a jump not taken', 'r0 = 1\nif r0 == 0 goto out\nr0 = 2\nout: exit', 4],
    ['a call', 'call pc+1\nexit\nr0 = 1\nexit', 4],
    ['a helper call', 'call bpf_get_smp_processor_id#8\nexit', 2],
  ])('executed instructions: %s', (_name, text, expected) => {
    vm.r0(text);
    expect(vm.engine.executed).toBe(expected);
  });

  test('the same count comes out when every instruction is traced', () => {
    const traced = new Vm();
    const seen: number[] = [];
    traced.engine.traceHook = (_program, insn) => seen.push(insn.slot);
    traced.r0('r0 = 3\nagain: r0 += -1\nif r0 != 0 goto again\ncall pc+1\nexit\nr0 = 1\nexit');
    expect(seen).toEqual([0, 1, 2, 1, 2, 1, 2, 3, 5, 6, 4]);
    expect(traced.engine.executed).toBe(seen.length);
  });

  test('an endless loop ends with the budget', () => {
    const limited = new Vm();
    limited.engine.budget = 1000;
    expect(() => limited.r0('r0 = 0\nagain: r0 += 1\nif r0 != 0 goto again\nexit')).toThrow(
      /test: insn 1: instruction budget of 1000 used up/,
    );
    expect(limited.r0('r0 = 6\nexit')).toBe(6n);
  });
});

describe('memory checks', () => {
  test.each<[string, string, RegExp]>([
    ['NULL', 'r1 = 0\nr0 = *(u8 *)(r1 +4)', /insn 1: read of 1 byte at 0x4 \(r1 \+ 4\): the NULL page/],
    ['a 64-bit number', `r1 = ${X} ll\nr0 = *(u8 *)(r1 +0)`, /0x1122334455667788 \(r1 \+ 0\): not an address/],
    [
      'past the packet',
      'r1 = *(u32 *)(r1 +0)\nr0 = *(u32 *)(r1 +61)',
      /read of 4 bytes .*offset 61 of packet \(64 bytes\)/,
    ],
    ['before the packet', 'r1 = *(u32 *)(r1 +0)\nr0 = *(u8 *)(r1 -1)', /1 bytes before packet/],
    ['above the frame', 'r0 = *(u64 *)(r10 +0)', /0 bytes past the end of stack frame 0/],
    ['below the frame', 'r0 = *(u64 *)(r10 -520)', /8 bytes before stack frame 0/],
    ['across the frame', 'r0 = *(u64 *)(r10 -4)', /offset 508 of stack frame 0/],
    ['store to xdp_md', '*(u32 *)(r1 +0) = 1', /write of 4 bytes .*xdp_md .*is read-only/],
    ['past xdp_md', 'r0 = *(u32 *)(r1 +24)', /past the end of xdp_md/],
    [
      'a load through a function pointer',
      'r1 = subprog[+3]\nr0 = *(u8 *)(r1 +0)\nexit\nr0 = 1',
      /no object|not an address/,
    ],
  ])('%s faults and says where', (_name, text, message) => {
    expect(() => vm.r0(`${text}\nexit`)).toThrow(FaultError);
    expect(() => vm.r0(`${text}\nexit`)).toThrow(message);
  });

  test('every byte of the packet can be read and written, and not one more', () => {
    const last = vm.load('r1 = *(u32 *)(r1 +0)\n*(u8 *)(r1 +63) = 9\nr0 = *(u8 *)(r1 +63)\nexit');
    const result = vm.run(last);
    expect(result.r0).toBe(9n);
    expect(result.data[63]).toBe(9);
    expect(() => vm.r0('r1 = *(u32 *)(r1 +0)\n*(u8 *)(r1 +64) = 9\nexit')).toThrow(/write of 1 byte/);
  });

  test('an element of a map is the limit, not the map', () => {
    const map = vm.map({ type: 'array', name: 'a', keySize: 4, valueSize: 12, maxEntries: 4 });
    const at = (offset: number) => `
      *(u32 *)(r10 -4) = 1
      r2 = r10
      r2 += -4
      r1 = map[idx:0]
      call bpf_map_lookup_elem#1
      r0 = *(u32 *)(r0 +${offset})
      exit`;
    expect(vm.r0(at(8), { maps: [map] })).toBe(0n);
    expect(() => vm.r0(at(12), { maps: [map] })).toThrow(/element 1 of .*12 bytes each/);
  });

  test('helper arguments are checked by their kinds', () => {
    const map = vm.map({ type: 'array', name: 'a', keySize: 4, valueSize: 8, maxEntries: 4 });
    expect(() => vm.r0('r1 = map[idx:0]\nr2 = 0\ncall bpf_map_lookup_elem#1\nexit', { maps: [map] })).toThrow(
      /bpf_map_lookup_elem: argument 2 \(map_key\): read of 4 bytes at 0x0: the NULL page/,
    );
    expect(() => vm.r0('r1 = 5\nr2 = r10\nr2 += -4\ncall bpf_map_lookup_elem#1\nexit')).toThrow(
      /argument 1 is not a map/,
    );
  });
});

describe('loading', () => {
  test.each<[string, string, Record<string, unknown>, RegExp]>([
    ['a missing helper', 'call 9\nexit', {}, /insn 0: helper bpf_skb_store_bytes#9 is not available to xdp programs/],
    ['an unknown helper', 'call 9999\nexit', {}, /invalid func unknown#9999/],
    ['an unknown type', 'r0 = 0\nexit', { type: 'nope' }, /unknown program type 'nope'/],
    ['a map index without a map', 'r1 = map[idx:3]\nr0 = 0\nexit', {}, /map reference 3 does not name a map/],
    [
      'addr_space_cast without an arena',
      'r0 = 0\nraw bf01010001000000\nexit',
      {},
      /insn 1: addr_space_cast insn can only be used in a program that has an associated arena/,
    ],
    [
      'a GPL helper without the license',
      'r1 = r10\nr2 = 1\ncall 6\nexit',
      { license: 'MIT' },
      /cannot call GPL-restricted function/,
    ],
  ])('%s is refused by name', (_name, text, attr, message) => {
    expect(() => vm.load(text, attr)).toThrow(LoadError);
    expect(() => vm.load(text, attr)).toThrow(message);
  });
});
