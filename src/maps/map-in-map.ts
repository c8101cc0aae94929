// hot: lookup
import type { Errno } from '../base/errno.ts';
import { E } from '../base/errno.ts';
import type { RegionSet } from './arena.ts';
import { withRegions } from './arena.ts';
import { GrowingPool, PreallocatedPool } from './entry-pool.ts';
import { allocateSlots, FdArray, fdOf, putU32 } from './fd-array.ts';
import type { Buckets } from './hash-table.ts';
import { allocateBuckets, HashTable, labelOf } from './hash-table.ts';
import { readIndex } from './index-keys.ts';
import type { BpfMap, MapAttr, MapEnv, MapSyscalls, SpecialFields } from './map.ts';
import { BPF_F_INNER_MAP, BPF_F_NO_PREALLOC } from './map-flags.ts';

/** Types without map_meta_equal: they cannot be inner maps. */
const NEVER_INNER = new Set(['prog_array', 'cgroup_storage', 'percpu_cgroup_storage', 'struct_ops']);

/** The template of a map of maps, or why it cannot be one. kernel: bpf_map_meta_alloc() */
export function innerTemplate(env: MapEnv, attr: MapAttr): BpfMap | Errno {
  let inner = attr.innerMap;
  if (inner === undefined) {
    const object = attr.innerMapFd === undefined ? undefined : env.fds.get(attr.innerMapFd);
    if (object === undefined) return -E.EBADF;
    if (object.kind !== 'map') return -E.EINVAL;
    inner = object as BpfMap;
  }
  if (inner.innerMap !== undefined) return -E.EINVAL;
  return NEVER_INNER.has(inner.type) ? -E.ENOTSUPP : inner;
}

/** May the map take the template's place? kernel: bpf_map_meta_equal(), array_map_meta_equal(), xsk_map_meta_equal() */
export function fitsTemplate(template: BpfMap, map: BpfMap): boolean {
  if (template.typeId !== map.typeId || template.flags !== map.flags) return false;
  if (template.keySize !== map.keySize || template.valueSize !== map.valueSize) return false;
  if (!sameFields(template.fields, map.fields)) return false;
  const sized = (template.type === 'array' && !(template.flags & BPF_F_INNER_MAP)) || template.type === 'xskmap';
  return !sized || template.maxEntries === map.maxEntries;
}

function sameFields(a: SpecialFields | undefined, b: SpecialFields | undefined): boolean {
  const kptrs = (fields: SpecialFields | undefined) => (fields?.kptrs ?? []).join();
  return a?.spinLock === b?.spinLock && a?.timer === b?.timer && a?.workqueue === b?.workqueue && kptrs(a) === kptrs(b);
}

/** The map behind a descriptor, or why it cannot be inserted. kernel: bpf_map_fd_get_ptr() */
function resolveInner(env: MapEnv, template: BpfMap, fd: number): BpfMap | Errno {
  const object = env.fds.get(fd);
  if (object === undefined) return -E.EBADF;
  if (object.kind !== 'map') return -E.EINVAL;
  const map = object as BpfMap;
  return fitsTemplate(template, map) ? map : -E.EINVAL;
}

/** kernel: BPF_MAP_TYPE_ARRAY_OF_MAPS; the slots hold the handles of the inner maps */
class ArrayOfMaps extends FdArray<BpfMap> {
  override readonly innerMap: BpfMap;

  constructor(env: MapEnv, attr: MapAttr, typeId: number, regions: RegionSet, template: BpfMap) {
    super(env, attr, typeId, regions, allocateSlots(regions, attr));
    this.innerMap = template;
  }

  lookup(key: number): number {
    return this.entryAt(readIndex(this.memory, key))?.handle ?? 0;
  }

  protected resolve(fd: number): BpfMap | Errno {
    return resolveInner(this.env, this.innerMap, fd);
  }

  protected slotOf(map: BpfMap): number {
    return map.handle;
  }

  protected idOf(map: BpfMap): number {
    return map.id;
  }

  protected override syscalls(): MapSyscalls {
    return { ...super.syscalls(), batch: { commands: ['lookup', 'update'] } };
  }
}

