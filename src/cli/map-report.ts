import type { LabMap, LabObject } from '../index.ts';
import { hexText } from './json.ts';
import { grouped } from './table.ts';

type Api = typeof import('../index.ts');

/** Contents of these are descriptors, events, or nothing that can be walked. */
const NOT_SHOWN = new Set([
  'perf_event_array',
  'cgroup_array',
  'ringbuf',
  'user_ringbuf',
  'queue',
  'stack',
  'bloom_filter',
  'arena',
  'struct_ops',
]);
const ARRAYS = new Set(['array', 'percpu_array']);
/** Larger arrays are compared only when asked for: a walk takes a microsecond per element. */
const MAX_ARRAY = 1 << 16;
/** Entries shown per map unless asked for all. */
const SHOWN = 10;

export interface MapEntry {
  readonly key: unknown;
  readonly value: unknown;
}

export interface MapContents {
  readonly map: string;
  readonly type: string;
  readonly entries: readonly MapEntry[];
  /** Entries that are there and not listed. */
  readonly more: number;
  /** True for a data section: each entry is a variable. */
  readonly variables?: true;
  /** Why nothing is listed. */
  readonly note?: string;
}

/** Remembers what maps hold before a run, to show afterwards what changed. */
export class MapReport {
  readonly #api: Api;
  readonly #object: LabObject;
  readonly #before = new Map<LabMap, Map<string, string>>();

  constructor(api: Api, object: LabObject) {
    this.#api = api;
    this.#object = object;
    for (const map of object.maps) {
      if (NOT_SHOWN.has(map.type) || (ARRAYS.has(map.type) && map.map.maxEntries > MAX_ARRAY)) continue;
      const entries = new Map<string, string>();
      for (const [key, value] of map.rawEntries()) {
        if (value.some((byte) => byte !== 0) || !ARRAYS.has(map.type)) entries.set(hexText(key), hexText(value));
      }
      this.#before.set(map, entries);
    }
  }

  /** Entries that came or changed; with `all`, everything that is in the maps. */
  contents(all: boolean): MapContents[] {
    const found: MapContents[] = [];
    for (const map of this.#object.maps) {
      if (NOT_SHOWN.has(map.type)) continue;
      const before = this.#before.get(map);
      if (!before && !all) {
        const note = `${grouped(map.map.maxEntries)} elements: not compared; --maps lists those that are not zero`;
        found.push({ map: map.name, type: map.type, entries: [], more: 0, note });
        continue;
      }
      const contents = this.#data(map, all) ?? this.#entries(map, before, all);
      if (contents.entries.length) found.push(contents);
    }
    return found;
  }

  #entries(map: LabMap, before: Map<string, string> | undefined, all: boolean): MapContents {
    const entries: MapEntry[] = [];
    let more = 0;
    const array = ARRAYS.has(map.type);
    for (const [key, value] of map.rawEntries()) {
      const old = before?.get(hexText(key));
      if (
        all
          ? array && value.every((byte) => byte === 0)
          : (old ?? (array ? zeros(value) : undefined)) === hexText(value)
      ) {
        continue;
      }
      if (entries.length === SHOWN && !all) more++;
      else
        entries.push({
          key: map.decodeKey(key, PRESENT),
          value: namedValue(map, value) ?? map.decodeValue(value, PRESENT),
        });
    }
    return { map: map.name, type: map.type, entries, more };
  }

  /** A data section, variable by variable. */
  #data(map: LabMap, all: boolean): MapContents | undefined {
    const { spec } = this.#object;
    const index = map.spec ? spec.maps.indexOf(map.spec) : -1;
    const variables = spec.variables.filter((row) => row.map === index);
    if (variables.length === 0 || map.map.maxEntries !== 1) return undefined;
    const now = map.lookup(new Uint8Array(4));
    const was = this.#before.get(map)?.get('00000000');
    if (!now) return undefined;
    const entries: MapEntry[] = [];
    for (const { name, offset, size, typeId } of variables) {
      const bytes = now.subarray(offset, offset + size);
      const old = was?.slice(2 * offset, 2 * (offset + size)) ?? zeros(bytes);
      if (!all && old === hexText(bytes)) continue;
      const value = spec.btf && typeId > 0 ? this.#api.decodeValue(spec.btf, typeId, bytes, PRESENT) : bytes.slice();
      entries.push({ key: name, value });
    }
    return { map: map.name, type: map.type, entries, more: 0, variables: true };
  }
}

const PRESENT = { present: true };

/** Values that hold ids: what they stand for, by name. */
function namedValue(map: LabMap, bytes: Uint8Array): unknown {
  const { machine } = map;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const word = (at: number) => (at + 4 <= bytes.length ? view.getUint32(at, true) : 0);
  const program = (id: number) => machine.programs.get(id)?.name ?? `program ${id}`;
  const withProgram = (name: string) => ({ [name]: word(0), ...(word(4) !== 0 && { prog: program(word(4)) }) });
  switch (map.type) {
    case 'prog_array':
      return program(word(0));
    case 'array_of_maps':
    case 'hash_of_maps':
      return [...machine.maps.values()].find((inner) => inner.id === word(0))?.name ?? `map ${word(0)}`;
    case 'devmap':
    case 'devmap_hash':
      return withProgram('ifindex');
    case 'cpumap':
      return withProgram('qsize');
    default:
      return undefined;
  }
}

const zeros = (value: Uint8Array) => '00'.repeat(value.length);

/** A value as one line of text: `{packets: 5, bytes: 400}`. */
export function valueText(value: unknown): string {
  if (value instanceof Uint8Array) return `0x${hexText(value)}`;
  if (Array.isArray(value)) return `[${value.map(valueText).join(', ')}]`;
  if (typeof value === 'string') return value;
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value).map(([name, member]) => `${name}: ${valueText(member)}`);
    return `{${members.join(', ')}}`;
  }
  return String(value);
}

/** Is every number in it zero? */
function isZero(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.values(value).every(isZero);
  return value === 0 || value === 0n || value === false || value === '' || value === null;
}

/** Values of CPUs, without those that hold nothing. */
function perCpuText(values: readonly unknown[]): string {
  const shown = values.flatMap((value, cpu) => (isZero(value) ? [] : [`cpu ${cpu}: ${valueText(value)}`]));
  return shown.length ? shown.join('  ') : 'zero on every CPU';
}

/** Contents as lines: `flows{...} = {...}`. */
export function contentsText(contents: readonly MapContents[]): string[] {
  const lines: string[] = [];
  for (const { map, type, entries, more, variables, note } of contents) {
    if (note) lines.push(`  ${map}  (${note})`);
    for (const { key, value } of entries) {
      const text = type.includes('percpu') && Array.isArray(value) ? perCpuText(value) : valueText(value);
      lines.push(variables ? `  ${String(key)} = ${text}` : `  ${map}[${valueText(key)}] = ${text}`);
    }
    if (more) lines.push(`  ${map}  ... and ${grouped(more)} more (--maps lists all)`);
  }
  return lines;
}
