import { describe, expect, test } from 'vitest';
import { E } from '../../src/base/errno.ts';
import type { PerfRecord } from '../../src/maps/perf-event.ts';
import { openPerfEvent, type PerfEvent, perfEventOutput } from '../../src/maps/perf-event.ts';
import type { Ringbuf, UserRingbuf } from '../../src/maps/ringbuf.ts';
import { BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP } from '../../src/maps/ringbuf.ts';
import { RINGBUF_BUSY, RINGBUF_DISCARD } from '../../src/maps/ringbuf-memory.ts';
import { openMap } from '../../src/maps/syscall.ts';
import { hex, makeMap, staged, testEnv, u32, unhex } from './support/env.ts';

const env = testEnv();
const bytes = { keySize: 0, valueSize: 0 };
const ringbuf = (maxEntries = 4096) => makeMap(env, { type: 'ringbuf', ...bytes, maxEntries }) as Ringbuf;
const userRingbuf = (maxEntries = 4096) => makeMap(env, { type: 'user_ringbuf', ...bytes, maxEntries }) as UserRingbuf;
const data = staged(env, 16384);

function consumed(ring: Ringbuf): string[] {
  const records: string[] = [];
  ring.consume((record) => {
    records.push(hex(record));
    return undefined;
  });
  return records;
}

