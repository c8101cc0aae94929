import { closeFd } from './kernel.ts';
import { mapUpdate, possibleCpus } from './kernel-maps.ts';
import { addressOf, type Mapping, mapMemory, PROT_READ, PROT_WRITE, pinned, syscall, viewOf } from './libc.ts';

const PAGE = 4096;
/** Data pages of a perf ring, on both sides. */
export const PERF_PAGES = 64;
const RINGBUF_BUSY = 0x8000_0000;
const RINGBUF_DISCARD = 0x4000_0000;
const PERF_RECORD_LOST = 2;
const PERF_RECORD_SAMPLE = 9;
const PERF_EVENT_IOC_ENABLE = 0x2400;
const PERF_DATA_HEAD = 1024;
const PERF_DATA_TAIL = 1032;

function mapped(fd: number, length: number, prot: number, offset: number): Mapping {
  const mapping = mapMemory(fd, length, prot, offset);
  if (typeof mapping === 'number') throw new Error(`mmap of fd ${fd}, ${length} bytes at ${offset}: errno ${-mapping}`);
  return mapping;
}

/** User side of BPF_MAP_TYPE_RINGBUF: takes the records that programs have submitted. */
export class RingReader {
  readonly #consumer: Mapping;
  readonly #producer: Mapping;
  readonly #size: number;

  /** @param size the map's max_entries, bytes */
  constructor(fd: number, size: number) {
    this.#size = size;
    this.#consumer = mapped(fd, PAGE, PROT_READ | PROT_WRITE, 0);
    // The data area follows itself in the mapping, so that records never wrap.
    this.#producer = mapped(fd, PAGE + 2 * size, PROT_READ, PAGE);
  }

