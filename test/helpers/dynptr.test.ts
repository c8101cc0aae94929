import { describe, expect, test } from 'vitest';
import type { PacketView } from '../../src/vm/cpu.ts';
import { HelperBench } from './helper-bench.ts';

const EINVAL = -22;
const E2BIG = -7;
const ERANGE = -34;

/** A bench with a dynptr over 8 bytes 1..8. */
class DynptrBench extends HelperBench {
  readonly data = this.bytes([1, 2, 3, 4, 5, 6, 7, 8]);
  readonly ptr = this.room(16, 0x5a);
  readonly created: number;

  constructor(size = 8, flags = 0) {
    super();
    this.created = this.call('dynptr_from_mem', this.data, size, flags, 0, this.ptr);
  }

  readPtr(offset: number, length: number, flags = 0): [number, number[]] {
    const to = this.room(16, 0x5a);
    return [this.call('dynptr_read', to, length, this.ptr, offset, flags, 0), this.read(to, Math.max(length, 1))];
  }

  writePtr(offset: number, bytes: number[], flags = 0): number {
    return this.call('dynptr_write', this.ptr, offset, this.bytes(bytes), bytes.length, flags, 0);
  }

  get size(): number {
    return this.call('dynptr_size', this.ptr);
  }
}

/** A packet in pieces of 16 bytes that count up. */
class Pieces implements PacketView {
  readonly bench: HelperBench;
  length = 40;
  readonly start: number;

  constructor(bench: HelperBench) {
    this.bench = bench;
    this.start = bench.bytes(Array.from({ length: 40 }, (_, i) => i));
  }

  copyOut(offset: number, to: number, size: number): void {
    this.bench.machine.memory.u8.copyWithin(to, this.start + offset, this.start + offset + size);
  }

  copyIn(offset: number, from: number, size: number): void {
    this.bench.machine.memory.u8.copyWithin(this.start + offset, from, from + size);
  }

  contiguous(offset: number, size: number): number {
    return size === 0 || offset >> 4 === (offset + size - 1) >> 4 ? this.start + offset : 0;
  }
}

class PacketBench extends HelperBench {
  readonly packet = new Pieces(this);
  readonly ptr = this.room(16, 0x5a);
  readonly created: number;

  constructor(kind: 'xdp' | 'skb', flags = 0) {
    super();
    this.cpu.packet = this.packet;
    this.created = this.call(`dynptr_from_${kind}`, this.scratch, flags, 0, this.ptr);
  }
}

