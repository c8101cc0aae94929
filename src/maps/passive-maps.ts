import type { Errno } from '../base/errno.ts';
import { E } from '../base/errno.ts';
import { withRegions } from './arena.ts';
import { indexOf } from './index-keys.ts';
import { roundUp8 } from './layout.ts';
import type { BpfMap, MapAttr, MapEnv, MapSyscalls } from './map.ts';
import { MapBase, unsupported } from './map-base.ts';

/**
 * Maps that no program of the lab can fill: stack traces (bpf_get_stackid is refused to network programs), storage of
 * attached cgroups (none is attached), arenas (need mmap and address-space casts). User space finds them empty, with
 * the kernel's errnos.
 */
class PassiveMap extends MapBase {
  readonly sys: MapSyscalls;

  constructor(env: MapEnv, attr: MapAttr, typeId: number, regions: MapBase['regions'], sys: MapSyscalls) {
    super(env, attr, typeId, regions);
    this.sys = sys;
  }
}

const missing = (): Errno => -E.ENOENT;

function create(env: MapEnv, attr: MapAttr, typeId: number, sys: MapSyscalls): BpfMap {
  return withRegions(env.memory, (regions) => new PassiveMap(env, attr, typeId, regions, sys));
}

/** kernel: BPF_MAP_TYPE_STACK_TRACE */
export function createStackTrace(env: MapEnv, attr: MapAttr, typeId: number): BpfMap {
  return create(env, attr, typeId, {
    wireValueSize: attr.valueSize,
    lookup: missing,
    update: unsupported.EINVAL,
    delete: (key) => (indexOf(key) >= attr.maxEntries ? -E.E2BIG : -E.ENOENT),
    nextKey: missing,
    lookupAndDelete: missing,
  });
}

/** kernel: BPF_MAP_TYPE_CGROUP_STORAGE and BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE */
export function createCgroupStorage(env: MapEnv, attr: MapAttr, typeId: number): BpfMap {
  const percpu = attr.type === 'percpu_cgroup_storage';
  return create(env, attr, typeId, {
    wireValueSize: percpu ? roundUp8(attr.valueSize) * env.cpus : attr.valueSize,
    lookup: missing,
    // kernel: cgroup_storage_update_elem(): any flag but BPF_EXIST and BPF_F_LOCK is refused first
    update: (_key, _value, flags) => ((flags & ~6n) !== 0n ? -E.EINVAL : -E.ENOENT),
    delete: unsupported.EINVAL,
    nextKey: missing,
  });
}

/** kernel: BPF_MAP_TYPE_ARENA */
export function createArena(env: MapEnv, attr: MapAttr, typeId: number): BpfMap {
  return create(env, attr, typeId, {
    wireValueSize: 0,
    lookup: unsupported.EINVAL,
    update: unsupported.EOPNOTSUPP,
    delete: unsupported.EOPNOTSUPP,
    nextKey: unsupported.EOPNOTSUPP,
  });
}
