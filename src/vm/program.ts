import { BpfError, LoadError } from '../base/error.ts';
import type { BpfMap, ProgRef } from '../maps/map.ts';
import { decodeProgram, type Insn, slotToIndex } from './isa/decode.ts';
import {
  BPF_ADDR_SPACE_CAST,
  BPF_ALU64,
  BPF_CALL,
  BPF_EXIT,
  BPF_HELPER_CALL,
  BPF_JA,
  BPF_JMP,
  BPF_JMP32,
  BPF_MOV,
  BPF_PSEUDO_BTF_ID,
  BPF_PSEUDO_CALL,
  BPF_PSEUDO_FUNC,
  BPF_PSEUDO_KFUNC_CALL,
  BPF_PSEUDO_MAP_FD,
  BPF_PSEUDO_MAP_IDX,
  BPF_PSEUDO_MAP_IDX_VALUE,
  BPF_PSEUDO_MAP_VALUE,
  BPF_X,
  bpfClass,
  bpfOp,
  OP_CALL,
  OP_LD_IMM64,
} from './isa/insn.ts';
import { validateProgram } from './isa/validate.ts';
import type { Machine } from './machine.ts';
import type { HelperRow } from './prototypes/helper.ts';
import { helperName } from './prototypes/helper-names.ts';
import { BPF_F_XDP_HAS_FRAGS, progType } from './prototypes/prog-type.ts';

/** What BPF_PROG_LOAD is given: instructions whose map references name entries of `maps`. */
export interface ProgramAttr {
  readonly name: string;
  /** Kernel name in lower case: `xdp`, `sched_cls`. */
  readonly type: string;
  readonly expectedAttachType?: number;
  /** BPF_F_* of BPF_PROG_LOAD. */
  readonly flags?: number;
  readonly license?: string;
  readonly insns: Uint8Array;
  /** Maps by index, for LD_IMM64 with BPF_PSEUDO_MAP_IDX and BPF_PSEUDO_MAP_IDX_VALUE. */
  readonly maps?: readonly BpfMap[];
  /** Names of kernel functions; the imm of a kfunc call is an index into them. */
  readonly kfuncs?: readonly string[];
  /** C position of an instruction slot. */
  readonly lineAt?: (slot: number) => SourceLine | undefined;
}

export interface SourceLine {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly text: string;
}

/** Where helpers come from: the platform table, seen from here. */
export interface HelperTable {
  /** Row of a helper for a program type, or undefined when it has none or is not implemented. */
  helper(id: number, type: string): HelperRow | undefined;
  kfunc(name: string, type: string): HelperRow | undefined;
}

/** One instruction with everything that it names looked up. */
export interface LinkedInsn extends Insn {
  /** Index (in instructions) of the jump target, callee or callback; -1 when there is none. */
  readonly target: number;
  /** Helper or kfunc that a call names. */
  readonly helper: HelperRow | undefined;
}

/** A loaded program: its instructions linked with maps and helpers, ready for an engine. */
export interface Program extends ProgRef {
  readonly type: string;
  readonly flags: number;
  readonly license: string;
  readonly maps: readonly BpfMap[];
  readonly insns: readonly LinkedInsn[];
  /** Number of 8-byte slots. */
  readonly slots: number;
  lineAt(slot: number): SourceLine | undefined;
}

const OP_MOV64_REG = BPF_ALU64 | BPF_MOV | BPF_X;

/** kernel: may_access_skb() */
const LD_ABS_TYPES = new Set(['socket_filter', 'sched_cls', 'sched_act']);

const GPL_COMPATIBLE = new Set([
  'GPL',
  'GPL v2',
  'GPL and additional rights',
  'Dual BSD/GPL',
  'Dual MIT/GPL',
  'Dual MPL/GPL',
]);

/** Does the license text open GPL-only helpers? kernel: license_is_gpl_compatible() */
export function isGplCompatible(license: string): boolean {
  return GPL_COMPATIBLE.has(license);
}

/**
 * Checks the encoding, links maps, helpers and jump targets, and registers the program with the machine. What needs the
 * state of registers is the verifier's.
 * @throws LoadError naming the instruction, as BPF_PROG_LOAD would refuse it.
 */
