import { describe, expect, test } from 'vitest';
import { HelperBench } from './helper-bench.ts';

const EINVAL = -22;
const ERANGE = -34;
const ENOENT = -2;

/** Result of strtol or strtoul, and the value that it left over junk. */
function parse(name: 'strtol' | 'strtoul', text: string, flags: number, flagsHi = 0): [number, bigint] {
  const bench = new HelperBench();
  const at = bench.text(text);
  const result = bench.room(8, 0x5a);
  const ret = bench.call(name, at, text.length + 1, flags, flagsHi, result);
  const value = bench.u64(result);
  return [ret, name === 'strtol' ? BigInt.asIntN(64, value) : value];
}

describe('bpf_strtol', () => {
  test.each<[string, string, number, number, bigint]>([
    ['a plain number is taken whole', '123', 0, 3, 123n],
    ['a minus sign is part of it', '-123', 0, 4, -123n],
    ['[M-243] a plus sign is refused', '+123', 0, EINVAL, 0n],
    ['letters are refused', 'abc', 0, EINVAL, 0n],
    ['nothing is refused', '', 0, EINVAL, 0n],
    ['a lone sign is refused', '-', 0, EINVAL, 0n],
    ['two signs are refused', '--5', 0, EINVAL, 0n],
    ['a blank behind the sign is refused', '- 5', 0, EINVAL, 0n],
    ['[M-244] blanks count as consumed, trailing letters do not', '  42abc', 0, 4, 42n],
    ['0x means hexadecimal', '0x1f', 0, 4, 31n],
    ['0X does, too, and base 16 takes a prefix', '0X1F', 16, 4, 31n],
    ['a leading 0 means octal', '017', 0, 3, 15n],
    ['[M-245] 0x without a digit is an octal 0', '0x', 0, 1, 0n],
    ['0x before another letter is, too', '0xg', 0, 1, 0n],
    ['base 16 takes the prefix away before it looks for digits', '0x', 16, EINVAL, 0n],
    ['08 is an octal 0', '08', 0, 1, 0n],
    ['octal digits end at 8', '789', 8, 1, 7n],
    ['the largest number fits', '9223372036854775807', 0, 19, 9223372036854775807n],
    ['[M-246] 2^63 is out of range', '9223372036854775808', 0, ERANGE, 0n],
    ['20 nines are out of range', '99999999999999999999', 0, ERANGE, 0n],
    ['the smallest number fits', '-9223372036854775808', 0, 20, -9223372036854775808n],
    ['one less is out of range', '-9223372036854775809', 0, ERANGE, 0n],
    ['[M-247] base 7 is refused', '1', 7, EINVAL, 0n],
    ['[M-247] flag 32 is refused', '1', 32, EINVAL, 0n],
    ['base 2 is refused', '1', 2, EINVAL, 0n],
    ['at most 63 digits are looked at', `${'0'.repeat(70)}7`, 10, 63, 0n],
  ])('%s', (_name, text, flags, ret, value) => {
    expect(parse('strtol', text, flags)).toEqual([ret, value]);
  });

  test('a flag above bit 31 is refused', () => {
    expect(parse('strtol', '1', 0, 1)).toEqual([EINVAL, 0n]);
  });

  test('reading stops at the size, without a NUL', () => {
    const bench = new HelperBench();
    const at = bench.text('12345');
    const result = bench.room(8);
    expect(bench.call('strtol', at, 2, 0, 0, result)).toBe(2);
    expect(bench.u64(result)).toBe(12n);
  });
});

describe('bpf_strtoul', () => {
  test.each<[string, string, number, bigint]>([
    ['[M-248] -0 is refused', '-0', EINVAL, 0n],
    ['-1 is refused', '-1', EINVAL, 0n],
    ['+5 is refused', '+5', EINVAL, 0n],
    ['2^64 - 1 fits', '18446744073709551615', 20, 18446744073709551615n],
    ['2^64 is out of range', '18446744073709551616', ERANGE, 0n],
    ['blanks are skipped', '   7 ', 4, 7n],
  ])('%s', (_name, text, ret, value) => {
    expect(parse('strtoul', text, 0)).toEqual([ret, value]);
  });
});

