import { existsSync, readdirSync } from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { kernelAvailable } from './kernel.ts';
import { possibleCpus } from './kernel-maps.ts';
import { hex, unhex } from './libc.ts';
import { KernelObject } from './load.ts';
import { assembled, I, type RawMap, type RawProgram, rawSpec } from './raw-spec.ts';

const available = kernelAvailable();
const PACKET = unhex('02000000000202000000000188b5' + '00112233445566778899aabbccddeeff');

/** Loads into the kernel, or skips the test with the reason. */
function load(
  ctx: { skip: (reason: string) => never },
  programs: readonly RawProgram[],
  maps: readonly RawMap[] = [],
): KernelObject {
  if (!available.ok) ctx.skip(`no kernel: ${available.reason}`);
  const object = new KernelObject(rawSpec(programs, maps));
  onTestFinished(() => object.close());
  return object;
}

function xdp(name: string, ...insns: number[][]): RawProgram {
  return { name, type: 'xdp', insns: assembled(...insns) };
}

describe('programs', () => {
  test.for([0, 2, 0xff, 0x7fffffff, 0xffffffff])('a program that returns %i gives it as retval', (value, ctx) => {
    const object = load(ctx, [xdp('ret', I.mov(0, value), I.exit())]);
    expect(object.run('ret', { data: PACKET })).toEqual({ errno: 0, retval: value, data: hex(PACKET), ctx: '' });
  });

  test('a packet write shows in the output packet and nowhere else', (ctx) => {
    const object = load(ctx, [
      xdp(
        'write',
        I.load(32, 2, 1, 0),
        I.load(32, 3, 1, 4),
        I.movReg(4, 2),
        I.add(4, 16),
        I.ifGreater(4, 3, 2),
        I.store(16, 2, 14, 0xbeef - 0x10000),
        I.mov(0, 2),
        I.mov(0, 2),
        I.exit(),
      ),
    ]);
    const changed = PACKET.slice();
    changed.set([0xef, 0xbe], 14);
    expect(object.run('write', { data: PACKET }).data).toBe(hex(changed));
  });

  test('a refused program comes back with errno and the reason in its log', (ctx) => {
    const object = load(ctx, [xdp('bad', I.exit()), xdp('good', I.mov(0, 1), I.exit())]);
    expect(object.refused.bad?.errno).toBe(-13);
    expect(object.refused.bad?.log).toContain('R0 !read_ok');
    expect(object.programs).toEqual(['good']);
  });

  test('a packet shorter than an Ethernet header is refused with EINVAL', (ctx) => {
    const object = load(ctx, [xdp('ret', I.mov(0, 1), I.exit())]);
    expect(object.run('ret', { data: PACKET.subarray(0, 13) })).toEqual({ errno: -22, retval: 0, data: '', ctx: '' });
  });

  test('a context goes in and comes out', (ctx) => {
    const object = load(ctx, [
      { name: 'mark', type: 'sched_cls', insns: assembled(I.load(32, 0, 1, 8), I.store(32, 1, 8, 77), I.exit()) },
    ]);
    const skb = new Uint8Array(192);
    skb[8] = 5; // mark
    const out = object.run('mark', { data: PACKET, ctx: skb });
    expect(out.retval).toBe(5);
    expect(unhex(out.ctx)[8]).toBe(77);
  });
});

