import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { HelperBench } from './helper-bench.ts';

const vectors = new URL('../../../shared/reference/maps/vectors/csum-diff.json', import.meta.url);

function hex(text: string): number[] {
  return [...Buffer.from(text, 'hex')];
}

/** Both sides as hex, NULL for an empty one. */
function csumDiff(bench: HelperBench, from: string, to: string, seed: number): number {
  const at = (text: string) => (text ? bench.bytes(hex(text)) : 0);
  return bench.call('csum_diff', at(from), from.length / 2, at(to), to.length / 2, seed | 0);
}

describe('bpf_csum_diff', () => {
  test.each([
    ['[M-261] a length of 3 is accepted', '', '141312', 0, 0x1326],
    ['[M-262] equal sides with seed 0 give 0xffff', '0102030405060708', '0102030405060708', 0, 0xffff],
    ['[M-263] nothing on either side folds the seed', '', '', 0x12345, 0x2346],
    ['a seed of 0x8000ffff folds to 0x8000', '', '', 0x8000ffff, 0x8000],
    ['removing all ones gives 0', 'ffffffffffffffff', '', 0, 0],
    ['adding goes on from the seed', '', '00010000', 0xffff0000, 0x100],
  ])('%s', (_name, from, to, seed, expected) => {
    expect(csumDiff(new HelperBench(), from, to, seed)).toBe(expected);
  });

  test('[M-264] every recorded kernel answer comes out, and all lie in 0..0xffff', (ctx) => {
    if (!existsSync(vectors)) return ctx.skip('the recorded kernel answers (../shared) are not here');
    const { cases } = JSON.parse(readFileSync(vectors, 'utf8')) as { cases: [string, string, number, number][] };
    expect(cases.length).toBeGreaterThan(100);
    const bench = new HelperBench();
    const from = bench.room(4096);
    const to = bench.room(4096);
    const { memory } = bench.machine;
    for (const [fromHex, toHex, seed, expected] of cases) {
      memory.write(from, Uint8Array.from(hex(fromHex)));
      memory.write(to, Uint8Array.from(hex(toHex)));
      const got = bench.call('csum_diff', from, fromHex.length / 2, to, toHex.length / 2, seed | 0);
      expect({ fromHex, toHex, seed, got }).toEqual({ fromHex, toHex, seed, got: expected });
    }
  });

  test('[M-264] sides of several MiB stay exact', () => {
    const bench = new HelperBench();
    const size = 12 << 20;
    const region = bench.machine.memory.allocate(size, { kind: 'mem', name: 'large' });
    bench.machine.memory.u8.fill(0xff, region.start, region.start + size);
    expect(bench.call('csum_diff', 0, 0, region.start, size, 0)).toBe(0xffff);
    bench.machine.memory.u8[region.start + size - 2] = 0xfe;
    expect(bench.call('csum_diff', 0, 0, region.start, size, 0)).toBe(0xfffe);
  });
});
