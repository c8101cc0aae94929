import type { BpfMap } from '../../maps/map.ts';
import type { Cpu } from '../cpu.ts';
import type { ProgTypeName } from './prog-type.ts';

/**
 * Kinds of helper arguments, named after the kernel's ARG_* (enum bpf_arg_type). The kind gives three things: the
 * verifier's check, the check that the interpreter makes at the call, and what the body receives: `ptr` and `u32` one
 * unsigned number, `i32` one signed number, `map` the map itself, `u64` two numbers (low and high half, signed 32-bit).
 */
export const ARG_KINDS = {
  /** ARG_PTR_TO_CTX */
  ctx: 'ptr',
  ctx_or_null: 'ptr',
  /** ARG_CONST_MAP_PTR */
  const_map_ptr: 'map',
  /** ARG_PTR_TO_MAP_KEY: key_size bytes, read */
  map_key: 'ptr',
  /** ARG_PTR_TO_MAP_VALUE: value_size bytes, read */
  map_value: 'ptr',
  map_value_or_null: 'ptr',
  /** ARG_PTR_TO_MAP_VALUE | MEM_UNINIT | MEM_WRITE: value_size bytes, written */
  uninit_map_value: 'ptr',
  /** ARG_PTR_TO_MEM | MEM_RDONLY: as many bytes as the size argument that follows says */
  mem: 'ptr',
  mem_or_null: 'ptr',
  /** ARG_PTR_TO_MEM | MEM_WRITE: read and written */
  mem_rw: 'ptr',
  mem_rw_or_null: 'ptr',
  /** ARG_PTR_TO_MEM | MEM_UNINIT | MEM_WRITE: written only */
  uninit_mem: 'ptr',
  /** ARG_CONST_SIZE, at least 1 */
  const_size: 'u32',
  const_size_or_zero: 'u32',
  /** ARG_CONST_ALLOC_SIZE_OR_ZERO: size of the memory that is returned */
  alloc_size: 'u32',
  /** ARG_PTR_TO_CONST_STR: NUL-terminated text in a read-only map */
  const_str: 'ptr',
  /** ARG_ANYTHING, all 64 bits */
  anything: 'u64',
  /** ARG_ANYTHING of which the helper looks at the low 32 bits only */
  anything32: 'i32',
  /** ARG_PTR_TO_FUNC: a callback, for `cpu.callback` */
  func: 'u32',
  /** ARG_PTR_TO_STACK | PTR_MAYBE_NULL: handed to the callback as it is */
  stack_or_null: 'u64',
  /** ARG_PTR_TO_SPIN_LOCK, ARG_PTR_TO_TIMER: inside a map value */
  spin_lock: 'ptr',
  timer: 'ptr',
  /** ARG_PTR_TO_DYNPTR: 16 bytes on the stack */
  dynptr: 'ptr',
  uninit_dynptr: 'ptr',
  /** ARG_PTR_TO_RINGBUF_MEM | OBJ_RELEASE */
  ringbuf_mem: 'ptr',
  dynptr_ringbuf_release: 'ptr',
  /** 8 or 4 bytes written or read at a fixed size (MEM_FIXED_SIZE) */
  fixed_mem_w8: 'ptr',
  fixed_mem_w4: 'ptr',
  fixed_mem_r20: 'ptr',
  fixed_mem_r40: 'ptr',
  /** ARG_DONTCARE to the verifier, but the helper looks at the register (bpf_trace_printk) */
  dont_care: 'u64',
  /** ARG_KPTR_XCHG_DEST: 8 bytes, a kptr field */
  kptr_dest: 'ptr',
  /** Iterators of kfuncs on the stack: 8 bytes (num) or 16 (bits) */
  uninit_iter_num: 'ptr',
  iter_num: 'ptr',
  uninit_iter_bits: 'ptr',
  iter_bits: 'ptr',
  /** struct bpf_wq: 16 bytes inside a map value */
  workqueue: 'ptr',
  /** struct bpf_res_spin_lock: 8 bytes inside a map value */
  res_spin_lock: 'ptr',
  /** Saved interrupt state: 8 bytes on the stack */
  irq_flag: 'ptr',
} as const;

export type ArgKind = keyof typeof ARG_KINDS;

type Passed = { ptr: [number]; u32: [number]; i32: [number]; map: [BpfMap]; u64: [lo: number, hi: number] };

/** Parameters of a helper body, from its argument kinds. */
export type ArgValues<A extends readonly ArgKind[]> = A extends readonly [
  infer First extends ArgKind,
  ...infer Rest extends readonly ArgKind[],
]
  ? [...Passed[(typeof ARG_KINDS)[First]], ...ArgValues<Rest>]
  : [];

/**
 * What comes back in r0. `integer`: signed 32-bit number, sign-extended to 64 (errnos, counts). `u32`: zero-extended.
 * `u64`: the body returns the low half and leaves the high half in `cpu.hi`. Pointers are zero-extended addresses.
 */
export type RetKind = 'integer' | 'u32' | 'u64' | 'void' | 'map_value_or_null' | 'mem_or_null' | 'ringbuf_mem_or_null';

export interface HelperRow {
  /** enum bpf_func_id; 0 for kfuncs, which have only a name. */
  readonly id: number;
  /** With its prefix: `bpf_map_lookup_elem`. */
  readonly name: string;
  readonly args: readonly ArgKind[];
  readonly ret: RetKind;
  /** Program types that may call it; several rows may share an id for different types. */
  readonly types: readonly ProgTypeName[] | 'all';
  readonly gpl?: boolean;
  /** Packet pointers may be passed as key, value or memory (kernel: pkt_access). */
  readonly pktAccess?: boolean;
  /** Packet pointers are stale after the call (kernel: bpf_helper_changes_pkt_data). */
  readonly changesPacket?: boolean;
  /** Changes its map: refused for maps that are read-only to programs (BPF_F_RDONLY_PROG). */
  readonly writesMap?: boolean;
  /** `tail_call` and the like, which an engine carries out itself; the row has no useful body. */
  readonly engine?: 'tail_call';
  readonly call: (cpu: Cpu, ...args: never[]) => number | undefined;
}

/** Declares a helper; the argument kinds type the body. */
export function helper<const A extends readonly ArgKind[]>(row: {
  id: number;
  name: string;
  args: A;
  ret: RetKind;
  types: readonly ProgTypeName[] | 'all';
  gpl?: boolean;
  pktAccess?: boolean;
  changesPacket?: boolean;
  writesMap?: boolean;
  engine?: 'tail_call';
  call: (cpu: Cpu, ...args: ArgValues<A>) => number | undefined;
}): HelperRow {
  return row as unknown as HelperRow;
}

/** Declares a kfunc: a helper that is called by name. */
export function kfunc<const A extends readonly ArgKind[]>(row: {
  name: string;
  args: A;
  ret: RetKind;
  types: readonly ProgTypeName[] | 'all';
  changesPacket?: boolean;
  call: (cpu: Cpu, ...args: ArgValues<A>) => number | undefined;
}): HelperRow {
  return { id: 0, ...row } as unknown as HelperRow;
}