  /** Records since the last call, discarded ones left out, up to the first one that is still reserved. */
  read(): Uint8Array[] {
    const consumer = viewOf(this.#consumer.bytes);
    const producer = viewOf(this.#producer.bytes);
    const records: Uint8Array[] = [];
    let position = consumer.getBigUint64(0, true);
    while (position < producer.getBigUint64(0, true)) {
      const at = PAGE + Number(position % BigInt(this.#size));
      const header = producer.getUint32(at, true);
      if (header & RINGBUF_BUSY) break;
      const length = (header & ~(RINGBUF_BUSY | RINGBUF_DISCARD)) >>> 0;
      if (!(header & RINGBUF_DISCARD)) records.push(this.#producer.bytes.slice(at + 8, at + 8 + length));
      position += BigInt(Math.ceil((length + 8) / 8) * 8);
    }
    consumer.setBigUint64(0, position, true);
    return records;
  }

  close(): void {
    this.#consumer.unmap();
    this.#producer.unmap();
  }
}

/** User side of BPF_MAP_TYPE_USER_RINGBUF: hands records to programs. */
export class UserRingWriter {
  readonly #consumer: Mapping;
  readonly #producer: Mapping;
  readonly #size: number;

  constructor(fd: number, size: number) {
    this.#size = size;
    this.#consumer = mapped(fd, PAGE, PROT_READ, 0);
    this.#producer = mapped(fd, PAGE + 2 * size, PROT_READ | PROT_WRITE, PAGE);
  }

  /** Appends a record; false when there is no room. `header` replaces the length word, to write broken records. */
  write(record: Uint8Array, header = record.length): boolean {
    const producer = viewOf(this.#producer.bytes);
    const position = producer.getBigUint64(0, true);
    const total = BigInt(Math.ceil((record.length + 8) / 8) * 8);
    const used = position - viewOf(this.#consumer.bytes).getBigUint64(0, true);
    if (used + total > BigInt(this.#size)) return false;
    const at = PAGE + Number(position % BigInt(this.#size));
    producer.setUint32(at, header, true);
    producer.setUint32(at + 4, 0, true);
    this.#producer.bytes.set(record, at + 8);
    producer.setBigUint64(0, position + total, true);
    return true;
  }

  /** Bytes that the kernel has consumed since the beginning. */
  consumed(): bigint {
    return viewOf(this.#consumer.bytes).getBigUint64(0, true);
  }

  close(): void {
    this.#consumer.unmap();
    this.#producer.unmap();
  }
}

export interface PerfSample {
  readonly cpu: number;
  /** Raw data as delivered: padded so that it ends 8-byte aligned after its 4-byte length. */
  readonly data: Uint8Array;
  /** Samples that found no room before this place; `data` is then empty. */
  readonly lost?: number;
}

/** Buffers behind a BPF_MAP_TYPE_PERF_EVENT_ARRAY: one for each CPU that has a slot. */
export class PerfReader {
  readonly #buffers: { readonly cpu: number; readonly fd: number; readonly mapping: Mapping }[] = [];
  readonly #pages: number;
  /** @param pages data pages for each CPU, a power of two */
  constructor(mapFd: number, maxEntries: number, pages = PERF_PAGES) {
    this.#pages = pages;
    for (let cpu = 0; cpu < Math.min(maxEntries, possibleCpus()); cpu++) {
      const fd = openBpfOutput(cpu);
      // A possible CPU that is not online has no buffer.
      if (fd < 0) continue;
      const mapping = mapped(fd, (1 + pages) * PAGE, PROT_READ | PROT_WRITE, 0);
      this.#buffers.push({ cpu, fd, mapping });
      syscall('ioctl', fd, PERF_EVENT_IOC_ENABLE, 0);
      const slot = new Uint8Array(8);
      viewOf(slot).setUint32(0, cpu, true);
      viewOf(slot).setUint32(4, fd, true);
      const result = mapUpdate(mapFd, slot.subarray(0, 4), slot.subarray(4));
      if (result < 0) throw new Error(`perf event array slot ${cpu}: errno ${-result}`);
    }
  }

  /** Samples since the last call, CPU by CPU. */
  read(): PerfSample[] {
    return this.#buffers.flatMap(({ cpu, mapping }) => this.#drain(cpu, mapping));
  }

  #drain(cpu: number, mapping: Mapping): PerfSample[] {
    const view = viewOf(mapping.bytes);
    const size = this.#pages * PAGE;
    const head = view.getBigUint64(PERF_DATA_HEAD, true);
    const samples: PerfSample[] = [];
    let tail = view.getBigUint64(PERF_DATA_TAIL, true);
    while (tail < head) {
      const record = ringSlice(mapping.bytes, size, tail, 8);
      const type = viewOf(record).getUint32(0, true);
      const length = viewOf(record).getUint16(6, true);
      const body = ringSlice(mapping.bytes, size, tail + 8n, length - 8);
      if (type === PERF_RECORD_SAMPLE) {
        samples.push({ cpu, data: body.slice(4, 4 + viewOf(body).getUint32(0, true)) });
      } else if (type === PERF_RECORD_LOST) {
        samples.push({ cpu, data: new Uint8Array(), lost: Number(viewOf(body).getBigUint64(8, true)) });
      }
      tail += BigInt(length);
    }
    view.setBigUint64(PERF_DATA_TAIL, tail, true);
    return samples;
  }

  close(): void {
    for (const { fd, mapping } of this.#buffers) {
      mapping.unmap();
      closeFd(fd);
    }
  }
}

/** Bytes of the data pages (which follow the control page) from a running position, across the wrap. */
function ringSlice(bytes: Uint8Array, size: number, position: bigint, length: number): Uint8Array {
  const out = new Uint8Array(length);
  for (let i = 0; i < length; i++) out[i] = bytes[PAGE + Number((position + BigInt(i)) % BigInt(size))]!;
  return out;
}

/** perf_event_open of the software event that bpf_perf_event_output writes to. */
function openBpfOutput(cpu: number): number {
  const attr = pinned(128);
  const view = viewOf(attr);
  view.setUint32(0, 1, true); // PERF_TYPE_SOFTWARE
  view.setUint32(4, attr.length, true);
  view.setBigUint64(8, 10n, true); // PERF_COUNT_SW_BPF_OUTPUT
  view.setBigUint64(16, 1n, true); // sample_period
  view.setBigUint64(24, 1n << 10n, true); // PERF_SAMPLE_RAW
  view.setUint32(48, 1, true); // wakeup_events
  return syscall('perf_event_open', addressOf(attr), -1, cpu, -1, 8);
}
