import type { Btf } from './btf.ts';

/**
 * What an object file (or raw instructions) asks for: plain, deterministic, printable data. Nothing in it is live;
 * whoever creates maps and programs from it resolves the references.
 *
 * References inside `ProgramSpec.insns` (little-endian, 8 bytes per slot):
 *
 * | insn                | meaning                                                                    |
 * |---------------------|----------------------------------------------------------------------------|
 * | lddw, src 5         | map: imm = index into `maps` (BPF_PSEUDO_MAP_IDX)                          |
 * | lddw, src 6         | map value: imm = index into `maps`, second imm = offset (..._MAP_IDX_VALUE) |
 * | lddw, src 4         | function address: imm = target slot - this slot - 1 (BPF_PSEUDO_FUNC)      |
 * | lddw, src 3         | kernel symbol: imm = index into `externs` (BPF_PSEUDO_BTF_ID)              |
 * | call, src 1         | own function: imm = target slot - this slot - 1                            |
 * | call, src 2         | kfunc: imm = index into `kfuncs`                                           |
 */
export interface ObjectSpec {
  /** Object name; the first part of the names of data maps. */
  name: string;
  /** '' when the object has none (then it is not GPL compatible). */
  license: string;
  /** Contents of a `version` section. */
  kernelVersion?: number;
  programs: ProgramSpec[];
  maps: MapSpec[];
  /** All externs in libbpf's order: kconfig, then ksyms and kfuncs by name. */
  externs: ExternSpec[];
  kfuncs: KfuncSpec[];
  /** Named variables of data sections, local ones included. */
  variables: VariableSpec[];
  /** CO-RE relocation records that were applied. */
  coreRelocations: number;
  btf?: Btf;
  /** What was accepted although current libbpf would not, and what was ignored. */
  warnings: string[];
}

/** A program as BPF_PROG_LOAD wants it. */
export interface ProgramSpec {
  name: string;
  section: string;
  /** Kernel name in lower case: `xdp`, `sched_cls`, `socket_filter`; `unspec` when the section name says nothing. */
  type: string;
  /** BPF_PROG_TYPE_*. */
  typeId: number;
  /** BPF_* attach type, 0 for none. */
  expectedAttachType: number;
  /** What stands behind the first `/` of section names that take a target: `kprobe/do_unlinkat`. */
  attachTarget?: string;
  /** BPF_F_* for BPF_PROG_LOAD: BPF_F_SLEEPABLE 0x10, BPF_F_XDP_HAS_FRAGS 0x20. */
  flags: number;
  /** False for `SEC("?...")`: such a program is listed, but neither relocated nor linked. */
  autoload: boolean;
  /** Final instructions, with the used subprograms behind the main one. */
  insns: Uint8Array;
  /** The main function and its subprograms, in order of their first slot. */
  funcs: FuncSpec[];
  /** C source lines, ascending by slot. Computed on first use. */
  readonly lines: LineSpec[];
  /** License of a raw program, when it differs from the object's. */
  license?: string;
}

export interface FuncSpec {
  name: string;
  /** First slot in the final program. */
  insn: number;
  /** Number of slots. */
  count: number;
  /** BTF id of the FUNC, 0 without BTF. */
  btfTypeId: number;
  linkage: 'static' | 'global' | 'extern' | 'unknown';
}

export interface LineSpec {
  slot: number;
  file: string;
  line: number;
  column: number;
  /** Source text of the line as the compiler saw it. */
  text: string;
}

export interface MapSpec {
  name: string;
  /** What the kernel would show: at most 15 characters. */
  kernelName: string;
  /** Kernel name in lower case: `hash`, `array_of_maps`; `type_99` for a number without a name. */
  type: string;
  /** BPF_MAP_TYPE_*. */
  typeId: number;
  keySize: number;
  valueSize: number;
  /** 0 on a perf_event_array means "number of possible CPUs" when that was not given to the loader. */
  maxEntries: number;
  /** BPF_F_* for BPF_MAP_CREATE. */
  flags: number;
  mapExtra: number;
  numaNode: number;
  /** LIBBPF_PIN_*: 0 none, 1 by name; legacy objects: iproute2's number. */
  pinning: number;
  /** Where libbpf would pin it. */
  pinPath?: string;
  /** Template of the inner maps of array_of_maps and hash_of_maps. */
  innerMap?: MapSpec;
  /** First contents of data sections (a copy: patch it before the map is created). */
  initial?: Uint8Array;
  /** True when user space may not write once `initial` is in place (.rodata, .kconfig). */
  frozen: boolean;
  /** Static slots of map-in-maps (index into `ObjectSpec.maps`) and prog arrays (program name). */
  values?: MapSlot[];
  /** BTF type ids in the object's BTF, 0 for none. */
  keyTypeId: number;
  valueTypeId: number;
  /** Section that defines it. */
  section: string;
  origin: MapOrigin;
}

export type MapOrigin = 'btf' | 'legacy' | 'data' | 'rodata' | 'bss' | 'kconfig' | 'struct_ops' | 'raw';

export interface MapSlot {
  slot: number;
  map?: number;
  program?: string;
}

export interface ExternSpec {
  name: string;
  kind: 'kconfig' | 'ksym' | 'kfunc';
  weak: boolean;
  /** BTF id of the declaration in the object's BTF. */
  btfTypeId: number;
  /** kconfig: offset in the `.kconfig` map. */
  offset?: number;
  /** ksym: void type, that is, an address without BTF. */
  untyped?: boolean;
}

export interface KfuncSpec {
  /** Name to look for in the kernel, without a `___flavour`. */
  name: string;
  weak: boolean;
  /** BTF id of the FUNC in the object's BTF, 0 for none. */
  btfTypeId: number;
}

export interface VariableSpec {
  name: string;
  /** Index into `ObjectSpec.maps`. */
  map: number;
  offset: number;
  size: number;
  /** BTF id of its type, 0 when unknown. */
  typeId: number;
  local: boolean;
}
