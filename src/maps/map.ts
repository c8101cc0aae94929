import type { Errno } from '../base/errno.ts';
import type { Memory } from '../base/memory.ts';
import type { Rng } from '../base/rng.ts';
import type { FdObject, FdTable } from './fd-table.ts';

/** What BPF_MAP_CREATE is given. */
export interface MapAttr {
  /** Kernel name in lower case: `hash`, `lpm_trie`, `percpu_array`, ... */
  readonly type: string;
  /** Up to 15 characters in the kernel; the lab keeps longer C names. */
  readonly name?: string;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  /** BPF_F_*, see map-flags.ts. */
  readonly flags?: number;
  /** bloom_filter: number of hash functions. */
  readonly mapExtra?: bigint;
  readonly numaNode?: number;
  /** Template of the inner maps (maps of maps), or its descriptor. */
  readonly innerMap?: BpfMap;
  readonly innerMapFd?: number;
  /** Special fields that BTF finds in the value. */
  readonly fields?: SpecialFields;
  /** True when key/value BTF types were given (queue, stack and ring buffers refuse them). */
  readonly btf?: MapBtf;
  /** Hardware offload was asked for; no device of the lab has it. */
  readonly ifindex?: number;
  /** BPF token, looked at with BPF_F_TOKEN_FD. */
  readonly tokenFd?: number;
}

/** Which BTF types were given for key and value, and what matters of them where they are known. */
export interface MapBtf {
  readonly key: boolean;
  readonly value: boolean;
  /** Bytes of the types; they must be those of the map. */
  readonly keySize?: number;
  readonly valueSize?: number;
  readonly keyKind?: 'int' | 'struct' | 'other';
}

/** Byte offsets of kernel-managed fields inside a value. */
export interface SpecialFields {
  readonly spinLock?: number;
  readonly timer?: number;
  readonly workqueue?: number;
  readonly kptrs?: readonly number[];
}

/** What maps need from the machine that they live in. */
export interface MapEnv {
  readonly memory: Memory;
  /** Number of possible CPUs. */
  readonly cpus: number;
  readonly rng: Rng;
  readonly fds: FdTable;
  /** CPU on which user space runs, for the free lists and LRU lists that its updates touch; default 0. */
  readonly userCpu?: number;
  /** Does a network device have this index? Default: every index above 0 is one. */
  deviceExists?(ifindex: number): boolean;
  /** Fresh ids for maps; they count up from 1. */
  nextMapId(): number;
  /**
   * Called before a value with special fields goes away or is overwritten (timers are cancelled); set by the helpers
   * that own those fields.
   */
  releaseFields?: (map: BpfMap, value: number) => void;
}

/** What fd-holding maps know of a loaded program (kernel: bpf_prog_map_compatible). */
export interface ProgRef extends FdObject {
  readonly kind: 'prog';
  readonly id: number;
  readonly typeId: number;
  readonly expectedAttachType: number;
  readonly hasFrags: boolean;
  readonly name: string;
}

/**
 * A map. Program side: keys and values are addresses in linear memory, results 0, a negative errno or an address (0 =
 * NULL). The user side works on bytes and goes through `syscall.ts`, which makes the checks that all types share.
 * An operation that a type does not have is absent.
 */
export interface BpfMap extends FdObject {
  readonly kind: 'map';
  readonly id: number;
  readonly type: string;
  readonly typeId: number;
  readonly name: string;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  /** As BPF_OBJ_GET_INFO_BY_FD shows them: without RDONLY and WRONLY. */
  readonly flags: number;
  readonly mapExtra: bigint;
  readonly fields: SpecialFields | undefined;
  readonly innerMap: BpfMap | undefined;
  /** Address of the descriptor; programs hold it as `struct bpf_map *`. 64-byte aligned, in a `map_desc` region. */
  readonly handle: number;
  frozen: boolean;
  /** Writable mappings of user space; while there are any, the map cannot be frozen. */
  writableMappings: number;

  /** bpf_map_lookup_elem: address of the value (per-CPU maps: of this CPU's slot), or 0. */
  lookup?(key: number, cpu: number): number;
  /** bpf_map_lookup_percpu_elem. */
  lookupPercpu?(key: number, cpu: number): number;
  /** bpf_map_update_elem; flags as two 32-bit halves. */
  update?(key: number, value: number, flagsLo: number, flagsHi: number, cpu: number): Errno;
  delete?(key: number, cpu: number): Errno;
  push?(value: number, flagsLo: number, flagsHi: number): Errno;
  pop?(value: number): Errno;
  peek?(value: number): Errno;
  /**
   * Calls visit(key address, value address) in the order that bpf_for_each_map_elem walks; stops when it returns
   * non-zero. Returns how many calls were made. The visitor may delete and insert.
   */
  forEach?(cpu: number, visit: (key: number, value: number) => number): number;

