// hot: no allocation, no BigInt per call
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
];
