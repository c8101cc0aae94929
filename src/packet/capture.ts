import { PacketError } from '../base/error.ts';
import { type PacketOptions, parsePacketOptions } from './pcapng-options.ts';

/** A capture that cannot be read on. What came before stays good. */
export class CaptureError extends PacketError {
  /** Number of the packet that could not be read (1 is the first), which is one more than were read. */
  readonly packet: number;
  /** Where its record starts, in bytes from the start of the (uncompressed) capture. */
  readonly offset: number;

  constructor(packet: number, offset: number, text: string, hint?: string) {
    super(`packet ${packet} at byte ${offset}: ${text}`, { hint });
    this.packet = packet;
    this.offset = offset;
  }
}

/** Where packets were taken. */
export interface CaptureInterface {
  /** Index in the reader's list, over all sections of the capture. */
  readonly id: number;
  /** LINKTYPE_*; 1 is Ethernet. */
  readonly linkType: number;
  /** Bytes kept of each packet; 0 is "all". */
  readonly snaplen: number;
  readonly name?: string;
  readonly description?: string;
  /** Ticks per second of its timestamps; a bigint where a number is not exact. */
  readonly ticksPerSecond: number | bigint;
  /** Seconds to add to its timestamps. */
  readonly offsetSeconds: number;
}

/** One packet of a capture. */
export class CapturedPacket {
  /** 1 is the first of the capture, as in Wireshark. */
  readonly number: number;
  /** Where its record starts, in bytes. */
  readonly offset: number;
  /** Seconds since 1970. */
  readonly seconds: number;
  /** 0 to 999,999,999. */
  readonly nanos: number;
  /** A view of the chunk that was read: good as long as its owner does not write the chunk again. */
  readonly data: Uint8Array;
  /** Bytes on the wire; more than `data` when the capture cut the packet. */
  readonly originalLength: number;
  /** Index in the reader's interfaces. */
  readonly interfaceId: number;
  readonly linkType: number;
  readonly #rawOptions: Uint8Array | undefined;
  readonly #littleEndian: boolean;

  constructor(
    number: number,
    offset: number,
    seconds: number,
    nanos: number,
    data: Uint8Array,
    originalLength: number,
    interfaceId: number,
    linkType: number,
    rawOptions?: Uint8Array,
    littleEndian = true,
  ) {
    this.number = number;
    this.offset = offset;
    this.seconds = seconds;
    this.nanos = nanos;
    this.data = data;
    this.originalLength = originalLength;
    this.interfaceId = interfaceId;
    this.linkType = linkType;
    this.#rawOptions = rawOptions;
    this.#littleEndian = littleEndian;
  }

  /** Nanoseconds since 1970. */
  get timestamp(): bigint {
    return BigInt(this.seconds) * 1_000_000_000n + BigInt(this.nanos);
  }

  /** Did the capture keep only a part of the packet? */
  get truncated(): boolean {
    return this.data.length < this.originalLength;
  }

  /** pcapng's options of the packet, read when asked for. */
  get options(): PacketOptions {
    return this.#rawOptions ? parsePacketOptions(this.#rawOptions, this.#littleEndian) : {};
  }
}

/** First four bytes of a pcap file, as a number in the file's byte order. */
export const PCAP_MAGIC = { microseconds: 0xa1b2c3d4, nanoseconds: 0xa1b23c4d, modified: 0xa1b2cd34 } as const;

/** Types of pcapng blocks that are read; all others are skipped. */
export const BLOCK = {
  /** Reads the same in both byte orders. */
  sectionHeader: 0x0a0d0d0a,
  interfaceDescription: 1,
  /** Obsolete; still found in old captures. */
  packet: 2,
  simplePacket: 3,
  enhancedPacket: 6,
} as const;

export const BYTE_ORDER_MAGIC = 0x1a2b3c4d;

/** The most that tcpdump and Wireshark keep of one packet. */
export const MAX_PACKET = 262_144;
/** Longer blocks are taken for damage, as libpcap does. */
export const MAX_BLOCK = 16 * 1024 * 1024;