describe('dynptrs of memory', () => {
  test('[M-275] flags are refused and leave a null dynptr', () => {
    const bench = new DynptrBench(8, 1);
    expect(bench.created).toBe(EINVAL);
    expect(bench.size).toBe(0xffff_ffea);
    expect(bench.call('dynptr_is_null', bench.ptr)).toBe(1);
    expect(bench.readPtr(0, 1)[0]).toBe(EINVAL);
    expect(bench.writePtr(0, [1])).toBe(EINVAL);
    expect(bench.call('dynptr_data', bench.ptr, 0, 1)).toBe(0);
    expect(bench.call('dynptr_slice', bench.ptr, 0, bench.room(8), 1)).toBe(0);
    expect(bench.call('dynptr_adjust', bench.ptr, 0, 0)).toBe(EINVAL);
    expect(bench.call('dynptr_is_rdonly', bench.ptr)).toBe(0);
  });

  test('16 MiB is too large, one less is not', () => {
    expect(new DynptrBench(0x1000000).created).toBe(E2BIG);
    expect(new DynptrBench(0x1000000).size).toBe(0xffff_ffea);
    expect(new DynptrBench(0xffffff).size).toBe(0xffffff);
  });

  test('size 0 is not null', () => {
    const bench = new DynptrBench(0);
    expect([bench.created, bench.size, bench.call('dynptr_is_null', bench.ptr)]).toEqual([0, 0, 0]);
  });

  test('reads inside, and up to the end', () => {
    const bench = new DynptrBench();
    expect(bench.readPtr(2, 3)).toEqual([0, [3, 4, 5]]);
    expect(bench.readPtr(8, 0)[0]).toBe(0);
  });

  test.each([
    ['[M-276] past the end by length', 4, 5],
    ['[M-276] past the end by offset', 9, 0],
    ['[M-276] at a huge offset', -1, 1],
  ])('refuses to read %s, and leaves the buffer alone', (_name, offset, length) => {
    const bench = new DynptrBench();
    const [ret, bytes] = bench.readPtr(offset, length);
    expect(ret).toBe(E2BIG);
    expect(new Set(bytes)).toEqual(new Set([0x5a]));
  });

  test('[M-277] refuses to read with flags, also past the end', () => {
    expect(new DynptrBench().readPtr(0, 1, 1)[0]).toBe(EINVAL);
    expect(new DynptrBench().readPtr(0, 9, 1)[0]).toBe(EINVAL);
  });

  test('writes inside, not outside and not with flags', () => {
    const bench = new DynptrBench();
    expect(bench.writePtr(6, [0x11, 0x22])).toBe(0);
    expect(bench.read(bench.data, 8)).toEqual([1, 2, 3, 4, 5, 6, 0x11, 0x22]);
    expect(bench.writePtr(7, [1, 1])).toBe(E2BIG);
    expect(bench.writePtr(8, [])).toBe(0);
    expect(bench.writePtr(9, [])).toBe(E2BIG);
    expect(bench.writePtr(0, [1], 1)).toBe(EINVAL);
  });

  test('data and slices point into the memory', () => {
    const bench = new DynptrBench();
    expect(bench.call('dynptr_data', bench.ptr, 3, 5)).toBe(bench.data + 3);
    expect(bench.call('dynptr_data', bench.ptr, 3, 6)).toBe(0);
    expect(bench.call('dynptr_slice', bench.ptr, 1, 0, 2)).toBe(bench.data + 1);
    expect(bench.call('dynptr_slice_rdwr', bench.ptr, 1, 0, 2)).toBe(bench.data + 1);
    expect(bench.call('dynptr_slice', bench.ptr, 7, 0, 2)).toBe(0);
  });

  test('[M-278] adjust refuses a start behind the end, and anything past the size', () => {
    const bench = new DynptrBench();
    expect(bench.call('dynptr_adjust', bench.ptr, 3, 2)).toBe(EINVAL);
    expect(bench.call('dynptr_adjust', bench.ptr, 0, 9)).toBe(ERANGE);
    expect(bench.call('dynptr_adjust', bench.ptr, 9, 9)).toBe(ERANGE);
    expect(bench.size).toBe(8);
  });

  test('adjust narrows the window, again and again', () => {
    const bench = new DynptrBench();
    expect(bench.call('dynptr_adjust', bench.ptr, 2, 7)).toBe(0);
    expect(bench.call('dynptr_adjust', bench.ptr, 1, 4)).toBe(0);
    expect(bench.size).toBe(3);
    expect(bench.readPtr(0, 3)).toEqual([0, [4, 5, 6]]);
    expect(bench.call('dynptr_adjust', bench.ptr, 3, 3)).toBe(0);
    expect(bench.size).toBe(0);
  });

  test('[M-281] a clone keeps its window when the original is adjusted', () => {
    const bench = new DynptrBench();
    const clone = bench.room(16);
    expect(bench.call('dynptr_clone', bench.ptr, clone)).toBe(0);
    expect(bench.call('dynptr_adjust', bench.ptr, 4, 6)).toBe(0);
    expect(bench.call('dynptr_size', clone)).toBe(8);
    expect(bench.call('dynptr_data', clone, 0, 8)).toBe(bench.data);
  });

  test('a clone of a null dynptr is null', () => {
    const bench = new DynptrBench(8, 1);
    const clone = bench.room(16, 0x5a);
    expect(bench.call('dynptr_clone', bench.ptr, clone)).toBe(EINVAL);
    expect(bench.call('dynptr_is_null', clone)).toBe(1);
  });

  test('copies between dynptrs, and not past either end', () => {
    const bench = new DynptrBench();
    const to = bench.room(16);
    const target = bench.room(8);
    bench.call('dynptr_from_mem', target, 4, 0, 0, to);
    expect(bench.call('dynptr_copy', to, 1, bench.ptr, 5, 3)).toBe(0);
    expect(bench.read(target, 4)).toEqual([0, 6, 7, 8]);
    expect(bench.call('dynptr_copy', to, 2, bench.ptr, 0, 3)).toBe(E2BIG);
    expect(bench.call('dynptr_copy', to, 0, bench.ptr, 6, 3)).toBe(E2BIG);
  });

  test('fills with a byte, and not past the end', () => {
    const bench = new DynptrBench();
    expect(bench.call('dynptr_memset', bench.ptr, 2, 3, 0x1ff)).toBe(0);
    expect(bench.read(bench.data, 8)).toEqual([1, 2, 0xff, 0xff, 0xff, 6, 7, 8]);
    expect(bench.call('dynptr_memset', bench.ptr, 6, 3, 0)).toBe(E2BIG);
  });

  test('a dynptr whose memory is not the program’s is a fault that names it', () => {
    const bench = new DynptrBench();
    bench.machine.memory.view.setUint32(bench.ptr, 0x100, true);
    expect(() => bench.readPtr(0, 4)).toThrow(/dynptr at .*: 4 bytes at 0x100 cannot be read: the NULL page/);
  });
});

