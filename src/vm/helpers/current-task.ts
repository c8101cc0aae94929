import { E } from '../../base/errno.ts';
import type { FdObject } from '../../maps/fd-table.ts';
import type { BpfMap } from '../../maps/map.ts';
import type { Machine } from '../machine.ts';
import { type HelperRow, helper } from '../prototypes/helper.ts';
import { PerMachine } from './per-machine.ts';
import { LWT, NETWORK, TC, TRACING } from './prog-groups.ts';

/** Whom the current-task helpers describe. */
export interface Task {
  readonly pid: number;
  readonly tgid: number;
  readonly uid: number;
  readonly gid: number;
  /** At most 15 bytes. */
  readonly comm: string;
}

/** Softirqs of the lab interrupt the idle task. */
const IDLE: Task = { pid: 0, tgid: 0, uid: 0, gid: 0, comm: 'swapper/0' };
/** The root of the control group tree; every task of the lab is in it. */
const ROOT_CGROUP = 1;

const tasks = new PerMachine<{ current: Task | undefined }>(() => ({ current: undefined }));

/** The task that programs of a machine see: the one of `runAs`, else the idle task of the CPU. */
export function currentTask(machine: Machine, cpu: number): Task {
  return tasks.of(machine).current ?? (cpu === 0 ? IDLE : { ...IDLE, comm: `swapper/${cpu}` });
}

/** Runs `body` in the context of a task, as BPF_PROG_TEST_RUN runs programs in the caller's. */
export function runAs<T>(machine: Machine, task: Task, body: () => T): T {
  const state = tasks.of(machine);
  const before = state.current;
  state.current = task;
  try {
    return body();
  } finally {
    state.current = before;
  }
}

/** A cgroup_array as far as it is looked at here. */
interface GroupArray extends BpfMap {
  entryAt?(index: number): FdObject | undefined;
}

/** Bytes of a name: Latin letters and digits in practice; others as '?'. */
function putName(to: Uint8Array, name: string): void {
  for (let i = 0; i < to.length; i++) {
    const code = i < Math.min(name.length, 15, to.length - 1) ? name.charCodeAt(i) : 0;
    to[i] = code < 0x80 ? code : 0x3f;
  }
}

export const taskHelpers: readonly HelperRow[] = [
  helper({
    id: 14,
    name: 'bpf_get_current_pid_tgid',
    args: [],
    ret: 'u64',
    types: 'all',
    call: (cpu) => {
      const task = currentTask(cpu.machine, cpu.id);
      cpu.hi = task.tgid | 0;
      return task.pid | 0;
    },
  }),
  helper({
    id: 15,
    name: 'bpf_get_current_uid_gid',
    args: [],
    ret: 'u64',
    types: 'all',
    call: (cpu) => {
      const task = currentTask(cpu.machine, cpu.id);
      cpu.hi = task.gid | 0;
      return task.uid | 0;
    },
  }),
  helper({
    id: 16,
    name: 'bpf_get_current_comm',
    args: ['uninit_mem', 'const_size'],
    ret: 'integer',
    types: 'all',
    // kernel: bpf_get_current_comm(), strscpy_pad()
    call: (cpu, to, size) => {
      putName(cpu.machine.memory.u8.subarray(to, to + size), currentTask(cpu.machine, cpu.id).comm);
      return 0;
    },
  }),
  helper({
    id: 17,
    name: 'bpf_get_cgroup_classid',
    args: ['ctx'],
    ret: 'u32',
    types: [...TC, ...LWT],
    // No control group of the lab has a class.
    call: () => 0,
  }),
  helper({
    id: 17,
    name: 'bpf_get_cgroup_classid',
    args: [],
    ret: 'u32',
    types: [
      ...NETWORK.filter(
        (type) => !(TC as readonly string[]).includes(type) && !(LWT as readonly string[]).includes(type),
      ),
      'flow_dissector',
      'sk_reuseport',
      'cgroup_device',
      'cgroup_sockopt',
      'cgroup_sysctl',
      'netfilter',
      ...TRACING,
      'syscall',
    ],
    call: () => 0,
  }),
  helper({
    id: 35,
    name: 'bpf_get_current_task',
    args: [],
    ret: 'u64',
    types: 'all',
    gpl: true,
    // differs from kernel: the task_struct has no memory behind it; reading through the address gives EFAULT.
    call: (cpu) => {
      cpu.hi = 0xffff8880 | 0;
      return (0x1000 + 0x1000 * currentTask(cpu.machine, cpu.id).pid) | 0;
    },
  }),
  helper({
    id: 37,
    name: 'bpf_current_task_under_cgroup',
    args: ['const_map_ptr', 'anything32'],
    ret: 'integer',
    types: 'all',
    // kernel: bpf_current_task_under_cgroup(); the lab's tasks are in the root, which no descriptor stands for
    call: (_cpu, map: GroupArray, index) => {
      if (index >>> 0 >= map.maxEntries) return -E.E2BIG;
      return map.entryAt?.(index >>> 0) === undefined ? -E.EAGAIN : 0;
    },
  }),
  helper({
    id: 80,
    name: 'bpf_get_current_cgroup_id',
    args: [],
    ret: 'u64',
    types: 'all',
    call: (cpu) => cpu.u53(ROOT_CGROUP),
  }),
  helper({
    id: 109,
    name: 'bpf_send_signal',
    args: ['anything32'],
    ret: 'integer',
    types: 'all',
    // differs from kernel: no signal is sent, also where Linux would send one.
    call: () => -E.EPERM,
  }),
  helper({
    id: 117,
    name: 'bpf_send_signal_thread',
    args: ['anything32'],
    ret: 'integer',
    types: 'all',
    // differs from kernel: no signal is sent, also where Linux would send one.
    call: () => -E.EPERM,
  }),
  helper({
    id: 120,
    name: 'bpf_get_ns_current_pid_tgid',
    args: ['anything', 'anything', 'uninit_mem', 'const_size'],
    ret: 'integer',
    types: 'all',
    // differs from kernel: no device and inode name the lab's pid namespace, so nothing ever matches.
    call: (cpu, _devLo, _devHi, _inoLo, _inoHi, to, size) => {
      cpu.machine.memory.u8.fill(0, to, to + size);
      return -E.EINVAL;
    },
  }),
  helper({
    id: 123,
    name: 'bpf_get_current_ancestor_cgroup_id',
    args: ['anything32'],
    ret: 'u64',
    types: 'all',
    // Level 0 is the root itself; the task has no deeper ancestors.
    call: (cpu, level) => cpu.u53(level === 0 ? ROOT_CGROUP : 0),
  }),
];
