import type { Errno } from '../base/errno.ts';
import { E } from '../base/errno.ts';
import { PAGE_SIZE } from '../base/memory.ts';
import type { BatchRequest, BatchResult } from './batch.ts';
import { runBatch } from './batch.ts';
import type { BatchCommand, BpfMap, MapEnv } from './map.ts';
import { BPF_F_LOCK, BPF_F_RDONLY_PROG } from './map-flags.ts';
import { needsRelease } from './values.ts';

/** How a descriptor was opened: BPF_F_RDONLY and BPF_F_WRONLY of map_create or map_get_fd_by_id. */
export type MapAccess = 'rw' | 'ro' | 'wo';

/** What BPF_OBJ_GET_INFO_BY_FD tells. */
export interface MapInfo {
  readonly type: number;
  readonly id: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly mapFlags: number;
  readonly name: string;
  readonly mapExtra: bigint;
}

/** sizeof(struct bpf_map_info) in Linux 6.18. */
const INFO_SIZE = 104;
const NAME_SIZE = 16;
const LOCK = BigInt(BPF_F_LOCK);

/** A mapping of a map's memory; `bytes` is that memory itself. */
export interface Mapping {
  readonly bytes: Uint8Array;
  unmap(): void;
}

export interface MapChecks {
  readonly read?: boolean;
  readonly write?: boolean;
}

/**
 * User space's descriptor of a map, with the system calls on it. Arguments are bytes; `undefined` is a NULL pointer and
 * a buffer that is too short a bad one. Results are 0 or a negative errno, found in the order in which Linux looks.
 */
export class MapFd {
  readonly fd: number;
  readonly access: MapAccess;
  readonly #env: MapEnv;

  /** A descriptor that is open already, of whatever it may be. */
  constructor(env: MapEnv, fd: number, access: MapAccess = 'rw') {
    this.#env = env;
    this.fd = fd;
    this.access = access;
  }

  /** The map behind the descriptor, or -EBADF, or -EINVAL when it is something else. kernel: __bpf_map_get() */
  map(): BpfMap | Errno {
    const object = this.#env.fds.get(this.fd);
    if (object === undefined) return -E.EBADF;
    return object.kind === 'map' ? (object as BpfMap) : -E.EINVAL;
  }

  /** BPF_MAP_LOOKUP_ELEM. For bloom filters `out` holds the value that is asked for. */
  lookup(key: Uint8Array | undefined, out: Uint8Array | undefined, flags = 0n): Errno {
    if ((flags & ~LOCK) !== 0n) return -E.EINVAL;
    const map = this.#open({ read: true });
    if (typeof map === 'number') return map;
    const refused = lockRefused(map, flags) || keyRefused(map, key);
    if (refused !== 0) return refused;
    const size = map.sys.wireValueSize;
    const input = map.type === 'bloom_filter';
    if (input && (out === undefined || out.length < size)) return -E.EFAULT;
    const value = input ? out!.slice(0, size) : new Uint8Array(size);
    const result = map.sys.lookup(keyOf(map, key), flags, value);
    return result === 0 && !input ? copyOut(value, out) : result;
  }

  /** Value of a key in a fresh array, or a negative errno. */
  read(key: Uint8Array | undefined, flags = 0n): Uint8Array | Errno {
    const map = this.map();
    const out = new Uint8Array(typeof map === 'number' ? 0 : map.sys.wireValueSize);
    const result = this.lookup(key, out, flags);
    return result === 0 ? out : result;
  }

  /** BPF_MAP_UPDATE_ELEM */
  update(key: Uint8Array | undefined, value: Uint8Array | undefined, flags = 0n): Errno {
    const map = this.#open({ write: true });
    if (typeof map === 'number') return map;
    const refused = lockRefused(map, flags) || keyRefused(map, key);
    if (refused !== 0) return refused;
    const size = map.sys.wireValueSize;
    if (size > 0 && (value === undefined || value.length < size)) return -E.EFAULT;
    return map.sys.update(keyOf(map, key), (value ?? EMPTY).subarray(0, size), flags, this);
  }

