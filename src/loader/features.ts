import type { ObjectSpec, ProgramSpec } from './spec.ts';

/** What a program uses. */
export interface ProgramFeatures {
  readonly name: string;
  readonly insns: number;
  /** Helper ids, ascending. */
  readonly helpers: number[];
  /** Names of kfuncs, sorted. */
  readonly kfuncs: string[];
  /** Map types, sorted. */
  readonly mapTypes: string[];
  /** Least BPF CPU version whose instructions suffice: 1 to 4. */
  readonly cpu: number;
  /** Families of instructions beyond plain arithmetic, loads and jumps, sorted. */
  readonly families: string[];
  /** Functions behind the main one. */
  readonly subprograms: number;
  /** Has jumps backwards. */
  readonly loops: boolean;
}

/** What an object uses, program by program and together. */
export interface ObjectFeatures {
  readonly programs: ProgramFeatures[];
  readonly helpers: number[];
  readonly kfuncs: string[];
  readonly mapTypes: string[];
  readonly cpu: number;
  readonly families: string[];
  readonly loops: boolean;
  readonly subprograms: boolean;
  readonly coreRelocations: number;
  readonly externs: number;
  readonly globalData: boolean;
  readonly btf: boolean;
}

/** Lists what an object needs: helpers, kfuncs, map types, instruction families. Does not touch lines or types. */
export function describeFeatures(spec: ObjectSpec): ObjectFeatures {
  const programs = spec.programs.map((program) => describeProgram(spec, program));
  const union = <T extends string | number>(pick: (program: ProgramFeatures) => readonly T[]) =>
    sorted(new Set(programs.flatMap(pick)));
  const mapTypes = new Set(spec.maps.flatMap((map) => (map.innerMap ? [map.type, map.innerMap.type] : [map.type])));
  return {
    programs,
    helpers: union((program) => program.helpers),
    kfuncs: union((program) => program.kfuncs),
    mapTypes: sorted(mapTypes),
    cpu: Math.max(1, ...programs.map((program) => program.cpu)),
    families: union((program) => program.families),
    loops: programs.some((program) => program.loops),
    subprograms: programs.some((program) => program.subprograms > 0),
    coreRelocations: spec.coreRelocations,
    externs: spec.externs.length,
    globalData: spec.maps.some((map) => ['data', 'rodata', 'bss'].includes(map.origin)),
    btf: spec.btf !== undefined,
  };
}

function sorted<T extends string | number>(set: ReadonlySet<T>): T[] {
  return [...set].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
}

const LDDW = 0x18;
const CLASS = { LD: 0, LDX: 1, ST: 2, STX: 3, ALU: 4, JMP: 5, JMP32: 6, ALU64: 7 } as const;

interface Seen {
  readonly helpers: Set<number>;
  readonly kfuncs: Set<string>;
  readonly mapTypes: Set<string>;
  readonly families: Set<string>;
  cpu: number;
  loops: boolean;
}

function describeProgram(spec: ObjectSpec, program: ProgramSpec): ProgramFeatures {
  const { insns } = program;
  const view = new DataView(insns.buffer, insns.byteOffset, insns.byteLength);
  const seen: Seen = {
    helpers: new Set(),
    kfuncs: new Set(),
    mapTypes: new Set(),
    families: new Set(),
    cpu: 1,
    loops: false,
  };
  for (let at = 0; at + 8 <= insns.length; at += 8) {
    describeInsn(spec, seen, view, at);
    if (insns[at] === LDDW) at += 8;
  }
  return {
    name: program.name,
    insns: insns.length / 8,
    helpers: sorted(seen.helpers),
    kfuncs: sorted(seen.kfuncs),
    mapTypes: sorted(seen.mapTypes),
    cpu: seen.cpu,
    families: sorted(seen.families),
    subprograms: Math.max(0, program.funcs.length - 1),
    loops: seen.loops,
  };
}

function needs(seen: Seen, cpu: number, family: string): void {
  seen.cpu = Math.max(seen.cpu, cpu);
  seen.families.add(family);
}

function describeInsn(spec: ObjectSpec, seen: Seen, view: DataView, at: number): void {
  const opcode = view.getUint8(at);
  const source = view.getUint8(at + 1) >> 4;
  const off = view.getInt16(at + 2, true);
  const imm = view.getInt32(at + 4, true);
  switch (opcode & 7) {
    case CLASS.LD:
      if (opcode === LDDW) {
        if (source === 5 || source === 6) seen.mapTypes.add(spec.maps[imm]?.type ?? 'unknown');
        else if (source === 4) needs(seen, 1, 'callback');
        else if (source === 3) needs(seen, 1, 'ksym');
      } else needs(seen, 1, 'ld_abs');
      return;
    case CLASS.LDX:
      if (opcode >> 5 === 4) needs(seen, 4, 'ldsx');
      return;
    case CLASS.STX:
      if (opcode >> 5 === 6) describeAtomic(seen, imm);
      return;
    case CLASS.ALU:
    case CLASS.ALU64:
      describeAlu(seen, opcode, off);
      return;
    case CLASS.JMP32:
      if (opcode === 0x06) {
        needs(seen, 4, 'gotol');
        if (imm < 0) seen.loops = true;
        return;
      }
      needs(seen, 3, 'jmp32');
      if (off < 0) seen.loops = true;
      return;
    case CLASS.JMP:
      describeJump(spec, seen, opcode, source, off, imm);
      return;
    default:
  }
}

function describeAlu(seen: Seen, opcode: number, off: number): void {
  const operation = opcode & 0xf0;
  if (operation === 0xd0) {
    if ((opcode & 7) === CLASS.ALU64) needs(seen, 4, 'bswap');
    else seen.families.add('endian');
  } else if (operation === 0xb0 && off === 1) needs(seen, 1, 'addr_space_cast');
  else if (operation === 0xb0 && off !== 0) needs(seen, 4, 'movsx');
  else if ((operation === 0x30 || operation === 0x90) && off === 1) needs(seen, 4, 'sdiv');
  else if ((opcode & 7) === CLASS.ALU && seen.cpu < 3) {
    // 32-bit arithmetic exists in every version, but compilers use it from v3 on.
    seen.families.add('alu32');
  }
}

function describeAtomic(seen: Seen, imm: number): void {
  if (imm === 0) needs(seen, 1, 'atomic_add');
  else if (imm === 0x100 || imm === 0x110) needs(seen, 4, 'load_acquire_store_release');
  else needs(seen, 3, 'atomic_fetch');
}

function describeJump(spec: ObjectSpec, seen: Seen, opcode: number, source: number, off: number, imm: number): void {
  const operation = opcode & 0xf0;
  if (opcode === 0x85) {
    if (source === 0) seen.helpers.add(imm);
    else if (source === 1) seen.families.add('bpf2bpf');
    else if (source === 2) {
      seen.kfuncs.add(spec.kfuncs[imm]?.name ?? `kfunc ${imm}`);
      seen.families.add('kfunc');
    }
    return;
  }
  if (operation === 0x90) return;
  if (opcode === 0xe5) {
    needs(seen, 4, 'may_goto');
    return;
  }
  if (operation >= 0xa0 && operation <= 0xd0) needs(seen, 2, 'jlt');
  if (off < 0) seen.loops = true;
}
