import { E } from '../../base/errno.ts';
import { FaultError } from '../../base/error.ts';
import type { Memory } from '../../base/memory.ts';
import type { Cpu, PacketView } from '../cpu.ts';
import { type HelperRow, helper, kfunc } from '../prototypes/helper.ts';
import type { ProgTypeName } from '../prototypes/prog-type.ts';
import { LWT, TC } from './prog-groups.ts';

/*
 * struct bpf_dynptr_kern, 16 bytes on the program's stack:
 *
 *   0 u64 data      address of the memory (local, ringbuf) or of the context (skb, xdp); 0 = null dynptr
 *   8 u32 size      bits 0-23 bytes, bits 28-30 kind, bit 31 read-only
 *  12 u32 offset    of the window from data
 */
const SIZE = 8;
const OFFSET = 12;
const SIZE_MASK = 0xffffff;
const KIND_SHIFT = 28;
const RDONLY = 0x80000000;

/** Bytes that a dynptr can describe at most. kernel: DYNPTR_MAX_SIZE */
export const DYNPTR_MAX_SIZE = SIZE_MASK;

/** enum bpf_dynptr_type */
export const DYNPTR_LOCAL = 1;
export const DYNPTR_RINGBUF = 2;
const DYNPTR_SKB = 3;
const DYNPTR_XDP = 4;

/** Writes a dynptr over `size` bytes at `data`. */
export function initDynptr(memory: Memory, at: number, kind: number, data: number, size: number, rdonly = false): void {
  const { view } = memory;
  view.setUint32(at, data, true);
  view.setUint32(at + 4, 0, true);
  view.setUint32(at + SIZE, (size | (kind << KIND_SHIFT) | (rdonly ? RDONLY : 0)) >>> 0, true);
  view.setUint32(at + OFFSET, 0, true);
}

/** kernel: bpf_dynptr_set_null() */
export function clearDynptr(memory: Memory, at: number): void {
  memory.u8.fill(0, at, at + 16);
}

/** Address that a dynptr was made of, 0 for a null dynptr. */
export function dynptrData(memory: Memory, at: number): number {
  return memory.view.getUint32(at, true);
}

function sizeOf(memory: Memory, at: number): number {
  return memory.view.getUint32(at + SIZE, true) & SIZE_MASK;
}

function kindOf(memory: Memory, at: number): number {
  return (memory.view.getUint32(at + SIZE, true) >>> KIND_SHIFT) & 7;
}

function isRdonly(memory: Memory, at: number): boolean {
  return (memory.view.getUint32(at + SIZE, true) & RDONLY) !== 0;
}

/** kernel: bpf_dynptr_check_off_len() */
function outside(memory: Memory, at: number, offset: number, length: number): boolean {
  const size = sizeOf(memory, at);
  return length > size || offset > size - length;
}

/** Address of window bytes of a local or ringbuf dynptr. */
function address(memory: Memory, at: number, offset: number, length: number, write: boolean): number {
  const start = dynptrData(memory, at) + memory.view.getUint32(at + OFFSET, true) + offset;
  if (length > 0 && !memory.accessible(start, length, write)) {
    throw new FaultError(
      `dynptr at 0x${at.toString(16)}: ${length} bytes at 0x${start.toString(16)} cannot be ${write ? 'written' : 'read'}: ${memory.describe(start)}`,
    );
  }
  return start;
}

function isPacket(kind: number): boolean {
  return kind === DYNPTR_SKB || kind === DYNPTR_XDP;
}

function packetOf(cpu: Cpu): PacketView {
  if (!cpu.packet) throw new FaultError('a packet dynptr is used where no packet is');
  return cpu.packet;
}

/** What the packet's own load and store functions answer past its end. */
function packetError(kind: number, packet: PacketView, offset: number, length: number): number {
  if (offset + length <= packet.length) return 0;
  // kernel: __bpf_skb_load_bytes(), bpf_xdp_pointer()
  return kind === DYNPTR_SKB || offset > 0xffff || length > 0xffff ? -E.EFAULT : -E.EINVAL;
}