  /** BPF_MAP_DELETE_ELEM */
  delete(key: Uint8Array | undefined): Errno {
    const map = this.#open({ write: true });
    if (typeof map === 'number') return map;
    return keyRefused(map, key) || map.sys.delete(keyOf(map, key));
  }

  /** BPF_MAP_GET_NEXT_KEY; without a key, the first. */
  nextKey(key: Uint8Array | undefined, out: Uint8Array | undefined): Errno {
    const map = this.#open({ read: true });
    if (typeof map === 'number') return map;
    const refused = key === undefined ? 0 : keyRefused(map, key);
    if (refused !== 0) return refused;
    const next = new Uint8Array(map.keySize);
    const result = map.sys.nextKey(key === undefined ? undefined : keyOf(map, key), next);
    return result === 0 ? copyOut(next, out) : result;
  }

  /** All keys in the order of BPF_MAP_GET_NEXT_KEY. */
  *keys(): IterableIterator<Uint8Array> {
    const map = this.map();
    if (typeof map === 'number') return;
    let key: Uint8Array | undefined;
    for (;;) {
      const next = new Uint8Array(map.keySize);
      if (this.nextKey(key, next) !== 0) return;
      yield next;
      key = next;
    }
  }

  /** BPF_MAP_LOOKUP_AND_DELETE_ELEM */
  lookupAndDelete(key: Uint8Array | undefined, out: Uint8Array | undefined, flags = 0n): Errno {
    if ((flags & ~LOCK) !== 0n) return -E.EINVAL;
    const map = this.#open({ read: true, write: true });
    if (typeof map === 'number') return map;
    const refused = lockRefused(map, flags) || keyRefused(map, key);
    if (refused !== 0) return refused;
    if (!map.sys.lookupAndDelete) return -E.ENOTSUPP;
    const value = new Uint8Array(map.sys.wireValueSize);
    const result = map.sys.lookupAndDelete(keyOf(map, key), flags, value);
    return result === 0 ? copyOut(value, out) : result;
  }

  /** BPF_MAP_LOOKUP_BATCH */
  lookupBatch(request: BatchRequest): BatchResult {
    return this.#batch('lookup', request);
  }

  /** BPF_MAP_LOOKUP_AND_DELETE_BATCH */
  lookupAndDeleteBatch(request: BatchRequest): BatchResult {
    return this.#batch('lookup_and_delete', request);
  }

  /** BPF_MAP_UPDATE_BATCH */
  updateBatch(request: BatchRequest): BatchResult {
    return this.#batch('update', request);
  }

  /** BPF_MAP_DELETE_BATCH */
  deleteBatch(request: BatchRequest): BatchResult {
    return this.#batch('delete', request);
  }

