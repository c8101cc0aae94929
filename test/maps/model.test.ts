import fc from 'fast-check';
import { expect, test } from 'vitest';
import { E } from '../../src/base/errno.ts';
import type { BpfMap } from '../../src/maps/map.ts';
import { BPF_F_NO_COMMON_LRU, BPF_F_NO_PREALLOC } from '../../src/maps/map-flags.ts';
import { openMap } from '../../src/maps/syscall.ts';
import { hex, keysOf, makeMap, type PartialAttr, staged, testEnv, u32, u64 } from './support/env.ts';

const env = testEnv();
const stack = staged(env, 32);
const KEYS = 12;

type Op =
  | {
      readonly op: 'update';
      readonly key: number;
      readonly value: number;
      readonly flags: number;
      readonly cpu: number;
    }
  | { readonly op: 'lookup' | 'delete' | 'take'; readonly key: number; readonly cpu: number };

const key = fc.nat(KEYS - 1);
const cpu = fc.nat(1);
const ops: fc.Arbitrary<Op[]> = fc.array(
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({ op: fc.constant('update' as const), key, value: fc.nat(), flags: fc.nat(3), cpu }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ op: fc.constantFrom('lookup' as const, 'delete' as const, 'take' as const), key, cpu }),
    },
  ),
  { maxLength: 80 },
);

/** One operation as a program does it; lookups give the value, `take` goes through user space. */
function play(map: BpfMap, step: Op): number {
  env.memory.write(stack, u32(step.key));
  switch (step.op) {
    case 'update':
      env.memory.write(stack + 8, u64(step.value));
      return map.update!(stack, stack + 8, step.flags, 0, step.cpu);
    case 'lookup': {
      const at = map.lookup!(stack, step.cpu);
      return at === 0 ? -E.ENOENT : Number(env.memory.view.getBigUint64(at, true));
    }
    case 'delete':
      return map.delete!(stack, step.cpu);
    case 'take': {
      const out = new Uint8Array(8);
      const errno = openMap(env, map).lookupAndDelete(u32(step.key), out);
      return errno || Number(new DataView(out.buffer).getBigUint64(0, true));
    }
  }
}

const RUNS = { numRuns: 150, seed: 20261120 };

test.each([0, BPF_F_NO_PREALLOC])('a hash (flags %d) is a Map with a limit', (flags) => {
  fc.assert(
    fc.property(ops, fc.integer({ min: 1, max: KEYS }), (steps, maxEntries) => {
      const map = makeMap(env, { type: 'hash', maxEntries, flags });
      const model = new Map<number, number>();
      const wanted = (step: Op): number => {
        const value = model.get(step.key);
        if (step.op === 'update') {
          if (step.flags === 3) return -E.EINVAL;
          if (step.flags === 1 && value !== undefined) return -E.EEXIST;
          if (step.flags === 2 && value === undefined) return -E.ENOENT;
          if (value === undefined && model.size === maxEntries) return -E.E2BIG;
          model.set(step.key, step.value);
          return 0;
        }
        if (value === undefined) return -E.ENOENT;
        if (step.op !== 'lookup') model.delete(step.key);
        return step.op === 'delete' ? 0 : value;
      };
      for (const step of steps) expect(play(map, step)).toBe(wanted(step));
      expect(keysOf(map).map(hex).sort()).toEqual([...model.keys()].map((n) => hex(u32(n))).sort());
      map.destroy();
    }),
    RUNS,
  );
});

test('an array is an array', () => {
  fc.assert(
    fc.property(ops, fc.integer({ min: 1, max: KEYS }), (steps, maxEntries) => {
      const map = makeMap(env, { type: 'array', maxEntries });
      const model = new Array<number>(maxEntries).fill(0);
      const wanted = (step: Op): number => {
        if (step.op === 'update') {
          if (step.flags === 3) return -E.EINVAL;
          if (step.key >= maxEntries) return -E.E2BIG;
          if (step.flags === 1) return -E.EEXIST;
          model[step.key] = step.value;
          return 0;
        }
        if (step.op === 'take') return -E.ENOTSUPP;
        return step.op === 'delete' ? -E.EINVAL : (model[step.key] ?? -E.ENOENT);
      };
      for (const step of steps) expect(play(map, step)).toBe(wanted(step));
      map.destroy();
    }),
    RUNS,
  );
});

