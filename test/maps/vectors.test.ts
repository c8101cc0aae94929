import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { E, type ErrnoName } from '../../src/base/errno.ts';
import { BPF_F_NO_PREALLOC, BPF_F_ZERO_SEED } from '../../src/maps/map-flags.ts';
import { hex, keysOf, makeMap, testEnv, unhex } from './support/env.ts';

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

test('[M-148] [M-149] [M-150] [M-152] hashes answer and order their keys as recorded from the kernel', (ctx) => {
  const file = vectors<HashCase>('hash-order.json');
  if (!file) return ctx.skip('../shared/reference/maps/vectors/hash-order.json is not here');
  for (const c of file.cases) {
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
});
