import { beforeEach, describe, expect, test } from 'vitest';
import { E } from '../../src/base/errno.ts';
import { FaultError, LoadError } from '../../src/base/error.ts';
import { openMap } from '../../src/maps/syscall.ts';
import { Vm } from '../support/vm.ts';

// What Linux's verifier refuses at load, with its words and errno, found here when the program gets there: the engine does
// not let such a call through, so that it never gives an answer that Linux would not give.

/** Errno of the FaultError that `body` ends with. */
function errnoOf(body: () => unknown): number {
  try {
    body();
  } catch (error) {
    if (error instanceof FaultError) return error.errno;
    throw error;
  }
  return 0;
}

let vm: Vm;
beforeEach(() => {
  vm = new Vm();
});

const KEY = '*(u64 *)(r10 -8) = 0\nr2 = r10\nr2 += -8\n';
const VALUE = '*(u64 *)(r10 -16) = 0\nr3 = r10\nr3 += -16\n';

/** Runs a call on a map of a type: r1 map, r2 a key of zeros, r3 a value of zeros, r4 0. */
function callOn(type: string, call: string, { flags = 0, keySize = 4, valueSize = 4 } = {}): () => unknown {
  return () => {
    const inner = type.endsWith('_of_maps')
      ? vm.map({ type: 'array', name: 'inner', keySize: 4, valueSize: 4, maxEntries: 1 })
      : undefined;
    const map = vm.map({
      type,
      name: 'm',
      keySize,
      valueSize,
      maxEntries: 2,
      flags,
      ...(inner && { innerMap: inner }),
    });
    return vm.r0(`${KEY}${VALUE}r1 = map[idx:0]\nr4 = 0\ncall ${call}\nr0 = 0\nexit`, { maps: [map] });
  };
}