  #batch(command: BatchCommand, request: BatchRequest): BatchResult {
    // kernel: bpf_map_do_batch()
    const map = this.#open({ read: command.startsWith('lookup'), write: command !== 'lookup' });
    if (typeof map === 'number') return { errno: map, count: request.count };
    return runBatch(map, command, request, this);
  }

  /** BPF_MAP_FREEZE: system calls can no longer write; programs can. */
  freeze(): Errno {
    const map = this.map();
    if (typeof map === 'number') return map;
    const fields = map.fields;
    if (map.type === 'struct_ops' || fields?.spinLock !== undefined || needsRelease(fields)) return -E.ENOTSUPP;
    if (this.access === 'ro' || map.frozen) return -E.EPERM;
    if (map.writableMappings > 0) return -E.EBUSY;
    map.frozen = true;
    return 0;
  }

  /**
   * mmap of the descriptor: the map's own bytes from `offset`, or a negative errno.
   * @param shared MAP_SHARED (the only kind that maps allow) or MAP_PRIVATE
   */
  mmap(offset: number, length: number, { write = false, shared = true } = {}): Mapping | Errno {
    const map = this.map();
    if (typeof map === 'number') return map;
    if (length <= 0 || offset < 0 || offset % PAGE_SIZE !== 0) return -E.EINVAL;
    // kernel: do_mmap(): a shared mapping of a read-only file loses VM_SHARED
    if (this.access === 'wo' || (shared && write && this.access === 'ro')) return -E.EACCES;
    // kernel: bpf_map_mmap()
    if (!map.sys.mmap || map.fields !== undefined) return -E.ENOTSUPP;
    if (!shared || this.access === 'ro') return -E.EINVAL;
    if (write && map.frozen) return -E.EPERM;
    if (write && map.flags & BPF_F_RDONLY_PROG) return -E.EACCES;
    const bytes = Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
    const refused = map.sys.mmap.check(offset, bytes, write);
    if (refused !== 0) return refused;
    if (write) map.writableMappings++;
    let mapped = write;
    return {
      bytes: map.sys.mmap.view(offset, bytes),
      unmap: () => {
        if (mapped) map.writableMappings--;
        mapped = false;
      },
    };
  }

  /** BPF_OBJ_GET_INFO_BY_FD as an object, or a negative errno. */
  info(): MapInfo | Errno {
    const map = this.map();
    if (typeof map === 'number') return map;
    return {
      type: map.typeId,
      id: map.id,
      keySize: map.keySize,
      valueSize: map.valueSize,
      maxEntries: map.maxEntries,
      mapFlags: map.flags,
      name: map.name.slice(0, NAME_SIZE - 1),
      mapExtra: map.mapExtra,
    };
  }

  /**
   * BPF_OBJ_GET_INFO_BY_FD into user space's struct bpf_map_info, cut to its length; returns how many bytes were
   * written, or -E2BIG when bytes beyond the kernel's struct are not zero.
   */
  infoBytes(out: Uint8Array): number {
    const info = this.info();
    if (typeof info === 'number') return info;
    if (out.subarray(INFO_SIZE).some((byte) => byte !== 0)) return -E.E2BIG;
    const bytes = new Uint8Array(INFO_SIZE);
    const view = new DataView(bytes.buffer);
    const words = [info.type, info.id, info.keySize, info.valueSize, info.maxEntries, info.mapFlags];
    words.forEach((word, i) => {
      view.setUint32(i * 4, word, true);
    });
    bytes.set(new TextEncoder().encode(info.name), 24);
    view.setBigUint64(80, info.mapExtra, true);
    const length = Math.min(out.length, INFO_SIZE);
    out.set(bytes.subarray(0, length));
    return length;
  }

  /** close(2); with the last descriptor go prog_array slots and timers. */
  close(): Errno {
    const map = this.map();
    if (!this.#env.fds.close(this.fd)) return -E.EBADF;
    if (typeof map === 'number') return 0;
    map.fileClosed?.(this);
    if (this.#env.fds.find(map) === undefined) map.releaseUserReference?.();
    return 0;
  }

  /** The map, if the descriptor may do what is wanted. kernel: map_get_sys_perms() */
  #open({ read = false, write = false }: MapChecks): BpfMap | Errno {
    const map = this.map();
    if (typeof map === 'number') return map;
    if (read && this.access === 'wo') return -E.EPERM;
    if (write && (this.access === 'ro' || map.frozen)) return -E.EPERM;
    return map;
  }
}

const EMPTY = new Uint8Array(0);

/** Opens a descriptor of a map. */
export function openMap(env: MapEnv, map: BpfMap, { access = 'rw' as MapAccess } = {}): MapFd {
  return new MapFd(env, env.fds.open(map), access);
}

function lockRefused(map: BpfMap, flags: bigint): Errno {
  return (flags & LOCK) !== 0n && map.fields?.spinLock === undefined ? -E.EINVAL : 0;
}

/** kernel: __bpf_copy_key() */
function keyRefused(map: BpfMap, key: Uint8Array | undefined): Errno {
  if (map.keySize === 0) return key === undefined ? 0 : -E.EINVAL;
  return key === undefined || key.length < map.keySize ? -E.EFAULT : 0;
}

function keyOf(map: BpfMap, key: Uint8Array | undefined): Uint8Array {
  return key === undefined ? EMPTY : key.subarray(0, map.keySize);
}

function copyOut(bytes: Uint8Array, out: Uint8Array | undefined): Errno {
  if (bytes.length > 0 && (out === undefined || out.length < bytes.length)) return -E.EFAULT;
  out?.set(bytes);
  return 0;
}
