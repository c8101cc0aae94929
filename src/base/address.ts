import { PacketError } from './error.ts';

/** `02:00:00:00:00:01` (also with `-`, or Cisco's `0200.0000.0001`) to 6 bytes; undefined for other text. */
export function macBytes(text: string): Uint8Array | undefined {
  const hex = /^[0-9a-f]{1,2}([:-])[0-9a-f]{1,2}(\1[0-9a-f]{1,2}){4}$/i.test(text)
    ? text.split(/[:-]/)
    : /^[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}$/i.test(text)
      ? text.replaceAll('.', '').match(/../g)!
      : undefined;
  return hex && Uint8Array.from(hex, (byte) => Number.parseInt(byte, 16));
}

/** The same. @throws PacketError when the text is no MAC address. */
export function parseMac(text: string): Uint8Array {
  const bytes = macBytes(text);
  if (bytes) return bytes;
  throw new PacketError(`"${text}" is not a MAC address`, { hint: 'write six hex bytes, as in 02:00:00:00:00:01' });
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** Two hex digits per byte, no separator. */
export function formatHex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += HEX[byte];
  return text;
}

/** Six bytes at `offset` as `02:00:00:00:00:01`. */
export function formatMac(bytes: Uint8Array, offset = 0): string {
  let text = HEX[bytes[offset]!]!;
  for (let i = 1; i < 6; i++) text += `:${HEX[bytes[offset + i]!]}`;
  return text;
}

/** Dotted quad to 4 bytes; decimal only, as inet_pton reads it; undefined for other text. */
export function ip4Bytes(text: string): Uint8Array | undefined {
  if (!/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) return undefined;
  const bytes = text.split('.').map(Number);
  return bytes.every((byte) => byte < 256) ? Uint8Array.from(bytes) : undefined;
}

/** The same. @throws PacketError when the text is no IPv4 address. */
export function parseIp4(text: string): Uint8Array {
  const bytes = ip4Bytes(text);
  if (!bytes) throw new PacketError(`"${text}" is not an IPv4 address`, { hint: 'write it as in 10.0.0.1' });
  return bytes;
}

/** Four bytes at `offset` as a dotted quad. */
export function formatIp4(bytes: ArrayLike<number>, offset = 0): string {
  return `${bytes[offset]}.${bytes[offset + 1]}.${bytes[offset + 2]}.${bytes[offset + 3]}`;
}

/** The same. @throws PacketError when the text is no IPv6 address. */
export function parseIp6(text: string): Uint8Array {
  const bytes = ip6Bytes(text);
  if (!bytes) throw new PacketError(`"${text}" is not an IPv6 address`, { hint: 'write it as in 2001:db8::1' });
  return bytes;
}

/**
 * IPv6 text (RFC 4291, with an optional dotted quad at the end; no zone) to 16 bytes; undefined for other text.
 */
export function ip6Bytes(text: string): Uint8Array | undefined {
  const words = ip6Words(text);
  if (!words) return undefined;
  const bytes = new Uint8Array(16);
  for (const [i, word] of words.entries()) {
    bytes[i * 2] = word >> 8;
    bytes[i * 2 + 1] = word & 0xff;
  }
  return bytes;
}

function ip6Words(text: string): number[] | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const parts = halves.map((half, i) => groups(half, i === halves.length - 1));
  const [head, tail] = parts;
  if (!head) return undefined;
  if (halves.length === 1) return head.length === 8 ? head : undefined;
  // "::" stands for at least one group of zeros.
  if (!tail || head.length + tail.length > 7) return undefined;
  return [...head, ...new Array<number>(8 - head.length - tail.length).fill(0), ...tail];
}

function groups(text: string, last: boolean): number[] | undefined {
  if (text === '') return [];
  const words: number[] = [];
  const parts = text.split(':');
  for (const [i, part] of parts.entries()) {
    if (/^[0-9a-f]{1,4}$/i.test(part)) words.push(Number.parseInt(part, 16));
    else {
      const quad = last && i === parts.length - 1 ? ip4Bytes(part) : undefined;
      if (!quad) return undefined;
      words.push((quad[0]! << 8) | quad[1]!, (quad[2]! << 8) | quad[3]!);
    }
  }
  return words;
}

/**
 * Sixteen bytes at `offset` as RFC 5952 text: lower case, the longest run of two or more zero groups (the first, when
 * several are longest) as `::`, and IPv4-mapped addresses with a dotted quad.
 */
export function formatIp6(bytes: Uint8Array, offset = 0): string {
  const words: number[] = [];
  for (let i = 0; i < 16; i += 2) words.push((bytes[offset + i]! << 8) | bytes[offset + i + 1]!);
  if (words.slice(0, 5).every((word) => word === 0) && words[5] === 0xffff) {
    return `::ffff:${formatIp4(bytes, offset + 12)}`;
  }
  let start = -1;
  let length = 1;
  for (let i = 0; i < 8; i++) {
    let run = 0;
    while (i + run < 8 && words[i + run] === 0) run++;
    if (run > length) {
      start = i;
      length = run;
    }
    i += run;
  }
  const hex = words.map((word) => word.toString(16));
  if (start < 0) return hex.join(':');
  return `${hex.slice(0, start).join(':')}::${hex.slice(start + length).join(':')}`;
}
