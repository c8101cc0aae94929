import type { Errno } from '../base/errno.ts';
import { E } from '../base/errno.ts';
import type { Memory } from '../base/memory.ts';
import type { MapArena, RegionSet } from './arena.ts';
import { arenaOf } from './arena.ts';
import { DESC } from './layout.ts';
import type { BpfMap, MapAttr, MapEnv, MapSyscalls, SpecialFields } from './map.ts';
import { BPF_F_RDONLY, BPF_F_WRONLY } from './map-flags.ts';

/** What an operation of a type answers that it does not have. */
export const unsupported = {
  ENOTSUPP: (): Errno => -E.ENOTSUPP,
  EOPNOTSUPP: (): Errno => -E.EOPNOTSUPP,
  EINVAL: (): Errno => -E.EINVAL,
} as const;

/** Facts and memory that every map has; kernel: struct bpf_map. */
export abstract class MapBase implements BpfMap {
  readonly kind = 'map';
  readonly id: number;
  readonly type: string;
  readonly typeId: number;
  readonly name: string;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
  readonly mapExtra: bigint;
  readonly fields: SpecialFields | undefined;
  readonly innerMap: BpfMap | undefined = undefined;
  readonly handle: number;
  frozen = false;
  writableMappings = 0;
  abstract readonly sys: MapSyscalls;

  protected readonly env: MapEnv;
  protected readonly memory: Memory;
  protected readonly arena: MapArena;
  protected readonly regions: RegionSet;

  constructor(
    env: MapEnv,
    attr: MapAttr,
    typeId: number,
    regions: RegionSet,
    changes: { readonly maxEntries?: number; readonly flags?: number } = {},
  ) {
    this.env = env;
    this.memory = env.memory;
    this.arena = arenaOf(env.memory);
    this.regions = regions;
    this.type = attr.type;
    this.typeId = typeId;
    this.name = attr.name ?? '';
    this.keySize = attr.keySize;
    this.valueSize = attr.valueSize;
    this.maxEntries = changes.maxEntries ?? attr.maxEntries;
    this.flags = (changes.flags ?? attr.flags ?? 0) & ~(BPF_F_RDONLY | BPF_F_WRONLY);
    this.mapExtra = attr.mapExtra ?? 0n;
    this.fields = attr.fields;
    this.handle = this.arena.takeDescriptor();
    this.id = env.nextMapId();
    this.describe({
      typeId,
      flags: this.flags,
      keySize: this.keySize,
      valueSize: this.valueSize,
      maxEntries: this.maxEntries,
      id: this.id,
    });
  }

  /** Writes fields of the descriptor. */
  protected describe(fields: Partial<Record<keyof typeof DESC, number>>): void {
    for (const [name, value] of Object.entries(fields)) {
      this.memory.u32[(this.handle + DESC[name as keyof typeof DESC]) >> 2] = value;
    }
  }

  /** `map flows`, as fault messages name it. */
  protected get label(): string {
    return this.name ? `map ${this.name}` : `map #${this.id} (${this.type})`;
  }

  /** CPU on which user space's system calls run. */
  protected get userCpu(): number {
    return this.env.userCpu ?? 0;
  }

  protected stageKey(key: Uint8Array): number {
    const at = this.arena.key.at(key.length);
    this.memory.u8.set(key, at);
    return at;
  }

  protected stageValue(value: Uint8Array): number {
    const at = this.arena.value.at(value.length);
    this.memory.u8.set(value, at);
    return at;
  }

  /** Called before the memory goes: subclasses release what their values hold. */
  protected releaseAll(): void {}

  destroy(): void {
    this.releaseAll();
    this.regions.freeAll();
    this.arena.returnDescriptor(this.handle);
  }
}