describe('helpers and map types', () => {
  test.each<[string, () => unknown, RegExp]>([
    [
      '[M-174] bpf_map_pop_elem on a bloom filter',
      callOn('bloom_filter', 'bpf_map_pop_elem#88', { keySize: 0 }),
      /cannot pass map_type 30 into func bpf_map_pop_elem#88/,
    ],
    [
      '[M-175] bpf_map_lookup_elem on a queue',
      callOn('queue', 'bpf_map_lookup_elem#1', { keySize: 0 }),
      /invalid zero-sized read/,
    ],
    [
      '[M-176] bpf_map_lookup_percpu_elem on a hash',
      callOn('hash', 'bpf_map_lookup_percpu_elem#195'),
      /cannot pass map_type 1 into func bpf_map_lookup_percpu_elem#195/,
    ],
    [
      '[M-176] bpf_map_push_elem on a hash',
      callOn('hash', 'bpf_map_push_elem#87'),
      /cannot pass map_type 1 into func bpf_map_push_elem#87/,
    ],
    ...(
      [
        ['prog_array', 3],
        ['perf_event_array', 4],
        ['cgroup_array', 8],
        ['cpumap', 16],
        ['stack_trace', 7],
      ] as const
    ).map(([type, id]): [string, () => unknown, RegExp] => [
      `[M-177] bpf_map_lookup_elem on a ${type}`,
      callOn(type, 'bpf_map_lookup_elem#1', { valueSize: type === 'stack_trace' ? 8 : 4 }),
      new RegExp(`cannot pass map_type ${id} into func bpf_map_lookup_elem#1`),
    ]),
    ['[M-178] bpf_map_update_elem on a devmap', callOn('devmap', 'bpf_map_update_elem#2'), /write into map forbidden/],
    [
      '[M-179] bpf_map_update_elem on an array of maps',
      callOn('array_of_maps', 'bpf_map_update_elem#2'),
      /cannot pass map_type 12 into func bpf_map_update_elem#2/,
    ],
    [
      '[M-179] bpf_map_update_elem on a hash of maps',
      callOn('hash_of_maps', 'bpf_map_update_elem#2'),
      /cannot pass map_type 13 into func bpf_map_update_elem#2/,
    ],
  ])('%s is refused', (_name, body, message) => {
    expect(body).toThrow(FaultError);
    expect(body).toThrow(message);
    // Linux answers EINVAL, or EACCES where the map itself would allow the call.
    expect(errnoOf(body)).toBe(/cannot pass/.test(message.source) ? -E.EINVAL : -E.EACCES);
  });

  test('[M-183] bpf_for_each_map_elem on a queue is refused', () => {
    const map = vm.map({ type: 'queue', name: 'q', keySize: 0, valueSize: 4, maxEntries: 2 });
    const text =
      'r1 = map[idx:0]\nr2 = subprog[+5]\nr3 = 0\nr4 = 0\ncall bpf_for_each_map_elem#164\nexit\nr0 = 0\nexit';
    expect(() => vm.r0(text, { maps: [map] })).toThrow(/callback function not allowed for map/);
    expect(errnoOf(() => vm.r0(text, { maps: [map] }))).toBe(-E.ENOTSUPP);
  });

  test('[M-119] a map that user space has frozen takes updates and stores from programs', () => {
    for (const type of ['array', 'hash', 'lru_hash', 'percpu_hash']) {
      const map = vm.map({ type, name: 'frozen', keySize: 4, valueSize: 8, maxEntries: 2 });
      expect(openMap(vm.machine, map).freeze()).toBe(0);
      const text = `${KEY}r3 = r10\nr3 += -16\n*(u64 *)(r10 -16) = 5\nr1 = map[idx:0]\nr4 = 0\ncall bpf_map_update_elem#2
        r6 = r0\n${KEY}r1 = map[idx:0]\ncall bpf_map_lookup_elem#1\nr1 = *(u64 *)(r0 +0)\nr1 += 1
        *(u64 *)(r0 +0) = r1\nr0 = *(u64 *)(r0 +0)\nr0 += r6\nexit`;
      expect(vm.r0(text, { maps: [map] })).toBe(6n);
    }
  });

  test('[M-129] a map with RDONLY_PROG takes no update, delete or store from programs', () => {
    const readOnly = { flags: 1 << 7 };
    expect(callOn('array', 'bpf_map_update_elem#2', readOnly)).toThrow(/write into map forbidden/);
    expect(callOn('hash', 'bpf_map_delete_elem#3', readOnly)).toThrow(/write into map forbidden/);
    expect(errnoOf(callOn('hash', 'bpf_map_delete_elem#3', readOnly))).toBe(-E.EACCES);
    for (const type of ['array', 'hash', 'lru_hash']) {
      const flags = 1 << 7;
      const map = vm.map({ type, name: 'ro', keySize: 4, valueSize: 4, maxEntries: 2, flags });
      map.sys.update(new Uint8Array(4), Uint8Array.of(7, 0, 0, 0), 0n);
      const access = (insn: string) =>
        vm.r0(`${KEY}r1 = map[idx:0]\ncall bpf_map_lookup_elem#1\n${insn}\nexit`, { maps: [map] });
      expect(access('r0 = *(u32 *)(r0 +0)')).toBe(7n);
      expect(() => access('*(u32 *)(r0 +0) = 1')).toThrow(/write of 4 bytes .*is read-only/);
    }
  });
});

describe('helpers and program types', () => {
  test.each([
    ['[M-269] the old bpf_probe_read', ['bpf_probe_read#4', 'bpf_probe_read_str#45']],
    ['[M-270] bpf_copy_from_user, which may sleep,', ['bpf_copy_from_user#148', 'bpf_copy_from_user_task#191']],
    ['[M-272] bpf_get_netns_cookie', ['bpf_get_netns_cookie#122']],
    ['[M-273] what only tracing has', ['bpf_get_func_arg#183', 'bpf_get_retval#186', 'bpf_get_stackid#27']],
  ])('%s is refused to XDP programs when they are loaded', (_name, calls) => {
    for (const call of calls) {
      const load = (type: 'xdp' | 'sched_cls') => () =>
        vm.load(`r1 = r10\nr1 += -16\nr2 = 8\nr3 = 0\nr4 = 0\ncall ${call}\nr0 = 0\nexit`, { type });
      expect(load('xdp')).toThrow(LoadError);
      expect(load('xdp')).toThrow(new RegExp(`insn 5: .*${call.split('#')[0]}`));
      if (call.startsWith('bpf_get_netns_cookie')) expect(load('sched_cls')).not.toThrow();
    }
  });
});