describe('dynptrs of packets', () => {
  test.each(['xdp', 'skb'] as const)('%s: the size is that of the packet, flags are refused', (kind) => {
    const bench = new PacketBench(kind);
    expect([bench.created, bench.call('dynptr_size', bench.ptr)]).toEqual([0, 40]);
    expect(bench.call('dynptr_is_rdonly', bench.ptr)).toBe(0);
    const refused = new PacketBench(kind, 1);
    expect([refused.created, refused.call('dynptr_is_null', refused.ptr)]).toEqual([EINVAL, 1]);
  });

  test.each(['xdp', 'skb'] as const)('[M-279] %s: data is always NULL', (kind) => {
    const bench = new PacketBench(kind);
    expect(bench.call('dynptr_data', bench.ptr, 0, 4)).toBe(0);
  });

  test.each([
    ['xdp', 0, 0],
    ['xdp', 1, EINVAL],
    ['skb', 0, 0],
    ['skb', 1, 0],
    ['skb', 3, 0],
    ['skb', 4, EINVAL],
  ] as const)('[M-280] %s: write with flags %i gives %i', (kind, flags, ret) => {
    const bench = new PacketBench(kind);
    expect(bench.call('dynptr_write', bench.ptr, 2, bench.bytes([0xaa, 0xbb]), 2, flags, 0)).toBe(ret);
    expect(bench.read(bench.packet.start + 2, 2)).toEqual(ret === 0 ? [0xaa, 0xbb] : [2, 3]);
  });

  test('the skb of a type that may not write is read-only', () => {
    const bench = new HelperBench();
    bench.cpu.packet = new Pieces(bench);
    bench.cpu.program = { type: 'socket_filter' } as never;
    const ptr = bench.room(16);
    bench.call('dynptr_from_skb', bench.scratch, 0, 0, ptr);
    expect(bench.call('dynptr_is_rdonly', ptr)).toBe(1);
    expect(bench.call('dynptr_write', ptr, 0, bench.bytes([1]), 1, 0, 0)).toBe(EINVAL);
    expect(bench.call('dynptr_slice_rdwr', ptr, 0, bench.room(8), 4)).toBe(0);
    expect(bench.call('dynptr_slice', ptr, 0, 0, 4)).not.toBe(0);
  });

  test('a slice points into the packet, or into the buffer when the packet has it in pieces', () => {
    const bench = new PacketBench('xdp');
    const buffer = bench.room(16, 0x5a);
    expect(bench.call('dynptr_slice', bench.ptr, 4, buffer, 8)).toBe(bench.packet.start + 4);
    expect(bench.call('dynptr_slice', bench.ptr, 12, buffer, 8)).toBe(buffer);
    expect(bench.read(buffer, 8)).toEqual([12, 13, 14, 15, 16, 17, 18, 19]);
    expect(bench.call('dynptr_slice', bench.ptr, 12, 0, 8)).toBe(0);
    expect(bench.call('dynptr_slice', bench.ptr, 36, buffer, 8)).toBe(0);
  });

  test('reads across pieces, from the window', () => {
    const bench = new PacketBench('xdp');
    bench.call('dynptr_adjust', bench.ptr, 10, 30);
    const to = bench.room(16);
    expect(bench.call('dynptr_read', to, 4, bench.ptr, 4, 0, 0)).toBe(0);
    expect(bench.read(to, 4)).toEqual([14, 15, 16, 17]);
    expect(bench.call('dynptr_read', to, 4, bench.ptr, 17, 0, 0)).toBe(E2BIG);
  });

  test('a packet that has shrunk since gives the error of its own load', () => {
    for (const [kind, ret] of [
      ['xdp', EINVAL],
      ['skb', -14],
    ] as const) {
      const bench = new PacketBench(kind);
      bench.packet.length = 20;
      expect(bench.call('dynptr_read', bench.room(8), 8, bench.ptr, 16, 0, 0)).toBe(ret);
    }
  });

  test('copies and fills in pieces', () => {
    const bench = new PacketBench('xdp');
    const clone = bench.room(16);
    bench.call('dynptr_clone', bench.ptr, clone);
    expect(bench.call('dynptr_copy', clone, 10, bench.ptr, 12, 8)).toBe(0);
    expect(bench.read(bench.packet.start + 9, 10)).toEqual([9, 12, 13, 14, 15, 16, 17, 18, 19, 18]);
    expect(bench.call('dynptr_memset', bench.ptr, 14, 4, 0xee)).toBe(0);
    expect(bench.read(bench.packet.start + 13, 6)).toEqual([15, 0xee, 0xee, 0xee, 0xee, 18]);
  });
});
