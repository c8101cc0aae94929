import { E } from '../../base/errno.ts';
import { type HelperRow, helper } from '../prototypes/helper.ts';
import { copyFrom, copyString, isUserAddress } from './kernel-memory.ts';

const args = ['uninit_mem', 'const_size_or_zero', 'anything'] as const;

/** Reads of addresses that the verifier knows nothing about; a failed read leaves zeros. */
export const probeReadHelpers: readonly HelperRow[] = [
  helper({
    id: 112,
    name: 'bpf_probe_read_user',
    args,
    ret: 'integer',
    types: 'all',
    gpl: true,
    // The lab has no user memory.
    call: (cpu, to, size, lo, hi) => {
      cpu.machine.memory.u8.fill(0, to, to + size);
      return size === 0 && isUserAddress(cpu.machine.memory, lo, hi) ? 0 : -E.EFAULT;
    },
  }),
  helper({
    id: 113,
    name: 'bpf_probe_read_kernel',
    args,
    ret: 'integer',
    types: 'all',
    gpl: true,
    // kernel: bpf_probe_read_kernel_common()
    call: (cpu, to, size, lo, hi) => {
      const { memory } = cpu.machine;
      const error = copyFrom(memory, to, size, lo, hi);
      if (error < 0) memory.u8.fill(0, to, to + size);
      return error;
    },
  }),
  helper({
    id: 114,
    name: 'bpf_probe_read_user_str',
    args,
    ret: 'integer',
    types: 'all',
    gpl: true,
    call: (cpu, to, size) => {
      cpu.machine.memory.u8.fill(0, to, to + size);
      return size === 0 ? 0 : -E.EFAULT;
    },
  }),
  helper({
    id: 115,
    name: 'bpf_probe_read_kernel_str',
    args,
    ret: 'integer',
    types: 'all',
    gpl: true,
    // kernel: bpf_probe_read_kernel_str_common()
    call: (cpu, to, size, lo, hi) => {
      const { memory } = cpu.machine;
      const length = copyString(memory, memory.u8, to, size, lo, hi);
      if (length < 0) memory.u8.fill(0, to, to + size);
      return length;
    },
  }),
];
