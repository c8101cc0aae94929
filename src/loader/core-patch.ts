import { ObjectError } from './object-error.ts';
import type { LoaderFunc } from './opened.ts';

/** libbpf: 195896080: a call of a helper that does not exist. */
export const CORE_POISON = 0xbad2310;
const MEM_SIZES: Readonly<Record<number, number>> = { 16: 1, 8: 2, 0: 4, 24: 8 };
const SIZE_BITS: Readonly<Record<number, number>> = { 1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18 };

/** What to write into an instruction, and what must have been there. */
export interface CoreValue {
  readonly local: bigint;
  readonly value: bigint;
  readonly validate: boolean;
  readonly poison: boolean;
  /** When both are set and differ, the size of the load changes. */
  readonly localSize: number;
  readonly targetSize: number;
  /** The sizes differ, and changing the load would read the field wrongly. */
  readonly failSize: boolean;
  readonly spec: string;
}

/** Writes a CO-RE value into an instruction of a function. libbpf: bpf_core_patch_insn() */
export function applyCore(func: LoaderFunc, slot: number, core: CoreValue, prefix: string, warnings: string[]): void {
  const { view } = func;
  const at = slot * 8;
  const fail = (text: string, code: 'EINVAL' | 'ERANGE' = 'EINVAL') =>
    new ObjectError(code, `${prefix}: ${text}`, {
      stage: 'load',
      section: func.section.name,
      offset: (func.start + slot) * 8,
    });
  const opcode = view.getUint8(at);
  if (core.poison) {
    poison(func, slot);
    warnings.push(`${prefix}: failed to resolve CO-RE relocation ${core.spec}`);
    return;
  }
  const low = Number(BigInt.asUintN(32, core.value));
  const checked = (got: bigint, what: string) => {
    if (core.validate && got !== core.local) {
      throw fail(`unexpected insn #${slot} (${what}) value: got ${got}, exp ${core.local} -> ${core.value}`);
    }
  };
  switch (opcode & 7) {
    case 4:
    case 7:
      if ((opcode & 8) !== 0) throw fail(`unexpected insn #${slot} (ALU/ALU64): source is a register`);
      checked(BigInt(view.getUint32(at + 4, true)), 'ALU/ALU64');
      view.setUint32(at + 4, low, true);
      return;
    case 1:
    case 2:
    case 3: {
      checked(BigInt(view.getInt16(at + 2, true)), 'LDX/ST/STX');
      if (core.value > 32767n) throw fail(`insn #${slot} (LDX/ST/STX) value too big: ${core.value}`, 'ERANGE');
      if (core.failSize) {
        warnings.push(
          `${prefix}: insn #${slot} (LDX/ST/STX) accesses field incorrectly. Make sure you are accessing pointers, unsigned integers, or fields of matching type and size.`,
        );
        poison(func, slot);
        return;
      }
      view.setInt16(at + 2, Number(core.value), true);
      if (core.localSize !== core.targetSize) resize(view, at, slot, core, fail);
      return;
    }
    case 0: {
      const clean =
        opcode === 0x18 &&
        view.getUint8(at + 1) >> 4 === 0 &&
        view.getInt16(at + 2, true) === 0 &&
        at + 16 <= view.byteLength &&
        view.getUint32(at + 8, true) === 0;
      if (!clean) throw fail(`insn #${slot} (LDIMM64) has unexpected form`);
      const got = (BigInt(view.getUint32(at + 12, true)) << 32n) | BigInt(view.getUint32(at + 4, true));
      if (core.validate && got !== BigInt.asUintN(64, core.local)) {
        throw fail(`unexpected insn #${slot} (LDIMM64) value: got ${got}, exp ${core.local} -> ${core.value}`);
      }
      view.setUint32(at + 4, low, true);
      view.setUint32(at + 12, Number(BigInt.asUintN(32, core.value >> 32n)), true);
      return;
    }
    default:
      throw fail(`trying to relocate unrecognized insn #${slot}, code:0x${opcode.toString(16)}`);
  }
}

function resize(view: DataView, at: number, slot: number, core: CoreValue, fail: (text: string) => ObjectError): void {
  const opcode = view.getUint8(at);
  const size = MEM_SIZES[opcode & 0x18]!;
  if (size !== core.localSize) {
    throw fail(`insn #${slot} (LDX/ST/STX) unexpected mem size: got ${size}, exp ${core.localSize}`);
  }
  const bits = SIZE_BITS[core.targetSize];
  if (bits === undefined) throw fail(`insn #${slot} (LDX/ST/STX) invalid new mem size: ${core.targetSize}`);
  view.setUint8(at, (opcode & ~0x18) | bits);
}

/** The instruction becomes a call that the verifier refuses, unless it is dead code. libbpf: bpf_core_poison_insn() */
function poison(func: LoaderFunc, slot: number): void {
  const { view } = func;
  const slots = view.getUint8(slot * 8) === 0x18 && slot + 1 < func.count ? 2 : 1;
  for (let at = slot * 8; at < (slot + slots) * 8; at += 8) {
    view.setUint32(at, 0x85, true);
    view.setInt32(at + 4, CORE_POISON, true);
  }
}
