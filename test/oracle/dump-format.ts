import { hex, viewOf } from './libc.ts';
import type { MapDump } from './subject.ts';

const ZERO_SEED = 1 << 6;
const ARRAYS = new Set([2, 6]);
const HASHES = new Set([1, 5, 9, 10, 13]);
const MAPS_OF_MAPS = new Set([12, 13]);
const PER_CPU = new Set([5, 6, 10]);
const PROG_ARRAY = 3;
/** Values may end in the id of a program: devmap, cpumap, devmap_hash. */
const WITH_PROGRAM = new Set([14, 16, 25]);

/** What the form of a dump depends on. */
export interface MapFacts {
  readonly typeId: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
}

export type Element = readonly [key: Uint8Array, value: Uint8Array];

/** How ids in values become names and contents. */
export interface Resolver {
  program(id: number): string | undefined;
  inner(id: number): MapDump;
}

/** The JSON form of a map's elements as user space reads them; see MapDump. */
export function formatDump(type: string, map: MapFacts, elements: readonly Element[], resolver: Resolver): MapDump {
  const kept = ARRAYS.has(map.typeId) ? elements.filter(([, value]) => value.some((byte) => byte !== 0)) : elements;
  const entries = kept.map(([key, value]) => [hex(key), formatValue(map, value, resolver)] as const);
  if (HASHES.has(map.typeId) && !(map.flags & ZERO_SEED)) entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return { type, entries };
}

function formatValue(map: MapFacts, value: Uint8Array, resolver: Resolver): MapDump['entries'][number][1] {
  if (PER_CPU.has(map.typeId)) return perCpuSlots(value, map.valueSize);
  const id = (at: number) => viewOf(value).getUint32(at, true);
  if (map.typeId === PROG_ARRAY) return resolver.program(id(0)) ?? '';
  if (WITH_PROGRAM.has(map.typeId) && map.valueSize === 8) {
    return `${hex(value.subarray(0, 4))}:${resolver.program(id(4)) ?? ''}`;
  }
  if (MAPS_OF_MAPS.has(map.typeId)) return resolver.inner(id(0));
  return hex(value);
}

/** Each CPU's slot without its alignment padding, without trailing zero slots. */
function perCpuSlots(value: Uint8Array, valueSize: number): string[] {
  const slots: string[] = [];
  for (let at = 0; at < value.length; at += Math.ceil(valueSize / 8) * 8) {
    slots.push(hex(value.subarray(at, at + valueSize)));
  }
  while (slots.length > 0 && /^0*$/.test(slots.at(-1)!)) slots.pop();
  return slots;
}

const QUEUES = new Set([22, 23]);
/** Types without anything that user space could read element by element. */
const OPAQUE = new Set([4, 7, 8, 17, 27, 30, 31]);

/** How the elements of a type are read: by popping, by key, or not at all. */
export function readingOf(typeId: number): 'pop' | 'keys' | 'none' {
  return OPAQUE.has(typeId) ? 'none' : QUEUES.has(typeId) ? 'pop' : 'keys';
}

export function isArray(typeId: number): boolean {
  return ARRAYS.has(typeId);
}
