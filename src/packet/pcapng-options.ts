import { concat } from './bytes.ts';

/** Who gave a verdict, and so what its number means: XDP_* or TC_ACT_*. */
export const VERDICT_TYPES = [
  { type: 0, name: 'hardware' },
  { type: 1, name: 'tc' },
  { type: 2, name: 'xdp' },
] as const;
export type VerdictType = (typeof VERDICT_TYPES)[number]['name'];

/** What became of a packet: option epb_verdict. */
export interface Verdict {
  readonly by: VerdictType | `type ${number}`;
  /** XDP_* or TC_ACT_* (which may be negative); absent for hardware. */
  readonly value?: number;
  /** The raw bytes, for verdicts that are no number. */
  readonly data?: Uint8Array;
}

/** Options of an enhanced packet block. */
export interface PacketOptions {
  readonly comments?: readonly string[];
  /** epb_flags: bits 0-1 direction (1 in, 2 out), 2-4 reception type, 5-8 FCS length. */
  readonly flags?: number;
  /** Packets lost between this one and the one before. */
  readonly dropCount?: bigint;
  /** Names the same packet at several points of capture. */
  readonly packetId?: bigint;
  readonly queue?: number;
  readonly verdicts?: readonly Verdict[];
}

/** Option codes; those of packets count from 2. */
export const OPTION = {
  end: 0,
  comment: 1,
  section: { hardware: 2, os: 3, application: 4 },
  interface: { name: 2, description: 3, resolution: 9, offset: 14 },
  packet: { flags: 2, hash: 3, dropCount: 4, packetId: 5, queue: 6, verdict: 7 },
} as const;

/** Options of any block as code and bytes, up to their end or the first that does not fit. */
export function* blockOptions(bytes: Uint8Array, littleEndian: boolean): Generator<{ code: number; data: Uint8Array }> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 0;
  while (at + 4 <= bytes.length) {
    const code = view.getUint16(at, littleEndian);
    const length = view.getUint16(at + 2, littleEndian);
    if (code === OPTION.end || at + 4 + length > bytes.length) return;
    yield { code, data: bytes.subarray(at + 4, at + 4 + length) };
    at += 4 + ((length + 3) & ~3);
  }
}

/** Reads the options of a packet block; those that we do not know or that have a wrong length are left out. */
export function parsePacketOptions(bytes: Uint8Array, littleEndian: boolean): PacketOptions {
  const comments: string[] = [];
  const verdicts: Verdict[] = [];
  const result: { -readonly [K in keyof PacketOptions]: PacketOptions[K] } = {};
  for (const { code, data } of blockOptions(bytes, littleEndian)) {
    const view = new DataView(data.buffer, data.byteOffset, data.length);
    if (code === OPTION.comment) comments.push(new TextDecoder().decode(data));
    else if (code === OPTION.packet.flags && data.length === 4) result.flags = view.getUint32(0, littleEndian);
    else if (code === OPTION.packet.dropCount && data.length === 8)
      result.dropCount = view.getBigUint64(0, littleEndian);
    else if (code === OPTION.packet.packetId && data.length === 8) result.packetId = view.getBigUint64(0, littleEndian);
    else if (code === OPTION.packet.queue && data.length === 4) result.queue = view.getUint32(0, littleEndian);
    else if (code === OPTION.packet.verdict && data.length > 0) verdicts.push(parseVerdict(data, view, littleEndian));
  }
  if (comments.length) result.comments = comments;
  if (verdicts.length) result.verdicts = verdicts;
  return result;
}

function parseVerdict(data: Uint8Array, view: DataView, littleEndian: boolean): Verdict {
  const by = VERDICT_TYPES.find((row) => row.type === data[0])?.name ?? (`type ${data[0]!}` as const);
  if ((by === 'tc' || by === 'xdp') && data.length === 9)
    return { by, value: Number(view.getBigInt64(1, littleEndian)) };
  return { by, data: data.subarray(1) };
}

/** Encodes one option, padded to four bytes. */
export function encodeOption(code: number, data: Uint8Array, littleEndian: boolean): Uint8Array {
  const bytes = new Uint8Array(4 + ((data.length + 3) & ~3));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, code, littleEndian);
  view.setUint16(2, data.length, littleEndian);
  bytes.set(data, 4);
  return bytes;
}

/** Encodes a packet's options, the end mark included; nothing when there are none. */
export function encodePacketOptions(options: PacketOptions, littleEndian: boolean): Uint8Array {
  const parts: Uint8Array[] = [];
  const { packet } = OPTION;
  const put = (code: number, data: Uint8Array) => parts.push(encodeOption(code, data, littleEndian));
  for (const comment of options.comments ?? []) put(OPTION.comment, encodeText(comment));
  if (options.flags !== undefined) put(packet.flags, u32(options.flags, littleEndian));
  if (options.dropCount !== undefined) put(packet.dropCount, u64(options.dropCount, littleEndian));
  if (options.packetId !== undefined) put(packet.packetId, u64(options.packetId, littleEndian));
  if (options.queue !== undefined) put(packet.queue, u32(options.queue, littleEndian));
  for (const verdict of options.verdicts ?? []) {
    const type = VERDICT_TYPES.find((row) => row.name === verdict.by)?.type ?? Number(verdict.by.slice(5));
    const data = verdict.data ?? u64(BigInt(verdict.value ?? 0), littleEndian);
    put(packet.verdict, Uint8Array.of(type, ...data));
  }
  if (parts.length) parts.push(new Uint8Array(4));
  return concat(parts);
}

const TEXT_LIMIT = 0xffff;

/** UTF-8, cut to what an option can hold. */
export function encodeText(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length <= TEXT_LIMIT) return bytes;
  let end = TEXT_LIMIT;
  while ((bytes[end]! & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end);
}

function u32(value: number, littleEndian: boolean): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, littleEndian);
  return bytes;
}

function u64(value: bigint, littleEndian: boolean): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, value), littleEndian);
  return bytes;
}
