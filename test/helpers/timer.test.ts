import { describe, expect, test } from 'vitest';
import type { BpfMap, MapAttr } from '../../src/maps/map.ts';
import { requireMap } from '../../src/maps/map-types.ts';
import { HelperBench } from './helper-bench.ts';

const EINVAL = -22;
const EBUSY = -16;
const EPERM = -1;
const EDEADLK = -35;
const MS = 1_000_000;

interface Run {
  /** ns after the start. */
  readonly at: number;
  readonly fn: number;
  readonly key: number;
  readonly value: number;
}

/** A map whose values hold a number and a timer; the timer of key 3 is the one under test. */
class TimerBench extends HelperBench {
  readonly map: BpfMap;
  readonly fd: number;
  readonly start0: number;
  readonly runs: Run[] = [];
  inCallback: (() => void) | undefined;
  readonly key = this.u32s(3);

  constructor(type = 'hash', attr: Partial<MapAttr> = {}) {
    super();
    this.map = requireMap(this.machine, {
      type,
      name: 'timers',
      keySize: 4,
      valueSize: 24,
      maxEntries: 4,
      fields: { timer: 8 },
      btf: { key: true, value: true },
      ...attr,
    });
    this.fd = this.machine.fds.open(this.map);
    this.start0 = this.machine.clock.now;
    this.cpu.callback = (fn, args) => {
      expect(args).toHaveLength(3);
      expect(args[0]).toEqual([this.map.handle, 0]);
      this.runs.push({
        at: this.machine.clock.now - this.start0,
        fn,
        key: this.u32(args[1]![0]),
        value: args[2]![0],
      });
      this.inCallback?.();
      return 0;
    };
    this.put();
  }

  /** Inserts or replaces the element. */
  put(): number {
    return this.call('map_update_elem', this.map, this.key, this.room(24), 0, 0);
  }

  get value(): number {
    return this.call('map_lookup_elem', this.map, this.key);
  }

  get timer(): number {
    return this.value + 8;
  }

  init(flags = 1, flagsHi = 0): number {
    return this.call('timer_init', this.timer, this.map, flags, flagsHi);
  }

  setCallback(fn = 55): number {
    return this.call('timer_set_callback', this.timer, fn);
  }

  start(ns: number, flags = 0): number {
    return this.call('timer_start', this.timer, ns | 0, Math.floor(ns / 2 ** 32), flags, 0);
  }

  cancel(): number {
    return this.call('timer_cancel', this.timer);
  }

  /** Initialised, with a callback, and armed. */
  armed(ns: number, flags = 0): this {
    expect([this.init(), this.setCallback(), this.start(ns, flags)]).toEqual([0, 0, 0]);
    return this;
  }
}