describe('ring buffers', () => {
  test('[M-185] a record can never fill the ring', () => {
    const ring = ringbuf();
    expect(ring.reserve(4088)).toBe(0);
    expect(ring.reserve(4089)).toBe(0);
    expect(ring.reserve(0x40000000)).toBe(0);
    expect(ring.reserve(4080)).not.toBe(0);
  });

  test('[M-186] a ring that is full up to its last eight bytes takes nothing', () => {
    const ring = ringbuf();
    ring.submit(ring.reserve(4080));
    expect(ring.output(data, 0)).toBe(-E.EAGAIN);
    consumed(ring);
    expect(ring.output(data, 0)).toBe(0);
  });

  test('[M-187] [M-188] flags of output and reserve', () => {
    const ring = ringbuf();
    expect(ring.output(data, 8, 4)).toBe(-E.EINVAL);
    expect(ring.output(data, 8, 0, 1)).toBe(-E.EINVAL);
    expect(ring.output(data, 8, 3)).toBe(0);
    expect(ring.reserve(8, 1)).toBe(0);
    expect(ring.reserve(8, 0, 1)).toBe(0);
    expect(ring.reserve(8, 0)).not.toBe(0);
  });

  test('[M-189] records take their length and header, rounded up to eight', () => {
    const ring = ringbuf();
    const ends = [5, 0, 8, 9].map((size) => {
      ring.output(data, size);
      return ring.query(3);
    });
    expect(ends).toEqual([16, 24, 40, 64]);
  });

  test('[M-190] [M-326] a header says on which page of the ring object it stands', () => {
    const ring = ringbuf(8192);
    const first = ring.reserve(4088);
    const second = ring.reserve(16);
    expect([first, second].map((at) => env.memory.u32[(at - 4) >> 2])).toEqual([3, 4]);
  });

  test('[M-191] [M-192] a consumer stops at a busy record and skips discarded ones', () => {
    const ring = ringbuf();
    const busy = ring.reserve(16);
    env.memory.write(data, unhex('aabbccdd'));
    ring.output(data, 4);
    expect(env.memory.u32[(busy - 8) >> 2]).toBe(RINGBUF_BUSY + 16);
    expect(ring.query(0)).toBe(40);
    expect([consumed(ring), ring.readable]).toEqual([[], true]);
    ring.discard(busy);
    expect(env.memory.u32[(busy - 8) >> 2]).toBe(0x40000010);
    expect(consumed(ring)).toEqual(['aabbccdd']);
    expect([ring.query(0), ring.query(2), ring.readable]).toEqual([0, 40, false]);
  });

  test('[M-193] a query of anything else is 0', () => {
    const ring = ringbuf();
    ring.output(data, 8);
    expect([0, 1, 2, 3, 4, 99].map((what) => ring.query(what))).toEqual([16, 4096, 0, 16, 0, 0]);
  });

  test('an old record that is not committed holds the ring, even when the consumer has moved on', () => {
    const ring = ringbuf();
    const old = ring.reserve(1000);
    for (let i = 0; i < 3; i++) expect(ring.output(data, 1000)).toBe(0);
    ring.ring.consumer = 3024;
    expect(ring.output(data, 1000)).toBe(-E.EAGAIN);
    ring.submit(old);
    expect(ring.output(data, 1000)).toBe(0);
  });

  test('records that run past the end come out whole, for thousands of laps', () => {
    const ring = ringbuf();
    for (let n = 0; n < 3000; n++) {
      const size = 1 + ((n * 37) % 1500);
      const at = ring.reserve(size);
      expect(at).not.toBe(0);
      env.memory.u8.fill(n & 0xff, at, at + size);
      ring.submit(at);
      expect(consumed(ring)).toEqual([hex(new Uint8Array(size).fill(n & 0xff))]);
    }
    expect(ring.query(3)).toBeGreaterThan(2_000_000);
  });

  test('reserved memory holds what was there before, also past the end of the ring', () => {
    const ring = ringbuf();
    env.memory.u8.fill(0xaa, data, data + 4000);
    ring.output(data, 4000);
    consumed(ring);
    const at = ring.reserve(200);
    expect(hex(env.memory.read(at, 200))).toBe(`${'00'.repeat(80)}a00f000003000000${'aa'.repeat(112)}`);
  });

  test('a callback that answers less than 0 ends the reading after its record', () => {
    const ring = ringbuf();
    for (let n = 0; n < 3; n++) ring.output(data, 8);
    expect(ring.consume(() => -7)).toBe(-7);
    expect(ring.consume(() => undefined)).toBe(2);
  });

  test('the consumer is woken when it has caught up, or when it is forced', () => {
    const ring = ringbuf();
    let woken = 0;
    ring.onWakeup = () => {
      woken++;
    };
    const output = (flags: number) => {
      ring.output(data, 8, flags);
      return woken;
    };
    expect([0, 0, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP, 3].map(output)).toEqual([1, 1, 2, 2, 3]);
    consumed(ring);
    expect([BPF_RB_NO_WAKEUP, 0].map(output)).toEqual([3, 3]);
  });

  test('[M-196] user space may write the consumer position only', () => {
    const fd = openMap(env, ringbuf());
    const errno = (offset: number, length: number, write = true) => {
      const mapping = fd.mmap(offset, length, { write });
      return typeof mapping === 'number' ? mapping : 0;
    };
    expect(errno(0, 4096)).toBe(0);
    expect(errno(0, 8192)).toBe(-E.EPERM);
    expect(errno(4096, 4096)).toBe(-E.EPERM);
    expect(errno(8192, 4096)).toBe(-E.EPERM);
    expect(errno(4096, 12288, false)).toBe(0);
    expect(errno(4096, 16384, false)).toBe(-E.EINVAL);
  });

  test('the mapping shows positions and records as they are', () => {
    const ring = ringbuf();
    const fd = openMap(env, ring);
    const map = (offset: number, write: boolean) => (fd.mmap(offset, 4096, { write }) as { bytes: Uint8Array }).bytes;
    env.memory.write(data, unhex('0102030405060708'));
    ring.output(data, 8);
    expect(hex(map(4096, false).subarray(0, 8))).toBe('1000000000000000');
    expect(hex(map(8192, false).subarray(0, 16))).toBe('08000000030000000102030405060708');
    map(0, true)[0] = 16;
    expect(ring.query(2)).toBe(16);
  });

  test('programs can write a record but not the positions', () => {
    const ring = ringbuf();
    const at = ring.reserve(16);
    expect(env.memory.accessible(at, 16, true)).toBe(true);
    expect(env.memory.accessible(ring.ring.data - 1, 1, false)).toBe(false);
  });
});

