// hot: no allocation, no BigInt per call
import { E } from '../../base/errno.ts';
import { type HelperRow, helper } from '../prototypes/helper.ts';

/** Randomness and the CPU that the program runs on. */
export const cpuHelpers: readonly HelperRow[] = [
  helper({
    id: 7,
    name: 'bpf_get_prandom_u32',
    args: [],
    ret: 'u32',
    types: 'all',
    call: (cpu) => cpu.machine.rng.u32(),
  }),
  helper({
    id: 8,
    name: 'bpf_get_smp_processor_id',
    args: [],
    ret: 'u32',
    types: 'all',
    call: (cpu) => cpu.id,
  }),
  helper({
    id: 42,
    name: 'bpf_get_numa_node_id',
    args: [],
    ret: 'integer',
    types: 'all',
    // The lab's machine has one node.
    call: () => 0,
  }),
  helper({
    id: 176,
    name: 'bpf_get_branch_snapshot',
    args: ['uninit_mem', 'const_size_or_zero', 'dont_care'],
    ret: 'integer',
    types: 'all',
    gpl: true,
    // The lab's CPUs record no branches.
    call: (_cpu, _to, _size, flagsLo, flagsHi) => ((flagsLo | flagsHi) !== 0 ? -E.EINVAL : -E.ENOENT),
  }),
];