export function loadProgram(machine: Machine, attr: ProgramAttr, helpers: HelperTable): Program {
  const type = progType(attr.type);
  if (!type) {
    throw new LoadError(`unknown program type '${attr.type}'`, {
      program: attr.name,
      errno: 'EINVAL',
      hint: 'give a kernel name such as xdp, sched_cls or socket_filter',
    });
  }
  const maps = attr.maps ?? [];
  const lineAt = attr.lineAt ?? (() => undefined);
  const fail = (
    slot: number,
    message: string,
    errno: 'EINVAL' | 'EBADF' | 'ENOENT' | 'E2BIG' | 'EACCES' = 'EINVAL',
  ) => {
    const source = lineAt(slot);
    return new LoadError(message, {
      program: attr.name,
      insn: slot,
      errno,
      ...(source && { source: `${source.file}:${source.line}` }),
    });
  };

  let decoded: readonly Insn[];
  try {
    decoded = decodeProgram(attr.insns);
  } catch (error) {
    if (error instanceof BpfError) throw new LoadError(error.message, { program: attr.name, errno: 'EINVAL' });
    throw error;
  }
  const invalid = validateProgram(attr.insns, { ldAbs: LD_ABS_TYPES.has(type.name) });
  if (invalid) throw fail(invalid.slot, invalid.message, invalid.errno as 'EINVAL');

  const used = new Set<BpfMap>();
  const indexOf = slotToIndex(decoded);
  const gpl = isGplCompatible(attr.license ?? '');

  const linkMap = (insn: Insn, map: BpfMap | undefined, value: boolean): LinkedInsn => {
    if (!map) throw fail(insn.slot, `map reference ${insn.imm} does not name a map`, 'EBADF');
    used.add(map);
    if (!value) return { ...insn, imm: map.handle, imm64Hi: 0, target: -1, helper: undefined };
    const direct = map.directValue?.(insn.imm64Hi >>> 0);
    if (direct === undefined) {
      throw fail(
        insn.slot,
        `invalid access to map value pointer, value_size=${map.valueSize} off=${insn.imm64Hi >>> 0}`,
      );
    }
    return { ...insn, imm: direct, imm64Hi: 0, target: -1, helper: undefined };
  };

  const linkImm64 = (insn: Insn): LinkedInsn => {
    switch (insn.src) {
      case BPF_PSEUDO_MAP_IDX:
      case BPF_PSEUDO_MAP_IDX_VALUE:
        return linkMap(insn, maps[insn.imm], insn.src === BPF_PSEUDO_MAP_IDX_VALUE);
      case BPF_PSEUDO_MAP_FD:
      case BPF_PSEUDO_MAP_VALUE: {
        const object = machine.fds.get(insn.imm);
        const map = object?.kind === 'map' ? (object as BpfMap) : undefined;
        return linkMap(insn, map, insn.src === BPF_PSEUDO_MAP_VALUE);
      }
      case BPF_PSEUDO_FUNC:
        return { ...insn, target: indexOf[insn.slot + insn.imm + 1] ?? -1, helper: undefined };
      case BPF_PSEUDO_BTF_ID:
        throw fail(insn.slot, `kernel variable (BTF id ${insn.imm}) cannot be resolved`, 'ENOENT');
      default:
        return { ...insn, target: -1, helper: undefined };
    }
  };

  const linkCall = (insn: Insn): LinkedInsn => {
    if (insn.src === BPF_PSEUDO_CALL) {
      return { ...insn, target: indexOf[insn.slot + insn.imm + 1] ?? -1, helper: undefined };
    }
    if (insn.src === BPF_PSEUDO_KFUNC_CALL) {
      const name = attr.kfuncs?.[insn.imm];
      const row = name === undefined ? undefined : helpers.kfunc(name, type.name);
      if (!row)
        throw fail(
          insn.slot,
          `kernel function ${name ?? `#${insn.imm}`} is not available to ${type.name} programs here`,
        );
      return { ...insn, target: -1, helper: row };
    }
    if (insn.src !== BPF_HELPER_CALL) throw fail(insn.slot, 'BPF_CALL uses reserved fields');
    const row = helpers.helper(insn.imm, type.name);
    if (!row) {
      const name = helperName(insn.imm)?.name;
      // kernel: check_helper_call()
      throw fail(
        insn.slot,
        name === undefined
          ? `invalid func unknown#${insn.imm}`
          : `helper ${name}#${insn.imm} is not available to ${type.name} programs here`,
      );
    }
    if (row.gpl && !gpl) throw fail(insn.slot, 'cannot call GPL-restricted function from non-GPL compatible program');
    return { ...insn, target: -1, helper: row };
  };

  const insns = decoded.map((insn): LinkedInsn => {
    if (insn.opcode === OP_LD_IMM64) return linkImm64(insn);
    if (insn.opcode === OP_CALL) return linkCall(insn);
    const cls = bpfClass(insn.opcode);
    if (insn.opcode === OP_MOV64_REG && insn.off === BPF_ADDR_SPACE_CAST) {
      // kernel: check_alu_op()
      throw fail(insn.slot, 'addr_space_cast insn can only be used in a program that has an associated arena');
    }
    if (cls === BPF_JMP || cls === BPF_JMP32) {
      const op = bpfOp(insn.opcode);
      if (op !== BPF_EXIT && op !== BPF_CALL) {
        const distance = cls === BPF_JMP32 && op === BPF_JA ? insn.imm : insn.off;
        return { ...insn, target: indexOf[insn.slot + 1 + distance] ?? -1, helper: undefined };
      }
    }
    return { ...insn, target: -1, helper: undefined };
  });

  const flags = attr.flags ?? 0;
  const program: Program = {
    kind: 'prog',
    id: machine.nextProgId(),
    name: attr.name,
    type: type.name,
    typeId: type.id,
    expectedAttachType: attr.expectedAttachType ?? 0,
    hasFrags: (flags & BPF_F_XDP_HAS_FRAGS) !== 0,
    flags,
    license: attr.license ?? '',
    maps: [...used],
    insns,
    slots: attr.insns.length / 8,
    lineAt,
  };
  for (const map of used) {
    // kernel: bpf_check_tail_call()
    if ((map.bindProgram?.(program) ?? 0) < 0) {
      throw new LoadError(`map ${map.name} belongs to programs of another type`, {
        program: attr.name,
        errno: 'EINVAL',
        hint: 'all programs of a prog_array, devmap or cpumap share their type, attach type and frags flag',
      });
    }
  }
  machine.programs.set(program.id, program);
  return program;
}
