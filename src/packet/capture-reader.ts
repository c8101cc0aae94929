// hot: no BigInt, no closure and one small object per packet.

import { formatHex } from '../base/address.ts';
import { asBytes } from './bytes.ts';
import {
  BLOCK,
  BYTE_ORDER_MAGIC,
  CapturedPacket,
  CaptureError,
  type CaptureInterface,
  MAX_BLOCK,
  MAX_PACKET,
  PCAP_MAGIC,
} from './capture.ts';
import { blockOptions, OPTION } from './pcapng-options.ts';

const NANOS = 1_000_000_000;

/**
 * Reads pcap and pcapng piece by piece: push chunks in, get packets out. It holds no more than one unfinished record.
 *
 * `push` and `end` never throw. At damage the packets before it are given out, `error` says what is wrong where, and
 * further chunks are ignored.
 *
 * ```ts
 * const reader = new CaptureReader();
 * for (const chunk of chunks) for (const packet of reader.push(chunk)) count(packet.data);
 * reader.end();
 * if (reader.error) report(reader.error);
 * ```
 */
export class CaptureReader {
  /** Interfaces met so far; a pcap file has one. */
  readonly interfaces: CaptureInterface[] = [];
  /** Known after the first bytes. */
  format: 'pcap' | 'pcapng' | undefined;
  /** Packets read so far. */
  packets = 0;
  /** Why reading stopped. */
  error: CaptureError | undefined;

  readonly #maxPacket: number;
  readonly #maxBlock: number;
  #bytes: Uint8Array = new Uint8Array(0);
  #view: DataView = new DataView(new ArrayBuffer(0));
  #at = 0;
  /** Offset of `#bytes[0]` in the capture. */
  #base = 0;
  /** Chunks that wait until the record at hand is complete. */
  #waiting: Uint8Array[] = [];
  #waitingLength = 0;
  /** Bytes that the record at hand takes, as far as known. */
  #need = 4;
  #littleEndian = true;
  #recordHeader = 16;
  #fractionNanos = 1000;
  #linkType = 0;
  /** First interface of the current section. */
  #sectionStart = 0;

  /** @param options limits in bytes; anything over them is taken for damage. */
  constructor({ maxPacket = MAX_PACKET, maxBlock = MAX_BLOCK }: { maxPacket?: number; maxBlock?: number } = {}) {
    this.#maxPacket = maxPacket;
    this.#maxBlock = maxBlock;
  }

  /** Takes the next chunk (a Uint8Array, or a Buffer); gives the packets that it completed. */
  push(chunk: ArrayBufferView): CapturedPacket[] {
    const packets: CapturedPacket[] = [];
    if (this.error || chunk.byteLength === 0) return packets;
    this.#waiting.push(asBytes(chunk));
    this.#waitingLength += chunk.byteLength;
    if (this.#waitingLength < this.#need) return packets;
    this.#take();
    try {
      while (this.#ready()) {
        if (this.format === undefined) this.#start();
        else if (this.format === 'pcap') this.#pcapRecord(packets);
        else this.#block(packets);
      }
    } catch (error) {
      this.#stop(error);
      return packets;
    }
    const rest = this.#bytes.subarray(this.#at);
    this.#base += this.#at;
    this.#waiting = rest.length ? [rest] : [];
    this.#waitingLength = rest.length;
    return packets;
  }

  /** Says that no more comes; sets `error` when the capture stops inside a record. */
  end(): void {
    if (this.error) return;
    this.#at = 0;
    try {
      if (this.format === undefined && this.#waitingLength === 0) this.#fail('the capture is empty');
      if (this.#waitingLength > 0) {
        this.#fail(`the capture ends here: ${this.#need} bytes expected, ${this.#waitingLength} are there`);
      }
    } catch (error) {
      this.#stop(error);
    }
  }

  #stop(error: unknown): void {
    if (!(error instanceof CaptureError)) throw error;
    this.error = error;
    this.#waiting = [];
    this.#waitingLength = 0;
  }

  /** Makes the waiting chunks one piece. */
  #take(): void {
    if (this.#waiting.length === 1) this.#bytes = this.#waiting[0]!;
    else {
      this.#bytes = new Uint8Array(this.#waitingLength);
      let at = 0;
      for (const part of this.#waiting) {
        this.#bytes.set(part, at);
        at += part.length;
      }
    }
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.length);
    this.#at = 0;
  }

