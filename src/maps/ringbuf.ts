// hot: reserve, commit, output
import type { Errno } from '../base/errno.ts';
import { E } from '../base/errno.ts';
import { withRegions } from './arena.ts';
import { labelOf } from './hash-table.ts';
import type { BpfMap, MapAttr, MapEnv, MapSyscalls } from './map.ts';
import { MapBase, unsupported } from './map-base.ts';
import {
  RINGBUF_BUSY,
  RINGBUF_DISCARD,
  RINGBUF_HEADER,
  RINGBUF_LENGTH,
  RingbufMemory,
  recordSpace,
} from './ringbuf-memory.ts';
import { copyBytes } from './values.ts';

/** Flags of submit, discard, output and user_ringbuf_drain. */
export const BPF_RB_NO_WAKEUP = 1;
export const BPF_RB_FORCE_WAKEUP = 2;
/** What bpf_ringbuf_query answers. */
export const BPF_RB_AVAIL_DATA = 0;
export const BPF_RB_RING_SIZE = 1;
export const BPF_RB_CONS_POS = 2;
export const BPF_RB_PROD_POS = 3;
/** kernel: RINGBUF_MAX_RECORD_SZ */
const MAX_RECORD = 0x3fffffff;
/** kernel: DYNPTR_MAX_SIZE */
const MAX_SAMPLE = 0xffffff;
/** kernel: BPF_MAX_USER_RINGBUF_SAMPLES */
const MAX_SAMPLES = 128 * 1024;

const NO_ELEMENTS: MapSyscalls = {
  wireValueSize: 0,
  lookup: unsupported.ENOTSUPP,
  update: unsupported.ENOTSUPP,
  delete: unsupported.ENOTSUPP,
  nextKey: unsupported.ENOTSUPP,
};

/** kernel: BPF_MAP_TYPE_RINGBUF */
export class Ringbuf extends MapBase {
  readonly sys: MapSyscalls;
  /** Positions and data, as user space maps them. */
  readonly ring: RingbufMemory;
  /** Called when a record asks for the consumer to be woken (epoll would return). */
  onWakeup: (() => void) | undefined;

  constructor(env: MapEnv, attr: MapAttr, typeId: number, ring: RingbufMemory, regions: MapBase['regions']) {
    super(env, attr, typeId, regions);
    this.ring = ring;
    this.sys = { ...NO_ELEMENTS, mmap: ring.mmap(false) };
  }

  /** bpf_ringbuf_reserve: address of `size` bytes, or 0. The memory holds what was there before. */
  reserve(size: number, flagsLo = 0, flagsHi = 0): number {
    // kernel: __bpf_ringbuf_reserve()
    const ring = this.ring;
    if (flagsLo !== 0 || flagsHi !== 0 || size > MAX_RECORD) return 0;
    const space = recordSpace(size);
    const position = ring.producer;
    let pending = ring.pending;
    while (pending < position) {
      const header = ring.header(pending);
      if ((header & RINGBUF_BUSY) !== 0) break;
      pending += recordSpace(header & RINGBUF_LENGTH);
    }
    ring.pending = pending;
    const next = position + space;
    if (next - ring.consumer > ring.size - 1 || next - pending > ring.size - 1) return 0;
    const at = ring.at(position);
    ring.unfold(at, space);
    this.memory.u32[at >> 2] = (size | RINGBUF_BUSY) >>> 0;
    this.memory.u32[(at >> 2) + 1] = ring.pageOffset(at);
    ring.producer = next;
    return at + RINGBUF_HEADER;
  }

  /** bpf_ringbuf_submit of what `reserve` gave. */
  submit(sample: number, flags = 0): void {
    this.#commit(sample, flags, 0);
  }

  /** bpf_ringbuf_discard of what `reserve` gave. */
  discard(sample: number, flags = 0): void {
    this.#commit(sample, flags, RINGBUF_DISCARD);
  }

  /** bpf_ringbuf_output: 0, -EINVAL or -EAGAIN. */
  output(data: number, size: number, flagsLo = 0, flagsHi = 0): Errno {
    if (flagsHi !== 0 || (flagsLo & ~(BPF_RB_NO_WAKEUP | BPF_RB_FORCE_WAKEUP)) !== 0) return -E.EINVAL;
    const sample = this.reserve(size);
    if (sample === 0) return -E.EAGAIN;
    copyBytes(this.memory, sample, data, size);
    this.#commit(sample, flagsLo, 0);
    return 0;
  }

  /** bpf_ringbuf_query; unknown questions give 0. */
  query(what: number): number {
    switch (what) {
      case BPF_RB_AVAIL_DATA:
        return this.ring.producer - this.ring.consumer;
      case BPF_RB_RING_SIZE:
        return this.ring.size;
      case BPF_RB_CONS_POS:
        return this.ring.consumer;
      case BPF_RB_PROD_POS:
        return this.ring.producer;
      default:
        return 0;
    }
  }

  /** Would poll say readable? Busy and discarded records count. */
  get readable(): boolean {
    return this.ring.producer !== this.ring.consumer;
  }

  /**
   * User space reads records up to the first busy one: `visit` gets a copy of each. A negative answer of `visit` stops
   * (that record is consumed) and is the result; otherwise the number of records delivered, discarded ones not counted.
   */
  consume(visit: (data: Uint8Array) => number | undefined): number {
    const ring = this.ring;
    let delivered = 0;
    while (ring.consumer < ring.producer) {
      const position = ring.consumer;
      const header = ring.header(position);
      if ((header & RINGBUF_BUSY) !== 0) break;
      const length = header & RINGBUF_LENGTH;
      const at = ring.at(position);
      let answer: number | undefined;
      if ((header & RINGBUF_DISCARD) === 0) {
        ring.unfold(at, recordSpace(length));
        answer = visit(this.memory.read(at + RINGBUF_HEADER, length));
        delivered++;
      }
      ring.consumer = position + recordSpace(length);
      if (answer !== undefined && answer < 0) return answer;
    }
    return delivered;
  }

