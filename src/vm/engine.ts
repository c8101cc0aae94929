import type { Cpu } from './cpu.ts';
import type { Program } from './program.ts';

/** What runs programs. Engines do not know each other; whoever composes the lab chooses. */
export interface Engine {
  readonly name: string;
  /** Makes a program ready to run; `run` does it when it has not been done. */
  prepare(program: Program): void;
  /** Runs with r1 = `ctx` (an address) on `cpu`; returns the low 32 bits of r0, unsigned. */
  run(program: Program, cpu: Cpu, ctx: number): number;
  /** Instructions that the last top-level run executed. */
  readonly executed: number;
}
