import type { Errno } from '../base/errno.ts';
import { E, errnoName, errnoText } from '../base/errno.ts';
import { BpfError, MapError } from '../base/error.ts';
import { createArray, createPercpuArray } from './array.ts';
import { createBloom } from './bloom.ts';
import { createCpumap } from './cpumap.ts';
import {
  checkArena,
  checkArray,
  checkBeforeType,
  checkBloom,
  checkBtf,
  checkCgroupStorage,
  checkCpumap,
  checkDevmap,
  checkFdArray,
  checkFdHash,
  checkHash,
  checkHashBuckets,
  checkLocalStorage,
  checkLpmTrie,
  checkName,
  checkQueue,
  checkRingbuf,
  checkStackTrace,
  checkXskmap,
} from './create-checks.ts';
import { createDevmap, createDevmapHash } from './devmap.ts';
import { createCgroupArray, createPerfEventArray, createProgArray } from './fd-array.ts';
import { createHash, createPercpuHash } from './hash.ts';
import { createLpmTrie } from './lpm.ts';
import { createLruHash, createLruPercpuHash } from './lru.ts';
import type { BpfMap, MapAttr, MapEnv, MapTypeRow } from './map.ts';
import { BPF_F_TOKEN_FD } from './map-flags.ts';
import { createArrayOfMaps, createHashOfMaps } from './map-in-map.ts';
import { createArena, createCgroupStorage, createStackTrace } from './passive-maps.ts';
import { createQueueStack } from './queue-stack.ts';
import { createRingbuf, createUserRingbuf } from './ringbuf.ts';
import { createXskmap } from './xskmap.ts';

const NEVER_FILLED = 'no program of the lab fills it';

/** enum bpf_map_type of Linux 6.18. */
export const MAP_TYPES: readonly MapTypeRow[] = [
  { id: 1, name: 'hash', since: '3.19', check: checkHash, checkSize: checkHashBuckets, create: createHash },
  { id: 2, name: 'array', since: '3.19', check: checkArray, create: createArray },
  { id: 3, name: 'prog_array', since: '4.2', check: checkFdArray, create: createProgArray },
  { id: 4, name: 'perf_event_array', since: '4.3', check: checkFdArray, create: createPerfEventArray },
  { id: 5, name: 'percpu_hash', since: '4.6', check: checkHash, checkSize: checkHashBuckets, create: createPercpuHash },
  { id: 6, name: 'percpu_array', since: '4.6', check: checkArray, create: createPercpuArray },
  {
    id: 7,
    name: 'stack_trace',
    since: '4.6',
    checkSize: checkStackTrace,
    create: createStackTrace,
    partly: NEVER_FILLED,
  },
  { id: 8, name: 'cgroup_array', since: '4.8', check: checkFdArray, create: createCgroupArray },
  { id: 9, name: 'lru_hash', since: '4.10', check: checkHash, checkSize: checkHashBuckets, create: createLruHash },
  {
    id: 10,
    name: 'lru_percpu_hash',
    since: '4.10',
    check: checkHash,
    checkSize: checkHashBuckets,
    create: createLruPercpuHash,
  },
  { id: 11, name: 'lpm_trie', since: '4.11', checkSize: checkLpmTrie, create: createLpmTrie },
  { id: 12, name: 'array_of_maps', since: '4.12', check: checkFdArray, create: createArrayOfMaps },
  {
    id: 13,
    name: 'hash_of_maps',
    since: '4.12',
    check: checkFdHash,
    checkSize: checkHashBuckets,
    create: createHashOfMaps,
  },
  { id: 14, name: 'devmap', since: '4.14', check: checkDevmap, create: createDevmap },
  { id: 15, name: 'sockmap', since: '4.14' },
  { id: 16, name: 'cpumap', since: '4.15', checkSize: checkCpumap, create: createCpumap },
  { id: 17, name: 'xskmap', since: '4.18', checkSize: checkXskmap, create: createXskmap },
  { id: 18, name: 'sockhash', since: '4.18' },
  {
    id: 19,
    name: 'cgroup_storage',
    since: '4.19',
    checkSize: checkCgroupStorage,
    create: createCgroupStorage,
    partly: NEVER_FILLED,
  },
  { id: 20, name: 'reuseport_sockarray', since: '4.19' },
  {
    id: 21,
    name: 'percpu_cgroup_storage',
    since: '4.20',
    checkSize: checkCgroupStorage,
    create: createCgroupStorage,
    partly: NEVER_FILLED,
  },
  { id: 22, name: 'queue', since: '4.20', check: checkQueue, create: createQueueStack },
  { id: 23, name: 'stack', since: '4.20', check: checkQueue, create: createQueueStack },
  { id: 24, name: 'sk_storage', since: '5.2', check: checkLocalStorage },
  { id: 25, name: 'devmap_hash', since: '5.4', check: checkDevmap, create: createDevmapHash },
  { id: 26, name: 'struct_ops', since: '5.6' },
  { id: 27, name: 'ringbuf', since: '5.8', checkSize: checkRingbuf, create: createRingbuf },
  { id: 28, name: 'inode_storage', since: '5.10', check: checkLocalStorage },
  { id: 29, name: 'task_storage', since: '5.11', check: checkLocalStorage },
  { id: 30, name: 'bloom_filter', since: '5.16', check: checkBloom, create: createBloom },
  { id: 31, name: 'user_ringbuf', since: '6.1', checkSize: checkRingbuf, create: createUserRingbuf },
  { id: 32, name: 'cgrp_storage', since: '6.2', check: checkLocalStorage },
  { id: 33, name: 'arena', since: '6.9', checkSize: checkArena, create: createArena, partly: 'no mmap, no pages' },
];

