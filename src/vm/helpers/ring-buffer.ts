// hot: reserve, submit, output: no allocation, no BigInt
import { E } from '../../base/errno.ts';
import { FaultError } from '../../base/error.ts';
import type { Region } from '../../base/memory.ts';
import type { BpfMap } from '../../maps/map.ts';
import { Ringbuf, UserRingbuf } from '../../maps/ringbuf.ts';
import { RINGBUF_BUSY, RINGBUF_HEADER } from '../../maps/ringbuf-memory.ts';
import type { Machine } from '../machine.ts';
import { type HelperRow, helper } from '../prototypes/helper.ts';
import { clearDynptr, DYNPTR_LOCAL, DYNPTR_MAX_SIZE, DYNPTR_RINGBUF, dynptrData, initDynptr } from './dynptr.ts';
import { PerMachine } from './per-machine.ts';

function ringbuf(map: BpfMap, name: string): Ringbuf {
  if (map instanceof Ringbuf) return map;
  throw new FaultError(`cannot pass map_type ${map.typeId} (${map.type} ${map.name}) into func ${name}`, {
    errno: 'EINVAL',
    hint: 'Linux refuses this program when it is loaded',
  });
}

/** Which ring a record belongs to: rings by the page row of their memory. */
const rings = new PerMachine<Map<number, Ringbuf>>(() => new Map());

function rowOf(machine: Machine, address: number): number {
  return machine.memory.pageRow[address >>> 12]!;
}

/** Reserves a record and remembers its ring. */
function reserve(machine: Machine, ring: Ringbuf, size: number, flagsLo: number, flagsHi: number): number {
  const sample = ring.reserve(size, flagsLo, flagsHi);
  if (sample === 0) return 0;
  const known = rings.of(machine);
  const row = rowOf(machine, sample - RINGBUF_HEADER);
  if (known.get(row) !== ring) known.set(row, ring);
  return sample;
}

/** The ring of a record that `reserve` gave and that is still busy. */
function ringOf(machine: Machine, sample: number, name: string): Ringbuf {
  const header = sample - RINGBUF_HEADER;
  const ring = rings.of(machine).get(rowOf(machine, header));
  const offset = ring ? header - ring.ring.data : -1;
  if (ring && offset >= 0 && offset < ring.ring.size && (offset & 7) === 0) {
    if ((machine.memory.u32[header >> 2]! & RINGBUF_BUSY) !== 0) return ring;
  }
  throw new FaultError(
    `${name}: 0x${sample.toString(16)} is not a reserved record: ${machine.memory.describe(sample)}`,
  );
}

/** Dynptrs that callbacks get: kernel memory, which programs may only read. Nested drains take one each. */
class SampleDynptrs {
  readonly #machine: Machine;
  #region: Region | undefined;
  #depth = 0;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  push(): number {
    this.#region ??= this.#machine.memory.allocate(4096, { kind: 'mem', name: 'sample dynptr', writable: false });
    return this.#region.start + 16 * (this.#depth++ & 0xff);
  }

  pop(): void {
    this.#depth--;
  }
}

const sampleDynptrs = new PerMachine<SampleDynptrs>((machine) => new SampleDynptrs(machine));

