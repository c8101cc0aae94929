import { type Element, formatDump, isArray, type MapFacts, readingOf } from './dump-format.ts';
import { closeFd, objInfo } from './kernel.ts';
import { mapFdById, mapLookup, mapLookupAndDelete, mapLookupBatch, mapNextKey, userValueSize } from './kernel-maps.ts';
import { hex, viewOf } from './libc.ts';
import type { MapDump } from './subject.ts';

interface KernelMapFacts extends MapFacts {
  readonly fd: number;
}

function facts(fd: number): KernelMapFacts {
  const info = objInfo(fd);
  if (typeof info === 'number') throw new Error(`BPF_OBJ_GET_INFO_BY_FD of a map: errno ${-info}`);
  // struct bpf_map_info: type, id, key_size, value_size, max_entries, map_flags
  const word = (index: number) => viewOf(info).getUint32(index * 4, true);
  return { fd, typeId: word(0), keySize: word(2), valueSize: word(3), maxEntries: word(4), flags: word(5) };
}

/** Contents of a kernel map; see MapDump for the form. @param programs names by program id */
export function dumpMap(fd: number, type: string, programs: ReadonlyMap<number, string>): MapDump {
  const map = facts(fd);
  const reading = readingOf(map.typeId);
  if (reading === 'none') return { type, entries: [] };
  if (reading === 'pop') return { type, entries: popAll(fd, map.valueSize) };
  return formatDump(type, map, isArray(map.typeId) ? readBatch(map) : walk(map), {
    program: (id) => programs.get(id),
    inner: (id) => {
      const inner = mapFdById(id);
      if (inner < 0) throw new Error(`inner map ${id}: errno ${-inner}`);
      const dump = dumpMap(inner, 'inner', programs);
      closeFd(inner);
      return dump;
    },
  });
}

function walk(map: KernelMapFacts): Element[] {
  const out: Element[] = [];
  const size = userValueSize(map.typeId, map.valueSize);
  for (let key = mapNextKey(map.fd, undefined, map.keySize); typeof key !== 'number'; ) {
    const value = mapLookup(map.fd, key, size);
    if (typeof value !== 'number') out.push([key, value]);
    key = mapNextKey(map.fd, key, map.keySize);
  }
  return out;
}

/** Arrays in few calls: a batch each 4096 elements. */
function readBatch(map: KernelMapFacts): Element[] {
  const out: Element[] = [];
  const size = userValueSize(map.typeId, map.valueSize);
  const count = Math.max(1, Math.min(map.maxEntries, 4096, Math.floor((1 << 24) / size)));
  let from: Uint8Array | undefined;
  let read = 0;
  for (;;) {
    const batch = mapLookupBatch(map.fd, {
      keySize: map.keySize,
      userValueSize: size,
      count,
      ...(from ? { from } : {}),
    });
    const refused = batch.result < 0 && batch.count === count && from === undefined;
    if (refused) return walk(map);
    for (let i = 0; i < batch.count; i++) {
      const value = batch.values.subarray(i * size, (i + 1) * size);
      // Zero elements are not shown, and most are zero.
      if (value.some((byte) => byte !== 0)) out.push([batch.keys.slice(i * map.keySize, (i + 1) * map.keySize), value]);
    }
    read += batch.count;
    if (batch.result < 0 || read >= map.maxEntries) return out;
    from = batch.next.slice(0, map.keySize);
  }
}

function popAll(fd: number, valueSize: number): MapDump['entries'] {
  const out: (readonly [string, string])[] = [];
  for (;;) {
    const value = mapLookupAndDelete(fd, undefined, valueSize);
    if (typeof value === 'number') return out;
    out.push(['', hex(value)]);
  }
}
