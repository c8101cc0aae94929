import { describe, expect, test } from 'vitest';
import { requireMap } from '../../src/maps/map-types.ts';
import { Ringbuf, UserRingbuf } from '../../src/maps/ringbuf.ts';
import { HelperBench } from './helper-bench.ts';

const EINVAL = -22;
const EAGAIN = -11;
const E2BIG = -7;
const BUSY = 0x80000000;
const DISCARDED = 0x40000000;

class RingBench extends HelperBench {
  readonly map: Ringbuf;

  constructor(size = 4096) {
    super();
    const attr = { type: 'ringbuf', name: 'events', keySize: 0, valueSize: 0, maxEntries: size };
    this.map = requireMap(this.machine, attr) as Ringbuf;
    expect(this.map).toBeInstanceOf(Ringbuf);
  }

  reserve(size: number, flags = 0): number {
    return this.call('ringbuf_reserve', this.map, size, flags, 0);
  }

  output(size: number, flags = 0): number {
    return this.call('ringbuf_output', this.map, this.room(Math.max(size, 1), 0x41), size, flags, 0);
  }

  submit(sample: number): void {
    this.call('ringbuf_submit', sample, 0);
  }

  query(what: number, hi = 0): bigint {
    return this.call64('ringbuf_query', this.map, what, hi);
  }

  /** Records that user space gets. */
  consume(): number[][] {
    const records: number[][] = [];
    this.map.consume((data) => {
      records.push([...data]);
      return 0;
    });
    return records;
  }
}

describe('ring buffer', () => {
  test('[M-185] a record can fill the ring up to 8 bytes', () => {
    expect(new RingBench().reserve(4088)).toBe(0);
    expect(new RingBench().reserve(4080)).not.toBe(0);
  });

  test('[M-186] with 4080 bytes taken there is no room for a record of nothing', () => {
    const bench = new RingBench();
    bench.submit(bench.reserve(4080));
    expect(bench.output(0)).toBe(EAGAIN);
  });

  test.each([
    [0, 0],
    [1, 0],
    [2, 0],
    [3, 0],
    [4, EINVAL],
  ])('[M-187] output with flags %i gives %i', (flags, ret) => {
    expect(new RingBench().output(8, flags)).toBe(ret);
  });

  test('[M-188] reserve takes no flags', () => {
    expect(new RingBench().reserve(8, 1)).toBe(0);
  });

  test.each([
    [5, 16],
    [0, 8],
    [8, 16],
    [9, 24],
  ])('[M-189] a record of %i bytes takes %i', (size, space) => {
    const bench = new RingBench();
    bench.output(size);
    expect(bench.query(3)).toBe(BigInt(space));
  });

  test('[M-190] the header tells the page: 3 in the first', () => {
    const bench = new RingBench();
    expect(bench.u32(bench.reserve(8) - 4)).toBe(3);
  });

  test('[M-326] the header tells the page: 4 in the second', () => {
    const bench = new RingBench(8192);
    bench.submit(bench.reserve(4088));
    expect(bench.u32(bench.reserve(8) - 4)).toBe(4);
  });

  test('[M-191] a discarded record is marked in its header and not delivered', () => {
    const bench = new RingBench();
    const sample = bench.reserve(16);
    bench.call('ringbuf_discard', sample, 0);
    expect(bench.u32(sample - 8)).toBe(DISCARDED + 16);
    bench.output(1);
    expect(bench.consume()).toEqual([[0x41]]);
  });

  test('[M-192] a reserved record holds back the later ones, and counts as data', () => {
    const bench = new RingBench();
    const sample = bench.reserve(8);
    expect(bench.u32(sample - 8)).toBe(BUSY + 8);
    bench.output(1);
    expect(bench.consume()).toEqual([]);
    expect(bench.query(0)).toBe(32n);
    bench.machine.memory.u8.fill(7, sample, sample + 8);
    bench.submit(sample);
    expect(bench.consume()).toEqual([[7, 7, 7, 7, 7, 7, 7, 7], [0x41]]);
    expect(bench.query(0)).toBe(0n);
  });

  test('[M-193] query answers four questions and 0 to all others', () => {
    const bench = new RingBench();
    bench.output(8);
    bench.consume();
    bench.output(8);
    expect([0, 1, 2, 3, 4, 99].map((what) => bench.query(what))).toEqual([16n, 4096n, 16n, 32n, 0n, 0n]);
    expect(bench.query(1, 1)).toBe(0n);
  });

  test('user space is woken when it has caught up, or as the flags say', () => {
    const bench = new RingBench();
    let woken = 0;
    bench.map.onWakeup = () => woken++;
    const wakeups = (body: () => void) => {
      woken = 0;
      body();
      return woken;
    };
    expect(wakeups(() => bench.output(8))).toBe(1);
    expect(wakeups(() => bench.output(8))).toBe(0);
    expect(wakeups(() => bench.output(8, 2))).toBe(1);
    expect(wakeups(() => bench.call('ringbuf_submit', bench.reserve(8), 2))).toBe(1);
    bench.consume();
    expect(wakeups(() => bench.output(8, 1))).toBe(0);
  });

  test.each(['ringbuf_submit', 'ringbuf_discard'])('%s of something else is a fault that says so', (name) => {
    const bench = new RingBench();
    const sample = bench.reserve(16);
    expect(() => bench.call(name, bench.scratch, 0)).toThrow(/is not a reserved record/);
    expect(() => bench.call(name, sample + 8, 0)).toThrow(/is not a reserved record/);
    bench.submit(sample);
    expect(() => bench.call(name, sample, 0)).toThrow(/is not a reserved record: .*record of/);
  });
});

