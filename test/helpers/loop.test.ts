import { describe, expect, test } from 'vitest';
import { HelperBench } from './helper-bench.ts';

const MAX = 8_388_608;

/** Runs bpf_loop with a callback that stops at an index; r0 as 64 bits, and the indexes seen. */
function loop(count: number, { stopAt = -1, flags = 0, flagsHi = 0 } = {}) {
  const bench = new HelperBench();
  let calls = 0;
  const seen: (readonly [number, number])[][] = [];
  bench.cpu.callback = (fn, args) => {
    if (fn !== 77) return 1;
    if (seen.length < 8) seen.push(args.map(([lo, hi]) => [lo, hi] as const));
    calls++;
    return args[0]![0] === stopAt ? 1 : 0;
  };
  return { r0: bench.call64('loop', count | 0, 77, 0x1234, -1, flags, flagsHi), calls, seen };
}

describe('bpf_loop', () => {
  test('the callback gets the index and the context', () => {
    const { r0, seen } = loop(2);
    expect(r0).toBe(2n);
    expect(seen).toEqual([
      [
        [0, 0],
        [0x1234, -1],
      ],
      [
        [1, 0],
        [0x1234, -1],
      ],
    ]);
  });

  test('[M-239] one loop too many gives E2BIG as a zero-extended 32-bit number', () => {
    expect(loop(MAX + 1)).toEqual({ r0: 0xffff_fff9n, calls: 0, seen: [] });
    expect(loop(-1).r0).toBe(0xffff_fff9n);
  });

  test('[M-239] the largest number of loops runs to its end', () => {
    expect(loop(MAX)).toMatchObject({ r0: BigInt(MAX), calls: MAX });
  });

  test('[M-240] flags are refused before the number is looked at', () => {
    expect(BigInt.asIntN(64, loop(MAX + 1, { flags: 1 }).r0)).toBe(-22n);
    expect(BigInt.asIntN(64, loop(1, { flagsHi: 1 }).r0)).toBe(-22n);
  });

  test('[M-241] a callback that stops at index 4 makes five calls', () => {
    expect(loop(100, { stopAt: 4 })).toMatchObject({ r0: 5n, calls: 5 });
  });

  test('no loops make no calls', () => {
    expect(loop(0)).toMatchObject({ r0: 0n, calls: 0 });
  });
});

describe('bpf_iter_num', () => {
  function walk(start: number, end: number) {
    const bench = new HelperBench();
    const it = bench.room(8, 0x5a);
    const ret = bench.call('iter_num_new', it, start, end);
    const seen: number[] = [];
    for (;;) {
      const at = bench.call('iter_num_next', it);
      if (at === 0 || seen.length > 5) break;
      seen.push(bench.machine.memory.view.getInt32(at, true));
    }
    return { ret, seen };
  }

  test.each([
    ['counts from start to end', 3, 6, 0, [3, 4, 5]],
    ['is empty when both are equal', 5, 5, 0, []],
    ['[M-242] refuses a start behind the end, and gives nothing', 5, 3, -22, []],
    ['[M-242] refuses a span above 2^23, and gives nothing', -1, MAX, -7, []],
    ['takes the smallest number', -2147483648, -2147483646, 0, [-2147483648, -2147483647]],
    ['takes the largest number', 2147483645, 2147483647, 0, [2147483645, 2147483646]],
  ])('%s', (_name, start, end, ret, seen) => {
    expect(walk(start, end)).toEqual({ ret, seen });
  });

  test('[M-242] a span of exactly 2^23 is taken', () => {
    const bench = new HelperBench();
    expect(bench.call('iter_num_new', bench.room(8), 0, MAX)).toBe(0);
  });

  test('a destroyed iterator gives nothing', () => {
    const bench = new HelperBench();
    const it = bench.room(8);
    bench.call('iter_num_new', it, 1, 9);
    bench.call('iter_num_destroy', it);
    expect(bench.call('iter_num_next', it)).toBe(0);
  });
});

describe('bpf_iter_bits', () => {
  function walk(words: bigint[], count = words.length) {
    const bench = new HelperBench();
    const it = bench.room(16, 0x5a);
    const ret = bench.call('iter_bits_new', it, bench.u64s(...words), 0, count);
    const seen: number[] = [];
    for (let at = bench.call('iter_bits_next', it); at !== 0; at = bench.call('iter_bits_next', it)) {
      seen.push(bench.u32(at));
    }
    bench.call('iter_bits_destroy', it);
    return { ret, seen };
  }

  test('gives the set bits of one word, and of several', () => {
    expect(walk([0x8000_0000_0000_0005n])).toEqual({ ret: 0, seen: [0, 2, 63] });
    expect(walk([1n, 0n, 2n])).toEqual({ ret: 0, seen: [0, 129] });
    expect(walk([0n])).toEqual({ ret: 0, seen: [] });
  });

  test('refuses no words and more than 511', () => {
    expect(walk([1n], 0)).toEqual({ ret: -22, seen: [] });
    expect(walk([1n], 512)).toEqual({ ret: -7, seen: [] });
  });

  test('an address that cannot be read gives EFAULT', () => {
    const bench = new HelperBench();
    const it = bench.room(16);
    expect(bench.call('iter_bits_new', it, 0x5000, 0, 1)).toBe(-14);
    expect(bench.call('iter_bits_new', it, 0x5000, 0, 2)).toBe(-14);
    expect(bench.call('iter_bits_new', it, 0, 0, 1)).toBe(-22);
    expect(bench.call('iter_bits_next', it)).toBe(0);
  });
});