export const ringbufHelpers: readonly HelperRow[] = [
  helper({
    id: 130,
    name: 'bpf_ringbuf_output',
    args: ['const_map_ptr', 'mem', 'const_size_or_zero', 'anything'],
    ret: 'integer',
    types: 'all',
    call: (_cpu, map, data, size, flagsLo, flagsHi) =>
      ringbuf(map, 'bpf_ringbuf_output#130').output(data, size, flagsLo, flagsHi),
  }),
  helper({
    id: 131,
    name: 'bpf_ringbuf_reserve',
    args: ['const_map_ptr', 'alloc_size', 'anything'],
    ret: 'ringbuf_mem_or_null',
    types: 'all',
    call: (cpu, map, size, flagsLo, flagsHi) =>
      reserve(cpu.machine, ringbuf(map, 'bpf_ringbuf_reserve#131'), size, flagsLo, flagsHi),
  }),
  helper({
    id: 132,
    name: 'bpf_ringbuf_submit',
    args: ['ringbuf_mem', 'anything32'],
    ret: 'void',
    types: 'all',
    call: (cpu, sample, flags) => {
      ringOf(cpu.machine, sample, 'bpf_ringbuf_submit').submit(sample, flags);
      return undefined;
    },
  }),
  helper({
    id: 133,
    name: 'bpf_ringbuf_discard',
    args: ['ringbuf_mem', 'anything32'],
    ret: 'void',
    types: 'all',
    call: (cpu, sample, flags) => {
      ringOf(cpu.machine, sample, 'bpf_ringbuf_discard').discard(sample, flags);
      return undefined;
    },
  }),
  helper({
    id: 134,
    name: 'bpf_ringbuf_query',
    args: ['const_map_ptr', 'anything'],
    ret: 'u64',
    types: 'all',
    call: (cpu, map, what, whatHi) => cpu.u53(ringbuf(map, 'bpf_ringbuf_query#134').query(whatHi === 0 ? what : -1)),
  }),
  helper({
    id: 198,
    name: 'bpf_ringbuf_reserve_dynptr',
    args: ['const_map_ptr', 'anything32', 'anything', 'uninit_dynptr'],
    ret: 'integer',
    types: 'all',
    // kernel: bpf_ringbuf_reserve_dynptr()
    call: (cpu, map, length, flagsLo, flagsHi, at) => {
      const { memory } = cpu.machine;
      const ring = ringbuf(map, 'bpf_ringbuf_reserve_dynptr#198');
      const size = length >>> 0;
      clearDynptr(memory, at);
      if ((flagsLo | flagsHi) !== 0) return -E.EINVAL;
      if (size > DYNPTR_MAX_SIZE) return -E.E2BIG;
      const sample = reserve(cpu.machine, ring, size, 0, 0);
      if (sample === 0) return -E.EINVAL;
      initDynptr(memory, at, DYNPTR_RINGBUF, sample, size);
      return 0;
    },
  }),
  helper({
    id: 199,
    name: 'bpf_ringbuf_submit_dynptr',
    args: ['dynptr_ringbuf_release', 'anything32'],
    ret: 'void',
    types: 'all',
    call: (cpu, at, flags) => {
      const { memory } = cpu.machine;
      const sample = dynptrData(memory, at);
      if (sample === 0) return undefined;
      ringOf(cpu.machine, sample, 'bpf_ringbuf_submit_dynptr').submit(sample, flags);
      clearDynptr(memory, at);
      return undefined;
    },
  }),
  helper({
    id: 200,
    name: 'bpf_ringbuf_discard_dynptr',
    args: ['dynptr_ringbuf_release', 'anything32'],
    ret: 'void',
    types: 'all',
    call: (cpu, at, flags) => {
      const { memory } = cpu.machine;
      const sample = dynptrData(memory, at);
      if (sample === 0) return undefined;
      ringOf(cpu.machine, sample, 'bpf_ringbuf_discard_dynptr').discard(sample, flags);
      clearDynptr(memory, at);
      return undefined;
    },
  }),
  helper({
    id: 209,
    name: 'bpf_user_ringbuf_drain',
    args: ['const_map_ptr', 'func', 'stack_or_null', 'anything'],
    ret: 'integer',
    types: 'all',
    // kernel: bpf_user_ringbuf_drain()
    call: (cpu, map, fn, ctxLo, ctxHi, flagsLo, flagsHi) => {
      if (!(map instanceof UserRingbuf)) {
        throw new FaultError(`cannot pass map_type ${map.typeId} into func bpf_user_ringbuf_drain#209`, {
          errno: 'EINVAL',
        });
      }
      const { memory } = cpu.machine;
      const dynptrs = sampleDynptrs.of(cpu.machine);
      const dynptr = dynptrs.push();
      const args: readonly [number, number][] = [
        [dynptr, 0],
        [ctxLo, ctxHi],
      ];
      try {
        return map.drain(
          (sample, size) => {
            initDynptr(memory, dynptr, DYNPTR_LOCAL, sample, size);
            return cpu.callback(fn, args);
          },
          flagsLo,
          flagsHi,
        );
      } finally {
        dynptrs.pop();
      }
    },
  }),
];
