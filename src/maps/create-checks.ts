import type { Errno } from '../base/errno.ts';
import { E } from '../base/errno.ts';
import { roundUp8 } from './layout.ts';
import type { MapAttr, MapEnv } from './map.ts';
import {
  accessFlagsOk,
  BPF_F_ACCESS_MASK,
  BPF_F_CLONE,
  BPF_F_INNER_MAP,
  BPF_F_MMAPABLE,
  BPF_F_NO_COMMON_LRU,
  BPF_F_NO_PREALLOC,
  BPF_F_NO_USER_CONV,
  BPF_F_NUMA_NODE,
  BPF_F_PRESERVE_ELEMS,
  BPF_F_RDONLY,
  BPF_F_RDONLY_PROG,
  BPF_F_SEGV_ON_FAULT,
  BPF_F_STACK_BUILD_ID,
  BPF_F_WRONLY,
  BPF_F_WRONLY_PROG,
  BPF_F_ZERO_SEED,
} from './map-flags.ts';

const INT_MAX = 0x7fffffff;
/** kernel: PCPU_MIN_UNIT_SIZE */
const PERCPU_MAX = 32768;
/** kernel: KMALLOC_MAX_SIZE */
const KMALLOC_MAX = 1 << 22;
/** Fixed part of the kernel's struct htab_elem, and of an LPM node. */
const HTAB_ELEM = 48;
const LPM_KEY_MAX = 4 + 256;
/** kernel: CONFIG_NR_CPUS of Debian's amd64 kernel */
const NR_CPUS = 8192;
/** kernel: sysctl_perf_event_max_stack */
const STACK_DEPTH = 127;

function only(attr: MapAttr, allowed: number): boolean {
  return ((attr.flags ?? 0) & ~allowed) === 0;
}

/** kernel: array_map_alloc_check(), and the additions of the types that share it */
export function checkArray(attr: MapAttr): Errno {
  const flags = attr.flags ?? 0;
  const percpu = attr.type === 'percpu_array';
  if (attr.keySize !== 4 || attr.valueSize === 0 || attr.maxEntries === 0) return -E.EINVAL;
  const allowed = BPF_F_NUMA_NODE | BPF_F_MMAPABLE | BPF_F_ACCESS_MASK | BPF_F_PRESERVE_ELEMS | BPF_F_INNER_MAP;
  if (!only(attr, allowed) || !accessFlagsOk(flags)) return -E.EINVAL;
  if (percpu && flags & BPF_F_NUMA_NODE) return -E.EINVAL;
  if (attr.type !== 'array' && flags & (BPF_F_MMAPABLE | BPF_F_INNER_MAP)) return -E.EINVAL;
  if (attr.type !== 'perf_event_array' && flags & BPF_F_PRESERVE_ELEMS) return -E.EINVAL;
  if (attr.valueSize > INT_MAX) return -E.E2BIG;
  if (percpu && roundUp8(attr.valueSize) > PERCPU_MAX) return -E.E2BIG;
  return 0;
}

/** kernel: fd_array_map_alloc_check() */
export function checkFdArray(attr: MapAttr): Errno {
  if (attr.valueSize !== 4) return -E.EINVAL;
  if ((attr.flags ?? 0) & (BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG)) return -E.EINVAL;
  return checkArray(attr);
}

/** kernel: htab_map_alloc_check() */
export function checkHash(attr: MapAttr): Errno {
  const flags = attr.flags ?? 0;
  const percpu = attr.type === 'percpu_hash' || attr.type === 'lru_percpu_hash';
  const lru = attr.type === 'lru_hash' || attr.type === 'lru_percpu_hash';
  const allowed = BPF_F_NO_PREALLOC | BPF_F_NO_COMMON_LRU | BPF_F_NUMA_NODE | BPF_F_ACCESS_MASK | BPF_F_ZERO_SEED;
  if (!only(attr, allowed) || !accessFlagsOk(flags)) return -E.EINVAL;
  if (!lru && flags & BPF_F_NO_COMMON_LRU) return -E.EINVAL;
  if (lru && flags & BPF_F_NO_PREALLOC) return -E.ENOTSUPP;
  if (flags & BPF_F_NUMA_NODE && (percpu || flags & BPF_F_NO_COMMON_LRU)) return -E.EINVAL;
  if (attr.maxEntries === 0 || attr.keySize === 0 || attr.valueSize === 0) return -E.EINVAL;
  if (attr.keySize + attr.valueSize >= KMALLOC_MAX - HTAB_ELEM) return -E.E2BIG;
  if (percpu && roundUp8(attr.valueSize) > PERCPU_MAX) return -E.E2BIG;
  return 0;
}

/** kernel: htab_map_alloc(); the number of buckets must fit their memory's size in 32 bits */
export function checkHashBuckets(attr: MapAttr): Errno {
  return attr.maxEntries > 1 << 27 ? -E.E2BIG : 0;
}

/** kernel: fd_htab_map_alloc_check() */
export function checkFdHash(attr: MapAttr): Errno {
  return attr.valueSize !== 4 ? -E.EINVAL : checkHash(attr);
}

