import { Memory } from '../../../src/base/memory.ts';
import { Rng } from '../../../src/base/rng.ts';
import { FdTable } from '../../../src/maps/fd-table.ts';
import type { BpfMap, MapAttr, MapEnv, ProgRef } from '../../../src/maps/map.ts';
import { createMap } from '../../../src/maps/map-types.ts';

/** A machine as small as maps need it, with the CPU of user space settable. */
export interface TestEnv extends MapEnv {
  userCpu: number;
}

export function testEnv({ cpus = 2, memory = 64 << 20, seed = 1 } = {}): TestEnv {
  let ids = 0;
  return {
    memory: new Memory({ size: memory }),
    cpus,
    rng: new Rng(seed),
    fds: new FdTable(),
    userCpu: 0,
    nextMapId: () => ++ids,
  };
}

export type PartialAttr = { readonly type: string } & Partial<MapAttr>;

/** Sizes that are right for most types: key 4, value 8, 8 entries. */
export function attrOf(attr: PartialAttr): MapAttr {
  return { keySize: 4, valueSize: 8, maxEntries: 8, ...attr };
}

export function makeMap(env: MapEnv, attr: PartialAttr): BpfMap {
  const map = createMap(env, attrOf(attr));
  if (typeof map === 'number') throw new Error(`${attr.type}: creation gave ${map}`);
  return map;
}

export function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

export function u64(value: number | bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, BigInt(value)), true);
  return bytes;
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

export function unhex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'hex'));
}

let progIds = 100;
/** A program as fd-holding maps see it. */
export function progRef(facts: Partial<ProgRef> = {}): ProgRef {
  return { kind: 'prog', id: progIds++, typeId: 6, expectedAttachType: 0, hasFrags: false, name: 'prog', ...facts };
}

/** All keys in get_next_key order. */
export function keysOf(map: BpfMap): Uint8Array[] {
  const keys: Uint8Array[] = [];
  let key: Uint8Array | undefined;
  for (let guard = 0; guard < 1_000_000; guard++) {
    const next = new Uint8Array(map.keySize);
    if (map.sys.nextKey(key, next) !== 0) return keys;
    keys.push(next);
    key = next;
  }
  throw new Error('get_next_key does not end');
}

/** Address of zeroed memory that stands for a program's stack. */
export function staged(env: MapEnv, bytes: number): number {
  return env.memory.allocate(bytes, { kind: 'stack', name: 'test stack' }).start;
}
