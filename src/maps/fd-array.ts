// hot: progAt
import type { Errno } from '../base/errno.ts';
import { E } from '../base/errno.ts';
import type { RegionSet } from './arena.ts';
import { withRegions } from './arena.ts';
import type { FdObject } from './fd-table.ts';
import { labelOf } from './hash-table.ts';
import { indexOf, nextIndex } from './index-keys.ts';
import type { BpfMap, MapAttr, MapEnv, MapSyscalls, ProgRef } from './map.ts';
import { MapBase, unsupported } from './map-base.ts';
import { BPF_F_PRESERVE_ELEMS } from './map-flags.ts';
import { PerfEvent } from './perf-event.ts';
import { BPF_PROG_TYPE_EXT, ProgOwner } from './prog-owner.ts';

/** The fd in a value's four bytes. */
export function fdOf(value: Uint8Array): number {
  return new DataView(value.buffer, value.byteOffset, 4).getInt32(0, true);
}

/** Writes a u32 into user space's value. */
export function putU32(out: Uint8Array, value: number, at = 0): void {
  new DataView(out.buffer, out.byteOffset).setUint32(at, value, true);
}

/**
 * An array whose slots hold kernel objects, given as descriptors. kernel: bpf_fd_array_map_update_elem()
 *
 * The u32 slots in linear memory hold what compiled code looks at: `slotOf(object)`, 0 when empty.
 */
export abstract class FdArray<T extends FdObject> extends MapBase {
  readonly sys: MapSyscalls;
  readonly #slots: number;
  readonly #objects: (T | undefined)[];

  constructor(env: MapEnv, attr: MapAttr, typeId: number, regions: RegionSet, slots: number) {
    super(env, attr, typeId, regions);
    this.#slots = slots >> 2;
    this.#objects = [];
    this.describe({ values: slots, stride: 4 });
    this.sys = this.syscalls();
  }

  /** Object in a slot. */
  entryAt(index: number): T | undefined {
    return this.#objects[index];
  }

  /** The object behind a descriptor, or why it cannot be inserted. */
  protected abstract resolve(fd: number): T | Errno;

  /** What stands for the object in linear memory. */
  protected abstract slotOf(object: T): number;

  /** Id that user space reads, or a negative errno. */
  protected abstract idOf(object: T): number;

  protected set(index: number, object: T | undefined): void {
    this.#objects[index] = object;
    this.memory.u32[this.#slots + index] = object === undefined ? 0 : this.slotOf(object);
  }

  protected clear(drop: (object: T, index: number) => boolean = () => true): void {
    this.#objects.forEach((object, index) => {
      if (object !== undefined && drop(object, index)) this.set(index, undefined);
    });
  }

  /** Called after a slot was filled through a map file. */
  protected inserted(_index: number, _file: object | undefined): void {}

  protected syscalls(): MapSyscalls {
    return {
      wireValueSize: 4,
      lookup: (key, _flags, out) => {
        const object = this.entryAt(indexOf(key));
        if (object === undefined) return -E.ENOENT;
        putU32(out, this.idOf(object));
        return 0;
      },
      update: (key, value, flags, file) => {
        if (flags !== 0n) return -E.EINVAL;
        const index = indexOf(key);
        if (index >= this.maxEntries) return -E.E2BIG;
        const object = this.resolve(fdOf(value));
        if (typeof object === 'number') return object;
        this.set(index, object);
        this.inserted(index, file);
        return 0;
      },
      delete: (key) => {
        const index = indexOf(key);
        if (index >= this.maxEntries) return -E.E2BIG;
        if (this.entryAt(index) === undefined) return -E.ENOENT;
        this.set(index, undefined);
        return 0;
      },
      nextKey: (key, out) => nextIndex(key, this.maxEntries, out),
    };
  }
}

/** kernel: BPF_MAP_TYPE_PROG_ARRAY */
class ProgArray extends FdArray<ProgRef> {
  readonly #owner = new ProgOwner();

  /** The program that a tail call to `index` (32 bits, unsigned) enters. */
  progAt(index: number): ProgRef | undefined {
    return this.entryAt(index);
  }

  bindProgram(prog: ProgRef): Errno {
    return this.#owner.admit(prog) ? 0 : -E.EINVAL;
  }

  protected resolve(fd: number): ProgRef | Errno {
    const object = this.env.fds.get(fd);
    if (object === undefined) return -E.EBADF;
    if (object.kind !== 'prog') return -E.EINVAL;
    const prog = object as ProgRef;
    if (prog.typeId === BPF_PROG_TYPE_EXT || !this.#owner.admit(prog)) return -E.EINVAL;
    return prog;
  }

  protected slotOf(prog: ProgRef): number {
    return prog.id;
  }

  protected idOf(prog: ProgRef): number {
    return prog.id;
  }

  /** kernel: prog_array_map_clear() */
  releaseUserReference(): void {
    this.clear();
  }
}

/** kernel: BPF_MAP_TYPE_PERF_EVENT_ARRAY */
class PerfEventArray extends FdArray<PerfEvent> {
  /** Map file through which each slot was filled; the event goes when that file is closed. */
  readonly #files: (object | undefined)[] = [];

  eventAt(index: number): PerfEvent | undefined {
    return this.entryAt(index);
  }

  protected resolve(fd: number): PerfEvent | Errno {
    const object = this.env.fds.get(fd);
    return object instanceof PerfEvent ? object : -E.EBADF;
  }

  protected slotOf(): number {
    return 1;
  }

  protected idOf(): number {
    return -E.ENOTSUPP;
  }

  protected override inserted(index: number, file: object | undefined): void {
    this.#files[index] = file;
  }

  /** kernel: perf_event_fd_array_release() */
  fileClosed(file: object): void {
    if (this.flags & BPF_F_PRESERVE_ELEMS) return;
    this.clear((_event, index) => this.#files[index] === file);
  }

  protected override syscalls(): MapSyscalls {
    return { ...super.syscalls(), lookup: unsupported.ENOTSUPP };
  }
}

/** kernel: BPF_MAP_TYPE_CGROUP_ARRAY */
class CgroupArray extends FdArray<FdObject> {
  protected resolve(fd: number): FdObject | Errno {
    const object = this.env.fds.get(fd);
    return object?.kind === 'cgroup' ? object : -E.EBADF;
  }

  protected slotOf(): number {
    return 1;
  }

  protected idOf(): number {
    return -E.ENOTSUPP;
  }

  protected override syscalls(): MapSyscalls {
    return { ...super.syscalls(), lookup: unsupported.ENOTSUPP };
  }
}

/** Region of the u32 slots. @throws BpfError ENOMEM */
export function allocateSlots(regions: RegionSet, attr: MapAttr): number {
  const options = { kind: 'internal', name: labelOf(attr), accessible: false } as const;
  return regions.allocate(attr.maxEntries * 4, options).start;
}

type FdArrayClass = new (env: MapEnv, attr: MapAttr, typeId: number, regions: RegionSet, slots: number) => BpfMap;

function creator(type: FdArrayClass): (env: MapEnv, attr: MapAttr, typeId: number) => BpfMap {
  return (env, attr, typeId) =>
    withRegions(env.memory, (regions) => new type(env, attr, typeId, regions, allocateSlots(regions, attr)));
}

/** @throws BpfError ENOMEM when the lab's memory is too small */
export const createProgArray = creator(ProgArray);
/** @throws BpfError ENOMEM when the lab's memory is too small */
export const createPerfEventArray = creator(PerfEventArray);
/** @throws BpfError ENOMEM when the lab's memory is too small */
export const createCgroupArray = creator(CgroupArray);
