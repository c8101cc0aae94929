import { describe, expect, test } from 'vitest';
import { FaultError } from '../../src/base/error.ts';
import type { BpfMap } from '../../src/maps/map.ts';
import type { UserRingbuf } from '../../src/maps/ringbuf.ts';
import { assemble } from '../../src/vm/isa/assemble.ts';
import { encodeProgram, placeInsns } from '../../src/vm/isa/encode.ts';
import type { ProgramAttr } from '../../src/vm/program.ts';
import { PACKET_64, Vm } from '../support/vm.ts';

const encode = (text: string) => encodeProgram(placeInsns(assemble(text)));

/** A main program that takes the callback's address with `subprog[0]`, and the callback behind it. */
function withCallback(main: string, callback: string): Uint8Array {
  const insns = placeInsns(assemble(main));
  const slots = encodeProgram(insns).length / 8;
  const at = insns.find((insn) => insn.opcode === 0x18 && insn.src === 4)!.slot;
  return encode(`${main.replace('subprog[0]', `subprog[${slots - at - 1}]`)}\n${callback}`);
}

class ProgramBench extends Vm {
  r0of(insns: Uint8Array | string, attr: Partial<ProgramAttr> = {}): bigint {
    return this.run(this.load(insns, attr)).r0;
  }

  hash(valueSize = 8): BpfMap {
    return this.map({ type: 'hash', name: 'hash', keySize: 4, valueSize, maxEntries: 8 });
  }
}

const u32 = (value: number) => new Uint8Array(Uint32Array.of(value).buffer);