/** kernel: trie_alloc() */
export function checkLpmTrie(attr: MapAttr): Errno {
  const flags = attr.flags ?? 0;
  if (attr.maxEntries === 0 || !(flags & BPF_F_NO_PREALLOC)) return -E.EINVAL;
  if (!only(attr, BPF_F_NO_PREALLOC | BPF_F_NUMA_NODE | BPF_F_ACCESS_MASK) || !accessFlagsOk(flags)) return -E.EINVAL;
  if (attr.keySize < 5 || attr.keySize > LPM_KEY_MAX) return -E.EINVAL;
  return attr.valueSize < 1 || attr.valueSize > KMALLOC_MAX - 280 ? -E.EINVAL : 0;
}

/** kernel: queue_stack_map_alloc_check() */
export function checkQueue(attr: MapAttr): Errno {
  const flags = attr.flags ?? 0;
  if (attr.maxEntries === 0 || attr.keySize !== 0 || attr.valueSize === 0) return -E.EINVAL;
  if (!only(attr, BPF_F_NUMA_NODE | BPF_F_ACCESS_MASK) || !accessFlagsOk(flags)) return -E.EINVAL;
  return attr.valueSize > KMALLOC_MAX ? -E.E2BIG : 0;
}

/** kernel: bloom_map_alloc_check() */
export function checkBloom(attr: MapAttr): Errno {
  const flags = attr.flags ?? 0;
  if (attr.keySize !== 0 || attr.valueSize === 0 || attr.maxEntries === 0) return -E.EINVAL;
  if (!only(attr, BPF_F_NUMA_NODE | BPF_F_ZERO_SEED | BPF_F_ACCESS_MASK) || !accessFlagsOk(flags)) return -E.EINVAL;
  if ((attr.mapExtra ?? 0n) > 15n) return -E.EINVAL;
  return attr.valueSize > KMALLOC_MAX ? -E.E2BIG : 0;
}

/** kernel: ringbuf_map_alloc() */
export function checkRingbuf(attr: MapAttr): Errno {
  const size = attr.maxEntries;
  if (!only(attr, BPF_F_NUMA_NODE) || attr.keySize !== 0 || attr.valueSize !== 0) return -E.EINVAL;
  return size === 0 || size % 4096 !== 0 || 2 ** Math.round(Math.log2(size)) !== size ? -E.EINVAL : 0;
}

/** kernel: dev_map_alloc_check() */
export function checkDevmap(attr: MapAttr): Errno {
  if (attr.type === 'devmap_hash' && attr.maxEntries > 2 ** 31) return -E.EINVAL;
  return checkRedirectMap(attr, [4, 8], BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY);
}

/** kernel: cpu_map_alloc() */
export function checkCpumap(attr: MapAttr): Errno {
  return checkRedirectMap(attr, [4, 8], BPF_F_NUMA_NODE) || (attr.maxEntries > NR_CPUS ? -E.E2BIG : 0);
}

/** kernel: xsk_map_alloc() */
export function checkXskmap(attr: MapAttr): Errno {
  return checkRedirectMap(attr, [4], BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY);
}

function checkRedirectMap(attr: MapAttr, valueSizes: readonly number[], flags: number): Errno {
  if (attr.maxEntries === 0 || attr.keySize !== 4 || !valueSizes.includes(attr.valueSize)) return -E.EINVAL;
  return only(attr, flags) ? 0 : -E.EINVAL;
}

/** kernel: stack_map_alloc() */
export function checkStackTrace(attr: MapAttr): Errno {
  const flags = attr.flags ?? 0;
  const entry = flags & BPF_F_STACK_BUILD_ID ? 32 : 8;
  if (!only(attr, BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_STACK_BUILD_ID)) return -E.EINVAL;
  if (attr.maxEntries === 0 || attr.keySize !== 4 || attr.valueSize < 8 || attr.valueSize % 8 !== 0) return -E.EINVAL;
  return attr.valueSize % entry !== 0 || attr.valueSize / entry > STACK_DEPTH ? -E.EINVAL : 0;
}

/** kernel: cgroup_storage_map_alloc() */
export function checkCgroupStorage(attr: MapAttr): Errno {
  const flags = attr.flags ?? 0;
  if (attr.keySize !== 8 && attr.keySize !== 16) return -E.EINVAL;
  if (attr.valueSize === 0) return -E.EINVAL;
  if (attr.type === 'percpu_cgroup_storage' && attr.valueSize > PERCPU_MAX) return -E.E2BIG;
  if (!only(attr, BPF_F_ACCESS_MASK | BPF_F_NUMA_NODE) || !accessFlagsOk(flags)) return -E.EINVAL;
  return attr.maxEntries === 0 ? 0 : -E.EINVAL;
}

/** kernel: bpf_local_storage_map_alloc_check() */
export function checkLocalStorage(attr: MapAttr): Errno {
  const flags = attr.flags ?? 0;
  const allowed = BPF_F_NO_PREALLOC | BPF_F_CLONE | BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_NUMA_NODE;
  if (!only(attr, allowed) || !(flags & BPF_F_NO_PREALLOC) || attr.maxEntries !== 0) return -E.EINVAL;
  return attr.keySize !== 4 || attr.valueSize === 0 || !attr.btf?.key || !attr.btf.value ? -E.EINVAL : 0;
}