  /** Address of the first element plus offset, for LD_IMM64 map values (arrays only); undefined when out of bounds. */
  directValue?(offset: number): number | undefined;

  /** The user (system call) side of this type. */
  readonly sys: MapSyscalls;

  /** prog_array: the program that a tail call to this index (unsigned 32 bits) enters. */
  progAt?(index: number): ProgRef | undefined;
  /**
   * prog_array: a program that uses the map is loaded; -EINVAL when it does not go together with the programs that the
   * map belongs to (kernel: bpf_prog_map_compatible).
   */
  bindProgram?(prog: ProgRef): Errno;
  /** A map file (see MapSyscalls.update) was closed. kernel: ops->map_release */
  fileClosed?(file: object): void;
  /** The last descriptor of user space was closed while programs may still use the map. kernel: ops->map_release_uref */
  releaseUserReference?(): void;

  /** Frees the memory; the map must not be used afterwards. */
  destroy(): void;
}

/**
 * Type-specific half of the map system calls, on bytes; common checks come before (syscall.ts). An absent operation
 * gives ENOTSUPP or what the type's row says.
 */
export interface MapSyscalls {
  /** Bytes that user space passes and gets per value: per-CPU maps hold round_up(value_size, 8) for each CPU. */
  readonly wireValueSize: number;
  lookup(key: Uint8Array, flags: bigint, out: Uint8Array): Errno;
  /** @param file the map file that user space came through; perf_event_array ties its entries to it */
  update(key: Uint8Array, value: Uint8Array, flags: bigint, file?: object): Errno;
  delete(key: Uint8Array): Errno;
  /** Key after `key` (undefined: the first) in Linux's order, or a negative errno. */
  nextKey(key: Uint8Array | undefined, out: Uint8Array): Errno;
  lookupAndDelete?(key: Uint8Array, flags: bigint, out: Uint8Array): Errno;
  /** Batch commands that the type has; absent: none. */
  readonly batch?: MapBatch;
  /** Bytes of the map that user space can map; absent: no mmap. */
  readonly mmap?: MapMmap;
}

export type BatchCommand = 'lookup' | 'update' | 'delete' | 'lookup_and_delete';

/** How a type takes part in the batch commands. */
export interface MapBatch {
  readonly commands: readonly BatchCommand[];
  /** Hash family: lookups go by whole buckets. Absent: key by key through nextKey. */
  readonly buckets?: {
    readonly count: number;
    /** Elements of a bucket in walking order. */
    entries(bucket: number): readonly number[];
    read(entry: number, key: Uint8Array, value: Uint8Array): void;
    remove(entry: number): void;
  };
}

/** What mmap of a map's descriptor reaches. */
export interface MapMmap {
  /** Bytes that can be mapped, whole pages. */
  readonly length: number;
  /** Refuses a mapping, by what the type permits where; 0 or a negative errno. */
  check(offset: number, length: number, write: boolean): Errno;
  /** Bytes `[offset, offset + length)` of the mapping. */
  view(offset: number, length: number): Uint8Array;
}

/** One map type: a row of `map-types.ts`. */
export interface MapTypeRow {
  /** enum bpf_map_type. */
  readonly id: number;
  /** Lower-case kernel name: `hash`. */
  readonly name: string;
  /** First kernel with it. */
  readonly since: string;
  /** What the lab leaves out of a type that it creates. */
  readonly partly?: string;
  /** What the type says of the attribute first (kernel: ops->map_alloc_check). */
  readonly check?: (attr: MapAttr, env: MapEnv) => Errno;
  /** What it says later, when it is about to allocate. */
  readonly checkSize?: (attr: MapAttr, env: MapEnv) => Errno;
  /**
   * Allocates the map after all checks, or returns a negative errno; throws BpfError (ENOMEM) when the lab's memory is
   * too small. Use `createMap`. Absent: not supported.
   */
  readonly create?: (env: MapEnv, attr: MapAttr, typeId: number) => BpfMap | Errno;
}
