import type { Errno } from '../base/errno.ts';
import { E } from '../base/errno.ts';
import type { RegionSet } from './arena.ts';
import { withRegions } from './arena.ts';
import { fdOf, putU32 } from './fd-array.ts';
import { indexOf, nextIndex } from './index-keys.ts';
import type { BpfMap, MapAttr, MapEnv, MapSyscalls, ProgRef } from './map.ts';
import { MapBase } from './map-base.ts';
import { BPF_PROG_TYPE_XDP, BPF_XDP_CPUMAP, ProgOwner } from './prog-owner.ts';

/** Where a slot of a cpumap sends packets; every update makes a new one, even with equal contents. */
export interface CpumapEntry {
  readonly cpu: number;
  /** Frames that the entry's ring holds. */
  readonly qsize: number;
  readonly prog: ProgRef | undefined;
}

/** A cpumap, as redirects see it. */
export interface CpumapSlots extends BpfMap {
  entryAt(cpu: number): CpumapEntry | undefined;
}

const QSIZE_MAX = 16384;
const VALUE_SIZE = 8;

/** kernel: BPF_MAP_TYPE_CPUMAP; programs can only redirect to it, so nothing of it lies in linear memory */
class Cpumap extends MapBase implements CpumapSlots {
  readonly sys: MapSyscalls;
  readonly #owner = new ProgOwner();
  readonly #entries: (CpumapEntry | undefined)[] = [];

  constructor(env: MapEnv, attr: MapAttr, typeId: number, regions: RegionSet) {
    super(env, attr, typeId, regions);
    this.sys = {
      wireValueSize: attr.valueSize,
      lookup: (key, _flags, out) => {
        const entry = this.#entries[indexOf(key)];
        if (entry === undefined) return -E.ENOENT;
        putU32(out, entry.qsize);
        if (out.length >= VALUE_SIZE) putU32(out, entry.prog?.id ?? 0, 4);
        return 0;
      },
      update: (key, value, flags) => this.#update(indexOf(key), value, flags),
      delete: (key) => {
        const cpu = indexOf(key);
        if (cpu >= this.maxEntries) return -E.EINVAL;
        this.#entries[cpu] = undefined;
        return 0;
      },
      nextKey: (key, out) => nextIndex(key, this.maxEntries, out),
    };
  }

  entryAt(cpu: number): CpumapEntry | undefined {
    return this.#entries[cpu];
  }

  #update(cpu: number, value: Uint8Array, flags: bigint): Errno {
    // kernel: cpu_map_update_elem()
    if (flags > 2n) return -E.EINVAL;
    if (cpu >= this.maxEntries) return -E.E2BIG;
    if (flags === 1n) return -E.EEXIST;
    const qsize = indexOf(value);
    if (qsize > QSIZE_MAX) return -E.EOVERFLOW;
    if (cpu >= this.env.cpus) return -E.ENODEV;
    if (qsize === 0) {
      this.#entries[cpu] = undefined;
      return 0;
    }
    const fd = value.length >= VALUE_SIZE ? fdOf(value.subarray(4)) : 0;
    const prog = fd > 0 ? this.#program(fd) : undefined;
    // kernel: __cpu_map_entry_alloc() answers NULL whatever went wrong
    if (prog === null) return -E.ENOMEM;
    this.#entries[cpu] = { cpu, qsize, prog };
    return 0;
  }

  #program(fd: number): ProgRef | null {
    const object = this.env.fds.get(fd);
    if (object?.kind !== 'prog') return null;
    const prog = object as ProgRef;
    if (prog.typeId !== BPF_PROG_TYPE_XDP || prog.expectedAttachType !== BPF_XDP_CPUMAP) return null;
    return this.#owner.admit(prog) ? prog : null;
  }
}

export function createCpumap(env: MapEnv, attr: MapAttr, typeId: number): BpfMap {
  return withRegions(env.memory, (regions) => new Cpumap(env, attr, typeId, regions));
}
