import { Clock } from '../base/clock.ts';
import { Memory } from '../base/memory.ts';
import { Rng } from '../base/rng.ts';
import { FdTable } from '../maps/fd-table.ts';
import type { BpfMap, MapEnv } from '../maps/map.ts';
import { Cpu } from './cpu.ts';
import type { Program } from './program.ts';

export interface MachineOptions {
  /** Seed of everything random; default 1. */
  readonly seed?: number;
  /** Possible CPUs, 1 to 64; default 2. */
  readonly cpus?: number;
  /** Bytes of linear memory; default 1 GiB of address space. */
  readonly memory?: number;
}

/** One line of bpf_trace_printk output. */
export interface TraceLine {
  readonly cpu: number;
  /** Virtual ns. */
  readonly time: number;
  readonly text: string;
}

/** What programs run on: linear memory, CPUs, clock, randomness, descriptors and loaded objects. */
export class Machine implements MapEnv {
  readonly memory: Memory;
  readonly clock = new Clock();
  readonly rng: Rng;
  readonly fds = new FdTable();
  readonly cpuList: readonly Cpu[];
  /** By handle (address of the descriptor). */
  readonly maps = new Map<number, BpfMap>();
  readonly programs = new Map<number, Program>();
  /** Receives bpf_trace_printk text. */
  onTrace: ((line: TraceLine) => void) | undefined;
  releaseFields: ((map: BpfMap, value: number) => void) | undefined;
  #mapIds = 0;
  #progIds = 0;

  constructor({ seed = 1, cpus = 2, memory }: MachineOptions = {}) {
    this.memory = new Memory(memory === undefined ? {} : { size: memory });
    this.rng = new Rng(seed);
    this.cpuList = Array.from({ length: cpus }, (_, id) => new Cpu(this, id));
  }

  /** Number of possible CPUs. */
  get cpus(): number {
    return this.cpuList.length;
  }

  nextMapId(): number {
    return ++this.#mapIds;
  }

  nextProgId(): number {
    return ++this.#progIds;
  }
}
