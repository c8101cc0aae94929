import { type HelperRow, helper } from '../prototypes/helper.ts';

/** Pointers to kernel objects inside map values; the maps clear them when the value goes away. */
export const kptrHelpers: readonly HelperRow[] = [
  helper({
    id: 194,
    name: 'bpf_kptr_xchg',
    args: ['kptr_dest', 'anything'],
    ret: 'u64',
    types: 'all',
    call: (cpu, field, lo, hi) => {
      const { view } = cpu.machine.memory;
      const old = view.getInt32(field, true);
      cpu.hi = view.getInt32(field + 4, true);
      view.setInt32(field, lo, true);
      view.setInt32(field + 4, hi, true);
      return old;
    },
  }),
];