describe('ring buffer dynptrs', () => {
  const reserve = (bench: RingBench, ptr: number, size: number, flags = 0) =>
    bench.call('ringbuf_reserve_dynptr', bench.map, size, flags, 0, ptr);

  test.each([
    ['[M-194] without room', 4088, 0, EINVAL],
    ['[M-194] above the ring', 8192, 0, EINVAL],
    ['[M-194] with flags', 8, 1, EINVAL],
    ['[M-194] of 16 MiB', 0x1000000, 0, E2BIG],
  ])('%s: refused, and the dynptr is null', (_name, size, flags, ret) => {
    const bench = new RingBench();
    const ptr = bench.room(16, 0x5a);
    expect(reserve(bench, ptr, size, flags)).toBe(ret);
    expect(bench.call('dynptr_is_null', ptr)).toBe(1);
  });

  test.each(['submit', 'discard'])('[M-195] %s of a null dynptr makes no record', (name) => {
    const bench = new RingBench();
    const ptr = bench.room(16);
    reserve(bench, ptr, 8192);
    bench.call(`ringbuf_${name}_dynptr`, ptr, 0);
    expect(bench.query(3)).toBe(0n);
  });

  test('a record is written through its dynptr; adjust does not change its size', () => {
    const bench = new RingBench();
    const ptr = bench.room(16);
    expect(reserve(bench, ptr, 6)).toBe(0);
    expect(bench.call('dynptr_write', ptr, 0, bench.bytes([1, 2, 3, 4, 5, 6]), 6, 0, 0)).toBe(0);
    expect(bench.call('dynptr_write', ptr, 5, bench.bytes([1, 2]), 2, 0, 0)).toBe(E2BIG);
    expect(bench.call('dynptr_write', ptr, 0, bench.bytes([1]), 1, 1, 0)).toBe(EINVAL);
    expect(bench.call('dynptr_data', ptr, 2, 2)).not.toBe(0);
    expect(bench.call('dynptr_adjust', ptr, 2, 3)).toBe(0);
    bench.call('ringbuf_submit_dynptr', ptr, 0);
    expect(bench.call('dynptr_is_null', ptr)).toBe(1);
    expect(bench.consume()).toEqual([[1, 2, 3, 4, 5, 6]]);
  });

  test('a discarded dynptr is not delivered', () => {
    const bench = new RingBench();
    const ptr = bench.room(16);
    reserve(bench, ptr, 6);
    bench.call('ringbuf_discard_dynptr', ptr, 0);
    expect(bench.consume()).toEqual([]);
    expect(bench.query(3)).toBe(16n);
  });
});

class DrainBench extends HelperBench {
  readonly map: UserRingbuf;
  readonly samples: number[][] = [];
  answer: (count: number) => number = () => 0;
  calls = 0;

  constructor(size = 4096) {
    super();
    const attr = { type: 'user_ringbuf', name: 'commands', keySize: 0, valueSize: 0, maxEntries: size };
    this.map = requireMap(this.machine, attr) as UserRingbuf;
    expect(this.map).toBeInstanceOf(UserRingbuf);
    const scratch = this.room(64);
    this.cpu.callback = (_fn, args) => {
      this.calls++;
      if (this.samples.length < 16) {
        const ptr = args[0]![0];
        const size = this.call('dynptr_size', ptr);
        this.call('dynptr_read', scratch, size, ptr, 0, 0, 0);
        this.samples.push(this.read(scratch, size));
      }
      return this.answer(this.calls);
    };
  }

  drain(flags = 0): number {
    return this.call('user_ringbuf_drain', this.map, 12, 0x77, 0, flags, 0);
  }

  /** Writes a header past the last record without moving the producer. */
  header(offset: number, value: number): void {
    this.machine.memory.u32[(this.map.ring.data + offset) >> 2] = value >>> 0;
  }
}

