import { type HelperRow, helper, kfunc } from '../prototypes/helper.ts';

/**
 * Locks and critical sections. A machine runs one program at a time, so that nothing ever waits; that they balance is the
 * verifier's business.
 */
export const sectionHelpers: readonly HelperRow[] = [
  helper({
    id: 93,
    name: 'bpf_spin_lock',
    args: ['spin_lock'],
    ret: 'void',
    types: 'all',
    call: () => undefined,
  }),
  helper({
    id: 94,
    name: 'bpf_spin_unlock',
    args: ['spin_lock'],
    ret: 'void',
    types: 'all',
    call: () => undefined,
  }),
];

const nothing = ['bpf_preempt_disable', 'bpf_preempt_enable', 'bpf_rcu_read_lock', 'bpf_rcu_read_unlock'].map((name) =>
  kfunc({ name, args: [], ret: 'void', types: 'all', call: () => undefined }),
);

export const sectionKfuncs: readonly HelperRow[] = [
  ...nothing,
  kfunc({
    name: 'bpf_local_irq_save',
    args: ['irq_flag'],
    ret: 'void',
    types: 'all',
    call: (cpu, flag) => {
      cpu.machine.memory.u8.fill(0, flag, flag + 8);
      return undefined;
    },
  }),
  kfunc({
    name: 'bpf_local_irq_restore',
    args: ['irq_flag'],
    ret: 'void',
    types: 'all',
    call: () => undefined,
  }),
  kfunc({
    name: 'bpf_res_spin_lock',
    args: ['res_spin_lock'],
    ret: 'u32',
    types: 'all',
    call: () => 0,
  }),
  kfunc({
    name: 'bpf_res_spin_lock_irqsave',
    args: ['res_spin_lock', 'irq_flag'],
    ret: 'u32',
    types: 'all',
    call: () => 0,
  }),
  kfunc({
    name: 'bpf_res_spin_unlock',
    args: ['res_spin_lock'],
    ret: 'void',
    types: 'all',
    call: () => undefined,
  }),
  kfunc({
    name: 'bpf_res_spin_unlock_irqrestore',
    args: ['res_spin_lock', 'irq_flag'],
    ret: 'void',
    types: 'all',
    call: () => undefined,
  }),
];
