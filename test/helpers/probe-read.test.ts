import { describe, expect, test } from 'vitest';
import { HelperBench } from './helper-bench.ts';

const ERANGE = -34;
const EFAULT = -14;
const KERNEL = 0xffff8880 | 0;
const ZERO8 = new Array(8).fill(0);

describe('bpf_probe_read_kernel', () => {
  test('reads the lab memory', () => {
    const bench = new HelperBench();
    const to = bench.room(8, 0x5a);
    expect(bench.call('probe_read_kernel', to, 4, bench.bytes([1, 2, 3, 4, 5]), 0)).toBe(0);
    expect(bench.read(to, 6)).toEqual([1, 2, 3, 4, 0x5a, 0x5a]);
  });

  test.each([
    ['[M-265] NULL is out of range', 0, 0, ERANGE],
    ['[M-265] a user address is out of range', 0x1000, 0, ERANGE],
    ['[M-265] a high user address is out of range', 0, 0x7fff, ERANGE],
    ['[M-266] an unmapped kernel address faults', 0x1000, KERNEL, EFAULT],
    ['an address in neither half of the address space is out of range', 0, 0x10000, ERANGE],
    ['the vsyscall page is out of range', 0xff600123 | 0, -1, ERANGE],
  ])('%s, and the buffer is zeroed', (_name, lo, hi, ret) => {
    for (const name of ['probe_read_kernel', 'probe_read_kernel_str']) {
      const bench = new HelperBench();
      const to = bench.room(16, 0x5a);
      expect(bench.call(name, to, 8, lo, hi)).toBe(ret);
      expect(bench.read(to, 9)).toEqual([...ZERO8, 0x5a]);
    }
  });

  test('the address is checked also when nothing is read', () => {
    expect(new HelperBench().call('probe_read_kernel', 0, 0, 0, 0)).toBe(ERANGE);
  });

  test('a read that runs over the end faults', () => {
    const bench = new HelperBench();
    const region = bench.machine.memory.allocate(4096, { kind: 'mem', name: 'page' });
    expect(bench.call('probe_read_kernel', bench.room(8), 8, region.start + 4092, 0)).toBe(EFAULT);
  });

  test('memory that belongs to the lab itself faults', () => {
    const bench = new HelperBench();
    const region = bench.machine.memory.allocate(4096, { kind: 'internal', name: 'secret', accessible: false });
    expect(bench.call('probe_read_kernel', bench.room(8), 8, region.start, 0)).toBe(EFAULT);
  });
});

describe('bpf_probe_read_kernel_str', () => {
  test('[M-267] a long string is cut, with its NUL', () => {
    const bench = new HelperBench();
    const to = bench.room(16, 0x5a);
    expect(bench.call('probe_read_kernel_str', to, 8, bench.text('0123456789'), 0)).toBe(8);
    expect(bench.read(to, 9)).toEqual([0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0, 0x5a]);
  });

  test('a short string counts its NUL, and the rest of the buffer is left alone', () => {
    const bench = new HelperBench();
    const to = bench.room(8, 0x5a);
    expect(bench.call('probe_read_kernel_str', to, 8, bench.text('x'), 0)).toBe(2);
    expect(bench.read(to, 3)).toEqual([0x78, 0, 0x5a]);
  });
});

describe('bpf_probe_read_user', () => {
  test('[M-268] every address faults, and the buffer is zeroed', () => {
    for (const name of ['probe_read_user', 'probe_read_user_str']) {
      const bench = new HelperBench();
      const to = bench.room(16, 0x5a);
      expect(bench.call(name, to, 8, bench.text('kernel'), 0)).toBe(EFAULT);
      expect(bench.read(to, 9)).toEqual([...ZERO8, 0x5a]);
    }
  });
});
