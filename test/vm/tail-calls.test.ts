import { beforeEach, describe, expect, test } from 'vitest';
import type { BpfMap } from '../../src/maps/map.ts';
import { openMap } from '../../src/maps/syscall.ts';
import type { Program } from '../../src/vm/program.ts';
import { Vm } from '../support/vm.ts';

let vm: Vm;
let jumps: BpfMap;
let counter: BpfMap;

/** Adds 1 to the counter; r6 keeps ctx. */
const COUNT = `
  r6 = r1
  r1 = map[idx:1]+0
  r2 = *(u64 *)(r1 +0)
  r2 += 1
  *(u64 *)(r1 +0) = r2
`;
const tailCall = (index: string) => `
  r1 = r6
  r2 = map[idx:0]
  r3 = ${index}
  call bpf_tail_call#12
`;
const load = (text: string) => vm.load(text, { maps: [jumps, counter] });

function insert(slot: number, program: Program): number {
  const fd = vm.machine.fds.open(program);
  return jumps.sys.update(Uint8Array.of(slot, 0, 0, 0), Uint8Array.of(fd, 0, 0, 0), 0n);
}

function put(slot: number, program: Program): void {
  expect(insert(slot, program)).toBe(0);
}

function count(): bigint {
  const out = new Uint8Array(8);
  counter.sys.lookup(new Uint8Array(4), 0n, out);
  return new DataView(out.buffer).getBigUint64(0, true);
}

beforeEach(() => {
  vm = new Vm();
  jumps = vm.map({ type: 'prog_array', name: 'jumps', keySize: 4, valueSize: 4, maxEntries: 4 });
  counter = vm.map({ type: 'array', name: 'counter', keySize: 4, valueSize: 8, maxEntries: 1 });
});

describe('tail calls', () => {
  test('[M-218] a program that tail-calls itself is entered 34 times, then falls through', () => {
    const program = load(`${COUNT}${tailCall('0')}r0 = 77\nexit`);
    put(0, program);
    expect(vm.run(program).r0).toBe(77n);
    expect(count()).toBe(34n);
  });

  test('[M-219] a tail call in a subprogram ends the subprogram only: 34 entries, and each caller goes on', () => {
    // main counts, calls sub, and counts its own return in the upper half; sub tail-calls main.
    const program = load(`
      ${COUNT}
      r1 = r6
      call sub
      r1 = map[idx:1]+0
      r2 = *(u64 *)(r1 +0)
      r3 = 0x100000000 ll
      r2 += r3
      *(u64 *)(r1 +0) = r2
      r0 = 1
      exit
      sub: r6 = r1
      ${tailCall('0')}
      r0 = 5
      exit`);
    put(0, program);
    expect(vm.run(program).r0).toBe(1n);
    expect(count()).toBe((34n << 32n) | 34n);
  });

  test('[M-220] the index is 32 bits: 0x100000001 is slot 1', () => {
    put(1, load('r0 = 42\nexit'));
    expect(vm.run(load(`r6 = r1\n${tailCall('0x100000001 ll')}r0 = 0\nexit`)).r0).toBe(42n);
  });

  test('[M-221] attempts on an empty slot do not use up the limit', () => {
    put(1, load('r0 = 42\nexit'));
    const attempts = tailCall('0').repeat(40);
    expect(vm.run(load(`r6 = r1\n${attempts}${tailCall('1')}r0 = 0\nexit`)).r0).toBe(42n);
  });

  test('an index past the end falls through', () => {
    expect(vm.run(load(`r6 = r1\n${tailCall('4')}r0 = 9\nexit`)).r0).toBe(9n);
  });

  test("[M-223] the callee finds the caller's bytes on its stack, and ctx in r1", () => {
    put(0, load('r0 = *(u64 *)(r10 -8)\nr1 = *(u32 *)(r1 +12)\nr0 += r1\nexit'));
    expect(vm.run(load(`r6 = r1\n*(u64 *)(r10 -8) = 1234\n${tailCall('0')}r0 = 0\nexit`)).r0).toBe(1235n);
  });

  test('an emptied slot is seen by the next attempt', () => {
    put(0, load('r0 = 42\nexit'));
    const program = load(`r6 = r1\n${tailCall('0')}r0 = 9\nexit`);
    expect(vm.run(program).r0).toBe(42n);
    expect(jumps.sys.delete(new Uint8Array(4))).toBe(0);
    expect(vm.run(program).r0).toBe(9n);
  });

  test('[M-096] [M-099] a program of another type is neither let into the map nor loaded to jump through it', () => {
    put(0, load('r0 = 1\nexit'));
    const other = vm.load('r0 = 1\nexit', { type: 'sched_cls' });
    expect(insert(1, other)).toBe(-22);
    const user = () => vm.load(`r6 = r1\n${tailCall('0')}r0 = 0\nexit`, { type: 'sched_cls', maps: [jumps, counter] });
    expect(user).toThrow(/map jumps belongs to programs of another type/);
    expect(user).toThrow(expect.objectContaining({ errno: -22 }));
  });

  test('[M-098] a program that jumps through the map settles the type when it is loaded', () => {
    vm.load(`r6 = r1\n${tailCall('0')}r0 = 0\nexit`, { type: 'sched_cls', maps: [jumps, counter] });
    expect(insert(0, vm.load('r0 = 1\nexit'))).toBe(-22);
    expect(insert(0, vm.load('r0 = 1\nexit', { type: 'sched_cls' }))).toBe(0);
  });

  test('[M-101] once user space has closed the map, its users fall through', () => {
    const file = openMap(vm.machine, jumps);
    put(0, load('r0 = 42\nexit'));
    const program = load(`r6 = r1\n${tailCall('0')}r0 = 9\nexit`);
    expect(vm.run(program).r0).toBe(42n);
    expect(file.close()).toBe(0);
    expect(vm.run(program).r0).toBe(9n);
  });
});