  #ready(): boolean {
    return this.#bytes.length - this.#at >= this.#need;
  }

  #fail(text: string, hint?: string): never {
    throw new CaptureError(this.packets + 1, this.#base + this.#at, text, hint);
  }

  #u32(at: number): number {
    return this.#view.getUint32(this.#at + at, this.#littleEndian);
  }

  #u16(at: number): number {
    return this.#view.getUint16(this.#at + at, this.#littleEndian);
  }

  /** Tells the format by the first four bytes, and reads the file header of a pcap. */
  #start(): void {
    const magic = this.#view.getUint32(this.#at, false);
    if (magic === BLOCK.sectionHeader) {
      this.format = 'pcapng';
      this.#need = 12;
      return;
    }
    const formats = Object.values(PCAP_MAGIC);
    this.#littleEndian = !formats.some((known) => known === magic);
    const known = formats.find((candidate) => candidate === this.#u32(0));
    if (known === undefined) {
      const gzip = magic >>> 16 === 0x1f8b;
      const hint = gzip ? 'it is compressed with gzip: unpack it first' : undefined;
      this.#fail(`neither pcap nor pcapng: it starts with ${formatHex(this.#bytes.subarray(this.#at, 4))}`, hint);
    }
    if (this.#need < 24) {
      this.#need = 24;
      if (!this.#ready()) return;
    }
    this.format = 'pcap';
    this.#fractionNanos = known === PCAP_MAGIC.nanoseconds ? 1 : 1000;
    this.#recordHeader = known === PCAP_MAGIC.modified ? 24 : 16;
    const major = this.#u16(4);
    if (major !== 2) this.#fail(`pcap version ${major}.${this.#u16(6)} is not read`, 'versions 2.x are');
    // The upper bits say whether a frame check sequence is kept.
    this.#linkType = this.#u32(20) & 0xffff;
    this.interfaces.push({
      id: 0,
      linkType: this.#linkType,
      snaplen: this.#u32(16),
      ticksPerSecond: NANOS / this.#fractionNanos,
      offsetSeconds: 0,
    });
    this.#at += 24;
    this.#need = this.#recordHeader;
  }

  /**
   * ```
   * | seconds 32 | fraction 32 | captured 32 | original 32 | data
   * ```
   */
  #pcapRecord(packets: CapturedPacket[]): void {
    const captured = this.#u32(8);
    if (captured > this.#maxPacket) {
      this.#fail(`captured length ${captured} is over the limit of ${this.#maxPacket}`, 'the file is damaged');
    }
    this.#need = this.#recordHeader + captured;
    if (!this.#ready()) return;
    let seconds = this.#u32(0);
    let nanos = this.#u32(4) * this.#fractionNanos;
    if (nanos >= NANOS) {
      seconds += Math.floor(nanos / NANOS);
      nanos %= NANOS;
    }
    const start = this.#at + this.#recordHeader;
    this.#packet(packets, seconds, nanos, start, captured, this.#u32(12), this.interfaces[0]!);
    this.#at = start + captured;
    this.#need = this.#recordHeader;
  }

  #packet(
    packets: CapturedPacket[],
    seconds: number,
    nanos: number,
    start: number,
    captured: number,
    original: number,
    source: CaptureInterface,
    options?: Uint8Array,
  ): void {
    packets.push(
      new CapturedPacket(
        ++this.packets,
        this.#base + this.#at,
        seconds,
        nanos,
        this.#bytes.subarray(start, start + captured),
        Math.max(original, captured),
        source.id,
        source.linkType,
        options,
        this.#littleEndian,
      ),
    );
  }

  /**
   * ```
   * | type 32 | length 32 of all of it, a multiple of 4 | body | length 32 again |
   * ```
   */
  #block(packets: CapturedPacket[]): void {
    if (this.#view.getUint32(this.#at, false) === BLOCK.sectionHeader) this.#byteOrder();
    const type = this.#u32(0);
    const length = this.#u32(4);
    if (length < 12 || length % 4 !== 0 || length > this.#maxBlock) {
      const limit = `a multiple of 4 from 12 to ${this.#maxBlock}`;
      this.#fail(`block of type ${type} has length ${length}; ${limit} expected`, 'the file is damaged');
    }
    this.#need = length;
    if (!this.#ready()) return;
    const again = this.#u32(length - 4);
    if (again !== length) {
      this.#fail(`block of type ${type} starts with length ${length} and ends with ${again}`, 'the file is damaged');
    }
    switch (type) {
      case BLOCK.enhancedPacket:
        this.#packetBlock(packets, length, this.#u32(8));
        break;
      case BLOCK.packet:
        this.#packetBlock(packets, length, this.#u16(8));
        break;
      case BLOCK.simplePacket:
        this.#simplePacket(packets, length);
        break;
      case BLOCK.interfaceDescription:
        this.#interface(length);
        break;
      case BLOCK.sectionHeader:
        this.#section(length);
        break;
    }
    this.#at += length;
    this.#need = 12;
  }

  /** Each section says its own byte order, behind its length. */
  #byteOrder(): void {
    const magic = this.#view.getUint32(this.#at + 8, true);
    this.#littleEndian = magic === BYTE_ORDER_MAGIC;
    if (this.#littleEndian || this.#view.getUint32(this.#at + 8, false) === BYTE_ORDER_MAGIC) return;
    this.#fail(`section header has byte-order magic ${magic.toString(16)}`, 'the file is damaged');
  }

  #section(length: number): void {
    if (length < 28) this.#fail(`section header of ${length} bytes; at least 28 expected`);
    const major = this.#u16(12);
    if (major !== 1) this.#fail(`pcapng version ${major}.${this.#u16(14)} is not read`, 'versions 1.x are');
    this.#sectionStart = this.interfaces.length;
  }

  #interface(length: number): void {
    if (length < 20) this.#fail(`interface description of ${length} bytes; at least 20 expected`);
    let name: string | undefined;
    let description: string | undefined;
    let ticksPerSecond: number | bigint = 1_000_000;
    let offsetSeconds = 0;
    const options = this.#bytes.subarray(this.#at + 16, this.#at + length - 4);
    for (const { code, data } of blockOptions(options, this.#littleEndian)) {
      if (code === OPTION.interface.name) name = text(data);
      else if (code === OPTION.interface.description) description = text(data);
      else if (code === OPTION.interface.resolution && data.length > 0) ticksPerSecond = resolution(data[0]!);
      else if (code === OPTION.interface.offset && data.length === 8) {
        offsetSeconds = Number(new DataView(data.buffer, data.byteOffset, 8).getBigInt64(0, this.#littleEndian));
      }
    }
    const [linkType, snaplen] = [this.#u16(8), this.#u32(12)];
    const id = this.interfaces.length;
    this.interfaces.push({ id, linkType, snaplen, name, description, ticksPerSecond, offsetSeconds });
  }

  #source(id: number): CaptureInterface {
    const source = this.interfaces[this.#sectionStart + id];
    if (source) return source;
    const count = this.interfaces.length - this.#sectionStart;
    return this.#fail(`it names interface ${id}, but the section describes ${count} so far`, 'the file is damaged');
  }

  /**
   * ```
   * | type | length | interface 32 | time high 32 | time low 32 | captured 32 | original 32 | data, padded | options |
   * ```
   * The obsolete block has 16 bits of interface and 16 of drop count in the interface's place.
   */
  #packetBlock(packets: CapturedPacket[], length: number, interfaceId: number): void {
    if (length < 32) this.#fail(`packet block of ${length} bytes; at least 32 expected`);
    const source = this.#source(interfaceId);
    const captured = this.#u32(20);
    this.#checkFits(captured, length - 32);
    const start = this.#at + 28;
    const optionsAt = start + ((captured + 3) & ~3);
    const end = this.#at + length - 4;
    const options = optionsAt < end ? this.#bytes.subarray(optionsAt, end) : undefined;
    const high = this.#u32(12);
    const low = this.#u32(16);
    const ticks = source.ticksPerSecond;
    let seconds: number;
    let rest: number;
    if (typeof ticks === 'bigint') {
      const value = (BigInt(high) << 32n) | BigInt(low);
      seconds = Number(value / ticks);
      rest = Number(((value % ticks) * BigInt(NANOS)) / ticks);
    } else if (high < 0x20_0000) {
      // Below 2^53: exact in floating point.
      const value = high * 0x1_0000_0000 + low;
      seconds = Math.floor(value / ticks);
      rest = (value - seconds * ticks) * (NANOS / ticks);
    } else {
      // Long division in steps of 16 bits, so that every intermediate value stays below 2^53.
      const middle = (high % ticks) * 0x10000 + (low >>> 16);
      const lowest = (middle % ticks) * 0x10000 + (low & 0xffff);
      seconds =
        Math.floor(high / ticks) * 0x1_0000_0000 + Math.floor(middle / ticks) * 0x10000 + Math.floor(lowest / ticks);
      rest = (lowest % ticks) * (NANOS / ticks);
    }
    this.#packet(packets, seconds + source.offsetSeconds, rest, start, captured, this.#u32(24), source, options);
  }

  /** A packet without time and interface: those of the section's first interface, cut at its snaplen. */
  #simplePacket(packets: CapturedPacket[], length: number): void {
    if (length < 16) this.#fail(`packet block of ${length} bytes; at least 16 expected`);
    const source = this.#source(0);
    const original = this.#u32(8);
    const captured = Math.min(original, source.snaplen || original);
    this.#checkFits(captured, length - 16);
    this.#packet(packets, 0, 0, this.#at + 12, captured, original, source);
  }

  #checkFits(captured: number, room: number): void {
    if (captured > this.#maxPacket) {
      this.#fail(`captured length ${captured} is over the limit of ${this.#maxPacket}`, 'the file is damaged');
    }
    if (captured > room) {
      this.#fail(`captured length ${captured}, but its block has room for ${room}`, 'the file is damaged');
    }
  }
}

const text = (data: Uint8Array) => new TextDecoder().decode(data).replace(/\0+$/, '');

/** if_tsresol: a negative power of 10, or of 2 with the high bit set; a number when nanoseconds are a multiple of it. */
function resolution(value: number): number | bigint {
  if (value & 0x80) return 2n ** BigInt(value & 0x7f);
  return value <= 9 ? 10 ** value : 10n ** BigInt(value);
}

/** A capture that is all there, read at once. */
export function readCaptureBytes(
  bytes: ArrayBufferView,
  options?: ConstructorParameters<typeof CaptureReader>[0],
): { packets: CapturedPacket[]; interfaces: readonly CaptureInterface[]; error?: CaptureError } {
  const reader = new CaptureReader(options);
  const packets = reader.push(bytes);
  reader.end();
  return { packets, interfaces: reader.interfaces, error: reader.error };
}
