import { closeFd, objInfo } from './kernel.ts';
import {
  isPerCpu,
  mapFdById,
  mapLookup,
  mapLookupAndDelete,
  mapLookupBatch,
  mapNextKey,
  possibleCpus,
  userValueSize,
} from './kernel-maps.ts';
import { hex, viewOf } from './libc.ts';
import type { MapDump } from './subject.ts';

const ZERO_SEED = 1 << 6;
const ARRAYS = new Set([2, 6]);
const HASHES = new Set([1, 5, 9, 10, 13]);
const MAPS_OF_MAPS = new Set([12, 13]);
const QUEUES = new Set([22, 23]);
const PROG_ARRAY = 3;
/** Values may end in the id of a program: devmap, cpumap, devmap_hash. */
const WITH_PROGRAM = new Set([14, 16, 25]);
/** Types without anything that user space could read element by element. */
const OPAQUE = new Set([4, 7, 8, 17, 27, 30, 31]);

type Entry = MapDump['entries'][number];

/** Contents of a kernel map; see MapDump for the form. @param programs names by program id */
export function dumpMap(fd: number, type: string, programs: ReadonlyMap<number, string>): MapDump {
  const info = objInfo(fd);
  if (typeof info === 'number') throw new Error(`BPF_OBJ_GET_INFO_BY_FD of a map: errno ${-info}`);
  const view = viewOf(info);
  const [typeId, , keySize, valueSize, maxEntries, flags] = [0, 4, 8, 12, 16, 20].map((at) => view.getUint32(at, true));
  const map = { fd, typeId: typeId!, keySize: keySize!, valueSize: valueSize!, maxEntries: maxEntries! };
  if (OPAQUE.has(map.typeId)) return { type, entries: [] };
  if (QUEUES.has(map.typeId)) return { type, entries: popAll(fd, map.valueSize) };

  const raw = ARRAYS.has(map.typeId) ? readBatch(map) : walk(map);
  let entries = raw.map(([key, value]): Entry => [hex(key), shown(map, value, programs)]);
  if (ARRAYS.has(map.typeId)) entries = entries.filter(([, value]) => !isZero(value));
  if (HASHES.has(map.typeId) && !(flags! & ZERO_SEED)) entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return { type, entries };
}

interface MapFacts {
  readonly fd: number;
  readonly typeId: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
}

function shown(map: MapFacts, value: Uint8Array, programs: ReadonlyMap<number, string>): Entry[1] {
  if (isPerCpu(map.typeId)) return perCpuSlots(value, map.valueSize);
  const program = (at: number) => programs.get(viewOf(value).getUint32(at, true)) ?? '';
  if (map.typeId === PROG_ARRAY) return program(0);
  if (WITH_PROGRAM.has(map.typeId) && map.valueSize === 8) return `${hex(value.subarray(0, 4))}:${program(4)}`;
  if (MAPS_OF_MAPS.has(map.typeId)) {
    const inner = mapFdById(viewOf(value).getUint32(0, true));
    if (inner < 0) return `errno ${-inner}`;
    const dump = dumpMap(inner, 'inner', programs);
    closeFd(inner);
    return dump;
  }
  return hex(value);
}

/** Each CPU's slot without its alignment padding, without trailing zero slots. */
function perCpuSlots(value: Uint8Array, valueSize: number): string[] {
  const slot = Math.ceil(valueSize / 8) * 8;
  const slots = Array.from({ length: possibleCpus() }, (_, cpu) =>
    hex(value.subarray(cpu * slot, cpu * slot + valueSize)),
  );
  while (slots.length > 0 && isZero(slots.at(-1)!)) slots.pop();
  return slots;
}

function isZero(value: Entry[1]): boolean {
  if (typeof value === 'string') return /^0*$/.test(value);
  return Array.isArray(value) && value.every((slot) => /^0*$/.test(slot));
}

function walk(map: MapFacts): [Uint8Array, Uint8Array][] {
  const out: [Uint8Array, Uint8Array][] = [];
  const size = userValueSize(map.typeId, map.valueSize);
  for (let key = mapNextKey(map.fd, undefined, map.keySize); typeof key !== 'number'; ) {
    const value = mapLookup(map.fd, key, size);
    if (typeof value !== 'number') out.push([key, value]);
    key = mapNextKey(map.fd, key, map.keySize);
  }
  return out;
}

/** Arrays in few calls: a batch each 4096 elements. */
function readBatch(map: MapFacts): [Uint8Array, Uint8Array][] {
  const out: [Uint8Array, Uint8Array][] = [];
  const size = userValueSize(map.typeId, map.valueSize);
  const count = Math.max(1, Math.min(map.maxEntries, 4096, Math.floor((1 << 24) / size)));
  let from: Uint8Array | undefined;
  for (;;) {
    const batch = mapLookupBatch(map.fd, {
      keySize: map.keySize,
      userValueSize: size,
      count,
      ...(from ? { from } : {}),
    });
    if (batch.result < 0 && batch.count === count && from === undefined) return walk(map);
    for (let i = 0; i < batch.count; i++) {
      out.push([
        batch.keys.slice(i * map.keySize, (i + 1) * map.keySize),
        batch.values.slice(i * size, (i + 1) * size),
      ]);
    }
    if (batch.result < 0 || out.length >= map.maxEntries) return out;
    from = batch.next.slice(0, map.keySize);
  }
}

function popAll(fd: number, valueSize: number): Entry[] {
  const out: Entry[] = [];
  for (;;) {
    const value = mapLookupAndDelete(fd, undefined, valueSize);
    if (typeof value === 'number') return out;
    out.push(['', hex(value)]);
  }
}
