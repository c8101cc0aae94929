import type { ErrnoName } from '../base/errno.ts';
import type { BpfMap } from '../maps/map.ts';
import { BPF_F_RDONLY_PROG } from '../maps/map-flags.ts';
import type { Cpu } from './cpu.ts';
import type { Machine } from './machine.ts';
import { ARG_KINDS, type ArgKind, type HelperRow } from './prototypes/helper.ts';

/** The only helper that may be called while a bpf_spin_lock is held. */
const BPF_FUNC_SPIN_UNLOCK = 94;

/** What a bound helper asks of its engine. */
export interface CallSite {
  cpu(): Cpu;
  /** @param errno what Linux's verifier answers where it refuses the call at load; default EFAULT */
  fault(message: string, errno?: ErrnoName): never;
}

/** Memory that an argument kind stands for: how many bytes, and whether the helper stores there. */
const FIXED: Partial<Record<ArgKind, { size: number; write: boolean }>> = {
  fixed_mem_w8: { size: 8, write: true },
  fixed_mem_w4: { size: 4, write: true },
  fixed_mem_r20: { size: 20, write: false },
  fixed_mem_r40: { size: 40, write: false },
  spin_lock: { size: 4, write: true },
  timer: { size: 16, write: true },
  dynptr: { size: 16, write: false },
  uninit_dynptr: { size: 16, write: true },
  dynptr_ringbuf_release: { size: 16, write: true },
  kptr_dest: { size: 8, write: true },
  uninit_iter_num: { size: 8, write: true },
  iter_num: { size: 8, write: true },
  uninit_iter_bits: { size: 16, write: true },
  iter_bits: { size: 16, write: true },
  workqueue: { size: 16, write: true },
  res_spin_lock: { size: 8, write: true },
  irq_flag: { size: 8, write: true },
};
const SIZED: Partial<Record<ArgKind, { write: boolean }>> = {
  mem: { write: false },
  mem_or_null: { write: false },
  mem_rw: { write: true },
  mem_rw_or_null: { write: true },
  uninit_mem: { write: true },
};
const KEYED: Partial<Record<ArgKind, { size: 'keySize' | 'valueSize'; write: boolean }>> = {
  map_key: { size: 'keySize', write: false },
  map_value: { size: 'valueSize', write: false },
  map_value_or_null: { size: 'valueSize', write: false },
  uninit_map_value: { size: 'valueSize', write: true },
};

/**
 * Makes the call of one helper on one engine's registers: checks memory arguments by their kinds, passes them to the body
 * in the form that `ARG_KINDS` says, and puts the result into r0. Registers are lo/hi pairs at the start of `m`.
 */
export function bindHelper(row: HelperRow, machine: Machine, m: Int32Array, site: CallSite): () => void {
  const checks: (() => void)[] = [];
  const values: (() => unknown)[] = [];
  const mapPosition = row.args.indexOf('const_map_ptr') + 1;
  const mapSlot = 2 * mapPosition;
  const memory = machine.memory;

  const mapAt = (slot: number, position: number): BpfMap => {
    const map = m[slot + 1] === 0 ? machine.maps.get(m[slot]!) : undefined;
    return map ?? site.fault(`${row.name}: argument ${position} is not a map`);
  };
  const check = (slot: number, position: number, kind: ArgKind, size: number, write: boolean) => {
    if (size === 0) {
      // kernel: check_helper_mem_access()
      if (kind === 'map_key') site.fault('invalid zero-sized read', 'EACCES');
      return;
    }
    const address = m[slot]! >>> 0;
    if (m[slot + 1] === 0 && memory.accessible(address, size, write)) return;
    const hex = ((BigInt(m[slot + 1]! >>> 0) << 32n) | BigInt(address)).toString(16);
    site.fault(
      `${row.name}: argument ${position} (${kind}): ${write ? 'write' : 'read'} of ${size} bytes at 0x${hex}: ${
        m[slot + 1] === 0 ? memory.describe(address) : 'not an address'
      }`,
    );
  };

  if (row.writesMap) {
    checks.push(() => {
      if (mapAt(mapSlot, mapPosition).flags & BPF_F_RDONLY_PROG)
        site.fault(`${row.name}: write into map forbidden`, 'EACCES');
    });
  }
  for (const [index, kind] of row.args.entries()) {
    const slot = 2 + 2 * index;
    const position = index + 1;
    const passed = ARG_KINDS[kind];
    if (passed === 'map') values.push(() => mapAt(slot, position));
    else if (passed === 'u64')
      values.push(
        () => m[slot],
        () => m[slot + 1],
      );
    else if (passed === 'i32') values.push(() => m[slot]);
    else values.push(() => m[slot]! >>> 0);

    const nullable = kind.endsWith('_or_null');
    const unlessNull = (body: () => void) =>
      checks.push(nullable ? () => (m[slot] === 0 && m[slot + 1] === 0 ? undefined : body()) : body);
    const fixed = FIXED[kind];
    const sized = SIZED[kind];
    const keyed = KEYED[kind];
    if (fixed) unlessNull(() => check(slot, position, kind, fixed.size, fixed.write));
    else if (sized) unlessNull(() => check(slot, position, kind, m[slot + 2]! >>> 0, sized.write));
    else if (keyed && mapPosition > 0) {
      unlessNull(() => check(slot, position, kind, mapAt(mapSlot, mapPosition)[keyed.size], keyed.write));
    }
  }

  const body = row.call as (cpu: Cpu, ...args: unknown[]) => number | undefined;
  const invoke = caller(body, values);
  const { ret } = row;
  return () => {
    const cpu = site.cpu();
    if (cpu.lock !== 0 && row.id !== BPF_FUNC_SPIN_UNLOCK) {
      site.fault(`${row.name}: function calls are not allowed while holding a lock`, 'EINVAL');
    }
    for (const verify of checks) verify();
    const result = invoke(cpu) ?? 0;
    m[0] = result;
    m[1] = ret === 'integer' ? result >> 31 : ret === 'u64' ? cpu.hi : 0;
  };
}

/** Calls the body with its arguments, without an array for the usual numbers of them. */
function caller(
  body: (cpu: Cpu, ...args: unknown[]) => number | undefined,
  values: readonly (() => unknown)[],
): (cpu: Cpu) => number | undefined {
  const [a, b, c, d] = values as [() => unknown, () => unknown, () => unknown, () => unknown];
  switch (values.length) {
    case 0:
      return (cpu) => body(cpu);
    case 1:
      return (cpu) => body(cpu, a());
    case 2:
      return (cpu) => body(cpu, a(), b());
    case 3:
      return (cpu) => body(cpu, a(), b(), c());
    case 4:
      return (cpu) => body(cpu, a(), b(), c(), d());
    default:
      return (cpu) => body(cpu, ...values.map((value) => value()));
  }
}
