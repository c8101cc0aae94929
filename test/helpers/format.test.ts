import { describe, expect, test } from 'vitest';
import { HelperBench } from './helper-bench.ts';

const EINVAL = -22;
const ENOSPC = -28;

/** An argument: a number, text whose address is passed, or bytes whose address is passed. */
type Arg = bigint | number | string | number[];

function place(bench: HelperBench, args: readonly Arg[]): (bigint | number)[] {
  return args.map((arg) => (typeof arg === 'string' ? bench.text(arg) : Array.isArray(arg) ? bench.bytes(arg) : arg));
}

/** Result of bpf_snprintf into `size` bytes, and the text there. */
function snprintf(format: string, args: readonly Arg[], size = 600): [number, string] {
  const bench = new HelperBench();
  const values = bench.u64s(...place(bench, args));
  const to = bench.room(size + 8, 0x7e);
  const ret = bench.call('snprintf', to, size, bench.text(format), args.length ? values : 0, args.length * 8);
  return [ret, ret < 0 ? '' : bench.string(to)];
}

interface Traced {
  readonly ret: number;
  readonly lines: string[];
}

function printk(format: string, args: readonly Arg[], size = format.length + 1): Traced {
  const bench = new HelperBench();
  const lines: string[] = [];
  bench.machine.onTrace = (line) => lines.push(line.text);
  const halves = place(bench, [...args, 0, 0, 0].slice(0, 3)).flatMap((value) => [
    Number(BigInt.asIntN(32, BigInt(value))),
    Number(BigInt.asIntN(32, BigInt(value) >> 32n)),
  ]);
  return { ret: bench.call('trace_printk', bench.text(format), size, ...halves), lines };
}

describe('formats', () => {
  test.each<[string, Arg[], string]>([
    ['%d', [-1], '-1'],
    ['%i', [0x1_0000_0005n], '5'],
    ['%u', [-1n], '4294967295'],
    ['%lu', [-1n], '18446744073709551615'],
    ['%lld', [-5n], '-5'],
    ['%lx', [0xdeadbeef12345678n], 'deadbeef12345678'],
    ['%X', [0xbeef], 'BEEF'],
    ['%05x|', [0xff], '000ff|'],
    ['%-5d|', [42], '42   |'],
    ['%5d|', [-42], '  -42|'],
    ['%05d|', [-42], '-0042|'],
    ['%-05d|', [42], '42   |'],
    ['%+d', [7], '+7'],
    ['% d', [7], ' 7'],
    ['%+u', [7], '7'],
    ['%c%c', [0x41, 0x42], 'AB'],
    ['%3c|', [0x41], '  A|'],
    ['%-3c|', [0x41], 'A  |'],
    ['%s', ['text'], 'text'],
    ['%6s|%-6s|', ['ab', 'cd'], '    ab|cd    |'],
    ['%%', [], '%'],
    ['%px', [0x1234n], '0000000000001234'],
    ['%p', [0n], '0000000000000000'],
    ['%ps', [0n], '0x0'],
    ['%pB', [0x10n], '0x10'],
    ['%pI4', [[0x30, 0x31, 0x32, 0x33]], '48.49.50.51'],
    ['%pi4', [[0x30, 0x31, 0x32, 0x33]], '048.049.050.051'],
    ['%pI6', [[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]], '2001:0db8:0000:0000:0000:0000:0000:0001'],
    ['%pi6', [[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]], '20010db8000000000000000000000001'],
    ['%pI4', [0], '0.0.0.0'],
    ['%pks', ['kernel'], 'kernel'],
    ['%pus', ['user'], ''],
    ['%d.%d', [1, 2], '1.2'],
    ['a\tb\n', [], 'a\tb\n'],
  ])('%j is formatted, case %#', (format, args, text) => {
    expect(snprintf(format, args)).toEqual([new TextEncoder().encode(text).length + 1, text]);
  });

  test('%p hashes: 16 digits that are not the address, the same each time', () => {
    const [ret, text] = snprintf('%p %p', [0x1234567890n, 0x1234567890n]);
    expect(ret).toBe(34);
    expect(text).toMatch(/^0{8}[0-9a-f]{8} 0{8}[0-9a-f]{8}$/);
    expect(text).not.toContain('1234567890');
    expect(text.slice(0, 16)).toBe(text.slice(17));
  });

  test.each(['%.3s', '%o', '%#x', '%f', '%n', '%hd', '%zu', '%', '%pI5', '%pZ', '%sx', '%ls', '%lc', '\x01', '\x7f'])(
    '%j is refused',
    (format) => {
      expect(snprintf(format, [1])).toEqual([EINVAL, '']);
    },
  );

  test('bytes of UTF-8 pass', () => {
    expect(snprintf('größe %d', [1])).toEqual([10, 'größe 1']);
  });

  test('more conversions than arguments are refused, fewer are fine', () => {
    expect(snprintf('%d %d', [1])).toEqual([EINVAL, '']);
    expect(snprintf('%d', [1, 2])).toEqual([2, '1']);
  });
});

