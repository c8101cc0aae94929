import { formatHex, formatIp4, formatIp6, formatMac, parseIp4, parseIp6, parseMac } from '../base/address.ts';
import { PacketError } from '../base/error.ts';

/** How a field reads: `uint` decimal, `hex` hexadecimal, `flags` named bits, `bytes` anything of variable length. */
export type FieldKind = 'uint' | 'hex' | 'flags' | 'mac' | 'ip4' | 'ip6' | 'bytes';

/** A field as it comes out of a packet: numbers for uint, hex and flags; text for addresses; bytes as they are. */
export type FieldValue = number | string | Uint8Array;

/** Width of the kinds whose width is given. */
export const KIND_BITS = { mac: 48, ip4: 32, ip6: 128 } as const;

/** Unsigned big-endian number of up to 32 bits at any bit offset. */
export function readBits(bytes: Uint8Array, bitOffset: number, bits: number): number {
  let at = bitOffset >>> 3;
  if ((bitOffset & 7) === 0) {
    if (bits === 8) return bytes[at]!;
    if (bits === 16) return (bytes[at]! << 8) | bytes[at + 1]!;
    if (bits === 32) return bytes[at]! * 0x1000000 + ((bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!);
  }
  const last = (bitOffset + bits - 1) >>> 3;
  let value = bytes[at]! & (0xff >> (bitOffset & 7));
  while (at < last) value = value * 256 + bytes[++at]!;
  return Math.floor(value / 2 ** (7 - ((bitOffset + bits - 1) & 7)));
}

/** Stores the low `bits` bits of `value`; the bits around them stay. */
export function writeBits(bytes: Uint8Array, bitOffset: number, bits: number, value: number): void {
  if ((bitOffset & 7) === 0 && (bits === 8 || bits === 16)) {
    let at = bitOffset >>> 3;
    if (bits === 16) bytes[at++] = value >> 8;
    bytes[at] = value;
    return;
  }
  let rest = value;
  let left = bits;
  let end = bitOffset + bits;
  while (left > 0) {
    const at = (end - 1) >>> 3;
    const low = 7 - ((end - 1) & 7);
    const width = Math.min(left, 8 - low);
    const mask = (0xff >> (8 - width)) << low;
    bytes[at] = (bytes[at]! & ~mask) | ((rest << low) & mask);
    rest = Math.floor(rest / 2 ** width);
    left -= width;
    end -= width;
  }
}

/** Reads a field of fixed width. */
export function readField(bytes: Uint8Array, bitOffset: number, bits: number, kind: FieldKind): number | string {
  switch (kind) {
    case 'mac':
      return formatMac(bytes, bitOffset >>> 3);
    case 'ip4':
      return formatIp4(bytes, bitOffset >>> 3);
    case 'ip6':
      return formatIp6(bytes, bitOffset >>> 3);
    default:
      return readBits(bytes, bitOffset, bits);
  }
}

/** What the builder takes for a field; a string for flags names them (`SA`, `DF+MF`). */
export type FieldInput = number | string | Uint8Array;

/** What storing a field needs to know of it. */
interface FieldShape {
  readonly name: string;
  readonly bits: number;
  readonly kind: FieldKind;
  readonly flags?: readonly string[];
}

/**
 * Stores a field of fixed width.
 * @param header for messages: whose field it is.
 * @throws PacketError when the value is of the wrong type, does not parse, or does not fit.
 */
export function writeField(
  bytes: Uint8Array,
  bitOffset: number,
  field: FieldShape,
  value: FieldInput,
  header: string,
): void {
  const { bits, kind } = field;
  if (kind === 'mac' || kind === 'ip4' || kind === 'ip6') {
    const address = typeof value === 'string' ? ADDRESS_PARSERS[kind](value) : value;
    if (!(address instanceof Uint8Array) || address.length * 8 !== bits) {
      throw new PacketError(`${header}.${field.name}: ${String(value)} is not ${bits / 8} address bytes or their text`);
    }
    bytes.set(address, bitOffset >>> 3);
    return;
  }
  const number = kind === 'flags' && typeof value === 'string' ? parseFlags(field, value, header) : value;
  if (typeof number !== 'number' || !Number.isInteger(number) || number < 0 || number >= 2 ** bits) {
    throw new PacketError(`${header}.${field.name}: ${String(value)} does not fit`, {
      hint: `it is a number from 0 to ${2 ** bits - 1}`,
    });
  }
  writeBits(bytes, bitOffset, bits, number);
}

const ADDRESS_PARSERS = { mac: parseMac, ip4: parseIp4, ip6: parseIp6 } as const;

function parseFlags(field: FieldShape, text: string, header: string): number {
  const names = field.flags ?? [];
  const words = names.every((name) => name.length === 1) ? [...text] : text.split(/[+|, ]/).filter(Boolean);
  let value = 0;
  for (const word of words) {
    const bit = names.indexOf(word.toUpperCase());
    if (bit < 0) {
      throw new PacketError(`${header}.${field.name}: no flag "${word}"`, { hint: `there are ${names.join(' ')}` });
    }
    value |= 1 << bit;
  }
  return value;
}

/** `SA`, `DF+MF`, `none`: the set bits by name, those without a name as a hex rest. */
export function formatFlags(names: readonly string[], value: number): string {
  const set = names.filter((_, bit) => (value >> bit) & 1);
  const unnamed = (value >>> names.length) << names.length;
  if (unnamed) set.push(`0x${unnamed.toString(16)}`);
  return set.join(names.every((name) => name.length === 1) ? '' : '+') || 'none';
}

/** A field's value as people read it. */
export function formatValue(
  field: { readonly kind: FieldKind; readonly bits: number; readonly flags?: readonly string[] },
  value: FieldValue,
): string {
  if (value instanceof Uint8Array) return value.length ? formatHex(value) : 'none';
  if (typeof value === 'string') return value;
  if (field.kind === 'flags' && field.flags) return formatFlags(field.flags, value);
  if (field.kind === 'uint') return String(value);
  return `0x${value.toString(16).padStart(Math.ceil(field.bits / 4), '0')}`;
}