/** kernel: __bpf_dynptr_read() */
function read(cpu: Cpu, to: number, length: number, from: number, offset: number): number {
  const { memory } = cpu.machine;
  if (dynptrData(memory, from) === 0) return -E.EINVAL;
  if (outside(memory, from, offset, length)) return -E.E2BIG;
  const kind = kindOf(memory, from);
  if (isPacket(kind)) {
    const packet = packetOf(cpu);
    const start = memory.view.getUint32(from + OFFSET, true) + offset;
    const error = packetError(kind, packet, start, length);
    if (error === 0) packet.copyOut(start, to, length);
    return error;
  }
  const start = address(memory, from, offset, length, false);
  memory.u8.copyWithin(to, start, start + length);
  return 0;
}

/** kernel: __bpf_dynptr_write() */
function write(cpu: Cpu, to: number, offset: number, from: number, length: number, lo: number, hi: number): number {
  const { memory } = cpu.machine;
  if (dynptrData(memory, to) === 0 || isRdonly(memory, to)) return -E.EINVAL;
  if (outside(memory, to, offset, length)) return -E.E2BIG;
  const kind = kindOf(memory, to);
  // An skb knows BPF_F_RECOMPUTE_CSUM and BPF_F_INVALIDATE_HASH.
  if ((kind === DYNPTR_SKB ? lo & ~3 : lo) !== 0 || hi !== 0) return -E.EINVAL;
  if (isPacket(kind)) {
    const packet = packetOf(cpu);
    const start = memory.view.getUint32(to + OFFSET, true) + offset;
    const error = packetError(kind, packet, start, length);
    if (error === 0) packet.copyIn(start, from, length);
    return error;
  }
  const start = address(memory, to, offset, length, true);
  memory.u8.copyWithin(start, from, from + length);
  return 0;
}

/** Address of contiguous window bytes, in `buffer` when the packet has them in pieces, or 0. */
function slice(cpu: Cpu, at: number, offset: number, buffer: number, length: number, writable: boolean): number {
  const { memory } = cpu.machine;
  if (dynptrData(memory, at) === 0 || outside(memory, at, offset, length)) return 0;
  const kind = kindOf(memory, at);
  if (!isPacket(kind)) return address(memory, at, offset, length, writable);
  const packet = packetOf(cpu);
  const start = memory.view.getUint32(at + OFFSET, true) + offset;
  if (packetError(kind, packet, start, length) !== 0) return 0;
  const direct = packet.contiguous(start, length);
  if (direct !== 0 || buffer === 0) return direct;
  packet.copyOut(start, buffer, length);
  return buffer;
}

/** kernel: bpf_dynptr_slice_rdwr() */
function sliceRdwr(cpu: Cpu, at: number, offset: number, buffer: number, length: number): number {
  return isRdonly(cpu.machine.memory, at) ? 0 : slice(cpu, at, offset, buffer, length, true);
}

export const dynptrHelpers: readonly HelperRow[] = [
  helper({
    id: 197,
    name: 'bpf_dynptr_from_mem',
    args: ['uninit_mem', 'const_size_or_zero', 'anything', 'uninit_dynptr'],
    ret: 'integer',
    types: 'all',
    call: (cpu, data, size, flagsLo, flagsHi, at) => {
      const { memory } = cpu.machine;
      const error = size > DYNPTR_MAX_SIZE ? -E.E2BIG : (flagsLo | flagsHi) !== 0 ? -E.EINVAL : 0;
      if (error) clearDynptr(memory, at);
      else initDynptr(memory, at, DYNPTR_LOCAL, data, size);
      return error;
    },
  }),
  helper({
    id: 201,
    name: 'bpf_dynptr_read',
    args: ['uninit_mem', 'const_size_or_zero', 'dynptr', 'anything32', 'anything'],
    ret: 'integer',
    types: 'all',
    call: (cpu, to, size, from, offset, flagsLo, flagsHi) =>
      (flagsLo | flagsHi) !== 0 ? -E.EINVAL : read(cpu, to, size, from, offset >>> 0),
  }),
  helper({
    id: 202,
    name: 'bpf_dynptr_write',
    args: ['dynptr', 'anything32', 'mem', 'const_size_or_zero', 'anything'],
    ret: 'integer',
    types: 'all',
    call: (cpu, to, offset, from, size, flagsLo, flagsHi) => write(cpu, to, offset >>> 0, from, size, flagsLo, flagsHi),
  }),
  helper({
    id: 203,
    name: 'bpf_dynptr_data',
    args: ['dynptr', 'anything32', 'alloc_size'],
    ret: 'mem_or_null',
    types: 'all',
    call: (cpu, at, offset, size) => {
      const { memory } = cpu.machine;
      if (dynptrData(memory, at) === 0 || outside(memory, at, offset >>> 0, size) || isRdonly(memory, at)) return 0;
      return isPacket(kindOf(memory, at)) ? 0 : address(memory, at, offset >>> 0, size, true);
    },
  }),
];

