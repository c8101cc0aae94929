import type { Errno } from '../base/errno.ts';
import { E } from '../base/errno.ts';
import { BpfError } from '../base/error.ts';
import type { Region } from '../base/memory.ts';
import { PAGE_SIZE } from '../base/memory.ts';
import type { FdObject } from './fd-table.ts';
import type { BpfMap, MapEnv } from './map.ts';
import { copyBytes } from './values.ts';

const PERF_RECORD_LOST = 2;
const PERF_RECORD_SAMPLE = 9;
const PERF_RECORD_MISC_KERNEL = 1;
/** Offsets in the control page (struct perf_event_mmap_page). */
const DATA_HEAD = 1024;
const DATA_TAIL = 1032;
const LOST_SIZE = 24;
const MAX_RECORD = 0xffff;

export interface PerfEventOptions {
  /** CPU that the event is bound to. */
  readonly cpu: number;
  /** Data pages of the ring, a power of two; 0: no ring is mapped and every sample is refused with ENOSPC. */
  readonly pages?: number;
  /** PERF_COUNT_SW_BPF_OUTPUT, or any other event, which perf_event_output refuses. */
  readonly counter?: 'bpf_output' | 'other';
}

/** A record out of a ring. */
export type PerfRecord =
  | { readonly kind: 'sample'; readonly data: Uint8Array }
  | { readonly kind: 'lost'; readonly lost: number };

/** Packet bytes that perf_event_output appends. */
export interface PacketBytes {
  readonly length: number;
  copyOut(offset: number, to: number, size: number): void;
}

/**
 * A perf event of one CPU with its ring as user space maps it:
 *
 * ```
 * | control page: data_head at 1024, data_tail at 1032 | data pages (power of two) |
 * ```
 */
export class PerfEvent implements FdObject {
  readonly kind = 'perf_event';
  readonly cpu: number;
  readonly counter: 'bpf_output' | 'other';
  /** Samples that found no room. */
  lost = 0;
  #env: MapEnv;
  #ring: Region | undefined;
  #scratch: Region | undefined;
  #dataSize: number;
  /** Drops not yet told to the consumer. */
  #untold = 0;

  /** @throws BpfError when pages is no power of two, or ENOMEM */
  constructor(env: MapEnv, { cpu, pages = 8, counter = 'bpf_output' }: PerfEventOptions) {
    if (!Number.isInteger(pages) || pages < 0 || (pages & (pages - 1)) !== 0) {
      throw new BpfError(`a perf ring of ${pages} pages`, { errno: 'EINVAL', hint: 'pages is 0 or a power of two' });
    }
    if (!Number.isInteger(cpu) || cpu < 0 || cpu >= env.cpus) {
      throw new BpfError(`perf event on CPU ${cpu}: there are ${env.cpus}`, { errno: 'EINVAL' });
    }
    this.cpu = cpu;
    this.counter = counter;
    this.#env = env;
    this.#dataSize = pages * PAGE_SIZE;
    if (pages > 0) {
      const options = { kind: 'internal', name: `perf ring of CPU ${cpu}`, accessible: false } as const;
      this.#ring = env.memory.allocate(PAGE_SIZE + this.#dataSize, options);
      this.#scratch = env.memory.allocate(MAX_RECORD + 1, { ...options, name: 'perf sample' });
    }
  }

  /** Address of the control page, 0 without a ring. */
  get ring(): number {
    return this.#ring?.start ?? 0;
  }

  /** Bytes of the data area. */
  get dataSize(): number {
    return this.#dataSize;
  }

  /** data_head and data_tail: bytes ever written and read. */
  get head(): number {
    return this.#ring ? this.#position(DATA_HEAD) : 0;
  }

  get tail(): number {
    return this.#ring ? this.#position(DATA_TAIL) : 0;
  }

