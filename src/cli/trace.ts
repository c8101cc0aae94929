import type { LabObject } from '../index.ts';
import { instructionTexts } from './disasm.ts';
import type { SourceLines } from './source-lines.ts';

type Api = typeof import('../index.ts');

/** `--trace`: every instruction of a run with the registers that it changed, under its C line. */
export class Trace {
  /** C positions in the order in which they ran, without repetitions in a row. */
  positions: string[] = [];
  /** Finished lines of text. */
  lines: string[] = [];
  readonly #registers = new Int32Array(22);
  #pending: string | undefined;
  #position = '';

  constructor(api: Api, object: LabObject, source: SourceLines) {
    const texts = new Map<string, ReadonlyMap<number, string>>();
    const textsOf = (name: string) => {
      let known = texts.get(name);
      if (!known) {
        known = instructionTexts(api, object.spec, object.prog(name).spec);
        texts.set(name, known);
      }
      return known;
    };
    object.lab.onStep = (program, insn, registers) => {
      this.#finish(registers);
      const line = program.lineAt(insn.slot);
      const position = line ? `${line.file}:${line.line}` : '';
      if (line && position !== this.#position) {
        this.positions.push(position);
        this.lines.push(`  ; ${source.text(line)}`);
      }
      this.#position = position;
      const text = textsOf(program.name).get(insn.slot) ?? '';
      this.#pending = `  ${String(insn.slot).padStart(4)}: ${text}`;
    };
  }

  /** Forgets the last run. */
  start(): void {
    this.positions = [];
    this.lines = [];
    this.#position = '';
    this.#pending = undefined;
    this.#registers.fill(0);
  }

  /** Ends the run: the last instruction's line is done. */
  end(): void {
    // What the last exit changes is the caller's registers.
    if (this.#pending !== undefined) this.lines.push(this.#pending);
    this.#pending = undefined;
  }

  #finish(registers: Int32Array): void {
    if (this.#pending === undefined) {
      this.#registers.set(registers.subarray(0, 22));
      return;
    }
    const changed: string[] = [];
    for (let r = 0; r < 11; r++) {
      const [lo, hi] = [registers[2 * r]!, registers[2 * r + 1]!];
      if (lo === this.#registers[2 * r] && hi === this.#registers[2 * r + 1]) continue;
      changed.push(`r${r}=0x${((BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0)).toString(16)}`);
    }
    this.lines.push(changed.length ? `${this.#pending.padEnd(56)} ${changed.join(' ')}` : this.#pending);
    this.#registers.set(registers.subarray(0, 22));
    this.#pending = undefined;
  }
}
