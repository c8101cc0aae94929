import type { ScheduledEvent } from '../../base/clock.ts';
import { E } from '../../base/errno.ts';
import type { Region } from '../../base/memory.ts';
import type { BpfMap } from '../../maps/map.ts';
import type { Cpu } from '../cpu.ts';
import type { Machine } from '../machine.ts';
import type { Program } from '../program.ts';
import { type HelperRow, helper, kfunc } from '../prototypes/helper.ts';
import { ownFields } from './field-owner.ts';
import { PerMachine } from './per-machine.ts';

const CLOCK_REALTIME = 0;
const CLOCK_MONOTONIC = 1;
const CLOCK_BOOTTIME = 7;
const BPF_F_TIMER_ABS = 1;
const BPF_F_TIMER_CPU_PIN = 2;

/** A callback and what it runs in. */
interface Callback {
  readonly cpu: Cpu;
  readonly program: Program | undefined;
  readonly run: Cpu['callback'];
  readonly fn: number;
}

/** Something that calls BPF back later: a timer or a work item. Its field in the map value holds `id`. */
interface Deferred {
  readonly id: number;
  readonly kind: 'timer' | 'workqueue';
  readonly map: BpfMap;
  /** Address of the map value. */
  readonly value: number;
  readonly clock: number;
  callback: Callback | undefined;
  event: ScheduledEvent | undefined;
}

/** A map that knows the key of one of its values; others are searched. */
interface KeyedMap extends BpfMap {
  keyOfValue?(value: number): number;
}

/** Timers and work items of one machine. */
class DeferredCalls {
  readonly #machine: Machine;
  #byId = new Map<number, Deferred>();
  #next = 1;
  #running: Deferred | undefined;
  #index: Region | undefined;

  constructor(machine: Machine) {
    this.#machine = machine;
    ownFields(machine, (map, value) => {
      for (const field of [map.fields?.timer, map.fields?.workqueue]) if (field !== undefined) this.free(value + field);
    });
  }