describe('maps', () => {
  const count = (...tail: number[][]) =>
    assembled(
      I.store(32, 10, -4, 1),
      I.map(1, 0),
      I.movReg(2, 10),
      I.add(2, -4),
      I.call(1),
      I.ifZero(0, 2),
      I.mov(1, 1),
      I.atomicAdd(0, 0, 1),
      ...tail,
      I.mov(0, 2),
      I.exit(),
    );
  const array = { name: 'count', type: 'array', keySize: 4, valueSize: 8, maxEntries: 5000 } as const;

  test('three runs count to three in an array; zero elements are left out of the dump', (ctx) => {
    const object = load(ctx, [{ name: 'count', type: 'xdp', insns: count() }], [array]);
    for (let i = 0; i < 3; i++) object.run('count', { data: PACKET });
    object.update('count', Uint8Array.of(0x87, 0x13, 0, 0), Uint8Array.of(9, 0, 0, 0, 0, 0, 0, 0));
    expect(object.dump().count).toEqual({
      type: 'array',
      entries: [
        ['01000000', '0300000000000000'],
        ['87130000', '0900000000000000'],
      ],
    });
  });

  test('per-CPU counts land in the slot of CPU 0, to which the process is pinned', (ctx) => {
    const object = load(ctx, [{ name: 'count', type: 'xdp', insns: count() }], [{ ...array, type: 'percpu_array' }]);
    object.run('count', { data: PACKET, repeat: 4 });
    expect(object.dump().count?.entries).toEqual([['01000000', ['0400000000000000']]]);
  });

  test('a hash is dumped sorted by key, whatever its random seed', (ctx) => {
    const object = load(ctx, [], [{ name: 'h', type: 'hash', keySize: 4, valueSize: 4, maxEntries: 100 }]);
    for (const i of [7, 3, 90, 41]) object.update('h', Uint8Array.of(i, 0, 0, 0), Uint8Array.of(i, 1, 2, 3));
    expect(object.dump().h?.entries.map(([key]) => key)).toEqual(['03000000', '07000000', '29000000', '5a000000']);
    expect(object.delete('h', Uint8Array.of(7, 0, 0, 0))).toBe(0);
    expect(object.delete('h', Uint8Array.of(7, 0, 0, 0))).toBe(-2);
    expect(object.lookup('h', Uint8Array.of(3, 0, 0, 0))).toEqual(Uint8Array.of(3, 1, 2, 3));
  });

  test('a map value reference reads initial data of a frozen map', (ctx) => {
    const object = load(
      ctx,
      [xdp('ro', I.mapValue(1, 0, 4), I.load(32, 0, 1, 0), I.exit())],
      [
        {
          name: 'rodata',
          type: 'array',
          keySize: 4,
          valueSize: 8,
          maxEntries: 1,
          flags: 0x80, // BPF_F_RDONLY_PROG
          initial: Uint8Array.of(1, 0, 0, 0, 0x2a, 0, 0, 0),
          frozen: true,
        },
      ],
    );
    expect(object.run('ro', { data: PACKET }).retval).toBe(42);
    expect(object.update('rodata', new Uint8Array(4), new Uint8Array(8))).toBe(-1);
  });

  test('a queue is dumped in the order of popping', (ctx) => {
    const object = load(ctx, [], [{ name: 'q', type: 'queue', keySize: 0, valueSize: 4, maxEntries: 4 }]);
    for (const i of [5, 6, 7]) expect(object.update('q', undefined, Uint8Array.of(i, 0, 0, 0))).toBe(0);
    expect(object.dump().q?.entries).toEqual([
      ['', '05000000'],
      ['', '06000000'],
      ['', '07000000'],
    ]);
  });

  test('a prog array leads from one program to the other and is dumped by program name', (ctx) => {
    const object = load(
      ctx,
      [xdp('first', I.map(2, 0), I.mov(3, 1), I.call(12), I.mov(0, 7), I.exit()), xdp('second', I.mov(0, 3), I.exit())],
      [{ name: 'jmp', type: 'prog_array', keySize: 4, valueSize: 4, maxEntries: 4 }],
    );
    expect(object.run('first', { data: PACKET }).retval).toBe(7);
    expect(object.setProgram('jmp', 1, 'second')).toBe(0);
    expect(object.run('first', { data: PACKET }).retval).toBe(3);
    expect(object.dump().jmp?.entries).toEqual([['01000000', 'second']]);
  });

  test('an outer map is dumped with the contents of its inner maps', (ctx) => {
    const inner = { name: 'inner', type: 'hash', keySize: 4, valueSize: 4, maxEntries: 4 } as const;
    const object = load(
      ctx,
      [],
      [
        inner,
        {
          name: 'outer',
          type: 'array_of_maps',
          keySize: 4,
          valueSize: 4,
          maxEntries: 3,
          innerMap: inner,
          values: [{ slot: 2, map: 0 }],
        },
      ],
    );
    object.update('inner', Uint8Array.of(1, 0, 0, 0), Uint8Array.of(2, 0, 0, 0));
    expect(object.dump().outer?.entries).toEqual([
      ['02000000', { type: 'inner', entries: [['01000000', '02000000']] }],
    ]);
  });
});