describe('user ring buffers', () => {
  const good = new Uint8Array(8);

  test('[M-197] user space may write everything but the consumer position', () => {
    const fd = openMap(env, userRingbuf());
    const errno = (offset: number, write: boolean) => {
      const mapping = fd.mmap(offset, 4096, { write });
      return typeof mapping === 'number' ? mapping : 0;
    };
    expect([errno(0, true), errno(0, false), errno(4096, true), errno(8192, true)]).toEqual([-E.EPERM, 0, 0, 0]);
  });

  test('[M-198] [M-205] draining nothing is 0, unknown flags are EINVAL', () => {
    const ring = userRingbuf();
    expect(ring.drain(() => 0)).toBe(0);
    expect(ring.drain(() => 0, 4)).toBe(-E.EINVAL);
    expect(ring.drain(() => 0, 3)).toBe(0);
  });

  test('[M-199] discarded samples are passed over', () => {
    const ring = userRingbuf();
    for (const flags of [0, RINGBUF_DISCARD, 0]) ring.produce(good, flags);
    expect([ring.drain(() => 0), ring.ring.consumer]).toEqual([2, 48]);
  });

  test('[M-200] a busy sample ends the drain', () => {
    const ring = userRingbuf();
    for (const flags of [0, RINGBUF_BUSY, 0]) ring.produce(good, flags);
    expect([ring.drain(() => 0), ring.ring.consumer]).toEqual([1, 16]);
  });

  test('[M-201] busy and discarded is discarded', () => {
    const ring = userRingbuf();
    for (const flags of [0, RINGBUF_BUSY + RINGBUF_DISCARD, 0]) ring.produce(good, flags);
    expect(ring.drain(() => 0)).toBe(2);
  });

  test('[M-202] [M-203] [M-204] positions and lengths that cannot be', () => {
    const ring = userRingbuf();
    let calls = 0;
    const header = (length: number, producer: number) => {
      calls = 0;
      ring.ring.consumer = 0;
      ring.ring.producer = producer;
      env.memory.u32[ring.ring.data >> 2] = length;
      return ring.drain(() => {
        calls++;
        return 0;
      });
    };
    expect([header(8, 17), calls]).toEqual([-E.EINVAL, 0]);
    expect(header(200, 16)).toBe(-E.EINVAL);
    expect(header(5000, 8192)).toBe(-E.E2BIG);
    expect(header(8, 16)).toBe(1);
  });

  test('an error keeps what was consumed before it', () => {
    const ring = userRingbuf();
    ring.produce(good);
    ring.produce(good);
    env.memory.u32[(ring.ring.data + 16) >> 2] = 4000;
    expect([ring.drain(() => 0), ring.ring.consumer]).toEqual([-E.EINVAL, 16]);
  });

  test('[M-206] an empty sample is a sample', () => {
    const ring = userRingbuf();
    ring.produce(new Uint8Array(0));
    const sizes: number[] = [];
    expect(ring.drain((_at, size) => sizes.push(size) - 1)).toBe(1);
    expect(sizes).toEqual([0]);
  });

  test('[M-323] [M-324] a drain looks at 131072 samples, discarded ones included', () => {
    const ring = userRingbuf(4 << 20);
    for (let n = 0; n < 200_000; n++) ring.produce(good);
    expect([ring.drain(() => 0), ring.drain(() => 0)]).toEqual([131072, 68928]);
    for (let n = 0; n < 200_000; n++) ring.produce(good, n < 100_000 ? RINGBUF_DISCARD : 0);
    expect(ring.drain(() => 0)).toBe(31072);
  });

  test('[M-325] a callback that answers 1 ends the drain after its sample', () => {
    const ring = userRingbuf();
    for (let n = 0; n < 10; n++) ring.produce(good);
    let calls = 0;
    expect(ring.drain(() => (++calls === 3 ? 1 : 0))).toBe(3);
    expect(ring.ring.consumer).toBe(48);
  });

  test('a drain inside of a drain is EBUSY', () => {
    const ring = userRingbuf();
    ring.produce(good);
    let inner = 0;
    ring.drain(() => {
      inner = ring.drain(() => 0);
      return 0;
    });
    expect(inner).toBe(-E.EBUSY);
    expect(ring.drain(() => 0)).toBe(0);
  });

  test('producers learn that they must wait, or that they never will get room', () => {
    const ring = userRingbuf();
    expect(ring.produce(new Uint8Array(4089))).toBe(-E.E2BIG);
    expect(ring.produce(new Uint8Array(4088))).toBe(0);
    expect([ring.produce(good), ring.writable]).toEqual([-E.ENOSPC, false]);
    ring.drain(() => 0);
    expect([ring.produce(good), ring.writable]).toEqual([0, true]);
  });

  test('samples that run past the end arrive whole', () => {
    const ring = userRingbuf();
    for (let n = 0; n < 500; n++) {
      const sample = new Uint8Array(1 + ((n * 53) % 900)).fill(n & 0xff);
      expect(ring.produce(sample)).toBe(0);
      const got: Uint8Array[] = [];
      ring.drain((at, size) => got.push(env.memory.read(at, size)) && 0);
      expect(got).toEqual([sample]);
    }
  });
});

