// hot: no allocation, no BigInt per call
import { type HelperRow, helper } from '../prototypes/helper.ts';
import { LWT, TC } from './prog-groups.ts';

/** Words that can be added to a number before it must be folded to stay exact (2^53 / 2^32, less the seed). */
const EXACT_BYTES = 4 << 20;

/**
 * 32-bit ones' complement sum of little-endian words, the last one zero-padded, starting from `seed`.
 * kernel: csum_partial()
 */
function sum32(view: DataView, from: number, size: number, seed: number): number {
  let sum = seed;
  let at = from;
  let left = size;
  while (left >= 4) {
    let block = Math.min(left, EXACT_BYTES) & ~3;
    left -= block;
    for (; block > 0; block -= 4, at += 4) sum += view.getUint32(at, true);
    sum = fold32(sum);
  }
  if (left > 0) {
    let last = view.getUint8(at);
    if (left > 1) last |= view.getUint8(at + 1) << 8;
    if (left > 2) last |= view.getUint8(at + 2) << 16;
    sum = fold32(sum + last);
  }
  return sum;
}

/** End-around carry of a sum below 2^53. */
function fold32(sum: number): number {
  const once = sum - ((sum / 0x100000000) | 0) * 0xffffffff;
  return once >= 0x100000000 ? once - 0xffffffff : once;
}

/** kernel: csum_fold() without the final complement */
function fold16(sum: number): number {
  const once = (sum & 0xffff) + (sum >>> 16);
  return (once & 0xffff) + (once >>> 16);
}

/** kernel: bpf_csum_diff(), since 6.13 folded to 16 bits and for any length */
export function csumDiff(
  view: DataView,
  from: number,
  fromSize: number,
  to: number,
  toSize: number,
  seed: number,
): number {
  if (fromSize > 0 && toSize > 0) {
    return fold16(fold32(sum32(view, to, toSize, seed) + (~sum32(view, from, fromSize, 0) >>> 0)));
  }
  if (toSize > 0) return fold16(sum32(view, to, toSize, seed));
  if (fromSize > 0) return fold16(~sum32(view, from, fromSize, ~seed >>> 0) >>> 0);
  return fold16(seed);
}

export const csumHelpers: readonly HelperRow[] = [
  helper({
    id: 28,
    name: 'bpf_csum_diff',
    args: ['mem_or_null', 'const_size_or_zero', 'mem_or_null', 'const_size_or_zero', 'anything32'],
    ret: 'integer',
    types: [...TC, 'xdp', ...LWT],
    pktAccess: true,
    call: (cpu, from, fromSize, to, toSize, seed) =>
      csumDiff(cpu.machine.memory.view, from, fromSize, to, toSize, seed >>> 0),
  }),
];