test.each([0, BPF_F_NO_COMMON_LRU])('an LRU hash (flags %d) forgets keys but never mixes them up', (flags) => {
  fc.assert(
    fc.property(ops, fc.integer({ min: 2, max: KEYS }), (steps, maxEntries) => {
      const map = makeMap(env, { type: 'lru_hash', maxEntries, flags });
      const last = new Map<number, number>();
      for (const step of steps) {
        const result = play(map, step);
        if (step.op === 'update') {
          if (result === 0) last.set(step.key, step.value);
          expect([0, -E.EEXIST, -E.ENOENT, -E.EINVAL]).toContain(result);
          // What was just written is there.
          if (result === 0) expect(play(map, { op: 'lookup', key: step.key, cpu: step.cpu })).toBe(step.value);
        } else if (result !== -E.ENOENT) {
          if (step.op !== 'delete') expect(result).toBe(last.get(step.key));
          if (step.op !== 'lookup') last.delete(step.key);
        }
      }
      const keys = keysOf(map).map(hex);
      expect(keys.length).toBeLessThanOrEqual(map.maxEntries);
      expect(new Set(keys).size).toBe(keys.length);
      for (const bytes of keys) expect([...last.keys()].map((n) => hex(u32(n)))).toContain(bytes);
      map.destroy();
    }),
    RUNS,
  );
});

test('an LPM trie finds the longest prefix, as a search through all of them does', () => {
  // Few and short prefixes, so that they lie above and below each other often.
  const prefix = fc.record({ length: fc.nat(6), high: fc.nat(15).map((n) => n << 4), low: fc.nat(255) });
  const bits = (p: { high: number; low: number }, length: number) =>
    ((p.high << 8) | p.low).toString(2).padStart(16, '0').slice(0, length);
  fc.assert(
    fc.property(
      fc.array(fc.record({ prefix, op: fc.constantFrom('add', 'add', 'delete', 'find'), value: fc.nat(1000) }), {
        maxLength: 60,
      }),
      (steps) => {
        const attr: PartialAttr = { type: 'lpm_trie', keySize: 6, maxEntries: 100, flags: BPF_F_NO_PREALLOC };
        const map = makeMap(env, attr);
        const model = new Map<string, number>();
        for (const { prefix: p, op, value } of steps) {
          const bytes = Uint8Array.from([...u32(p.length), p.high, p.low]);
          const own = bits(p, p.length);
          const out = new Uint8Array(8);
          if (op === 'add') {
            expect(map.sys.update(bytes, u64(value), 0n)).toBe(0);
            model.set(own, value);
          } else if (op === 'delete') {
            expect(map.sys.delete(bytes)).toBe(model.delete(own) ? 0 : -E.ENOENT);
          } else {
            let best = -E.ENOENT;
            for (let length = 0; length <= p.length; length++) best = model.get(own.slice(0, length)) ?? best;
            const errno = map.sys.lookup(bytes, 0n, out);
            expect(errno || Number(new DataView(out.buffer).getBigUint64(0, true))).toBe(best);
          }
        }
        expect(keysOf(map)).toHaveLength(model.size);
        map.destroy();
      },
    ),
    RUNS,
  );
});

test('a queue is first in, first out, a stack last in, first out', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('queue', 'stack'),
      fc.integer({ min: 1, max: 5 }),
      fc.array(fc.record({ op: fc.constantFrom('push', 'force', 'pop', 'peek'), value: fc.nat() }), { maxLength: 60 }),
      (type, maxEntries, steps) => {
        const map = makeMap(env, { type, keySize: 0, maxEntries });
        const model: number[] = [];
        for (const { op, value } of steps) {
          env.memory.write(stack, u64(value));
          if (op === 'push' || op === 'force') {
            const full = model.length === maxEntries;
            if (full && op === 'force') model.shift();
            expect(map.push!(stack, op === 'force' ? 2 : 0, 0)).toBe(full && op === 'push' ? -E.E2BIG : 0);
            if (!full || op === 'force') model.push(value);
          } else {
            const wanted = type === 'queue' ? model[0] : model.at(-1);
            expect(op === 'pop' ? map.pop!(stack) : map.peek!(stack)).toBe(wanted === undefined ? -E.ENOENT : 0);
            expect(Number(env.memory.view.getBigUint64(stack, true))).toBe(wanted ?? 0);
            if (op === 'pop') type === 'queue' ? model.shift() : model.pop();
          }
        }
        map.destroy();
      },
    ),
    RUNS,
  );
});
