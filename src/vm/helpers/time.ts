// hot: no allocation, no BigInt per call (ktime_get_tai_ns excepted)
import type { Clock } from '../../base/clock.ts';
import { type HelperRow, helper } from '../prototypes/helper.ts';
import { NETWORK } from './prog-groups.ts';

const NS_PER_S = 1_000_000_000;
/** jiffies run over soon after boot, so that wrap-around bugs show. */
const SECONDS_TO_WRAP = 300;

/** Ticks since 2^32 - 300 s before boot. kernel: INITIAL_JIFFIES */
export function jiffies64(clock: Clock): number {
  return 0x100000000 - (SECONDS_TO_WRAP * NS_PER_S) / clock.tick + Math.floor(clock.now / clock.tick);
}

/** Clocks; all of them are the machine's virtual clock. */
export const timeHelpers: readonly HelperRow[] = [
  helper({
    id: 5,
    name: 'bpf_ktime_get_ns',
    args: [],
    ret: 'u64',
    types: 'all',
    call: (cpu) => cpu.u53(cpu.machine.clock.now),
  }),
  helper({
    id: 118,
    name: 'bpf_jiffies64',
    args: [],
    ret: 'u64',
    types: 'all',
    call: (cpu) => cpu.u53(jiffies64(cpu.machine.clock)),
  }),
  helper({
    id: 125,
    name: 'bpf_ktime_get_boot_ns',
    args: [],
    ret: 'u64',
    types: 'all',
    call: (cpu) => cpu.u53(cpu.machine.clock.now + cpu.machine.clock.bootOffset),
  }),
  helper({
    id: 160,
    name: 'bpf_ktime_get_coarse_ns',
    args: [],
    ret: 'u64',
    types: [...NETWORK, 'flow_dissector', 'sk_reuseport', 'cgroup_sysctl'],
    // Monotonic time of the last tick.
    call: (cpu) => {
      const { now, tick } = cpu.machine.clock;
      return cpu.u53(now - (now % tick));
    },
  }),
  helper({
    id: 208,
    name: 'bpf_ktime_get_tai_ns',
    args: [],
    ret: 'u64',
    types: 'all',
    call: (cpu) => cpu.u64(cpu.machine.clock.realtimeOffset + BigInt(Math.floor(cpu.machine.clock.now))),
  }),
];