  /** The initialised timer in a field, or undefined. */
  at(field: number): Deferred | undefined {
    const deferred = this.#byId.get(this.#machine.memory.view.getUint32(field, true));
    if (!deferred) return undefined;
    if (this.#machine.fds.find(deferred.map) !== undefined) return deferred;
    // kernel: bpf_map_put_uref(): without a user's reference the map's timers are gone
    this.free(field);
    return undefined;
  }

  init(kind: Deferred['kind'], field: number, map: BpfMap, clock: number): number {
    if (this.at(field)) return -E.EBUSY;
    if (this.#machine.fds.find(map) === undefined) return -E.EPERM;
    const offset = map.fields?.[kind] ?? 0;
    const id = this.#next++;
    this.#byId.set(id, { id, kind, map, value: field - offset, clock, callback: undefined, event: undefined });
    this.#machine.memory.view.setBigUint64(field, BigInt(id), true);
    return 0;
  }

  setCallback(cpu: Cpu, field: number, fn: number): number {
    const deferred = this.at(field);
    if (!deferred) return -E.EINVAL;
    deferred.callback = { cpu, program: cpu.program, run: cpu.callback, fn };
    return 0;
  }

  /** @param at ns, monotonic */
  start(field: number, at: number): number {
    const deferred = this.at(field);
    if (!deferred?.callback) return -E.EINVAL;
    deferred.event?.cancel();
    deferred.event = this.#machine.clock.schedule(at, () => this.#fire(deferred));
    return 0;
  }

  /** kernel: bpf_timer_cancel() */
  cancel(field: number): number {
    const deferred = this.at(field);
    if (!deferred) return -E.EINVAL;
    if (this.#running === deferred) return -E.EDEADLK;
    deferred.callback = undefined;
    const armed = deferred.event?.cancel() ?? false;
    deferred.event = undefined;
    return armed ? 1 : 0;
  }

  /** kernel: bpf_timer_cancel_and_free() */
  free(field: number): void {
    const { view } = this.#machine.memory;
    const deferred = this.#byId.get(view.getUint32(field, true));
    if (deferred) {
      deferred.event?.cancel();
      deferred.callback = undefined;
      this.#byId.delete(deferred.id);
    }
    view.setBigUint64(field, 0n, true);
  }

  #fire(deferred: Deferred): void {
    deferred.event = undefined;
    if (this.#machine.fds.find(deferred.map) === undefined) {
      this.free(deferred.value + (deferred.map.fields?.[deferred.kind] ?? 0));
      return;
    }
    const { callback } = deferred;
    if (!callback) return;
    const { cpu } = callback;
    const { program, packet } = cpu;
    const outer = this.#running;
    cpu.program = callback.program;
    cpu.packet = undefined;
    this.#running = deferred;
    try {
      const args: readonly [number, number][] = [
        [deferred.map.handle | 0, 0],
        [this.#keyOf(deferred) | 0, 0],
        [deferred.value | 0, 0],
      ];
      callback.run(callback.fn, args, 0);
    } finally {
      this.#running = outer;
      cpu.program = program;
      cpu.packet = packet;
    }
  }

  /** Address of the element's key; arrays have none, so that their index is written to a place of its own. */
  #keyOf(deferred: Deferred): number {
    const map: KeyedMap = deferred.map;
    const { memory } = this.#machine;
    if (map.keyOfValue) return map.keyOfValue(deferred.value);
    let found = 0;
    map.forEach?.(0, (key, value) => {
      if (value !== deferred.value) return 0;
      found = key;
      return 1;
    });
    if (map.type !== 'array' || found === 0) return found;
    const index = memory.view.getUint32(found, true);
    this.#index ??= memory.allocate(8, { kind: 'map_key', name: 'array index of a timer', writable: false });
    memory.view.setUint32(this.#index.start, index, true);
    return this.#index.start;
  }
}

const deferredCalls = new PerMachine<DeferredCalls>((machine) => new DeferredCalls(machine));

/** When a timer that is started now fires, ns monotonic. */
function expiry(machine: Machine, clock: number, lo: number, hi: number, absolute: boolean): number {
  // A time with the sign bit is in the past.
  const ns = hi < 0 ? 0 : hi * 0x100000000 + (lo >>> 0);
  const { now, bootOffset, realtimeOffset } = machine.clock;
  if (!absolute) return now + ns;
  if (clock === CLOCK_MONOTONIC) return ns;
  return clock === CLOCK_BOOTTIME ? ns - bootOffset : ns - Number(realtimeOffset);
}

export const timerHelpers: readonly HelperRow[] = [
  helper({
    id: 169,
    name: 'bpf_timer_init',
    args: ['timer', 'const_map_ptr', 'anything'],
    ret: 'integer',
    types: 'all',
    gpl: true,
    call: (cpu, timer, map, flagsLo, flagsHi) => {
      const known = flagsLo === CLOCK_REALTIME || flagsLo === CLOCK_MONOTONIC || flagsLo === CLOCK_BOOTTIME;
      if (flagsHi !== 0 || !known) return -E.EINVAL;
      return deferredCalls.of(cpu.machine).init('timer', timer, map, flagsLo);
    },
  }),
  helper({
    id: 170,
    name: 'bpf_timer_set_callback',
    args: ['timer', 'func'],
    ret: 'integer',
    types: 'all',
    gpl: true,
    call: (cpu, timer, fn) => deferredCalls.of(cpu.machine).setCallback(cpu, timer, fn),
  }),
  helper({
    id: 171,
    name: 'bpf_timer_start',
    args: ['timer', 'anything', 'anything'],
    ret: 'integer',
    types: 'all',
    gpl: true,
    call: (cpu, timer, nsLo, nsHi, flagsLo, flagsHi) => {
      if ((flagsLo & ~(BPF_F_TIMER_ABS | BPF_F_TIMER_CPU_PIN)) !== 0 || flagsHi !== 0) return -E.EINVAL;
      const calls = deferredCalls.of(cpu.machine);
      const clock = calls.at(timer)?.clock;
      if (clock === undefined) return -E.EINVAL;
      return calls.start(timer, expiry(cpu.machine, clock, nsLo, nsHi, (flagsLo & BPF_F_TIMER_ABS) !== 0));
    },
  }),
  helper({
    id: 172,
    name: 'bpf_timer_cancel',
    args: ['timer'],
    ret: 'integer',
    types: 'all',
    gpl: true,
    call: (cpu, timer) => deferredCalls.of(cpu.machine).cancel(timer),
  }),
];

/** Work queues: as timers that fall due at once. */
export const workqueueKfuncs: readonly HelperRow[] = [
  kfunc({
    name: 'bpf_wq_init',
    args: ['workqueue', 'const_map_ptr', 'anything32'],
    ret: 'u32',
    types: 'all',
    call: (cpu, field, map, flags) =>
      flags !== 0 ? -E.EINVAL : deferredCalls.of(cpu.machine).init('workqueue', field, map, CLOCK_MONOTONIC),
  }),
  kfunc({
    name: 'bpf_wq_set_callback_impl',
    args: ['workqueue', 'func', 'anything32', 'dont_care'],
    ret: 'u32',
    types: 'all',
    call: (cpu, field, fn, flags) =>
      flags !== 0 ? -E.EINVAL : deferredCalls.of(cpu.machine).setCallback(cpu, field, fn),
  }),
  kfunc({
    name: 'bpf_wq_start',
    args: ['workqueue', 'anything32'],
    ret: 'u32',
    types: 'all',
    call: (cpu, field, flags) =>
      flags !== 0 ? -E.EINVAL : deferredCalls.of(cpu.machine).start(field, cpu.machine.clock.now),
  }),
];
