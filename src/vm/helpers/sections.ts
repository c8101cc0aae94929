import { FaultError } from '../../base/error.ts';
import { type HelperRow, helper, kfunc } from '../prototypes/helper.ts';

/**
 * Locks and critical sections. A machine runs one program at a time, so that nothing ever waits; the engine watches that
 * a program that holds a lock calls nothing but its release.
 */
export const sectionHelpers: readonly HelperRow[] = [
  helper({
    id: 93,
    name: 'bpf_spin_lock',
    args: ['spin_lock'],
    ret: 'void',
    types: 'all',
    call: (cpu, lock) => {
      cpu.lock = lock;
      return undefined;
    },
  }),
  helper({
    id: 94,
    name: 'bpf_spin_unlock',
    args: ['spin_lock'],
    ret: 'void',
    types: 'all',
    call: (cpu, lock) => {
      // kernel: process_spin_lock()
      if (cpu.lock === 0) throw new FaultError('bpf_spin_unlock without taking a lock', { errno: 'EINVAL' });
      if (cpu.lock !== lock) throw new FaultError('bpf_spin_unlock of different lock', { errno: 'EINVAL' });
      cpu.lock = 0;
      return undefined;
    },
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
