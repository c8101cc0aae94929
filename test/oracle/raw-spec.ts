import { MAP_TYPES, type MapTypeName, PROGRAM_TYPES, type ProgramTypeName } from '../../src/loader/kernel-names.ts';
import type { MapSlot, MapSpec, ObjectSpec } from '../../src/loader/spec.ts';

export interface RawMap {
  readonly name: string;
  readonly type: MapTypeName;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags?: number;
  readonly mapExtra?: number;
  readonly innerMap?: RawMap;
  readonly initial?: Uint8Array;
  readonly frozen?: boolean;
  /** Static slots of outer maps and prog arrays. */
  readonly values?: readonly MapSlot[];
}

export interface RawProgram {
  readonly name: string;
  readonly type: ProgramTypeName;
  readonly insns: Uint8Array;
  readonly expectedAttachType?: number;
  readonly flags?: number;
  readonly license?: string;
}

function mapSpec(map: RawMap): MapSpec {
  return {
    name: map.name,
    kernelName: map.name.slice(0, 15),
    type: map.type,
    typeId: MAP_TYPES.indexOf(map.type),
    keySize: map.keySize,
    valueSize: map.valueSize,
    maxEntries: map.maxEntries,
    flags: map.flags ?? 0,
    mapExtra: map.mapExtra ?? 0,
    numaNode: 0,
    pinning: 0,
    ...(map.innerMap ? { innerMap: mapSpec(map.innerMap) } : {}),
    ...(map.initial ? { initial: map.initial } : {}),
    frozen: map.frozen ?? false,
    ...(map.values ? { values: [...map.values] } : {}),
    keyTypeId: 0,
    valueTypeId: 0,
    section: '',
    origin: 'raw',
  };
}

/** An ObjectSpec of hand-written programs: LD_IMM64 with src 5 or 6 counts in `maps`. */
export function rawSpec(programs: readonly RawProgram[], maps: readonly RawMap[] = []): ObjectSpec {
  return {
    name: 'raw',
    license: 'GPL',
    programs: programs.map((prog) => ({
      name: prog.name,
      section: prog.type,
      type: prog.type,
      typeId: PROGRAM_TYPES.indexOf(prog.type),
      expectedAttachType: prog.expectedAttachType ?? 0,
      flags: prog.flags ?? 0,
      autoload: true,
      insns: prog.insns,
      funcs: [],
      lines: [],
      license: prog.license ?? 'GPL',
    })),
    maps: maps.map(mapSpec),
    externs: [],
    kfuncs: [],
    variables: [],
    coreRelocations: 0,
    warnings: [],
  };
}

/** One instruction; see RFC 9669 for the opcodes. */
export function insn(code: number, dst = 0, src = 0, off = 0, imm = 0): number[] {
  return [
    code,
    (src << 4) | dst,
    off & 0xff,
    (off >> 8) & 0xff,
    imm & 0xff,
    (imm >> 8) & 0xff,
    (imm >> 16) & 0xff,
    imm >>> 24,
  ];
}

/** Few instructions by name: what the oracle's own tests are written in. */
export const I = {
  mov: (dst: number, imm: number) => insn(0xb7, dst, 0, 0, imm),
  movReg: (dst: number, src: number) => insn(0xbf, dst, src),
  add: (dst: number, imm: number) => insn(0x07, dst, 0, 0, imm),
  /** dst = *(u{8,16,32,64} *)(src + off) */
  load: (bits: 8 | 16 | 32 | 64, dst: number, src: number, off: number) => insn(0x61 | SIZE[bits], dst, src, off),
  store: (bits: 8 | 16 | 32 | 64, dst: number, off: number, imm: number) => insn(0x62 | SIZE[bits], dst, 0, off, imm),
  storeReg: (bits: 8 | 16 | 32 | 64, dst: number, off: number, src: number) => insn(0x63 | SIZE[bits], dst, src, off),
  /** lock *(u64 *)(dst + off) += src */
  atomicAdd: (dst: number, off: number, src: number) => insn(0xdb, dst, src, off, 0),
  map: (dst: number, index: number) => [...insn(0x18, dst, 5, 0, index), ...insn(0)],
  mapValue: (dst: number, index: number, off = 0) => [...insn(0x18, dst, 6, 0, index), ...insn(0, 0, 0, 0, off)],
  imm64: (dst: number, lo: number, hi: number) => [...insn(0x18, dst, 0, 0, lo), ...insn(0, 0, 0, 0, hi)],
  call: (helper: number) => insn(0x85, 0, 0, 0, helper),
  kfunc: (index: number) => insn(0x85, 0, 2, 0, index),
  /** if dst == 0 skip `count` slots */
  ifZero: (dst: number, count: number) => insn(0x15, dst, 0, count, 0),
  /** if dst > src skip `count` slots */
  ifGreater: (dst: number, src: number, count: number) => insn(0x2d, dst, src, count),
  exit: () => insn(0x95),
} as const;
const SIZE = { 8: 0x10, 16: 0x08, 32: 0x00, 64: 0x18 } as const;

export function assembled(...insns: readonly number[][]): Uint8Array {
  return Uint8Array.from(insns.flat());
}