describe('bpf_strncmp', () => {
  test.each<[string, string, string, number, number]>([
    ['[M-249] the first difference decides', 'abc', 'abd', 4, -1],
    ['the other way round it is 1', 'abd', 'abc', 4, 1],
    ['the size ends the comparison', 'abc', 'abd', 2, 0],
    ['a NUL ends it', 'abc', 'abc', 8, 0],
    ['bytes are unsigned', '\u0080', 'a', 4, 1],
    ['the shorter one is less', 'ab', 'abc', 4, -1],
  ])('%s', (_name, left, right, size, ret) => {
    const bench = new HelperBench();
    expect(bench.call('strncmp', bench.text(left), size, bench.text(right))).toBe(ret);
  });
});

test('bpf_strncmp with a string that is not in memory is a fault that says so', () => {
  const bench = new HelperBench();
  expect(() => bench.call('strncmp', bench.text('abc'), 4, 64)).toThrow(/argument 3 \(const_str\): the NULL page/);
});

describe('string kfuncs', () => {
  const at = (text: string) => (bench: HelperBench) => [bench.text(text), 0] as const;
  const null_ = () => [0, 0] as const;
  const unmapped = () => [0x1000, 0xffff8880 | 0] as const;
  const char = (letter: string) => () => [letter === '' ? 0 : letter.charCodeAt(0)] as const;
  const count = (n: number) => () => [n, 0] as const;
  const long = 'a'.repeat(65536);

  test.each<[string, ((bench: HelperBench) => readonly number[])[], number]>([
    ['strcmp', [at('hello'), at('help')], -1],
    ['strcmp', [at('help'), at('hello')], 1],
    ['strcmp', [at('help'), at('help')], 0],
    ['strcmp', [null_, at('help')], ERANGE],
    ['strcmp', [at('help'), unmapped], -14],
    ['strcmp', [at(long), at(long)], -7],
    ['strcasecmp', [at('HeLLo'), at('hEllO')], 0],
    ['strcasecmp', [at('A'), at('b')], -1],
    ['strchr', [at('hello'), char('l')], 2],
    ['strchr', [at('hello'), char('z')], ENOENT],
    ['strchr', [at('hello'), char('')], 5],
    ['strnchr', [at('hello'), count(2), char('l')], ENOENT],
    ['strnchr', [at('hello'), count(3), char('l')], 2],
    ['strnchr', [at('hello'), count(0), char('h')], ENOENT],
    ['strchrnul', [at('hello'), char('z')], 5],
    ['strrchr', [at('hello'), char('l')], 3],
    ['strrchr', [at('hello'), char('z')], ENOENT],
    ['strrchr', [at('hello'), char('')], 5],
    ['strlen', [at('hello')], 5],
    ['strlen', [at(long)], -7],
    ['strlen', [null_], ERANGE],
    ['strnlen', [at('hello'), count(3)], 3],
    ['strnlen', [at('hello'), count(9)], 5],
    ['strnlen', [at('hello'), count(0)], 0],
    ['strspn', [at('hello'), at('leh')], 4],
    ['strspn', [at('hello'), at('')], 0],
    ['strcspn', [at('hello'), at('ol')], 2],
    ['strcspn', [at('hello'), at('xyz')], 5],
    ['strstr', [at('hello'), at('ll')], 2],
    ['strstr', [at('hello'), at('')], 0],
    ['strstr', [at('hello'), at('lp')], ENOENT],
    ['strstr', [at('aab'), at('ab')], 1],
    ['strnstr', [at('hello'), at('ll'), count(4)], 2],
    ['strnstr', [at('hello'), at('ll'), count(3)], ENOENT],
    ['strnstr', [at('hello'), at('lo'), count(5)], 3],
  ])('bpf_%s case %#', (name, args, ret) => {
    const bench = new HelperBench();
    expect(bench.call(name, ...args.flatMap((arg) => [...arg(bench)]))).toBe(ret);
  });

  test('a string that runs out of readable memory gives EFAULT', () => {
    const bench = new HelperBench();
    const region = bench.machine.memory.allocate(4096, { kind: 'mem', name: 'last page' });
    bench.machine.memory.u8.fill(0x61, region.start, region.start + 4096);
    expect(bench.call('strlen', region.start + 4090, 0)).toBe(-14);
  });
});