describe('timers', () => {
  test('[M-224] nothing works before init', () => {
    const bench = new TimerBench();
    expect([bench.setCallback(), bench.start(1), bench.cancel()]).toEqual([EINVAL, EINVAL, EINVAL]);
  });

  test.each([
    [0, 0],
    [1, 0],
    [7, 0],
    [2, EINVAL],
    [4, EINVAL],
    [11, EINVAL],
    [16, EINVAL],
    [17, EINVAL],
  ])('[M-225] init with clock and flags %i gives %i', (flags, ret) => {
    expect(new TimerBench().init(flags)).toBe(ret);
  });

  test('[M-225] init looks at all 64 bits of the flags', () => {
    expect(new TimerBench().init(1, 1)).toBe(EINVAL);
  });

  test('[M-226] a second init is refused', () => {
    const bench = new TimerBench();
    expect([bench.init(), bench.init(), bench.init(0)]).toEqual([0, EBUSY, EBUSY]);
  });

  test('[M-227] init needs a user who holds the map', () => {
    const bench = new TimerBench();
    bench.machine.fds.close(bench.fd);
    expect([bench.init(), bench.setCallback()]).toEqual([EPERM, EINVAL]);
  });

  test('[M-228] start needs a callback', () => {
    const bench = new TimerBench();
    bench.init();
    expect(bench.start(1)).toBe(EINVAL);
  });

  test.each([
    [1, 0],
    [2, 0],
    [3, 0],
    [4, EINVAL],
    [8, EINVAL],
  ])('[M-229] start with flags %i gives %i', (flags, ret) => {
    const bench = new TimerBench();
    bench.init();
    bench.setCallback();
    expect(bench.start(1, flags)).toBe(ret);
  });

  test.each(['hash', 'array', 'lru_hash'])('%s: fires once, with map, key and value', (type) => {
    const bench = new TimerBench(type).armed(5 * MS);
    bench.machine.clock.advance(5 * MS - 1);
    expect(bench.runs).toEqual([]);
    bench.machine.clock.advance(1);
    bench.machine.clock.advance(100 * MS);
    expect(bench.runs).toEqual([{ at: 5 * MS, fn: 55, key: 3, value: bench.value }]);
  });

  test('a start of an armed timer moves it', () => {
    const bench = new TimerBench().armed(5 * MS);
    bench.start(9 * MS);
    bench.machine.clock.advance(20 * MS);
    expect(bench.runs.map((run) => run.at)).toEqual([9 * MS]);
  });

  test('absolute times are those of the timer’s clock', () => {
    const bench = new TimerBench().armed(1_000_000_000 + 7 * MS, 1);
    bench.machine.clock.advance(20 * MS);
    expect(bench.runs.map((run) => run.at)).toEqual([7 * MS]);
  });

  test('an absolute time in the past fires at once', () => {
    const bench = new TimerBench().armed(5, 1);
    bench.machine.clock.advance(0);
    expect(bench.runs.map((run) => run.at)).toEqual([0]);
  });

  test('[M-230] cancel says whether the timer was armed', () => {
    const bench = new TimerBench().armed(5 * MS);
    expect([bench.cancel(), bench.cancel()]).toEqual([1, 0]);
    bench.machine.clock.advance(10 * MS);
    expect(bench.runs).toEqual([]);
  });

  test('[M-231] a cancelled timer needs its callback again', () => {
    const bench = new TimerBench().armed(5 * MS);
    bench.cancel();
    expect(bench.start(1)).toBe(EINVAL);
    expect([bench.setCallback(56), bench.start(1)]).toEqual([0, 0]);
    bench.machine.clock.advance(1);
    expect(bench.runs.map((run) => run.fn)).toEqual([56]);
  });

  test('[M-232] a callback cannot cancel its own timer', () => {
    const bench = new TimerBench().armed(1);
    const results: number[] = [];
    bench.inCallback = () => results.push(bench.cancel());
    bench.machine.clock.advance(1);
    expect(results).toEqual([EDEADLK]);
    expect(bench.start(1)).toBe(0);
  });

  test('[M-233] a replaced element has a new timer, which must be initialised', () => {
    const bench = new TimerBench().armed(5 * MS);
    bench.put();
    expect(bench.cancel()).toBe(EINVAL);
    bench.machine.clock.advance(10 * MS);
    expect(bench.runs).toEqual([]);
    expect(bench.init()).toBe(0);
  });

  test('an array element that is overwritten loses its timer, too', () => {
    const bench = new TimerBench('array').armed(5 * MS);
    bench.put();
    expect(bench.cancel()).toBe(EINVAL);
    bench.machine.clock.advance(10 * MS);
    expect(bench.runs).toEqual([]);
  });

  test('a deleted element takes its timer along, also from its own callback', () => {
    const bench = new TimerBench().armed(5 * MS);
    bench.inCallback = () => bench.call('map_delete_elem', bench.map, bench.key);
    bench.machine.clock.advance(10 * MS);
    expect(bench.runs).toHaveLength(1);
    expect(bench.value).toBe(0);
    bench.put();
    expect(bench.init()).toBe(0);
  });

  test('[M-236] a callback that arms the timer four times again runs five times', () => {
    const bench = new TimerBench().armed(MS);
    bench.inCallback = () => {
      if (bench.runs.length < 5) expect(bench.start(MS)).toBe(0);
    };
    bench.machine.clock.advance(100 * MS);
    expect(bench.runs.map((run) => run.at)).toEqual([1, 2, 3, 4, 5].map((ms) => ms * MS));
  });

  test('[M-305] when the last user lets go of the map, its timers never fire', () => {
    const bench = new TimerBench().armed(MS);
    bench.machine.fds.close(bench.fd);
    bench.machine.clock.advance(10 * MS);
    expect(bench.runs).toEqual([]);
    bench.machine.fds.open(bench.map);
    expect(bench.cancel()).toBe(EINVAL);
  });

  test('the callback runs as the program that set it, without a packet', () => {
    const bench = new TimerBench();
    const program = { name: 'first' } as never;
    bench.cpu.program = program;
    bench.armed(MS);
    bench.cpu.program = { name: 'second' } as never;
    let seen: unknown;
    bench.inCallback = () => {
      seen = [bench.cpu.program, bench.cpu.packet];
    };
    bench.machine.clock.advance(MS);
    expect(seen).toEqual([program, undefined]);
    expect(bench.cpu.program).toEqual({ name: 'second' });
  });
});

describe('work queues', () => {
  test('run once at the next occasion', () => {
    const bench = new TimerBench('hash', { fields: { workqueue: 8 } });
    expect(bench.call('wq_start', bench.timer, 0)).toBe(EINVAL);
    expect(bench.call('wq_init', bench.timer, bench.map, 1)).toBe(EINVAL);
    expect(bench.call('wq_init', bench.timer, bench.map, 0)).toBe(0);
    expect(bench.call('wq_set_callback_impl', bench.timer, 8, 0, 0, 0)).toBe(0);
    expect(bench.call('wq_start', bench.timer, 0)).toBe(0);
    expect(bench.runs).toEqual([]);
    bench.machine.clock.advance(0);
    expect(bench.runs).toEqual([{ at: 0, fn: 8, key: 3, value: bench.value }]);
  });
});