/** Types whose packet may not be written; their skb dynptr is read-only. kernel: may_access_direct_pkt_data() */
const RDONLY_SKB: readonly string[] = [
  'socket_filter',
  'cgroup_skb',
  'lwt_in',
  'lwt_out',
  'lwt_seg6local',
  'netfilter',
] satisfies readonly ProgTypeName[];

function fromPacket(cpu: Cpu, kind: number, ctx: number, flagsLo: number, flagsHi: number, at: number): number {
  const { memory } = cpu.machine;
  const length = packetOf(cpu).length;
  const error = (flagsLo | flagsHi) !== 0 ? -E.EINVAL : length > DYNPTR_MAX_SIZE ? -E.E2BIG : 0;
  if (error) clearDynptr(memory, at);
  else initDynptr(memory, at, kind, ctx, length, kind === DYNPTR_SKB && RDONLY_SKB.includes(cpu.program?.type ?? ''));
  return error;
}

export const dynptrKfuncs: readonly HelperRow[] = [
  kfunc({
    name: 'bpf_dynptr_from_xdp',
    args: ['ctx', 'anything', 'uninit_dynptr'],
    ret: 'u32',
    types: ['xdp'],
    call: (cpu, ctx, flagsLo, flagsHi, at) => fromPacket(cpu, DYNPTR_XDP, ctx, flagsLo, flagsHi, at),
  }),
  kfunc({
    name: 'bpf_dynptr_from_skb',
    args: ['ctx', 'anything', 'uninit_dynptr'],
    ret: 'u32',
    types: [
      ...TC,
      'socket_filter',
      'cgroup_skb',
      'cgroup_sock',
      'cgroup_sock_addr',
      'cgroup_sockopt',
      'cgroup_device',
      'cgroup_sysctl',
      ...LWT,
      'sk_skb',
      'netfilter',
      'sock_ops',
    ],
    call: (cpu, ctx, flagsLo, flagsHi, at) => fromPacket(cpu, DYNPTR_SKB, ctx, flagsLo, flagsHi, at),
  }),
  kfunc({
    name: 'bpf_dynptr_adjust',
    args: ['dynptr', 'anything32', 'anything32'],
    ret: 'u32',
    types: 'all',
    call: (cpu, at, first, last) => {
      const { memory } = cpu.machine;
      const start = first >>> 0;
      const end = last >>> 0;
      if (dynptrData(memory, at) === 0 || start > end) return -E.EINVAL;
      if (end > sizeOf(memory, at)) return -E.ERANGE;
      const { view } = memory;
      view.setUint32(at + OFFSET, view.getUint32(at + OFFSET, true) + start, true);
      view.setUint32(at + SIZE, ((view.getUint32(at + SIZE, true) & ~SIZE_MASK) | (end - start)) >>> 0, true);
      return 0;
    },
  }),
  kfunc({
    name: 'bpf_dynptr_is_null',
    args: ['dynptr'],
    ret: 'u32',
    types: 'all',
    call: (cpu, at) => (dynptrData(cpu.machine.memory, at) === 0 ? 1 : 0),
  }),
  kfunc({
    name: 'bpf_dynptr_is_rdonly',
    args: ['dynptr'],
    ret: 'u32',
    types: 'all',
    call: ({ machine: { memory } }, at) => (dynptrData(memory, at) !== 0 && isRdonly(memory, at) ? 1 : 0),
  }),
  kfunc({
    name: 'bpf_dynptr_size',
    args: ['dynptr'],
    ret: 'u32',
    types: 'all',
    call: ({ machine: { memory } }, at) => (dynptrData(memory, at) === 0 ? -E.EINVAL >>> 0 : sizeOf(memory, at)),
  }),
  kfunc({
    name: 'bpf_dynptr_clone',
    args: ['dynptr', 'uninit_dynptr'],
    ret: 'u32',
    types: 'all',
    call: ({ machine: { memory } }, at, clone) => {
      memory.u8.copyWithin(clone, at, at + 16);
      if (dynptrData(memory, at) !== 0) return 0;
      clearDynptr(memory, clone);
      return -E.EINVAL;
    },
  }),
  kfunc({
    name: 'bpf_dynptr_slice',
    args: ['dynptr', 'anything32', 'mem_rw_or_null', 'const_size_or_zero'],
    ret: 'mem_or_null',
    types: 'all',
    call: (cpu, at, offset, buffer, size) => slice(cpu, at, offset >>> 0, buffer, size, false),
  }),
  kfunc({
    name: 'bpf_dynptr_slice_rdwr',
    args: ['dynptr', 'anything32', 'mem_rw_or_null', 'const_size_or_zero'],
    ret: 'mem_or_null',
    types: 'all',
    call: (cpu, at, offset, buffer, size) => sliceRdwr(cpu, at, offset >>> 0, buffer, size),
  }),
  kfunc({
    name: 'bpf_dynptr_copy',
    args: ['dynptr', 'anything32', 'dynptr', 'anything32', 'anything32'],
    ret: 'u32',
    types: 'all',
    // kernel: bpf_dynptr_copy(), which takes whichever side lies in one piece as the buffer of the other's read or write
    call: (cpu, to, toOffset, from, fromOffset, size) => {
      const { memory } = cpu.machine;
      const length = size >>> 0;
      const source = slice(cpu, from, fromOffset >>> 0, 0, length, false);
      const target = sliceRdwr(cpu, to, toOffset >>> 0, 0, length);
      if (source !== 0 && target !== 0) {
        memory.u8.copyWithin(target, source, source + length);
        return 0;
      }
      if (source !== 0) return write(cpu, to, toOffset >>> 0, source, length, 0, 0);
      if (target !== 0) return read(cpu, target, length, from, fromOffset >>> 0);
      if (outside(memory, to, toOffset >>> 0, length) || outside(memory, from, fromOffset >>> 0, length)) {
        return -E.E2BIG;
      }
      return inPieces(cpu, length, (scratch, at, piece) => {
        const error = read(cpu, scratch, piece, from, (fromOffset >>> 0) + at);
        return error || write(cpu, to, (toOffset >>> 0) + at, scratch, piece, 0, 0);
      });
    },
  }),
  kfunc({
    name: 'bpf_dynptr_memset',
    args: ['dynptr', 'anything32', 'anything32', 'anything32'],
    ret: 'u32',
    types: 'all',
    // kernel: bpf_dynptr_memset()
    call: (cpu, at, offset, size, value) => {
      const { memory } = cpu.machine;
      const length = size >>> 0;
      if (isRdonly(memory, at)) return -E.EINVAL;
      const target = slice(cpu, at, offset >>> 0, 0, length, true);
      if (target !== 0) {
        memory.u8.fill(value & 0xff, target, target + length);
        return 0;
      }
      if (outside(memory, at, offset >>> 0, length)) return -E.E2BIG;
      return inPieces(cpu, length, (scratch, start, piece) => {
        memory.u8.fill(value & 0xff, scratch, scratch + piece);
        return write(cpu, at, (offset >>> 0) + start, scratch, piece, 0, 0);
      });
    },
  }),
];

const PIECE = 256;

/** Carries `length` bytes through a scratch buffer; stops at the first error of `carry`. */
function inPieces(cpu: Cpu, length: number, carry: (scratch: number, start: number, piece: number) => number): number {
  const { memory } = cpu.machine;
  const region = memory.allocate(PIECE, { kind: 'internal', name: 'dynptr copy', accessible: false });
  try {
    for (let at = 0; at < length; at += PIECE) {
      const error = carry(region.start, at, Math.min(PIECE, length - at));
      if (error !== 0) return error;
    }
    return 0;
  } finally {
    memory.free(region);
  }
}
