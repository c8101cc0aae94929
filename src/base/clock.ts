/** A scheduled event; `cancel()` before it fires takes it off the queue. */
export interface ScheduledEvent {
  readonly at: number;
  cancel(): boolean;
}

interface QueueEntry {
  at: number;
  order: number;
  run: (() => void) | undefined;
}

/**
 * Virtual time in nanoseconds since the lab's boot, and the event queue on it. Time moves only by `advance` and
 * `runUntil`; events at the same instant fire in the order in which they were scheduled.
 */
export class Clock {
  /** CLOCK_MONOTONIC, ns (exact up to 2^53, 104 days). */
  now: number;
  /** CLOCK_BOOTTIME - CLOCK_MONOTONIC, ns. */
  readonly bootOffset: number;
  /** CLOCK_REALTIME at monotonic 0, ns since 1970. */
  readonly realtimeOffset: bigint;
  /** Length of a tick, ns (HZ 250). */
  readonly tick: number = 4_000_000;

  #heap: QueueEntry[] = [];
  #order = 0;

  constructor({ start = 1_000_000_000, bootOffset = 0, realtime = 1_700_000_000_000_000_000n } = {}) {
    this.now = start;
    this.bootOffset = bootOffset;
    this.realtimeOffset = realtime;
  }

  /** Runs `run` when virtual time reaches `at` (ns, monotonic; the past means "at once, on the next advance"). */
  schedule(at: number, run: () => void): ScheduledEvent {
    const entry: QueueEntry = { at: Math.max(at, this.now), order: this.#order++, run };
    this.#heap.push(entry);
    this.#up(this.#heap.length - 1);
    return {
      at: entry.at,
      cancel: () => {
        const pending = entry.run !== undefined;
        entry.run = undefined;
        return pending;
      },
    };
  }

  /** Moves time forward by `ns`, firing what falls due on the way. */
  advance(ns: number): void {
    this.runUntil(this.now + ns);
  }

  /** Moves time to `at` (never back), firing every event up to and including it. */
  runUntil(at: number): void {
    for (;;) {
      const first = this.#heap[0];
      if (!first || first.at > at) break;
      this.#pop();
      const run = first.run;
      if (!run) continue;
      first.run = undefined;
      if (first.at > this.now) this.now = first.at;
      run();
    }
    if (at > this.now) this.now = at;
  }

  /** Instant of the next event, or undefined when nothing is scheduled. */
  nextEvent(): number | undefined {
    while (this.#heap.length > 0 && this.#heap[0]!.run === undefined) this.#pop();
    return this.#heap[0]?.at;
  }

  #before(a: QueueEntry, b: QueueEntry): boolean {
    return a.at < b.at || (a.at === b.at && a.order < b.order);
  }

  #up(index: number): void {
    const heap = this.#heap;
    let i = index;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!this.#before(heap[i]!, heap[parent]!)) return;
      [heap[i], heap[parent]] = [heap[parent]!, heap[i]!];
      i = parent;
    }
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    heap[0] = last;
    let i = 0;
    for (;;) {
      let least = i;
      for (const child of [2 * i + 1, 2 * i + 2]) {
        if (child < heap.length && this.#before(heap[child]!, heap[least]!)) least = child;
      }
      if (least === i) return;
      [heap[i], heap[least]] = [heap[least]!, heap[i]!];
      i = least;
    }
  }
}
