import { describe, expect, test } from 'vitest';
import type { BpfMap } from '../../src/maps/map.ts';
import { requireMap } from '../../src/maps/map-types.ts';
import { openPerfEvent, type PerfEvent, type PerfEventOptions, type PerfRecord } from '../../src/maps/perf-event.ts';
import { HelperBench } from './helper-bench.ts';

const EINVAL = -22;
const E2BIG = -7;
const ENOENT = -2;
const ENOSPC = -28;
const EFAULT = -14;
const EOPNOTSUPP = -95;
const CURRENT_CPU = -1;

/** A perf_event_array of two slots, and a packet of 64 bytes that count up from 1. */
class PerfBench extends HelperBench {
  readonly map: BpfMap;

  constructor() {
    super();
    this.map = requireMap(this.machine, { type: 'perf_event_array', keySize: 4, valueSize: 4, maxEntries: 2 });
    const packet = this.bytes(Array.from({ length: 64 }, (_, i) => i + 1));
    this.cpu.packet = {
      length: 64,
      copyOut: (offset, to, size) => this.machine.memory.u8.copyWithin(to, packet + offset, packet + offset + size),
      copyIn: () => {},
      contiguous: () => 0,
    };
  }

  install(slot: number, options: PerfEventOptions): PerfEvent {
    const { fd, event } = openPerfEvent(this.machine, options);
    const u32 = (value: number) => new Uint8Array(Uint32Array.of(value).buffer);
    expect(this.map.sys.update(u32(slot), u32(fd), 0n)).toBe(0);
    return event;
  }

  output(size: number, flags: number, flagsHi = 0): number {
    return this.call('perf_event_output', 0, this.map, flags, flagsHi, this.room(Math.max(size, 1), 0xee), size);
  }
}

function records(event: PerfEvent): PerfRecord[] {
  const list: PerfRecord[] = [];
  event.consume((record) => list.push(record));
  return list;
}

describe('bpf_perf_event_output', () => {
  test('[M-207] a flag above the length is refused', () => {
    expect(new PerfBench().output(8, 0, 1 << 20)).toBe(EINVAL);
  });

  test('[M-208] more bytes than the packet has fault, before the slot is looked at', () => {
    const bench = new PerfBench();
    expect(bench.output(8, 0, 65)).toBe(EFAULT);
    bench.install(0, { cpu: 0 });
    expect(bench.output(8, 0, 65)).toBe(EFAULT);
    expect(bench.output(8, 0, 64)).toBe(0);
  });

  test('without a packet, asking for its bytes is refused', () => {
    const bench = new PerfBench();
    bench.install(0, { cpu: 0 });
    bench.cpu.packet = undefined;
    expect(bench.output(8, 0, 1)).toBe(EINVAL);
    expect(bench.output(8, 0)).toBe(0);
  });

  test('[M-209] an index past the slots is refused', () => {
    expect(new PerfBench().output(8, 2)).toBe(E2BIG);
  });

  test('[M-210] an empty slot has nothing to write to', () => {
    expect(new PerfBench().output(8, 1)).toBe(ENOENT);
    expect(new PerfBench().output(8, CURRENT_CPU)).toBe(ENOENT);
  });

  test('[M-211] the event of another CPU is refused', () => {
    const bench = new PerfBench();
    bench.install(0, { cpu: 1 });
    expect(bench.output(8, 0)).toBe(EOPNOTSUPP);
  });

  test('[M-212] an event that is not for BPF output is refused', () => {
    const bench = new PerfBench();
    bench.install(0, { cpu: 0, counter: 'other' });
    expect(bench.output(8, 0)).toBe(EINVAL);
  });

  test('[M-213] an event without a ring, and a full ring, have no room', () => {
    const bench = new PerfBench();
    bench.install(0, { cpu: 0, pages: 0 });
    expect(bench.output(8, 0)).toBe(ENOSPC);
    const event = bench.install(0, { cpu: 0, pages: 1 });
    let written = 0;
    while (written < 100 && bench.output(500, 0) === 0) written++;
    expect(written).toBeGreaterThan(5);
    expect(bench.output(500, 0)).toBe(ENOSPC);
    expect(records(event)).toHaveLength(written);
    expect(bench.output(8, 0)).toBe(0);
    expect(records(event).map((record) => record.kind)).toEqual(['lost', 'sample']);
  });

  test('[M-214] packet bytes follow the data, then zeros', () => {
    const bench = new PerfBench();
    const event = bench.install(0, { cpu: 0 });
    expect(bench.output(3, CURRENT_CPU, 10)).toBe(0);
    expect(event.head).toBe(32);
    const [record] = records(event);
    expect(record).toEqual({
      kind: 'sample',
      data: Uint8Array.from([0xee, 0xee, 0xee, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 0, 0, 0, 0, 0, 0]),
    });
  });

  test.each([
    [0, 4, 16],
    [5, 12, 24],
    [8, 12, 24],
    [12, 12, 24],
    [8192, 8196, 8208],
  ])('[M-215] %i bytes make a raw size of %i and a record of %i', (size, raw, total) => {
    const bench = new PerfBench();
    const event = bench.install(0, { cpu: 0 });
    expect(bench.output(size, 0)).toBe(0);
    expect(event.head).toBe(total);
    const [record] = records(event);
    expect(record?.kind === 'sample' && record.data.length).toBe(raw);
  });
});

describe('perf counters', () => {
  const read = (bench: PerfBench, flags: number, flagsHi = 0) =>
    BigInt.asIntN(64, bench.call64('perf_event_read', bench.map, flags, flagsHi));

  test('[M-216] flags above the index are refused', () => {
    expect(read(new PerfBench(), 0, 1)).toBe(-22n);
  });

  test('a slot that does not exist, an empty one, another CPU’s, and one of this CPU', () => {
    const bench = new PerfBench();
    bench.install(1, { cpu: 1 });
    expect([read(bench, 2), read(bench, 0), read(bench, 1), read(bench, CURRENT_CPU)]).toEqual([-7n, -2n, -22n, -2n]);
    bench.install(0, { cpu: 0 });
    expect(read(bench, CURRENT_CPU)).toBe(0n);
  });

  test.each([
    ['[M-217] another size is refused', 16, 0, EINVAL],
    ['an empty slot is refused', 24, 1, ENOENT],
    ['a counter is read', 24, 0, 0],
  ])('read_value: %s, and the buffer is zeroed', (_name, size, flags, ret) => {
    const bench = new PerfBench();
    bench.install(0, { cpu: 0 });
    const to = bench.room(32, 0x5a);
    expect(bench.call('perf_event_read_value', bench.map, flags, 0, to, size)).toBe(ret);
    expect(bench.read(to, size + 1)).toEqual([...new Array(size).fill(0), 0x5a]);
  });
});

describe('bpf_current_task_under_cgroup', () => {
  test('[M-111] a filled slot, an empty one, and none', () => {
    const bench = new HelperBench();
    const map = requireMap(bench.machine, { type: 'cgroup_array', keySize: 4, valueSize: 4, maxEntries: 2 });
    const u32 = (value: number) => new Uint8Array(Uint32Array.of(value).buffer);
    expect(map.sys.update(u32(1), u32(bench.machine.fds.open({ kind: 'cgroup' })), 0n)).toBe(0);
    const under = (index: number) => bench.call('current_task_under_cgroup', map, index);
    expect([under(1), under(0), under(2), under(-1)]).toEqual([0, -11, E2BIG, E2BIG]);
  });
});
