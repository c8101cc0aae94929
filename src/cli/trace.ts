import type { Lab } from '../index.ts';

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
  #current: Int32Array | undefined;

  constructor(api: Api, lab: Lab) {
    lab.onStep = (program, insn, registers) => {
      this.#finish(registers);
      this.#current = registers;
      const line = program.lineAt(insn.slot);
      const position = line ? `${line.file}:${line.line}` : '';
      if (line && position !== this.#position) {
        this.positions.push(position);
        this.lines.push(`  ; ${line.text}  (${position})`);
      }
      this.#position = position;
      // Linked instructions hold addresses where the object holds references.
      const text = insn.helper
        ? `(85) call ${insn.helper.name}#${insn.helper.id}`
        : api.disassembleLine(insn).replace(/^\s*\d+: /, '');
      this.#pending = `  ${String(insn.slot).padStart(4)}: ${text}`;
    };
  }

  /** Forgets the last run. */
  start(): void {
    this.positions = [];
    this.lines = [];
    this.#position = '';
    this.#pending = undefined;
    this.#current = undefined;
    this.#registers.fill(0);
  }

  /** Ends the run: the last instruction's line is done. */
  end(): void {
    if (this.#current) this.#finish(this.#current);
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
