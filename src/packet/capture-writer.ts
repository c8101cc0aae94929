// hot: no BigInt per packet unless options ask for it.
import { PacketError } from '../base/error.ts';
import { concat } from './bytes.ts';
import { BLOCK, BYTE_ORDER_MAGIC, MAX_PACKET, PCAP_MAGIC } from './capture.ts';
import { encodeOption, encodePacketOptions, encodeText, OPTION, type PacketOptions } from './pcapng-options.ts';

const CHUNK = 64 * 1024;

/** A packet to write. */
export interface PacketRecord {
  /** Seconds since 1970; default 0. */
  readonly seconds?: number;
  /** 0 to 999,999,999; default 0. */
  readonly nanos?: number;
  readonly data: Uint8Array;
  /** Bytes on the wire, where only a part was kept; default: the length of `data`. */
  readonly originalLength?: number;
}

/** Bytes collected into chunks. */
class ChunkList {
  #done: Uint8Array[] = [];
  bytes = new Uint8Array(CHUNK);
  view = new DataView(this.bytes.buffer);
  at = 0;

  /** Makes room for one record and gives its place. */
  reserve(length: number): number {
    if (this.at + length > this.bytes.length) {
      if (this.at > 0) this.#done.push(this.bytes.subarray(0, this.at));
      this.bytes = new Uint8Array(Math.max(CHUNK, length));
      this.view = new DataView(this.bytes.buffer);
      this.at = 0;
    }
    const start = this.at;
    this.at += length;
    return start;
  }

  take(all: boolean): Uint8Array[] {
    if (all && this.at > 0) {
      this.#done.push(this.bytes.subarray(0, this.at));
      this.bytes = this.bytes.subarray(this.at);
      this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.length);
      this.at = 0;
    }
    const chunks = this.#done;
    this.#done = [];
    return chunks;
  }
}

export interface PcapOptions {
  /** LINKTYPE_*; default 1, Ethernet. */
  readonly linkType?: number;
  readonly snaplen?: number;
  /** Default: microseconds, which every tool reads. */
  readonly nanoseconds?: boolean;
  readonly littleEndian?: boolean;
}

/** Writes a pcap file. Nothing is kept but the chunks not yet taken. */
export class PcapWriter {
  readonly #out = new ChunkList();
  readonly #littleEndian: boolean;
  readonly #fractionNanos: number;

  constructor({ linkType = 1, snaplen = MAX_PACKET, nanoseconds = false, littleEndian = true }: PcapOptions = {}) {
    this.#littleEndian = littleEndian;
    this.#fractionNanos = nanoseconds ? 1 : 1000;
    const at = this.#out.reserve(24);
    const { view } = this.#out;
    view.setUint32(at, nanoseconds ? PCAP_MAGIC.nanoseconds : PCAP_MAGIC.microseconds, littleEndian);
    view.setUint16(at + 4, 2, littleEndian);
    view.setUint16(at + 6, 4, littleEndian);
    view.setUint32(at + 16, snaplen, littleEndian);
    view.setUint32(at + 20, linkType, littleEndian);
  }