describe('bpf_user_ringbuf_drain', () => {
  test('[M-198] an empty ring makes no call', () => {
    expect(new DrainBench().drain()).toBe(0);
  });

  test('samples come as dynptrs, in order', () => {
    const bench = new DrainBench();
    bench.map.produce(Uint8Array.of(1, 2, 3));
    bench.map.produce(Uint8Array.of(4));
    expect(bench.drain()).toBe(2);
    expect(bench.samples).toEqual([[1, 2, 3], [4]]);
    expect(bench.map.ring.consumer).toBe(32);
  });

  test('[M-199] a discarded sample is passed over and not counted', () => {
    const bench = new DrainBench();
    bench.map.produce(Uint8Array.of(1));
    bench.map.produce(Uint8Array.of(2), DISCARDED);
    bench.map.produce(Uint8Array.of(3));
    expect(bench.drain()).toBe(2);
    expect(bench.samples).toEqual([[1], [3]]);
    expect(bench.map.ring.consumer).toBe(48);
  });

  test('[M-200] a busy sample ends the drain', () => {
    const bench = new DrainBench();
    bench.map.produce(Uint8Array.of(1));
    bench.map.produce(Uint8Array.of(2), BUSY);
    expect(bench.drain()).toBe(1);
    expect(bench.map.ring.consumer).toBe(16);
  });

  test('[M-201] a sample that is busy and discarded is passed over', () => {
    const bench = new DrainBench();
    bench.map.produce(Uint8Array.of(1));
    bench.map.produce(Uint8Array.of(2), BUSY + DISCARDED);
    bench.map.produce(Uint8Array.of(3));
    expect(bench.drain()).toBe(2);
  });

  test.each([
    ['[M-202] a producer position off the grid', 17, 8, EINVAL],
    ['[M-203] a length beyond the producer', 16, 200, EINVAL],
    ['[M-204] a length beyond the ring', 8192, 5000, E2BIG],
  ])('%s is refused', (_name, producer, length, ret) => {
    const bench = new DrainBench();
    bench.map.ring.producer = producer;
    bench.header(0, length);
    expect(bench.drain()).toBe(ret);
    expect(bench.calls).toBe(0);
  });

  test.each([
    [3, 0],
    [4, EINVAL],
  ])('[M-205] flags %i give %i', (flags, ret) => {
    expect(new DrainBench().drain(flags)).toBe(ret);
  });

  test('[M-206] a sample of nothing is delivered; reading a byte of it gives E2BIG', () => {
    const bench = new DrainBench();
    bench.map.produce(new Uint8Array());
    const results: number[] = [];
    const to = bench.room(8);
    bench.cpu.callback = (_fn, [ptr]) => {
      results.push(bench.call('dynptr_read', to, 1, ptr![0], 0, 0, 0), bench.call('dynptr_size', ptr![0]));
      return 0;
    };
    expect(bench.drain()).toBe(1);
    expect(results).toEqual([E2BIG, 0]);
  });

  test('[M-323] one call takes 131072 samples, the next one the rest', () => {
    const bench = new DrainBench(1 << 22);
    for (let i = 0; i < 200_000; i++) bench.map.produce(new Uint8Array(8));
    expect([bench.drain(), bench.drain(), bench.drain()]).toEqual([131_072, 68_928, 0]);
  });

  test('[M-324] discarded samples use up the limit, too', () => {
    const bench = new DrainBench(1 << 22);
    for (let i = 0; i < 200_000; i++) bench.map.produce(new Uint8Array(8), i < 100_000 ? DISCARDED : 0);
    expect(bench.drain()).toBe(31_072);
  });

  test('[M-325] a callback that answers 1 has its sample consumed and counted', () => {
    const bench = new DrainBench();
    for (let i = 0; i < 10; i++) bench.map.produce(Uint8Array.of(i));
    bench.answer = (count) => (count === 3 ? 1 : 0);
    expect(bench.drain()).toBe(3);
    expect(bench.map.ring.consumer).toBe(48);
  });

  test('a drain inside of a drain is busy, and another ring gives dynptrs of its own', () => {
    const bench = new DrainBench();
    const other = requireMap(bench.machine, {
      type: 'user_ringbuf',
      keySize: 0,
      valueSize: 0,
      maxEntries: 4096,
    }) as UserRingbuf;
    bench.map.produce(Uint8Array.of(1));
    other.produce(Uint8Array.of(5, 6));
    const seen: number[] = [];
    bench.cpu.callback = (_fn, [outer]) => {
      seen.push(bench.drain());
      bench.cpu.callback = (_inner, [ptr]) => {
        seen.push(bench.call('dynptr_size', ptr![0]), bench.call('dynptr_size', outer![0]));
        return 0;
      };
      return bench.call('user_ringbuf_drain', other, 12, 0, 0, 0, 0) - 1;
    };
    expect(bench.drain()).toBe(1);
    expect(seen).toEqual([-16, 2, 1]);
  });

  test('a sample may be written to', () => {
    const bench = new DrainBench();
    bench.map.produce(Uint8Array.of(1));
    bench.cpu.callback = (_fn, [ptr]) => bench.call('dynptr_write', ptr![0], 0, bench.bytes([9]), 1, 0, 0);
    expect(bench.drain()).toBe(1);
    expect(bench.read(bench.map.ring.data + 8, 1)).toEqual([9]);
  });
});