  /** Appends a sample: `size` bytes at `data`, then the first `packetBytes` of the packet. 0 or -ENOSPC. */
  write(data: number, size: number, packet: PacketBytes | undefined, packetBytes: number): Errno {
    if (this.#ring === undefined || this.#scratch === undefined) return -E.ENOSPC;
    const rawSize = Math.ceil((size + packetBytes + 4) / 8) * 8 - 4;
    const total = 8 + 4 + rawSize;
    // A lost record goes in front of the first sample that fits again.
    const wanted = total + (this.#untold > 0 ? LOST_SIZE : 0);
    const head = this.head;
    if (total > MAX_RECORD || head + wanted - this.tail >= this.#dataSize) {
      this.lost++;
      this.#untold++;
      return -E.ENOSPC;
    }
    const { memory } = this.#env;
    const at = this.#scratch.start;
    let end = head;
    if (this.#untold > 0) {
      this.#header(at, PERF_RECORD_LOST, 0, LOST_SIZE);
      memory.view.setBigUint64(at + 8, 0n, true);
      memory.view.setBigUint64(at + 16, BigInt(this.#untold), true);
      end = this.#append(at, LOST_SIZE, end);
      this.#untold = 0;
    }
    this.#header(at, PERF_RECORD_SAMPLE, PERF_RECORD_MISC_KERNEL, total);
    memory.view.setUint32(at + 8, rawSize, true);
    copyBytes(memory, at + 12, data, size);
    if (packetBytes > 0) packet?.copyOut(0, at + 12 + size, packetBytes);
    memory.u8.fill(0, at + 12 + size + packetBytes, at + total);
    this.#setPosition(DATA_HEAD, this.#append(at, total, end));
    return 0;
  }

  /** Calls back for every record that user space has not read yet, oldest first, and frees their room. */
  consume(visit: (record: PerfRecord) => void): number {
    let count = 0;
    while (this.tail < this.head) {
      const record = this.#read(this.tail);
      const at = new DataView(record.buffer, record.byteOffset, record.byteLength);
      const type = at.getUint32(0, true);
      this.#setPosition(DATA_TAIL, this.tail + record.length);
      count++;
      if (type === PERF_RECORD_LOST) visit({ kind: 'lost', lost: Number(at.getBigUint64(16, true)) });
      else visit({ kind: 'sample', data: record.subarray(12, 12 + at.getUint32(8, true)) });
    }
    return count;
  }

  /** Gives the ring's memory back. */
  destroy(): void {
    for (const region of [this.#ring, this.#scratch]) if (region) this.#env.memory.free(region);
    this.#ring = undefined;
    this.#scratch = undefined;
  }

  /** Bytes of the record at a position, header and all, made contiguous. */
  #read(position: number): Uint8Array {
    const { memory } = this.#env;
    const data = this.ring + PAGE_SIZE;
    const offset = position % this.#dataSize;
    // Records are multiples of 8 bytes, so a header never wraps.
    const size = memory.view.getUint16(data + offset + 6, true);
    const record = new Uint8Array(size);
    const first = Math.min(size, this.#dataSize - offset);
    record.set(memory.u8.subarray(data + offset, data + offset + first));
    record.set(memory.u8.subarray(data, data + size - first), first);
    return record;
  }

  #header(at: number, type: number, misc: number, size: number): void {
    const { view } = this.#env.memory;
    view.setUint32(at, type, true);
    view.setUint16(at + 4, misc, true);
    view.setUint16(at + 6, size, true);
  }

  #append(from: number, size: number, position: number): number {
    const { u8 } = this.#env.memory;
    const data = this.ring + PAGE_SIZE;
    const offset = position % this.#dataSize;
    const first = Math.min(size, this.#dataSize - offset);
    u8.copyWithin(data + offset, from, from + first);
    u8.copyWithin(data, from + first, from + size);
    return position + size;
  }

  #position(offset: number): number {
    return Number(this.#env.memory.view.getBigUint64(this.ring + offset, true));
  }

  #setPosition(offset: number, value: number): void {
    this.#env.memory.view.setBigUint64(this.ring + offset, BigInt(value), true);
  }
}

/** A perf_event_array, as the output helpers see it. */
export interface PerfEventSlots extends BpfMap {
  eventAt(index: number): PerfEvent | undefined;
}

const INDEX_CURRENT_CPU = 0xffffffff;
const CTXLEN_HI_MASK = 0xfffff;

/**
 * bpf_perf_event_output with all its checks: `size` bytes at `data`, then as many bytes of the packet as bits 32..51 of
 * the flags say. 0 or a negative errno.
 */
export function perfEventOutput(
  map: PerfEventSlots,
  cpu: number,
  flagsLo: number,
  flagsHi: number,
  data: number,
  size: number,
  packet?: PacketBytes,
): Errno {
  // kernel: bpf_xdp_event_output(), __bpf_perf_event_output()
  if ((flagsHi & ~CTXLEN_HI_MASK) !== 0) return -E.EINVAL;
  const packetBytes = flagsHi & CTXLEN_HI_MASK;
  if (packetBytes > (packet?.length ?? 0)) return -E.EFAULT;
  const index = flagsLo >>> 0 === INDEX_CURRENT_CPU ? cpu : flagsLo >>> 0;
  if (index >= map.maxEntries) return -E.E2BIG;
  const event = map.eventAt(index);
  if (event === undefined) return -E.ENOENT;
  if (event.counter !== 'bpf_output') return -E.EINVAL;
  if (event.cpu !== cpu) return -E.EOPNOTSUPP;
  return event.write(data, size, packet, packetBytes);
}

/** Opens a perf event and gives it a descriptor, to be put into a perf_event_array. @throws BpfError */
export function openPerfEvent(
  env: MapEnv,
  options: PerfEventOptions,
): { readonly fd: number; readonly event: PerfEvent } {
  const event = new PerfEvent(env, options);
  return { fd: env.fds.open(event), event };
}