const byName = new Map(MAP_TYPES.map((row) => [row.name, row]));
const byId = new Map(MAP_TYPES.map((row) => [row.id, row]));

/** Row of a type by its kernel name in lower case, or by its number. */
export function mapType(type: string | number): MapTypeRow | undefined {
  return typeof type === 'number' ? byId.get(type) : byName.get(type);
}

interface Refusal {
  readonly errno: Errno;
  readonly reason?: string;
}

/**
 * BPF_MAP_CREATE: the map, or the negative errno that Linux gives, checks in its order.
 * A map that does not fit the lab's memory is -ENOMEM; `requireMap` tells by how much.
 */
export function createMap(env: MapEnv, attr: MapAttr): BpfMap | Errno {
  const made = build(env, attr);
  return 'errno' in made ? made.errno : made;
}

/** The same for callers that cannot go on without the map. @throws MapError with the reason */
export function requireMap(env: MapEnv, attr: MapAttr): BpfMap {
  const made = build(env, attr);
  if (!('errno' in made)) return made;
  const facts = `${attr.type}, key ${attr.keySize}, value ${attr.valueSize}, max_entries ${attr.maxEntries}, flags 0x${(attr.flags ?? 0).toString(16)}`;
  throw new MapError(
    `map ${attr.name ?? '(unnamed)'} (${facts}) cannot be created: ${errnoText(made.errno)}${made.reason ? `: ${made.reason}` : ''}`,
    { errno: errnoName(made.errno) as keyof typeof E },
  );
}

function build(env: MapEnv, given: MapAttr): BpfMap | Refusal {
  // kernel: map_create(): the token flag is taken out before anyone looks
  const token = ((given.flags ?? 0) & BPF_F_TOKEN_FD) !== 0;
  const attr = token ? { ...given, flags: given.flags! & ~BPF_F_TOKEN_FD } : given;
  const early = checkBeforeType(env, attr);
  if (early !== 0) return { errno: early };
  const row = byName.get(attr.type);
  if (!row) return { errno: -E.EINVAL, reason: `there is no map type ${attr.type}` };
  const refused = row.check?.(attr, env) ?? 0;
  if (refused !== 0) return { errno: refused };
  if (attr.ifindex) {
    // kernel: bpf_map_offload_map_alloc()
    return { errno: attr.type === 'array' || attr.type === 'hash' ? -E.EOPNOTSUPP : -E.EINVAL };
  }
  // differs from kernel: the lab has no tokens, so that an open descriptor is never one
  if (token) return { errno: env.fds.get(attr.tokenFd ?? 0) === undefined ? -E.EBADF : -E.EINVAL };
  const size = row.checkSize?.(attr, env) ?? 0;
  if (size !== 0) return { errno: size };
  if (!row.create) return { errno: -E.EINVAL, reason: `map type ${attr.type} is not supported by the lab` };
  let made: BpfMap | Errno;
  try {
    made = row.create(env, attr, row.id);
  } catch (error) {
    if (!(error instanceof BpfError)) throw error;
    return { errno: error.errno, reason: error.message };
  }
  if (typeof made === 'number') return { errno: made };
  const late = checkName(attr.name) || checkBtf(attr);
  if (late === 0) return made;
  made.destroy();
  return { errno: late };
}
