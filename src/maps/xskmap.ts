import type { Errno } from '../base/errno.ts';
import { E } from '../base/errno.ts';
import type { RegionSet } from './arena.ts';
import { withRegions } from './arena.ts';
import { fdOf } from './fd-array.ts';
import type { FdObject } from './fd-table.ts';
import { labelOf } from './hash-table.ts';
import { indexOf, nextIndex, readIndex } from './index-keys.ts';
import type { BpfMap, MapAttr, MapEnv, MapSyscalls } from './map.ts';
import { MapBase, unsupported } from './map-base.ts';

export const AF_XDP = 44;

/** A socket, as far as xskmaps look at it. */
export interface SocketRef extends FdObject {
  readonly kind: 'socket';
  readonly family: number;
  /** AF_XDP: the receive queue that it is bound to. */
  readonly queueId?: number;
}

/** An xskmap, as redirects see it. */
export interface XskmapSlots extends BpfMap {
  entryAt(index: number): SocketRef | undefined;
  /** kernel: xsk_map_try_sock_delete() */
  forgetSocket(socket: SocketRef): void;
}

/** kernel: BPF_MAP_TYPE_XSKMAP; a program's lookup gives struct bpf_xdp_sock, whose one field is queue_id */
class Xskmap extends MapBase implements XskmapSlots {
  readonly sys: MapSyscalls;
  readonly #values: number;
  readonly #entries: (SocketRef | undefined)[] = [];

  constructor(env: MapEnv, attr: MapAttr, typeId: number, regions: RegionSet) {
    const options = { kind: 'map_value', name: labelOf(attr), writable: false, stride: 8, elementSize: 4 } as const;
    const values = regions.allocate(attr.maxEntries * 8, options);
    super(env, attr, typeId, regions);
    this.#values = values.start;
    this.describe({ values: values.start, stride: 8 });
    this.sys = {
      wireValueSize: 4,
      lookup: unsupported.EOPNOTSUPP,
      update: (key, value, flags) => this.#update(indexOf(key), fdOf(value), flags),
      delete: (key) => {
        const index = indexOf(key);
        if (index >= this.maxEntries) return -E.EINVAL;
        this.#entries[index] = undefined;
        return 0;
      },
      nextKey: (key, out) => nextIndex(key, this.maxEntries, out),
    };
  }

  lookup(key: number): number {
    const index = readIndex(this.memory, key);
    return this.#entries[index] === undefined ? 0 : this.#values + index * 8;
  }

  entryAt(index: number): SocketRef | undefined {
    return this.#entries[index];
  }

  forgetSocket(socket: SocketRef): void {
    this.#entries.forEach((entry, index) => {
      if (entry === socket) this.#entries[index] = undefined;
    });
  }

  #update(index: number, fd: number, flags: bigint): Errno {
    // kernel: xsk_map_update_elem()
    if (flags > 2n) return -E.EINVAL;
    if (index >= this.maxEntries) return -E.E2BIG;
    const object = this.env.fds.get(fd);
    if (object === undefined) return -E.EBADF;
    if (object.kind !== 'socket') return -E.ENOTSOCK;
    const socket = object as SocketRef;
    if (socket.family !== AF_XDP) return -E.EOPNOTSUPP;
    const old = this.#entries[index];
    if (old === socket) return 0;
    if (old !== undefined && flags === 1n) return -E.EEXIST;
    if (old === undefined && flags === 2n) return -E.ENOENT;
    this.#entries[index] = socket;
    this.memory.u32[(this.#values + index * 8) >> 2] = socket.queueId ?? 0;
    return 0;
  }
}

/** @throws BpfError ENOMEM when the lab's memory is too small */
export function createXskmap(env: MapEnv, attr: MapAttr, typeId: number): BpfMap {
  return withRegions(env.memory, (regions) => new Xskmap(env, attr, typeId, regions));
}
