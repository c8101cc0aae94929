import type { Rng } from '../../src/base/rng.ts';
import { assembled, I, insn, type RawMap, rawSpec } from '../oracle/raw-spec.ts';
import type { Scenario } from '../oracle/scenario.ts';

/** A register's value: a number, a 64-bit number, or an address in one of the program's areas. */
export type Value =
  | number
  | bigint
  | { readonly area: 'text' | 'format' | 'out' | 'stack' | 'ctx'; readonly at: number };

const MAPS = { text: 0, format: 1, out: 2 } as const;

/** Writes an XDP program that calls helpers with constants and keeps what they answer in the map `out`. */
export class CallProgram {
  readonly #insns: number[][] = [I.movReg(9, 1)];
  readonly #kfuncs: string[] = [];
  readonly #text: number[] = [];
  readonly #format: number[] = [];
  #out = 0;

  /** Room in `out`, 8-aligned. */
  room(bytes: number): Value & object {
    const at = this.#out;
    this.#out += (bytes + 7) & ~7;
    return { area: 'out', at };
  }

  /** Bytes in memory that programs may read and write, 8-aligned. */
  text(bytes: Uint8Array): Value & object {
    return { area: 'text', at: append(this.#text, bytes) };
  }

  /** Text with a NUL in a read-only, frozen map. */
  constant(text: string): Value & object {
    return { area: 'format', at: append(this.#format, Uint8Array.from([...new TextEncoder().encode(text), 0])) };
  }

  set(register: number, value: Value): this {
    if (typeof value === 'object') {
      if (value.area === 'ctx') this.#insns.push(I.movReg(register, 9));
      else if (value.area === 'stack') this.#insns.push(I.movReg(register, 10), I.add(register, value.at));
      else this.#insns.push(I.mapValue(register, MAPS[value.area], value.at));
      return this;
    }
    const wide = BigInt(value);
    this.#insns.push(I.imm64(register, Number(BigInt.asIntN(32, wide)), Number(BigInt.asIntN(32, wide >> 32n))));
    return this;
  }

  /** *(u64 *)(r10 + at) = value */
  push(at: number, value: Value): this {
    this.set(1, value);
    this.#insns.push(I.storeReg(64, 10, at, 1));
    return this;
  }

  /** Calls a helper; r0 goes to `out`, and so do `keep` bytes of the stack, a multiple of 8. */
  call(helper: number, args: readonly Value[], keep?: { readonly at: number; readonly bytes: number }): this {
    args.forEach((value, i) => {
      this.set(i + 1, value);
    });
    this.#insns.push(I.call(helper));
    this.#keep();
    for (let i = 0; i < (keep?.bytes ?? 0); i += 8) {
      this.#insns.push(I.load(64, 0, 10, keep!.at + i));
      this.#keep();
    }
    return this;
  }

  /** Like `call`; `result` says what becomes of r0: kept, kept as 1 or 0, read through as a u32, or nothing. Of a bool, Linux sets the lowest byte only. */
  callKfunc(
    name: string,
    args: readonly Value[],
    result: 'value' | 'bool' | 'pointer' | 'element' | 'void' = 'value',
    keep?: { readonly at: number; readonly bytes: number },
  ): this {
    args.forEach((value, i) => {
      this.set(i + 1, value);
    });
    if (!this.#kfuncs.includes(name)) this.#kfuncs.push(name);
    this.#insns.push(I.kfunc(this.#kfuncs.indexOf(name)));
    if (result === 'pointer') this.#insns.push(I.ifZero(0, 1), I.mov(0, 1));
    if (result === 'bool') this.#insns.push(insn(0x57, 0, 0, 0, 0xff));
    if (result === 'element') this.#insns.push(I.ifZero(0, 2), I.load(32, 0, 0, 0), I.add(0, 1));
    if (result !== 'void') this.#keep();
    for (let i = 0; i < (keep?.bytes ?? 0); i += 8) {
      this.#insns.push(I.load(64, 0, 10, keep!.at + i));
      this.#keep();
    }
    return this;
  }

  /** Whether the last result is not zero, for pointers. */
  callPointer(helper: number, args: readonly Value[]): this {
    args.forEach((value, i) => {
      this.set(i + 1, value);
    });
    this.#insns.push(I.call(helper), I.ifZero(0, 1), I.mov(0, 1));
    this.#keep();
    return this;
  }

  /** r0 to the next 8 bytes of `out`. */
  #keep(): void {
    this.set(6, this.room(8));
    this.#insns.push(I.storeReg(64, 6, 0, 0));
  }

  scenario(more: readonly RawMap[] = []): Scenario {
    const insns = assembled(...this.#insns, I.mov(0, 2), I.exit());
    const area = (name: string, bytes: readonly number[]): RawMap => ({
      name,
      type: 'array',
      keySize: 4,
      valueSize: Math.max(8, bytes.length),
      maxEntries: 1,
      initial: Uint8Array.from(bytes.length ? bytes : new Array(8).fill(0)),
    });
    const maps = [
      area('text', this.#text),
      { ...area('format', this.#format), flags: 128, frozen: true },
      area('out', new Array(this.#out).fill(0)),
      ...more,
    ];
    const spec = rawSpec([{ name: 'calls', type: 'xdp', insns }], maps);
    spec.kfuncs.push(...this.#kfuncs.map((name) => ({ name, weak: false, btfTypeId: 0 })));
    return { spec, inputs: [{ data: Uint8Array.from({ length: 64 }, (_, i) => i + 1) }] };
  }

  /** LD_IMM64 of a map that `scenario` was given, into a register. */
  map(register: number, index: number): this {
    this.#insns.push(I.map(register, 3 + index));
    return this;
  }

  /** Calls a helper whose first argument is such a map. */
  callMap(helper: number, index: number, args: readonly Value[]): this {
    args.forEach((value, i) => {
      this.set(i + 2, value);
    });
    this.map(1, index);
    this.#insns.push(I.call(helper));
    this.#keep();
    return this;
  }

  /** Instructions as they are. */
  raw(...insns: number[][]): this {
    this.#insns.push(...insns);
    return this;
  }
}

function append(to: number[], bytes: Uint8Array): number {
  while (to.length % 8) to.push(0);
  const at = to.length;
  to.push(...bytes);
  return at;
}

/** One of a list. */
export function pick<T>(rng: Rng, list: readonly T[]): T {
  return list[rng.below(list.length)]!;
}

/** A 64-bit number: small ones, limits and others. */
export function anyNumber(rng: Rng): bigint {
  const limits = [0n, 1n, -1n, 2n ** 31n, 2n ** 31n - 1n, -(2n ** 31n), 2n ** 32n, 2n ** 63n - 1n, -(2n ** 63n)];
  switch (rng.below(3)) {
    case 0:
      return BigInt(rng.below(100)) - 50n;
    case 1:
      return pick(rng, limits);
    default:
      return BigInt.asIntN(64, (BigInt(rng.u32()) << 32n) | BigInt(rng.u32()));
  }
}