  /** kernel: bpf_ringbuf_commit() */
  #commit(sample: number, flags: number, discard: number): void {
    const at = sample - RINGBUF_HEADER;
    const word = at >> 2;
    const length = this.memory.u32[word]! & RINGBUF_LENGTH;
    this.memory.u32[word] = (length | discard) >>> 0;
    this.ring.spill(at, recordSpace(length));
    const caughtUp = this.ring.consumer % this.ring.size === at - this.ring.data;
    const wake = (flags & BPF_RB_FORCE_WAKEUP) !== 0 || ((flags & BPF_RB_NO_WAKEUP) === 0 && caughtUp);
    if (wake) this.onWakeup?.();
  }
}

/** kernel: BPF_MAP_TYPE_USER_RINGBUF: user space produces, programs drain */
export class UserRingbuf extends MapBase {
  readonly sys: MapSyscalls;
  readonly ring: RingbufMemory;
  /** Called when a drain asks for producers to be woken. */
  onWakeup: (() => void) | undefined;
  #draining = false;

  constructor(env: MapEnv, attr: MapAttr, typeId: number, ring: RingbufMemory, regions: MapBase['regions']) {
    super(env, attr, typeId, regions);
    this.ring = ring;
    this.sys = { ...NO_ELEMENTS, mmap: ring.mmap(true) };
  }

  /**
   * User space writes one record; `flags` are the header's busy and discard bits. 0, -ENOSPC when it has no room now,
   * -E2BIG when it never will.
   */
  produce(data: Uint8Array, flags = 0): Errno {
    const ring = this.ring;
    const space = recordSpace(data.length);
    if (space > ring.size) return -E.E2BIG;
    const position = ring.producer;
    if (position + space - ring.consumer > ring.size) return -E.ENOSPC;
    const at = ring.at(position);
    this.memory.u32[at >> 2] = (data.length | flags) >>> 0;
    this.memory.u32[(at >> 2) + 1] = 0;
    this.memory.write(at + RINGBUF_HEADER, data);
    ring.spill(at, space);
    ring.producer = position + space;
    return 0;
  }

  /** Would poll say writable? */
  get writable(): boolean {
    return this.ring.producer - this.ring.consumer < this.ring.size;
  }

  /**
   * bpf_user_ringbuf_drain: `visit` gets address and length of each sample and answers 1 to stop. The number of calls,
   * or a negative errno; what was consumed before an error stays consumed.
   */
  drain(visit: (sample: number, size: number) => number, flagsLo = 0, flagsHi = 0): number {
    if (flagsHi !== 0 || (flagsLo & ~(BPF_RB_NO_WAKEUP | BPF_RB_FORCE_WAKEUP)) !== 0) return -E.EINVAL;
    if (this.#draining) return -E.EBUSY;
    this.#draining = true;
    const before = this.ring.consumer;
    try {
      return this.#drain(visit);
    } finally {
      this.#draining = false;
      const moved = this.ring.consumer !== before;
      if (flagsLo & BPF_RB_FORCE_WAKEUP || (moved && !(flagsLo & BPF_RB_NO_WAKEUP))) this.onWakeup?.();
    }
  }

  #drain(visit: (sample: number, size: number) => number): number {
    // kernel: bpf_user_ringbuf_drain(), __bpf_user_ringbuf_peek()
    const ring = this.ring;
    let calls = 0;
    for (let seen = 0; seen < MAX_SAMPLES; seen++) {
      const producer = ring.producer;
      const consumer = ring.consumer;
      if (producer % 8 !== 0) return -E.EINVAL;
      if (consumer >= producer) return calls;
      const header = ring.header(consumer);
      const length = header & RINGBUF_LENGTH;
      const space = recordSpace(length);
      if (space > producer - consumer) return -E.EINVAL;
      if (space > ring.size || length > MAX_SAMPLE) return -E.E2BIG;
      if ((header & RINGBUF_DISCARD) !== 0) {
        ring.consumer = consumer + space;
        continue;
      }
      if ((header & RINGBUF_BUSY) !== 0) return calls;
      const at = ring.at(consumer);
      ring.unfold(at, space);
      const stop = visit(at + RINGBUF_HEADER, length);
      ring.spill(at, space);
      calls++;
      ring.consumer = consumer + space;
      if (stop !== 0) return calls;
    }
    return calls;
  }
}

/** @throws BpfError ENOMEM when the lab's memory is too small */
export function createRingbuf(env: MapEnv, attr: MapAttr, typeId: number): BpfMap {
  return withRegions(env.memory, (regions) => {
    const ring = new RingbufMemory(regions, labelOf(attr), attr.maxEntries);
    return new Ringbuf(env, attr, typeId, ring, regions);
  });
}

/** @throws BpfError ENOMEM when the lab's memory is too small */
export function createUserRingbuf(env: MapEnv, attr: MapAttr, typeId: number): BpfMap {
  return withRegions(env.memory, (regions) => {
    const ring = new RingbufMemory(regions, labelOf(attr), attr.maxEntries);
    return new UserRingbuf(env, attr, typeId, ring, regions);
  });
}
