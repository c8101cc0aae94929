import type { BpfMap } from '../maps/map.ts';
import type { Machine } from './machine.ts';
import type { Program } from './program.ts';

/**
 * The packet behind the running program's context, as far as helpers of `vm/` look at it (perf output, dynptrs).
 * Hooks implement it: xdp_buff, sk_buff.
 */
export interface PacketView {
  /** Linear part and fragments together, bytes from where the program's packet starts. */
  readonly length: number;
  /** Copies packet bytes into linear memory at `to`; the range must lie inside the packet. */
  copyOut(offset: number, to: number, size: number): void;
  /** Copies bytes from linear memory into the packet; the range must lie inside the packet. */
  copyIn(offset: number, from: number, size: number): void;
  /** Address of `size` contiguous packet bytes at `offset`, or 0 when they lie in several pieces. */
  contiguous(offset: number, size: number): number;
  /**
   * LD_ABS and LD_IND: the big-endian value at a signed 32-bit offset (SKF_NET_OFF and SKF_LL_OFF included), unsigned, or
   * -1 outside of the packet. Absent where the instructions are not allowed.
   */
  loadAbs?(offset: number, size: number): number;
}

/**
 * Where the packet goes when the program returns REDIRECT. Helpers fill it, nothing but the redirect itself empties it,
 * so a stale target can be met again. kernel: struct bpf_redirect_info
 */
export interface RedirectRecord {
  /** Device number, or the key in `map`. */
  index: number;
  map: BpfMap | undefined;
  flags: number;
}

/** Per-CPU state, handed to every helper body. */
export class Cpu {
  readonly id: number;
  readonly machine: Machine;
  /** High half of a `u64` helper result; the engine reads it after the call. */
  hi = 0;
  /** Program that runs on this CPU now (after a tail call, the callee). */
  program: Program | undefined;
  /** Packet of the running program. */
  packet: PacketView | undefined;
  readonly redirect: RedirectRecord = { index: 0, map: undefined, flags: 0 };
  /**
   * Calls a BPF function from a helper: `fn` is the value of an LD_IMM64 func pointer, arguments are (lo, hi) pairs.
   * Returns r0, which must lie between 0 and `max` (default 1). Set by the engine that runs the program.
   */
  callback: (fn: number, args: readonly [lo: number, hi: number][], max?: number) => number = () => 0;
  /** Address of the bpf_spin_lock that the program holds, or 0. */
  lock = 0;

  constructor(machine: Machine, id: number) {
    this.machine = machine;
    this.id = id;
  }

  /** Leaves a 64-bit result for an engine and returns its low half. */
  u64(value: bigint): number {
    this.hi = Number(BigInt.asIntN(32, value >> 32n));
    return Number(BigInt.asIntN(32, value));
  }

  /** The same for a number below 2^53. */
  u53(value: number): number {
    this.hi = (value / 0x100000000) | 0;
    return value | 0;
  }
}
