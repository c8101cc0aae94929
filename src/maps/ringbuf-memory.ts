import type { Errno } from '../base/errno.ts';
import { E } from '../base/errno.ts';
import type { Memory, Region } from '../base/memory.ts';
import { PAGE_SIZE } from '../base/memory.ts';
import type { RegionSet } from './arena.ts';
import type { MapMmap } from './map.ts';

/** Record header: u32 length and flags, u32 page offset of the header. */
export const RINGBUF_HEADER = 8;
export const RINGBUF_BUSY = 0x80000000;
export const RINGBUF_DISCARD = 0x40000000;
export const RINGBUF_LENGTH = 0x3fffffff;

/** Bytes that a record of `size` data bytes takes. */
export function recordSpace(size: number): number {
  return Math.ceil((size + RINGBUF_HEADER) / 8) * 8;
}

/**
 * The pages of a ring buffer:
 *
 * ```
 * page 0: consumer_pos (u64 at 0)
 * page 1: producer_pos (u64 at 0), pending_pos (u64 at 8)
 * then the data, and as many bytes again, into which a record that reaches past the end runs on
 * ```
 *
 * differs from kernel: the second half is no alias of the first; a wrapping record is copied over when it is committed
 * (`spill`) and before it is read or reserved (`unfold`).
 */
export class RingbufMemory {
  readonly size: number;
  /** Address of the first data byte. */
  readonly data: number;
  readonly #memory: Memory;
  readonly #control: Region;
  readonly #region: Region;

  /** @throws BpfError ENOMEM */
  constructor(regions: RegionSet, name: string, size: number) {
    this.size = size;
    this.#memory = regions.memory;
    const control = { kind: 'internal', name: `positions of ${name}`, accessible: false } as const;
    this.#control = regions.allocate(2 * PAGE_SIZE, control);
    this.#region = regions.allocate(2 * size, { kind: 'mem', name: `record of ${name}` });
    this.data = this.#region.start;
  }

  get consumer(): number {
    return this.#position(0);
  }

  set consumer(value: number) {
    this.#setPosition(0, value);
  }

  get producer(): number {
    return this.#position(PAGE_SIZE);
  }

  set producer(value: number) {
    this.#setPosition(PAGE_SIZE, value);
  }

  get pending(): number {
    return this.#position(PAGE_SIZE + 8);
  }

  set pending(value: number) {
    this.#setPosition(PAGE_SIZE + 8, value);
  }

  /** Address of the header at a position. */
  at(position: number): number {
    return this.data + (position % this.size);
  }

  header(position: number): number {
    return this.#memory.u32[this.at(position) >> 2]!;
  }

  /** Makes the `space` bytes of the record at an address contiguous. */
  unfold(at: number, space: number): void {
    const over = at + space - (this.data + this.size);
    if (over > 0) this.#memory.u8.copyWithin(this.data + this.size, this.data, this.data + over);
  }

  /** Brings what was written past the end to the front. */
  spill(at: number, space: number): void {
    const over = at + space - (this.data + this.size);
    if (over > 0) this.#memory.u8.copyWithin(this.data, this.data + this.size, this.data + this.size + over);
  }

  /** Page offset of a header from the start of the kernel's ring object. */
  pageOffset(at: number): number {
    // kernel: bpf_ringbuf_rec_pg_off(): one page of struct bpf_ringbuf, then consumer and producer page
    return 3 + Math.floor((at - this.data) / PAGE_SIZE);
  }

  /** @param userProduces user_ringbuf: user space owns producer and data; ringbuf: the consumer page */
  mmap(userProduces: boolean): MapMmap {
    const length = 2 * PAGE_SIZE + 2 * this.size;
    return {
      length,
      // kernel: ringbuf_map_mmap_kern(), ringbuf_map_mmap_user()
      check: (offset, size, write): Errno => {
        if (write && userProduces && offset === 0) return -E.EPERM;
        if (write && !userProduces && (offset !== 0 || size !== PAGE_SIZE)) return -E.EPERM;
        return offset + size > length ? -E.EINVAL : 0;
      },
      view: (offset, size) => {
        // Positions and data are two regions here; a mapping across both is cut at the border.
        const control = 2 * PAGE_SIZE;
        const [base, end] =
          offset < control
            ? [this.#control.start, Math.min(offset + size, control)]
            : [this.data - control, Math.min(offset + size, control + this.size)];
        return this.#memory.u8.subarray(base + offset, base + end);
      },
    };
  }

  #position(offset: number): number {
    const word = (this.#control.start + offset) >> 2;
    return this.#memory.u32[word]! + this.#memory.u32[word + 1]! * 0x100000000;
  }

  #setPosition(offset: number, value: number): void {
    const word = (this.#control.start + offset) >> 2;
    this.#memory.u32[word] = value >>> 0;
    this.#memory.u32[word + 1] = Math.floor(value / 0x100000000);
  }
}
