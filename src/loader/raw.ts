import { kernelName, mapTypeId, mapTypeName, PROGRAM_TYPES } from './kernel-names.ts';
import { ObjectError } from './object-error.ts';
import type { MapSpec, ObjectSpec } from './spec.ts';

/** A map of a raw program; what is not given is 0. */
export interface RawMap {
  readonly name?: string;
  /** Kernel name in lower case, or BPF_MAP_TYPE_* number. */
  readonly type: string | number;
  readonly keySize?: number;
  readonly valueSize?: number;
  readonly maxEntries?: number;
  readonly flags?: number;
  readonly mapExtra?: number;
  readonly innerMap?: RawMap;
  /** First contents of an array map with one entry. */
  readonly initial?: Uint8Array;
  readonly frozen?: boolean;
}

/** A program without an ELF file, as in BPF_PROG_LOAD. */
export interface RawProgram {
  readonly name?: string;
  /** Kernel name in lower case, or BPF_PROG_TYPE_* number. */
  readonly type: string | number;
  readonly expectedAttachType?: number;
  readonly flags?: number;
  /** Default `GPL`. */
  readonly license?: string;
  /** 8 bytes per slot, little-endian; map references by index (lddw with src 5 or 6). */
  readonly insns: Uint8Array;
  readonly maps?: readonly RawMap[];
}

const fail = (text: string, hint?: string) => new ObjectError('EINVAL', text, { hint });

/** An ObjectSpec for instructions that come without an object file. @throws ObjectError EINVAL for unknown names. */
export function rawProgram(raw: RawProgram): ObjectSpec {
  const name = raw.name ?? 'prog';
  if (raw.insns.length === 0 || raw.insns.length % 8 !== 0) {
    throw fail(`${name}: ${raw.insns.length} bytes are not a whole number of 8-byte instructions`);
  }
  const typeId = typeof raw.type === 'number' ? raw.type : (PROGRAM_TYPES as readonly string[]).indexOf(raw.type);
  if (typeId < 0)
    throw fail(`${name}: unknown program type '${raw.type}'`, `known types: ${PROGRAM_TYPES.slice(1).join(', ')}`);
  return {
    name,
    license: raw.license ?? 'GPL',
    programs: [
      {
        name,
        section: '',
        type: PROGRAM_TYPES[typeId] ?? `type_${typeId}`,
        typeId,
        expectedAttachType: raw.expectedAttachType ?? 0,
        flags: raw.flags ?? 0,
        autoload: true,
        insns: new Uint8Array(raw.insns),
        funcs: [],
        lines: [],
      },
    ],
    maps: (raw.maps ?? []).map((map, index) => rawMap(map, map.name ?? `map${index}`)),
    externs: [],
    kfuncs: [],
    variables: [],
    coreRelocations: 0,
    warnings: [],
  };
}

function rawMap(raw: RawMap, name: string): MapSpec {
  const known: Readonly<Record<string, number>> = mapTypeId;
  const typeId = typeof raw.type === 'number' ? raw.type : Object.hasOwn(known, raw.type) ? known[raw.type]! : -1;
  if (typeId < 0) throw fail(`map '${name}': unknown map type '${raw.type}'`);
  const spec: MapSpec = {
    name,
    kernelName: kernelName(name),
    type: mapTypeName(typeId),
    typeId,
    keySize: raw.keySize ?? 0,
    valueSize: raw.valueSize ?? 0,
    maxEntries: raw.maxEntries ?? 0,
    flags: raw.flags ?? 0,
    mapExtra: raw.mapExtra ?? 0,
    numaNode: 0,
    pinning: 0,
    frozen: raw.frozen ?? false,
    keyTypeId: 0,
    valueTypeId: 0,
    section: '',
    origin: 'raw',
  };
  if (raw.initial) spec.initial = new Uint8Array(raw.initial);
  if (raw.innerMap) spec.innerMap = rawMap(raw.innerMap, raw.innerMap.name ?? `${name}.inner`);
  return spec;
}
