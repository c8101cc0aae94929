import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BpfError, InternalError } from '../../src/base/error.ts';
import { Memory, PAGE_SIZE, type Region } from '../../src/base/memory.ts';

const MB = 1 << 20;
const plain = { kind: 'mem', name: 'test' } as const;

describe('the linear memory', () => {
  test('hands out pages above the reserved 64 KiB, zeroed', () => {
    const memory = new Memory({ size: MB });
    const region = memory.allocate(100, plain);
    expect(region.start).toBeGreaterThanOrEqual(0x10000);
    expect(region.size).toBe(PAGE_SIZE);
    expect(memory.read(region.start, 100).every((byte) => byte === 0)).toBe(true);
  });

  test('freed pages come back zeroed and merge with their neighbours', () => {
    const memory = new Memory({ size: MB });
    const whole = memory.largestFree();
    const regions = [1, 2, 3].map(() => memory.allocate(PAGE_SIZE, plain));
    memory.write(regions[1]!.start, Uint8Array.of(1, 2, 3));
    for (const index of [1, 0, 2]) memory.free(regions[index]!);
    expect(memory.largestFree()).toBe(whole);
    const again = memory.allocate(3 * PAGE_SIZE, plain);
    expect(memory.read(again.start, 3 * PAGE_SIZE).every((byte) => byte === 0)).toBe(true);
  });

  test('a full memory says what was wanted and what there is', () => {
    const memory = new Memory({ size: MB });
    expect(() => memory.allocate(2 * MB, { kind: 'map_value', name: 'map big' })).toThrow(BpfError);
    expect(() => memory.allocate(2 * MB, { kind: 'map_value', name: 'map big' })).toThrow(
      /no room for map big: 2097152 bytes wanted, 983040 free in one piece/,
    );
  });

  test('freeing twice is our own mistake', () => {
    const memory = new Memory({ size: MB });
    const region = memory.allocate(1, plain);
    memory.free(region);
    expect(() => memory.free(region)).toThrow(InternalError);
  });

  test.each([1, 0x10000, 0x12345, 2 ** 31])('a size of %i bytes is refused', (size) => {
    expect(() => new Memory({ size })).toThrow(/memory size/);
  });

  test('access stops at the bounds, at read-only regions and at elements', () => {
    const memory = new Memory({ size: MB });
    const packet = memory.allocate(PAGE_SIZE, { kind: 'packet', name: 'packet' });
    memory.setBounds(packet, packet.start + 256, packet.start + 320);
    expect(memory.accessible(packet.start + 256, 64, true)).toBe(true);
    expect(memory.accessible(packet.start + 255, 1, false)).toBe(false);
    expect(memory.accessible(packet.start + 257, 64, false)).toBe(false);
    memory.setWritable(packet, false);
    expect(memory.accessible(packet.start + 256, 1, true)).toBe(false);
    expect(memory.accessible(packet.start + 256, 1, false)).toBe(true);

    const values = memory.allocate(64, { kind: 'map_value', name: 'map a', stride: 16, elementSize: 12 });
    expect(memory.accessible(values.start + 16 + 4, 8, true)).toBe(true);
    expect(memory.accessible(values.start + 16 + 8, 8, true)).toBe(false);
    const hidden = memory.allocate(64, { kind: 'internal', name: 'buckets', accessible: false });
    expect(memory.accessible(hidden.start, 1, false)).toBe(false);
    for (const wild of [0, 0xfffe, MB, 0x7fffffff, 0x80000000, 0xffffffff]) {
      expect(memory.accessible(wild, 1, false)).toBe(false);
    }
  });

  test('an address is described by what lives there', () => {
    const memory = new Memory({ size: MB });
    const packet = memory.allocate(PAGE_SIZE, { kind: 'packet', name: 'packet' });
    memory.setBounds(packet, packet.start + 256, packet.start + 320);
    expect(memory.describe(4)).toBe('the NULL page');
    expect(memory.describe(packet.start + 330)).toMatch(/^10 bytes past the end of packet \(64 bytes/);
    expect(memory.describe(packet.start + 250)).toMatch(/^6 bytes before packet/);
    expect(memory.describe(packet.start + 300)).toBe('offset 44 of packet (64 bytes)');
    expect(memory.describe(packet.start + PAGE_SIZE)).toMatch(/^no object; the nearest below is packet/);
  });

  test('any sequence of allocations and frees keeps regions apart', () => {
    const step = fc.oneof(
      fc.record({ take: fc.integer({ min: 1, max: 5 * PAGE_SIZE }) }),
      fc.record({ give: fc.nat(20) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const memory = new Memory({ size: MB });
        const live: Region[] = [];
        for (const action of steps) {
          if ('take' in action) {
            if (memory.largestFree() >= 6 * PAGE_SIZE) live.push(memory.allocate(action.take, plain));
          } else if (live.length > 0) memory.free(live.splice(action.give % live.length, 1)[0]!);
        }
        const sorted = [...live].sort((a, b) => a.start - b.start);
        for (const [index, region] of sorted.entries()) {
          expect(memory.regionAt(region.start)).toBe(region);
          expect(memory.regionAt(region.start + region.size - 1)).toBe(region);
          const next = sorted[index + 1];
          if (next) expect(region.start + region.size).toBeLessThanOrEqual(next.start);
        }
      }),
      { seed: 1, numRuns: 60 },
    );
  });
});