  write({ seconds = 0, nanos = 0, data, originalLength = data.length }: PacketRecord): void {
    const at = this.#out.reserve(16 + data.length);
    const { view, bytes } = this.#out;
    view.setUint32(at, seconds, this.#littleEndian);
    view.setUint32(at + 4, Math.floor(nanos / this.#fractionNanos), this.#littleEndian);
    view.setUint32(at + 8, data.length, this.#littleEndian);
    view.setUint32(at + 12, originalLength, this.#littleEndian);
    bytes.set(data, at + 16);
  }

  /** The full chunks since the last call. */
  take(): Uint8Array[] {
    return this.#out.take(false);
  }

  /** All bytes since the last call. */
  finish(): Uint8Array[] {
    return this.#out.take(true);
  }
}

export interface PcapngOptions {
  readonly littleEndian?: boolean;
  /** Who writes it: `bpflab 0.1.0`. */
  readonly application?: string;
  readonly os?: string;
  readonly hardware?: string;
  readonly comment?: string;
}

export interface InterfaceOptions {
  /** As people know it: `eth0`, or `captureName(...)`. */
  readonly name?: string;
  readonly description?: string;
  readonly linkType?: number;
  /** 0 is "all". */
  readonly snaplen?: number;
}

/** Name of a point of capture as xdpdump writes it: `eth0:xdp_fw()@entry`. */
export function captureName(device: string, program: string, point: 'entry' | 'exit'): string {
  return `${device}:${program}()@${point}`;
}

/** Writes a pcapng file with one section; times in nanoseconds. */
export class PcapngWriter {
  readonly #out = new ChunkList();
  readonly #littleEndian: boolean;
  #interfaces = 0;

  constructor({ littleEndian = true, application, os, hardware, comment }: PcapngOptions = {}) {
    this.#littleEndian = littleEndian;
    const { section } = OPTION;
    const options = this.#options([
      [OPTION.comment, comment],
      [section.hardware, hardware],
      [section.os, os],
      [section.application, application],
    ]);
    const at = this.#block(BLOCK.sectionHeader, 28 + options.length);
    const { view, bytes } = this.#out;
    view.setUint32(at + 8, BYTE_ORDER_MAGIC, littleEndian);
    view.setUint16(at + 12, 1, littleEndian);
    // Length of the section: not known.
    view.setBigInt64(at + 16, -1n, littleEndian);
    bytes.set(options, at + 24);
  }

  /** Describes an interface and gives the id under which packets name it. */
  addInterface({ name, description, linkType = 1, snaplen = 0 }: InterfaceOptions = {}): number {
    const { interface: codes } = OPTION;
    const options = this.#options([
      [codes.name, name],
      [codes.description, description],
      [codes.resolution, Uint8Array.of(9)],
    ]);
    const at = this.#block(BLOCK.interfaceDescription, 20 + options.length);
    const { view, bytes } = this.#out;
    view.setUint16(at + 8, linkType, this.#littleEndian);
    view.setUint32(at + 12, snaplen, this.#littleEndian);
    bytes.set(options, at + 16);
    return this.#interfaces++;
  }

  /** @throws PacketError when the interface was not added. */
  write(record: PacketRecord & { readonly interfaceId?: number; readonly options?: PacketOptions }): void {
    const { seconds = 0, nanos = 0, data, originalLength = data.length, interfaceId = 0 } = record;
    if (interfaceId >= this.#interfaces) {
      throw new PacketError(`capture has no interface ${interfaceId}`, { hint: 'call addInterface first' });
    }
    const options = record.options && encodePacketOptions(record.options, this.#littleEndian);
    const padded = (data.length + 3) & ~3;
    const at = this.#block(BLOCK.enhancedPacket, 32 + padded + (options?.length ?? 0));
    const { view, bytes } = this.#out;
    // seconds * 10^9 + nanos in 64 bits, in halves that stay below 2^53.
    const high = Math.floor(seconds / 0x10000) * 1_000_000_000;
    const low = (high % 0x10000) * 0x10000 + (seconds % 0x10000) * 1_000_000_000 + nanos;
    view.setUint32(at + 8, interfaceId, this.#littleEndian);
    view.setUint32(at + 12, Math.floor(high / 0x10000) + Math.floor(low / 0x1_0000_0000), this.#littleEndian);
    view.setUint32(at + 16, low % 0x1_0000_0000, this.#littleEndian);
    view.setUint32(at + 20, data.length, this.#littleEndian);
    view.setUint32(at + 24, originalLength, this.#littleEndian);
    bytes.set(data, at + 28);
    if (options) bytes.set(options, at + 28 + padded);
  }

  /** The full chunks since the last call. */
  take(): Uint8Array[] {
    return this.#out.take(false);
  }

  /** All bytes since the last call. */
  finish(): Uint8Array[] {
    return this.#out.take(true);
  }

  #block(type: number, length: number): number {
    const at = this.#out.reserve(length);
    const { view } = this.#out;
    view.setUint32(at, type, this.#littleEndian);
    view.setUint32(at + 4, length, this.#littleEndian);
    view.setUint32(at + length - 4, length, this.#littleEndian);
    return at;
  }

  #options(rows: readonly (readonly [number, string | Uint8Array | undefined])[]): Uint8Array {
    const parts = rows
      .filter(([, value]) => value !== undefined)
      .map(([code, value]) =>
        encodeOption(code, typeof value === 'string' ? encodeText(value) : value!, this.#littleEndian),
      );
    return parts.length ? concat([...parts, new Uint8Array(4)]) : new Uint8Array(0);
  }
}