describe('bpf_snprintf', () => {
  test('[M-250] returns the length that is needed, and cuts the text with a NUL', () => {
    const bench = new HelperBench();
    const to = bench.room(16, 0x7e);
    expect(bench.call('snprintf', to, 4, bench.text('123456'), 0, 0)).toBe(7);
    expect(bench.read(to, 6)).toEqual([0x31, 0x32, 0x33, 0, 0x7e, 0x7e]);
  });

  test('the rest of the buffer is left alone', () => {
    const bench = new HelperBench();
    const to = bench.room(8, 0x7e);
    expect(bench.call('snprintf', to, 8, bench.text('%d'), bench.u64s(42), 8)).toBe(3);
    expect(bench.read(to, 8)).toEqual([0x34, 0x32, 0, 0x7e, 0x7e, 0x7e, 0x7e, 0x7e]);
  });

  test('[M-251] size 0 gives the length that is needed, the NUL included', () => {
    const bench = new HelperBench();
    expect(bench.call('snprintf', 0, 0, bench.text('%d!'), bench.u64s(123), 8)).toBe(5);
  });

  test('[M-252] a string at NULL or at a bad address is empty', () => {
    expect(snprintf('%s', [0])).toEqual([1, '']);
    expect(snprintf('%s', [0xffff_8880_0000_0000n])).toEqual([1, '']);
  });

  test('[M-255] 13 arguments are refused, 12 are not', () => {
    expect(snprintf('%d', new Array(13).fill(1))).toEqual([EINVAL, '']);
    expect(snprintf('%d'.repeat(12), new Array(12).fill(1))).toEqual([13, '1'.repeat(12)]);
  });

  test('an array of arguments that is not whole is refused', () => {
    const bench = new HelperBench();
    expect(bench.call('snprintf', bench.room(8), 8, bench.text('x'), bench.u64s(1), 4)).toBe(EINVAL);
  });
});

describe('bpf_trace_printk', () => {
  test('[M-257] returns the number of characters without the NUL', () => {
    expect(printk('hello %d\n', [5])).toEqual({ ret: 8, lines: ['hello 5\n'] });
    expect(printk('', [])).toEqual({ ret: 0, lines: [''] });
  });

  test('[M-258] a format without a NUL inside its size is refused', () => {
    expect(printk('hello', [], 5)).toEqual({ ret: EINVAL, lines: [] });
    expect(printk('hello', [], 6).ret).toBe(5);
  });

  test('[M-259] a fourth conversion is refused', () => {
    expect(printk('%d %d %d', [1, 2, 3]).ret).toBe(5);
    expect(printk('%d %d %d %d', [1, 2, 3])).toEqual({ ret: EINVAL, lines: [] });
  });

  test('a line is cut at 1023 characters', () => {
    const { ret, lines } = printk(`${'x'.repeat(1100)}`, []);
    expect(ret).toBe(1100);
    expect(lines).toEqual(['x'.repeat(1023)]);
  });

  test('[M-327] a string is cut to the 512 bytes that all arguments share', () => {
    expect(printk('%s', ['y'.repeat(1099)])).toEqual({ ret: 511, lines: ['y'.repeat(511)] });
    expect(printk('%d%s', [1, 'y'.repeat(1099)]).ret).toBe(1 + 507);
  });

  test('[M-328] three long strings do not fit', () => {
    const long = 'z'.repeat(600);
    expect(printk('%s %s %s', [long, long, long])).toEqual({ ret: ENOSPC, lines: [] });
    expect(printk('%s %d', [long, 1]).ret).toBe(ENOSPC);
  });

  test('lines carry CPU and virtual time', () => {
    const bench = new HelperBench();
    bench.cpu = bench.machine.cpuList[1]!;
    bench.machine.clock.advance(5);
    const seen: unknown[] = [];
    bench.machine.onTrace = (line) => seen.push(line);
    bench.call('trace_printk', bench.text('x'), 2, 0, 0, 0, 0, 0, 0);
    expect(seen).toEqual([{ cpu: 1, time: 1_000_000_005, text: 'x' }]);
  });
});

describe('bpf_trace_vprintk', () => {
  const vprintk = (format: string, args: number[], size = args.length * 8) => {
    const bench = new HelperBench();
    const lines: string[] = [];
    bench.machine.onTrace = (line) => lines.push(line.text);
    const ret = bench.call('trace_vprintk', bench.text(format), format.length + 1, bench.u64s(...args, 0), size);
    return { ret, lines };
  };

  test('[M-260] fewer arguments than conversions are refused, more are fine', () => {
    expect(vprintk('%d %d', [1])).toEqual({ ret: EINVAL, lines: [] });
    expect(vprintk('%d', [1, 2])).toEqual({ ret: 1, lines: ['1'] });
  });

  test('takes 12 arguments, not 13, and whole ones', () => {
    expect(vprintk('%d'.repeat(12), new Array(12).fill(3)).lines).toEqual(['3'.repeat(12)]);
    expect(vprintk('%d', new Array(13).fill(3)).ret).toBe(EINVAL);
    expect(vprintk('%d', [1, 2], 12).ret).toBe(EINVAL);
  });
});