describe('events', () => {
  test('ring buffer records arrive in order, discarded ones do not', (ctx) => {
    const reserve = (value: number, end: number) => [
      I.map(1, 0),
      I.mov(2, 8),
      I.mov(3, 0),
      I.call(131),
      I.ifZero(0, 5),
      I.store(32, 0, 0, value),
      I.store(32, 0, 4, value + 1),
      I.movReg(1, 0),
      I.mov(2, 0),
      I.call(end),
    ];
    const object = load(
      ctx,
      [xdp('ring', ...reserve(1, 132), ...reserve(5, 133), ...reserve(9, 132), I.mov(0, 2), I.exit())],
      [{ name: 'rb', type: 'ringbuf', keySize: 0, valueSize: 0, maxEntries: 4096 }],
    );
    expect(object.refused).toEqual({});
    object.run('ring', { data: PACKET });
    expect(object.dump().rb?.entries).toEqual([
      ['', '0100000002000000'],
      ['', '090000000a000000'],
    ]);
    for (let i = 0; i < 1000; i++) {
      object.run('ring', { data: PACKET });
      expect(object.dump().rb?.entries.length).toBe(2);
    }
  });

  test('perf output carries the bytes and part of the packet, padded to 8 bytes with the length word', (ctx) => {
    const object = load(
      ctx,
      [
        xdp(
          'perf',
          I.store(32, 10, -8, 0x11223344),
          I.store(32, 10, -4, 0x55667788),
          I.map(2, 0),
          // current CPU, 6 bytes of the packet
          I.imm64(3, -1, 6),
          I.movReg(4, 10),
          I.add(4, -8),
          I.mov(5, 8),
          I.call(25),
          I.exit(),
        ),
      ],
      [{ name: 'events', type: 'perf_event_array', keySize: 4, valueSize: 4, maxEntries: 0 }],
    );
    expect(object.refused).toEqual({});
    expect(object.run('perf', { data: PACKET }).retval).toBe(0);
    // 8 + 6 bytes, and 6 bytes of padding: 4 + 20 is a multiple of 8
    expect(object.dump().events?.entries).toEqual([['0', `4433221188776655${'020000000002'}000000000000`]]);
  });

  test('a user ring buffer takes records until it is full', (ctx) => {
    const object = load(
      ctx,
      [xdp('drain', I.map(1, 0), I.mov(0, 1), I.exit())],
      [{ name: 'urb', type: 'user_ringbuf', keySize: 0, valueSize: 0, maxEntries: 4096 }],
    );
    expect(object.pushUserRecord('urb', Uint8Array.of(1, 2, 3))).toBe(true);
    expect(object.pushUserRecord('urb', new Uint8Array(4096 - 16))).toBe(false);
  });
});

describe('what an object needs beside instructions', () => {
  test('kfuncs are found by name in the BTF of the running kernel', (ctx) => {
    if (!available.ok) ctx.skip(`no kernel: ${available.reason}`);
    if (!existsSync('/sys/kernel/btf/vmlinux')) ctx.skip('no /sys/kernel/btf/vmlinux');
    // bpf_xdp_metadata_rx_hash(ctx, &hash, &type) gives -EOPNOTSUPP (-95) where no driver answers
    const spec = rawSpec([
      xdp('rx_hash', I.movReg(2, 10), I.add(2, -4), I.movReg(3, 10), I.add(3, -8), I.kfunc(0), I.exit()),
    ]);
    spec.kfuncs.push({ name: 'bpf_xdp_metadata_rx_hash', weak: false, btfTypeId: 0 });
    const object = new KernelObject(spec);
    onTestFinished(() => object.close());
    expect(object.refused.rx_hash?.log).toMatch(/metadata kfuncs require device-bound program/);
  });

  test('an unknown kfunc is named', (ctx) => {
    if (!available.ok) ctx.skip(`no kernel: ${available.reason}`);
    const spec = rawSpec([xdp('none', I.kfunc(0), I.exit())]);
    spec.kfuncs.push({ name: 'bpf_no_such_kfunc', weak: false, btfTypeId: 0 });
    expect(() => new KernelObject(spec)).toThrow('no kfunc bpf_no_such_kfunc');
  });

  test('a value of one slot goes to every CPU of a per-CPU map', (ctx) => {
    const object = load(ctx, [], [{ name: 'p', type: 'percpu_hash', keySize: 4, valueSize: 4, maxEntries: 4 }]);
    object.update('p', new Uint8Array(4), Uint8Array.of(1, 2, 3, 4));
    const cpus = possibleCpus();
    expect(object.dump().p?.entries).toEqual([['00000000', Array(cpus).fill('01020304')]]);
    expect(object.lookup('p', new Uint8Array(4))).toHaveLength(cpus * 8);
  });

  test('close() gives every file descriptor back', (ctx) => {
    if (!available.ok) ctx.skip(`no kernel: ${available.reason}`);
    const open = () => readdirSync('/proc/self/fd').length;
    const before = open();
    const object = new KernelObject(
      rawSpec(
        [xdp('ret', I.mov(0, 1), I.exit())],
        [
          { name: 'rb', type: 'ringbuf', keySize: 0, valueSize: 0, maxEntries: 4096 },
          { name: 'events', type: 'perf_event_array', keySize: 4, valueSize: 4, maxEntries: 0 },
          { name: 'a', type: 'array', keySize: 4, valueSize: 4, maxEntries: 1 },
        ],
      ),
    );
    expect(open()).toBeGreaterThan(before + 3);
    object.close();
    expect(open()).toBe(before);
  });

  test('a map that the kernel refuses is named with its errno, and nothing stays open', (ctx) => {
    if (!available.ok) ctx.skip(`no kernel: ${available.reason}`);
    const before = readdirSync('/proc/self/fd').length;
    const map = { name: 'big', type: 'array', keySize: 8, valueSize: 4, maxEntries: 1 } as const;
    expect(() => new KernelObject(rawSpec([], [{ ...map, keySize: 4, name: 'ok' }, map]))).toThrow(
      'map big (array): Invalid argument (EINVAL)',
    );
    expect(readdirSync('/proc/self/fd').length).toBe(before);
  });
});
