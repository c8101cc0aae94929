import { PROG_TYPES, type ProgTypeName } from '../vm/prototypes/prog-type.ts';

/** BPF_PROG_TYPE_* by number, in the kernel's order, lower case. */
export const PROGRAM_TYPES: readonly ProgTypeName[] = PROG_TYPES.map((row) => row.name);
export type ProgramTypeName = ProgTypeName;

/**
 * BPF_MAP_TYPE_* by number, in the kernel's order, lower case. Apart from the rows of src/maps, so that reading an object
 * does not load every map implementation; a test compares the two.
 */
export const MAP_TYPES = [
  'unspec',
  'hash',
  'array',
  'prog_array',
  'perf_event_array',
  'percpu_hash',
  'percpu_array',
  'stack_trace',
  'cgroup_array',
  'lru_hash',
  'lru_percpu_hash',
  'lpm_trie',
  'array_of_maps',
  'hash_of_maps',
  'devmap',
  'sockmap',
  'cpumap',
  'xskmap',
  'sockhash',
  'cgroup_storage',
  'reuseport_sockarray',
  'percpu_cgroup_storage',
  'queue',
  'stack',
  'sk_storage',
  'devmap_hash',
  'struct_ops',
  'ringbuf',
  'inode_storage',
  'task_storage',
  'bloom_filter',
  'user_ringbuf',
  'cgrp_storage',
  'arena',
  'insn_array',
] as const;
export type MapTypeName = (typeof MAP_TYPES)[number];

export const mapTypeId = Object.fromEntries(MAP_TYPES.map((name, id) => [name, id])) as Readonly<
  Record<MapTypeName, number>
>;

/** `array`; `type_99` for a number that the kernel does not know. */
export function mapTypeName(id: number): string {
  return MAP_TYPES[id] ?? `type_${id}`;
}

/** What the kernel keeps of a name: 15 bytes. */
export function kernelName(name: string): string {
  return name.slice(0, 15);
}

export const BPF_F = { RDONLY_PROG: 0x80, MMAPABLE: 0x400, SLEEPABLE: 0x10, XDP_HAS_FRAGS: 0x20 } as const;
