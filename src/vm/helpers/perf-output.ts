import { E } from '../../base/errno.ts';
import { FaultError } from '../../base/error.ts';
import type { BpfMap } from '../../maps/map.ts';
import { type PerfEventSlots, perfEventOutput } from '../../maps/perf-event.ts';
import type { Cpu } from '../cpu.ts';
import { type HelperRow, helper } from '../prototypes/helper.ts';
import { NETWORK, TRACING } from './prog-groups.ts';

/** struct bpf_perf_event_value */
const PERF_EVENT_VALUE = 24;

function perfEvents(map: BpfMap, name: string): PerfEventSlots {
  if ('eventAt' in map) return map as PerfEventSlots;
  throw new FaultError(`cannot pass map_type ${map.typeId} (${map.type} ${map.name}) into func ${name}`, {
    errno: 'EINVAL',
    hint: 'Linux refuses this program when it is loaded',
  });
}

/** 0 when the event's counter can be read. kernel: get_map_perf_event_counter() */
function checkCounter(cpu: Cpu, map: PerfEventSlots, flagsLo: number, flagsHi: number): number {
  if (flagsHi !== 0) return -E.EINVAL;
  const index = flagsLo === -1 ? cpu.id : flagsLo >>> 0;
  if (index >= map.maxEntries) return -E.E2BIG;
  const event = map.eventAt(index);
  if (!event) return -E.ENOENT;
  return event.cpu === cpu.id ? 0 : -E.EINVAL;
}

export const perfHelpers: readonly HelperRow[] = [
  helper({
    id: 22,
    name: 'bpf_perf_event_read',
    args: ['const_map_ptr', 'anything'],
    ret: 'u64',
    types: 'all',
    gpl: true,
    // differs from kernel: the lab's events count nothing, so that every counter reads 0.
    call: (cpu, map, flagsLo, flagsHi) => {
      const error = checkCounter(cpu, perfEvents(map, 'bpf_perf_event_read#22'), flagsLo, flagsHi);
      cpu.hi = error >> 31;
      return error;
    },
  }),
  helper({
    id: 25,
    name: 'bpf_perf_event_output',
    args: ['ctx', 'const_map_ptr', 'anything', 'mem', 'const_size_or_zero'],
    ret: 'integer',
    types: [...NETWORK, 'cgroup_sockopt', 'cgroup_device', 'cgroup_sysctl', ...TRACING, 'syscall'],
    gpl: true,
    // kernel: bpf_skb_event_output(), bpf_xdp_event_output(), bpf_event_output_data()
    call: (cpu, _ctx, map, flagsLo, flagsHi, data, size) => {
      const events = perfEvents(map, 'bpf_perf_event_output#25');
      if (!cpu.packet && flagsHi !== 0) return -E.EINVAL;
      return perfEventOutput(events, cpu.id, flagsLo, flagsHi, data, size, cpu.packet);
    },
  }),
  helper({
    id: 55,
    name: 'bpf_perf_event_read_value',
    args: ['const_map_ptr', 'anything', 'uninit_mem', 'const_size'],
    ret: 'integer',
    types: 'all',
    gpl: true,
    // kernel: bpf_perf_event_read_value(); an error leaves zeros, and so do the lab's counters
    call: (cpu, map, flagsLo, flagsHi, to, size) => {
      cpu.machine.memory.u8.fill(0, to, to + size);
      if (size !== PERF_EVENT_VALUE) return -E.EINVAL;
      return checkCounter(cpu, perfEvents(map, 'bpf_perf_event_read_value#55'), flagsLo, flagsHi);
    },
  }),
];
