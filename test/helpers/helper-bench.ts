import type { Cpu } from '../../src/vm/cpu.ts';
import { genericHelpers, genericKfuncs } from '../../src/vm/helpers/generic.ts';
import { Machine, type MachineOptions } from '../../src/vm/machine.ts';
import type { HelperRow } from '../../src/vm/prototypes/helper.ts';

type Body = (cpu: Cpu, ...args: unknown[]) => number | undefined;

/** Row of a helper or kfunc by name, with or without its `bpf_`. */
export function row(name: string): HelperRow {
  const full = name.startsWith('bpf_') ? name : `bpf_${name}`;
  const found = [...genericHelpers, ...genericKfuncs].find((helper) => helper.name === full);
  if (!found) throw new Error(`no helper ${full}`);
  return found;
}

/** A machine with scratch memory, and helper bodies called as an engine would call them. */
export class HelperBench {
  readonly machine: Machine;
  cpu: Cpu;
  /** Scratch memory that programs may read and write. */
  readonly scratch: number;
  #next: number;
  readonly #end: number;

  constructor(options: MachineOptions = {}) {
    this.machine = new Machine({ memory: 64 << 20, ...options });
    this.cpu = this.machine.cpuList[0]!;
    const region = this.machine.memory.allocate(1 << 18, { kind: 'stack', name: 'scratch' });
    this.scratch = region.start;
    this.#next = region.start;
    this.#end = region.start + region.size;
  }

  /** Scratch bytes, 8-aligned; `fill` is what they hold before (default zero). */
  room(size: number, fill = 0): number {
    const at = this.#next;
    this.#next += (size + 7) & ~7;
    if (this.#next > this.#end) throw new Error('scratch memory is full');
    this.machine.memory.u8.fill(fill, at, at + size);
    return at;
  }

  bytes(data: Uint8Array | readonly number[]): number {
    const at = this.room(data.length);
    this.machine.memory.write(at, Uint8Array.from(data));
    return at;
  }

  /** Text with a NUL behind it. */
  text(text: string): number {
    return this.bytes([...new TextEncoder().encode(text), 0]);
  }

  u32s(...values: number[]): number {
    const at = this.room(values.length * 4);
    values.forEach((value, i) => {
      this.machine.memory.view.setUint32(at + 4 * i, value, true);
    });
    return at;
  }

  u64s(...values: (bigint | number)[]): number {
    const at = this.room(values.length * 8);
    values.forEach((value, i) => {
      this.machine.memory.view.setBigUint64(at + 8 * i, BigInt.asUintN(64, BigInt(value)), true);
    });
    return at;
  }

  u32(at: number): number {
    return this.machine.memory.view.getUint32(at, true);
  }

  u64(at: number): bigint {
    return this.machine.memory.view.getBigUint64(at, true);
  }

  read(at: number, size: number): number[] {
    return [...this.machine.memory.read(at, size)];
  }

  string(at: number): string {
    const { u8 } = this.machine.memory;
    return new TextDecoder().decode(u8.slice(at, u8.indexOf(0, at)));
  }

  /** Calls the body; arguments of kind `anything` are given as two halves. */
  call(name: string, ...args: unknown[]): number {
    return (row(name).call as Body)(this.cpu, ...args) ?? 0;
  }

  /** Calls a helper with a 64-bit result. */
  call64(name: string, ...args: unknown[]): bigint {
    const lo = this.call(name, ...args);
    return (BigInt(this.cpu.hi >>> 0) << 32n) | BigInt(lo >>> 0);
  }
}