/** kernel: arena_map_alloc() */
export function checkArena(attr: MapAttr): Errno {
  const flags = attr.flags ?? 0;
  if (attr.keySize !== 0 || attr.valueSize !== 0 || attr.maxEntries === 0) return -E.EINVAL;
  if (!(flags & BPF_F_MMAPABLE) || !only(attr, BPF_F_SEGV_ON_FAULT | BPF_F_MMAPABLE | BPF_F_NO_USER_CONV)) {
    return -E.EINVAL;
  }
  const address = attr.mapExtra ?? 0n;
  if (address % 4096n !== 0n) return -E.EINVAL;
  if (attr.maxEntries > 1 << 20) return -E.E2BIG;
  return address >> 32n === (address + BigInt(attr.maxEntries) * 4096n - 1n) >> 32n ? 0 : -E.ERANGE;
}

/** Checks that come before the type is looked at. */
export function checkBeforeType(env: MapEnv, attr: MapAttr): Errno {
  const flags = attr.flags ?? 0;
  if (attr.btf?.key && !attr.btf.value) return -E.EINVAL;
  if (attr.mapExtra && attr.type !== 'bloom_filter' && attr.type !== 'arena') return -E.EINVAL;
  // kernel: bpf_get_file_flag()
  if (flags & BPF_F_RDONLY && flags & BPF_F_WRONLY) return -E.EINVAL;
  const node = attr.numaNode ?? 0;
  if (flags & BPF_F_NUMA_NODE && node !== 0 && node !== -1 && node !== 0xffffffff) return -E.EINVAL;
  for (const size of [attr.keySize, attr.valueSize, attr.maxEntries, flags >>> 0]) {
    // The attribute's fields are 32 bits wide: nothing else can be asked of the kernel.
    if (!Number.isInteger(size) || size < 0 || size > 0xffffffff) return -E.EINVAL;
  }
  return env.cpus > 0 ? 0 : -E.EINVAL;
}

/**
 * kernel: bpf_obj_name_cpy()
 * differs from kernel: names longer than 15 characters are kept, as loaders cut them before they ask the kernel.
 */
export function checkName(name: string | undefined): Errno {
  return name === undefined || /^[A-Za-z0-9_.]*$/.test(name) ? 0 : -E.EINVAL;
}

const BTF_LESS = new Set(['queue', 'stack', 'ringbuf', 'user_ringbuf']);
const FIELD_OWNERS = {
  spinLock: new Set(['hash', 'array', 'cgroup_storage', 'sk_storage', 'inode_storage', 'task_storage', 'cgrp_storage']),
  timer: new Set(['hash', 'lru_hash', 'array']),
  kptrs: new Set([
    'hash',
    'percpu_hash',
    'lru_hash',
    'lru_percpu_hash',
    'array',
    'percpu_array',
    'sk_storage',
    'inode_storage',
    'task_storage',
    'cgrp_storage',
  ]),
} as const;

/** kernel: map_check_btf() */
export function checkBtf(attr: MapAttr): Errno {
  const btf = attr.btf;
  if (btf?.key || btf?.value) {
    if (BTF_LESS.has(attr.type)) return -E.EINVAL;
    if (btf.keySize !== undefined && btf.keySize !== attr.keySize) return -E.EINVAL;
    if (btf.valueSize !== undefined && btf.valueSize !== attr.valueSize) return -E.EINVAL;
    const keyless = attr.type === 'bloom_filter' || (attr.type === 'array' && attr.maxEntries === 1);
    if (!btf.key && !keyless) return -E.EINVAL;
    if (btf.key && attr.type === 'bloom_filter') return -E.EINVAL;
  }
  const refused = checkFields(attr);
  if (refused !== 0 || !btf?.key) return refused;
  if ((attr.type === 'array' || attr.type === 'percpu_array') && (btf.keyKind ?? 'int') !== 'int') return -E.EINVAL;
  if (attr.type === 'lpm_trie' && (btf.keyKind ?? 'struct') !== 'struct') return -E.EINVAL;
  return 0;
}

function checkFields(attr: MapAttr): Errno {
  const fields = attr.fields;
  if (!fields) return 0;
  const timer = fields.timer !== undefined || fields.workqueue !== undefined;
  const kptrs = (fields.kptrs?.length ?? 0) > 0;
  if (fields.spinLock === undefined && !timer && !kptrs) return 0;
  if ((attr.flags ?? 0) & (BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG)) return -E.EACCES;
  if (fields.spinLock !== undefined && !FIELD_OWNERS.spinLock.has(attr.type)) return -E.EOPNOTSUPP;
  if (timer && !FIELD_OWNERS.timer.has(attr.type)) return -E.EOPNOTSUPP;
  return kptrs && !FIELD_OWNERS.kptrs.has(attr.type) ? -E.EOPNOTSUPP : 0;
}