describe('helpers called from programs', () => {
  const loop = (count: number, flags: number) => `
    r1 = ${count}
    r2 = subprog[0]
    r3 = r10
    r3 += -8
    *(u64 *)(r3 +0) = 0
    r4 = ${flags}
    call 181
    r1 = *(u64 *)(r10 -8)
    r1 <<= 32
    r0 += r1
    exit`;
  const sum = `
    r3 = *(u64 *)(r2 +0)
    r3 += r1
    *(u64 *)(r2 +0) = r3
    r0 = 0
    if r1 != 4 goto +1
    r0 = 1
    exit`;

  test('bpf_loop: the callback works on the caller’s stack', () => {
    expect(new ProgramBench().r0of(withCallback(loop(4, 0), sum))).toBe((6n << 32n) | 4n);
  });

  test('[M-241] bpf_loop: a callback that stops at index 4 makes five calls', () => {
    expect(new ProgramBench().r0of(withCallback(loop(100, 0), sum))).toBe((10n << 32n) | 5n);
  });

  test('[M-239] [M-240] bpf_loop: too many loops give a zero-extended E2BIG, flags a sign-extended EINVAL', () => {
    expect(new ProgramBench().r0of(withCallback(loop(8388609, 0), sum))).toBe(0xfffffff9n);
    expect(BigInt.asIntN(64, new ProgramBench().r0of(withCallback(loop(8388609, 1), sum)))).toBe(-22n);
  });

  test('[M-180] bpf_for_each_map_elem: the callback deletes what it is shown', () => {
    const bench = new ProgramBench();
    const map = bench.hash();
    for (let key = 0; key < 6; key++) map.sys.update(u32(key), new Uint8Array(8), 0n);
    const main = `
      r1 = map[idx:0]
      r2 = subprog[0]
      r3 = 0
      r4 = 0
      call 164
      exit`;
    const insns = withCallback(main, 'call 3\nr0 = 0\nexit');
    expect(bench.r0of(insns, { maps: [map] })).toBe(6n);
    expect(bench.r0of(insns, { maps: [map] })).toBe(0n);
  });

  test('[M-236] a timer’s callback runs when its time comes, and arms it again', () => {
    const bench = new ProgramBench();
    const map = bench.map({
      type: 'hash',
      name: 'timers',
      keySize: 4,
      valueSize: 24,
      maxEntries: 4,
      fields: { timer: 8 },
      btf: { key: true, value: true },
    });
    bench.machine.fds.open(map);
    map.sys.update(u32(7), new Uint8Array(24), 0n);
    const main = `
      *(u32 *)(r10 -4) = 7
      r1 = map[idx:0]
      r2 = r10
      r2 += -4
      call 1
      if r0 == 0 goto out
      r6 = r0
      r6 += 8
      r1 = r6
      r2 = map[idx:0]
      r3 = 1
      call 169
      if r0 != 0 goto out
      r1 = r6
      r2 = subprog[0]
      call 170
      if r0 != 0 goto out
      r1 = r6
      r2 = 1000000
      r3 = 0
      call 171
      out: exit`;
    const callback = `
      r6 = r3
      r7 = *(u32 *)(r2 +0)
      r1 = *(u64 *)(r6 +0)
      r1 += r7
      *(u64 *)(r6 +0) = r1
      if r1 > 28 goto done
      r1 = r6
      r1 += 8
      r2 = 1000000
      r3 = 0
      call 171
      done: r0 = 0
      exit`;
    expect(bench.r0of(withCallback(main, callback), { maps: [map] })).toBe(0n);
    const counter = () => {
      const value = new Uint8Array(24);
      map.sys.lookup(u32(7), 0n, value);
      return value[0];
    };
    expect(counter()).toBe(0);
    bench.machine.clock.advance(2_500_000);
    expect(counter()).toBe(14);
    // The engine is free for other programs in between.
    expect(bench.r0('r0 = 5\nexit')).toBe(5n);
    bench.machine.clock.advance(100_000_000);
    expect(counter()).toBe(35);
  });

  test('[M-199] bpf_user_ringbuf_drain: the callback reads samples through its dynptr', () => {
    const bench = new ProgramBench();
    const map = bench.map({ type: 'user_ringbuf', name: 'commands', keySize: 0, valueSize: 0, maxEntries: 4096 });
    const ring = map as UserRingbuf;
    ring.produce(Uint8Array.of(1, 0, 0, 0));
    ring.produce(Uint8Array.of(100, 0, 0, 0), 0x40000000);
    ring.produce(Uint8Array.of(2, 0, 0, 0));
    const main = `
      *(u64 *)(r10 -8) = 0
      r1 = map[idx:0]
      r2 = subprog[0]
      r3 = r10
      r3 += -8
      r4 = 0
      call 209
      r1 = *(u64 *)(r10 -8)
      r1 <<= 32
      r0 += r1
      exit`;
    const callback = `
      r6 = r2
      r3 = r1
      r1 = r10
      r1 += -8
      r2 = 4
      r4 = 0
      r5 = 0
      call 201
      if r0 != 0 goto out
      w1 = *(u32 *)(r10 -8)
      r2 = *(u64 *)(r6 +0)
      r2 += r1
      *(u64 *)(r6 +0) = r2
      out: exit`;
    expect(bench.r0of(withCallback(main, callback), { maps: [map] })).toBe((3n << 32n) | 2n);
  });

  test('bpf_iter_num: the element is read through the pointer that next gives', () => {
    const text = `
      r1 = r10
      r1 += -8
      r2 = 3
      r3 = 6
      call kernel-function#0
      r6 = 0
      next: r1 = r10
      r1 += -8
      call kernel-function#1
      if r0 == 0 goto end
      w1 = *(u32 *)(r0 +0)
      r6 += r1
      goto next
      end: r1 = r10
      r1 += -8
      call kernel-function#2
      r0 = r6
      exit`;
    const kfuncs = ['bpf_iter_num_new', 'bpf_iter_num_next', 'bpf_iter_num_destroy'];
    expect(new ProgramBench().r0of(text, { kfuncs })).toBe(12n);
  });

  test('bpf_dynptr_from_xdp: a slice is packet memory', () => {
    const text = `
      r2 = 0
      r3 = r10
      r3 += -16
      call kernel-function#0
      if r0 != 0 goto out
      r1 = r10
      r1 += -16
      r2 = 14
      r3 = 0
      r4 = 4
      call kernel-function#1
      if r0 == 0 goto out
      *(u8 *)(r0 +1) = 0xee
      w0 = *(u32 *)(r0 +0)
      out: exit`;
    const bench = new ProgramBench();
    const run = bench.run(bench.load(text, { kfuncs: ['bpf_dynptr_from_xdp', 'bpf_dynptr_slice_rdwr'] }));
    expect(run.r0).toBe(0x1110ee0en);
    expect([...run.data]).toEqual([...PACKET_64].map((byte, i) => (i === 15 ? 0xee : byte)));
  });

  test.each<[string, string, RegExp]>([
    ['an iterator', 'r1 = 0\ncall kernel-function#0\nr0 = 0\nexit', /bpf_iter_num_next: argument 1 \(iter_num\)/],
    ['a kptr field', 'r1 = 64\nr2 = 0\ncall 194\nexit', /bpf_kptr_xchg: argument 1 \(kptr_dest\)/],
    ['a timer', 'r1 = 64\ncall 172\nexit', /bpf_timer_cancel: argument 1 \(timer\)/],
    ['text', 'r1 = 64\nr2 = 4\ncall 6\nexit', /bpf_trace_printk: argument 1 \(mem\): read of 4 bytes at 0x40/],
  ])('%s that is not in memory is a fault that names the argument', (_name, text, message) => {
    const bench = new ProgramBench();
    expect(() => bench.r0(text, { kfuncs: ['bpf_iter_num_next'] })).toThrow(FaultError);
    expect(() => bench.r0(text, { kfuncs: ['bpf_iter_num_next'] })).toThrow(message);
  });
});
