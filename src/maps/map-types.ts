import type { Errno } from '../base/errno.ts';
import { E, errnoName, errnoText } from '../base/errno.ts';
import { BpfError, MapError } from '../base/error.ts';
import { createArray, createPercpuArray } from './array.ts';
import { checkArray, checkBeforeType, checkBtf, checkHash, checkHashBuckets, checkName } from './create-checks.ts';
import { createHash, createPercpuHash } from './hash.ts';
import type { BpfMap, MapAttr, MapEnv, MapTypeRow } from './map.ts';
import { BPF_F_TOKEN_FD } from './map-flags.ts';

/** enum bpf_map_type of Linux 6.18. */
export const MAP_TYPES: readonly MapTypeRow[] = [
  { id: 1, name: 'hash', since: '3.19', check: checkHash, checkSize: checkHashBuckets, create: createHash },
  { id: 2, name: 'array', since: '3.19', check: checkArray, create: createArray },
  { id: 5, name: 'percpu_hash', since: '4.6', check: checkHash, checkSize: checkHashBuckets, create: createPercpuHash },
  { id: 6, name: 'percpu_array', since: '4.6', check: checkArray, create: createPercpuArray },
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

function build(env: MapEnv, attr: MapAttr): BpfMap | Refusal {
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
  if ((attr.flags ?? 0) & BPF_F_TOKEN_FD && env.fds.get(attr.tokenFd ?? 0) === undefined) return { errno: -E.EBADF };
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
  const late = checkName(attr.name, false) || checkBtf(attr);
  if (late === 0) return made;
  made.destroy();
  return { errno: late };
}