/** kernel: BPF_MAP_TYPE_HASH_OF_MAPS; values hold the handles, and are replaced in place */
class HashOfMaps extends HashTable {
  readonly sys: MapSyscalls;
  override readonly innerMap: BpfMap;
  readonly #pool: PreallocatedPool | GrowingPool;
  readonly #inner = new Map<number, BpfMap>();

  constructor(
    env: MapEnv,
    attr: MapAttr,
    typeId: number,
    regions: RegionSet,
    parts: {
      readonly template: BpfMap;
      readonly buckets: Buckets;
      readonly pool: PreallocatedPool | GrowingPool;
    },
  ) {
    super(env, attr, typeId, regions, parts.buckets);
    this.innerMap = parts.template;
    this.#pool = parts.pool;
    this.describe({ stride: 8 });
    const readId = (entry: number, out: Uint8Array) => putU32(out, this.#mapOf(entry)?.id ?? 0);
    this.sys = {
      wireValueSize: 4,
      lookup: (key, _flags, out) => {
        const entry = this.find(this.stageKey(key));
        if (entry === 0) return -E.ENOENT;
        readId(entry, out);
        return 0;
      },
      update: (key, value, flags) => this.#store(key, fdOf(value), flags),
      delete: (key) => {
        const entry = this.find(this.stageKey(key));
        if (entry === 0) return -E.ENOENT;
        this.#remove(entry);
        return 0;
      },
      nextKey: (key, out) => this.nextKey(key, out),
      batch: this.batch(readId, (entry) => this.#remove(entry)),
    };
  }

  lookup(key: number): number {
    const entry = this.find(key);
    return entry === 0 ? 0 : this.words[this.valueAddress(entry) >> 2]!;
  }

  #mapOf(entry: number): BpfMap | undefined {
    return this.#inner.get(this.words[this.valueAddress(entry) >> 2]!);
  }

  /** kernel: bpf_fd_htab_map_update_elem(): the descriptor is looked at before flags and key */
  #store(key: Uint8Array, fd: number, flags: bigint): Errno {
    const map = resolveInner(this.env, this.innerMap, fd);
    if (typeof map === 'number') return map;
    if (flags > 2n) return -E.EINVAL;
    const keyWord = this.keyAt(this.stageKey(key));
    const hash = this.hashOf(keyWord);
    const old = this.findHashed(keyWord, hash);
    const refused = this.checkFlags(old, Number(flags));
    if (refused !== 0) return refused;
    let entry = old;
    if (old === 0) {
      if (this.count >= this.maxEntries) return -E.E2BIG;
      entry = this.#pool.take(this.userCpu);
      if (entry === 0) return -E.ENOMEM;
      this.link(entry, keyWord, hash);
    }
    this.#inner.set(map.handle, map);
    this.words[this.valueAddress(entry) >> 2] = map.handle;
    return 0;
  }

  #remove(entry: number): void {
    this.unlink(entry);
    this.#pool.give(entry, this.userCpu);
  }
}

/** @throws BpfError ENOMEM when the lab's memory is too small */
export function createArrayOfMaps(env: MapEnv, attr: MapAttr, typeId: number): BpfMap | Errno {
  const template = innerTemplate(env, attr);
  if (typeof template === 'number') return template;
  return withRegions(env.memory, (regions) => new ArrayOfMaps(env, attr, typeId, regions, template));
}

/** @throws BpfError ENOMEM when the lab's memory is too small */
export function createHashOfMaps(env: MapEnv, attr: MapAttr, typeId: number): BpfMap | Errno {
  const template = innerTemplate(env, attr);
  if (typeof template === 'number') return template;
  return withRegions(env.memory, (regions) => {
    const name = labelOf(attr);
    const buckets = allocateBuckets(regions, attr.maxEntries, name);
    const shape = { name, keySize: attr.keySize, valueSize: 4, slots: 1, slotStride: 8, links: false };
    const pool =
      (attr.flags ?? 0) & BPF_F_NO_PREALLOC
        ? new GrowingPool(regions, shape, attr.maxEntries, env.cpus)
        : new PreallocatedPool(regions, shape, attr.maxEntries, env.cpus);
    return new HashOfMaps(env, attr, typeId, regions, { template, buckets, pool });
  });
}