describe('perf output', () => {
  const packet = (length: number) => ({
    length,
    copyOut: (offset: number, to: number, size: number) => env.memory.u8.fill(0xee, to + offset, to + offset + size),
  });
  function slots() {
    const map = makeMap(env, { type: 'perf_event_array', valueSize: 4, maxEntries: 2 });
    const { fd, event } = openPerfEvent(env, { cpu: 0, pages: 8 });
    openMap(env, map).update(u32(0), u32(fd));
    return { map: map as Parameters<typeof perfEventOutput>[0], event };
  }
  const CURRENT = -1;

  test('[M-207] unknown flags are EINVAL', () => {
    const { map } = slots();
    expect(perfEventOutput(map, 0, CURRENT, 1 << 20, data, 8)).toBe(-E.EINVAL);
    expect(perfEventOutput(map, 0, CURRENT, 0, data, 8)).toBe(0);
  });

  test('[M-208] more bytes than the packet has are EFAULT, whatever the slot holds', () => {
    const { map } = slots();
    for (const index of [CURRENT, 1, 99]) {
      expect(perfEventOutput(map, 0, index, 65, data, 8, packet(64))).toBe(-E.EFAULT);
    }
    expect(perfEventOutput(map, 0, CURRENT, 64, data, 8, packet(64))).toBe(0);
    expect(perfEventOutput(map, 0, CURRENT, 1, data, 8)).toBe(-E.EFAULT);
  });

  test("[M-209] [M-210] [M-211] beyond the map, an empty slot, another CPU's event", () => {
    const { map } = slots();
    expect(perfEventOutput(map, 0, 2, 0, data, 8)).toBe(-E.E2BIG);
    expect(perfEventOutput(map, 1, CURRENT, 0, data, 8)).toBe(-E.ENOENT);
    expect(perfEventOutput(map, 1, 0, 0, data, 8)).toBe(-E.EOPNOTSUPP);
  });

  test('[M-212] [M-213] events of another kind, without a ring, or full', () => {
    const { map, event } = slots();
    const fd = openMap(env, map);
    const put = (options: ConstructorParameters<typeof PerfEvent>[1]) =>
      fd.update(u32(1), u32(openPerfEvent(env, options).fd));
    put({ cpu: 0, counter: 'other' });
    expect(perfEventOutput(map, 0, 1, 0, data, 8)).toBe(-E.EINVAL);
    put({ cpu: 0, pages: 0 });
    expect(perfEventOutput(map, 0, 1, 0, data, 8)).toBe(-E.ENOSPC);
    let samples = 0;
    while (perfEventOutput(map, 0, 0, 0, data, 4084) === 0) samples++;
    expect([samples, event.lost]).toEqual([7, 1]);
    expect(perfEventOutput(map, 0, 0, 0, data, 32768)).toBe(-E.ENOSPC);
  });

  test.each([
    [0, 0, 4, 16],
    [3, 10, 20, 32],
    [5, 0, 12, 24],
    [8, 0, 12, 24],
    [12, 0, 12, 24],
    [3, 64, 68, 80],
    [8192, 0, 8196, 8208],
  ])(
    '[M-214] [M-215] %d bytes and %d of the packet: raw_size %d, header.size %d, padding zero',
    (size, n, raw, total) => {
      const { map, event } = slots();
      env.memory.u8.fill(0xdd, data, data + 10000);
      // An earlier sample leaves nothing in the padding of the next.
      expect(perfEventOutput(map, 0, CURRENT, 0, data, 9988)).toBe(0);
      event.consume(() => undefined);
      const start = event.head;
      expect(perfEventOutput(map, 0, CURRENT, n, data, size, packet(n))).toBe(0);
      const at = event.ring + 4096 + start;
      expect(hex(env.memory.read(at, 12))).toBe(
        hex(Uint8Array.from([...u32(9), 1, 0, total & 255, total >> 8, ...u32(raw)])),
      );
      expect(event.head).toBe(start + total);
      const records: PerfRecord[] = [];
      expect(event.consume((record) => records.push(record))).toBe(1);
      const wanted = new Uint8Array(raw).fill(0xdd, 0, size).fill(0xee, size, size + n);
      expect(records).toEqual([{ kind: 'sample', data: wanted }]);
      expect(event.tail).toBe(start + total);
    },
  );

  test('lost samples are told before the next one that fits', () => {
    const { map, event } = slots();
    for (let n = 0; n < 10; n++) perfEventOutput(map, 0, 0, 0, data, 4084);
    event.consume(() => undefined);
    expect(perfEventOutput(map, 0, 0, 0, data, 4)).toBe(0);
    const records: PerfRecord[] = [];
    event.consume((record) => records.push(record));
    expect(records[0]).toEqual({ kind: 'lost', lost: 3 });
    expect(records[1]).toMatchObject({ kind: 'sample' });
    expect(event.lost).toBe(3);
  });

  test('a sample waits until the lost record fits with it', () => {
    const { map, event } = slots();
    for (let n = 0; n < 7; n++) expect(perfEventOutput(map, 0, 0, 0, data, 4084)).toBe(0);
    expect(perfEventOutput(map, 0, 0, 0, data, 4076)).toBe(0);
    expect(perfEventOutput(map, 0, 0, 0, data, 4076)).toBe(-E.ENOSPC);
    env.memory.u32[(event.ring + 1032) >> 2] = 4096;
    // 4104 bytes are free: the sample alone would fit.
    expect(perfEventOutput(map, 0, 0, 0, data, 4068)).toBe(-E.ENOSPC);
    expect(perfEventOutput(map, 0, 0, 0, data, 4060)).toBe(0);
  });

  test('samples wrap, for many laps', () => {
    const { map, event } = slots();
    for (let n = 0; n < 2000; n++) {
      env.memory.u8.fill(n & 0xff, data, data + 1000);
      perfEventOutput(map, 0, 0, 0, data, 1 + (n % 1000));
      const records: PerfRecord[] = [];
      event.consume((record) => records.push(record));
      expect(records[0]).toMatchObject({ kind: 'sample' });
      const got = (records[0] as { data: Uint8Array }).data.subarray(0, 1 + (n % 1000));
      expect(got.every((byte) => byte === (n & 0xff))).toBe(true);
    }
  });

  test('a ring of no power of two, or a CPU that is not there, is a mistake with a clear text', () => {
    expect(() => openPerfEvent(env, { cpu: 0, pages: 3 })).toThrow(/3 pages.*power of two/);
    expect(() => openPerfEvent(env, { cpu: 2 })).toThrow(/CPU 2.*there are 2/);
  });
});
