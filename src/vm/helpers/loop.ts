import { E } from '../../base/errno.ts';
import type { Machine } from '../machine.ts';
import { type HelperRow, helper, kfunc } from '../prototypes/helper.ts';
import { copyFrom } from './kernel-memory.ts';
import { PerMachine } from './per-machine.ts';

const BPF_MAX_LOOPS = 8 << 20;
/** Words of a bits iterator's mask at most. */
const BITS_ITER_NR_WORDS_MAX = 511;

export const loopHelpers: readonly HelperRow[] = [
  helper({
    id: 181,
    name: 'bpf_loop',
    args: ['anything32', 'func', 'stack_or_null', 'anything'],
    ret: 'u64',
    types: 'all',
    // kernel: bpf_loop() and inline_bpf_loop()
    call: (cpu, count, fn, ctxLo, ctxHi, flagsLo, flagsHi) => {
      const loops = count >>> 0;
      if ((flagsLo | flagsHi) !== 0) {
        cpu.hi = -1;
        return -E.EINVAL;
      }
      // With a constant flags of 0 the verifier inlines the call, and the 32-bit error is not sign-extended.
      // differs from kernel: flags that are 0 but not constant give the same (-7 as 64 bits there).
      if (loops > BPF_MAX_LOOPS) {
        cpu.hi = 0;
        return -E.E2BIG;
      }
      const index: [number, number] = [0, 0];
      const args: readonly [number, number][] = [index, [ctxLo, ctxHi]];
      let done = 0;
      while (done < loops) {
        index[0] = done++;
        if (cpu.callback(fn, args) !== 0) break;
      }
      cpu.hi = 0;
      return done;
    },
  }),
];

/** Masks of bits iterators that do not fit into the iterator, by handle. */
class BitMasks {
  #masks = new Map<number, Uint8Array>();
  #next = 1;

  keep(mask: Uint8Array): number {
    this.#masks.set(this.#next, mask);
    return this.#next++;
  }

  get(handle: number): Uint8Array | undefined {
    return this.#masks.get(handle);
  }

  drop(handle: number): void {
    this.#masks.delete(handle);
  }
}

const bitMasks = new PerMachine<BitMasks>(() => new BitMasks());

/** Next set bit at or after `from`, or `bits` when there is none. kernel: find_next_bit() */
function findNextBit(mask: Uint8Array, bits: number, from: number): number {
  for (let bit = from; bit < bits; bit++) {
    if (mask[bit >> 3]! & (1 << (bit & 7))) return bit;
  }
  return bits;
}

/** The bytes that a bits iterator walks: inside of it (64 bits), or kept aside. */
function maskOf(machine: Machine, it: number, bits: number): Uint8Array | undefined {
  const { u8, view } = machine.memory;
  return bits === 64 ? u8.subarray(it, it + 8) : bitMasks.of(machine).get(view.getUint32(it, true));
}

/**
 * Open-coded iterators.
 *
 * ```
 * num    0 s32 cur        4 s32 end
 * bits   0 u64 mask (64 bits) or handle       8 s32 nr_bits      12 s32 bit
 * ```
 */
export const iteratorKfuncs: readonly HelperRow[] = [
  kfunc({
    name: 'bpf_iter_num_new',
    args: ['uninit_iter_num', 'anything32', 'anything32'],
    ret: 'u32',
    types: 'all',
    call: (cpu, it, start, end) => {
      const { view } = cpu.machine.memory;
      const error = start > end ? -E.EINVAL : end - start > BPF_MAX_LOOPS ? -E.E2BIG : 0;
      view.setInt32(it, error ? 0 : start - 1, true);
      view.setInt32(it + 4, error ? 0 : end, true);
      return error;
    },
  }),
  kfunc({
    name: 'bpf_iter_num_next',
    args: ['iter_num'],
    ret: 'mem_or_null',
    types: 'all',
    call: (cpu, it) => {
      const { view } = cpu.machine.memory;
      const next = (view.getInt32(it, true) + 1) | 0;
      if (next >= view.getInt32(it + 4, true)) {
        view.setBigUint64(it, 0n, true);
        return 0;
      }
      view.setInt32(it, next, true);
      return it;
    },
  }),
  kfunc({
    name: 'bpf_iter_num_destroy',
    args: ['iter_num'],
    ret: 'void',
    types: 'all',
    call: (cpu, it) => {
      cpu.machine.memory.u8.fill(0, it, it + 8);
      return undefined;
    },
  }),
  kfunc({
    name: 'bpf_iter_bits_new',
    args: ['uninit_iter_bits', 'anything', 'anything32'],
    ret: 'u32',
    types: 'all',
    call: (cpu, it, lo, hi, words) => {
      const { memory } = cpu.machine;
      const count = words >>> 0;
      memory.u8.fill(0, it, it + 12);
      memory.view.setInt32(it + 12, -1, true);
      if ((lo | hi) === 0 || count === 0) return -E.EINVAL;
      if (count > BITS_ITER_NR_WORDS_MAX) return -E.E2BIG;
      if (count === 1) {
        if (copyFrom(memory, it, 8, lo, hi) < 0) return -E.EFAULT;
      } else {
        if (hi !== 0 || !memory.accessible(lo >>> 0, count * 8, false)) return -E.EFAULT;
        memory.view.setUint32(it, bitMasks.of(cpu.machine).keep(memory.read(lo >>> 0, count * 8)), true);
      }
      memory.view.setInt32(it + 8, count * 64, true);
      return 0;
    },
  }),
  kfunc({
    name: 'bpf_iter_bits_next',
    args: ['iter_bits'],
    ret: 'mem_or_null',
    types: 'all',
    call: (cpu, it) => {
      const { view } = cpu.machine.memory;
      const bits = view.getInt32(it + 8, true);
      const bit = view.getInt32(it + 12, true);
      const mask = bits > 0 && bit < bits ? maskOf(cpu.machine, it, bits) : undefined;
      if (!mask) return 0;
      const next = findNextBit(mask, Math.min(bits, mask.length * 8), Math.max(bit, -1) + 1);
      view.setInt32(it + 12, next, true);
      return next < bits ? it + 12 : 0;
    },
  }),
  kfunc({
    name: 'bpf_iter_bits_destroy',
    args: ['iter_bits'],
    ret: 'void',
    types: 'all',
    call: (cpu, it) => {
      const { view } = cpu.machine.memory;
      if (view.getInt32(it + 8, true) > 64) bitMasks.of(cpu.machine).drop(view.getUint32(it, true));
      return undefined;
    },
  }),
];