describe('callbacks', () => {
  const loop = (result: number) =>
    vm.r0(`r1 = 2\nr2 = subprog[+5]\nr3 = 0\nr4 = 0\ncall bpf_loop#181\nexit\nr0 = ${result}\nexit`);

  test('[M-184] a callback that returns 2 is refused, 0 and 1 are not', () => {
    expect(loop(0)).toBe(2n);
    expect(loop(1)).toBe(1n);
    expect(() => loop(2)).toThrow(/At callback return the register R0 has value 2 should have been in \[0, 1\]/);
    expect(() => loop(-1)).toThrow(/has value 18446744073709551615/);
    expect(errnoOf(() => loop(2))).toBe(-E.EINVAL);
  });
});

describe('timer callbacks', () => {
  test('[M-234] one that returns 5 is refused', () => {
    const map = vm.map({ type: 'array', name: 't', keySize: 4, valueSize: 16, maxEntries: 1, fields: { timer: 0 } });
    vm.machine.fds.open(map);
    const program = (result: number) =>
      vm.load(
        `${KEY}r1 = map[idx:0]
        call bpf_map_lookup_elem#1
        r6 = r0
        r1 = r6
        r2 = map[idx:0]
        r3 = 1
        call bpf_timer_init#169
        r1 = r6
        r2 = subprog[+7]
        call bpf_timer_set_callback#170
        r1 = r6
        r2 = 10
        r3 = 0
        call bpf_timer_start#171
        exit
        r0 = ${result}
        exit`,
        { maps: [map] },
      );
    expect(vm.run(program(0)).r0).toBe(0n);
    vm.machine.clock.advance(100);
    vm.run(program(5));
    expect(() => vm.machine.clock.advance(100)).toThrow(/R0 has value 5 should have been in \[0, 0\]/);
  });
});

describe('spin locks', () => {
  const fields = { spinLock: 0 };
  const locked = (body: string) => () => {
    const map = vm.map({ type: 'array', name: 'm', keySize: 4, valueSize: 16, maxEntries: 1, fields });
    return vm.r0(
      `${KEY}r1 = map[idx:0]\ncall bpf_map_lookup_elem#1\nr6 = r0\nr1 = r6\ncall bpf_spin_lock#93\n${body}\nr0 = 9\nexit`,
      { maps: [map] },
    );
  };

  test('[M-237] a helper call while the lock is held is refused, and so is leaving with it', () => {
    expect(locked('r1 = r6\ncall bpf_spin_unlock#94')()).toBe(9n);
    expect(locked('call bpf_ktime_get_ns#5')).toThrow(/function calls are not allowed while holding a lock/);
    expect(errnoOf(locked('call bpf_ktime_get_ns#5'))).toBe(-E.EINVAL);
    expect(errnoOf(locked(''))).toBe(-E.EINVAL);
    expect(locked('')).toThrow(/BPF_EXIT instruction in main prog cannot be used inside bpf_spin_lock-ed region/);
    expect(locked('r1 = r6\ncall bpf_spin_unlock#94')()).toBe(9n);
  });

  test('releasing what is not held is refused, with the instruction that did it', () => {
    expect(locked('r1 = r6\ncall bpf_spin_unlock#94\nr1 = r6\ncall bpf_spin_unlock#94')).toThrow(
      /test: insn \d+: bpf_spin_unlock without taking a lock/,
    );
  });
});

describe('atomics', () => {
  test('[M-290] on packet memory they are refused', () => {
    const text = 'r1 = *(u32 *)(r1 +0)\nr2 = 1\nlock *(u64 *)(r1 +0) += r2\nr0 = 0\nexit';
    expect(() => vm.r0(text)).toThrow(/BPF_ATOMIC stores into packet memory are not allowed/);
    expect(errnoOf(() => vm.r0(text))).toBe(-E.EACCES);
  });
});
