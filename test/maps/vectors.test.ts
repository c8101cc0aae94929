import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { E, type ErrnoName } from '../../src/base/errno.ts';
import { BPF_F_NO_COMMON_LRU, BPF_F_NO_PREALLOC, BPF_F_ZERO_SEED } from '../../src/maps/map-flags.ts';
import { hex, keysOf, makeMap, staged, testEnv, u32, u64, unhex } from './support/env.ts';

const recorded = JSON.parse(readFileSync(new URL('./recorded.json', import.meta.url), 'utf8')) as Record<
  string,
  unknown
>;

const folder = new URL('../../../shared/reference/maps/vectors/', import.meta.url);

function vectors<T>(name: string): { cases: T[] } | undefined {
  const file = new URL(name, folder);
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
}

function code(result: number | string): number {
  return typeof result === 'number' ? result : -E[result.slice(1) as ErrnoName];
}

interface HashCase {
  type: string;
  no_prealloc: boolean;
  key_size: number;
  max_entries: number;
  ops: [string, string, number, number | string][];
  next_key_order: string[];
}

function replayHash(cases: readonly HashCase[]): void {
  for (const c of cases) {
    const env = testEnv();
    const flags = BPF_F_ZERO_SEED | (c.no_prealloc ? BPF_F_NO_PREALLOC : 0);
    const map = makeMap(env, { type: c.type, keySize: c.key_size, valueSize: 8, maxEntries: c.max_entries, flags });
    const value = new Uint8Array(map.sys.wireValueSize);
    const results = c.ops.map(([op, key, opFlags]) =>
      op === 'update' ? map.sys.update(unhex(key), value, BigInt(opFlags)) : map.sys.delete(unhex(key)),
    );
    expect(results).toEqual(c.ops.map((op) => code(op[3])));
    expect(keysOf(map).map(hex)).toEqual(c.next_key_order);
    map.destroy();
  }
}

test('[M-148] [M-149] [M-150] [M-152] hashes answer and order their keys as recorded from the kernel', () => {
  replayHash(recorded.hash as HashCase[]);
});

test('[M-148] [M-149] [M-150] [M-152] hashes answer and order their keys as recorded from the kernel (whole set)', (ctx) => {
  const file = vectors<HashCase>('hash-order.json');
  if (!file) return ctx.skip('../shared/reference/maps/vectors/hash-order.json is not here');
  replayHash(file.cases);
});

interface LruCase {
  type: string;
  no_common_lru: boolean;
  max_entries: number;
  cpus: number;
  ops: [number, string, number, number, number | string, number[]?][];
  end: number[];
}

function replayLru(cases: readonly LruCase[]): void {
  for (const c of cases) {
    const env = testEnv({ cpus: c.cpus });
    const flags = BPF_F_ZERO_SEED | (c.no_common_lru ? BPF_F_NO_COMMON_LRU : 0);
    const map = makeMap(env, { type: c.type, maxEntries: c.max_entries, flags });
    const value = new Uint8Array(map.sys.wireValueSize);
    const key = staged(env, 4);
    const keys = () => keysOf(map).map((bytes) => new DataView(bytes.buffer).getUint32(0, true));
    c.ops.forEach(([cpu, op, number, opFlags, expected, order], step) => {
      env.userCpu = cpu;
      env.memory.write(key, u32(number));
      const where = `${c.type} of ${c.max_entries}, step ${step}`;
      const results: Record<string, () => number> = {
        update: () => map.sys.update(u32(number), value, BigInt(opFlags)),
        delete: () => map.sys.delete(u32(number)),
        prog_lookup: () => (map.lookup!(key, cpu) === 0 ? 0 : 1),
        sys_lookup: () => map.sys.lookup(u32(number), 0n, new Uint8Array(value.length)),
      };
      expect(results[op]!(), `${where}: ${op}`).toBe(code(expected));
      if (order) expect(keys(), `${where}: keys after ${op}`).toEqual(order);
    });
    expect(keys()).toEqual(c.end);
  }
}

test('[M-153] [M-154] [M-155] [M-156] [M-157] LRU hashes evict what the kernel evicted, operation by operation', () => {
  replayLru(recorded.lru as LruCase[]);
});

test('[M-153] [M-154] [M-155] [M-156] [M-157] LRU hashes evict what the kernel evicted, operation by operation (whole set)', (ctx) => {
  const file = vectors<LruCase>('lru-traces.json');
  if (!file) return ctx.skip('../shared/reference/maps/vectors/lru-traces.json is not here');
  replayLru(file.cases);
});

interface LpmCase {
  data_bytes: number;
  max_entries: number;
  ops: [string, number, string, number, number, number | string][];
  order: string[];
}

function replayLpm(cases: readonly LpmCase[]): void {
  for (const c of cases) {
    const env = testEnv();
    const keySize = 4 + c.data_bytes;
    const map = makeMap(env, { type: 'lpm_trie', keySize, maxEntries: c.max_entries, flags: BPF_F_NO_PREALLOC });
    c.ops.forEach(([op, prefixlen, data, opFlags, value, expected], step) => {
      const key = Uint8Array.from([...u32(prefixlen), ...unhex(data)]);
      const out = new Uint8Array(8);
      const next = new Uint8Array(keySize);
      const results: Record<string, () => number | string> = {
        update: () => map.sys.update(key, u64(value), BigInt(opFlags)),
        delete: () => map.sys.delete(key),
        lookup: () => map.sys.lookup(key, 0n, out) || Number(new DataView(out.buffer).getBigUint64(0, true)),
        next_key: () => map.sys.nextKey(key, next) || hex(next),
      };
      const wanted = typeof expected === 'string' && expected.startsWith('-') ? code(expected) : expected;
      expect(results[op]!(), `${c.data_bytes} data bytes, step ${step}: ${op}`).toBe(wanted);
    });
    expect(keysOf(map).map(hex)).toEqual(c.order);
  }
}

test('[M-074] [M-075] [M-076] [M-079] LPM tries answer and order their prefixes as recorded from the kernel', () => {
  replayLpm(recorded.lpm as LpmCase[]);
});

test('[M-074] [M-075] [M-076] [M-079] LPM tries answer and order their prefixes as recorded from the kernel (whole set)', (ctx) => {
  const file = vectors<LpmCase>('lpm-traces.json');
  if (!file) return ctx.skip('../shared/reference/maps/vectors/lpm-traces.json is not here');
  replayLpm(file.cases);
});
