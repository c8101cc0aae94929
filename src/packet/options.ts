import { formatHex, formatIp4, formatIp6, formatMac, parseIp4, parseIp6, parseMac } from '../base/address.ts';
import { PacketError } from '../base/error.ts';
import type { OptionInput } from './headers.ts';

/** How an option's data reads: unsigned numbers of 1, 2 or 4 bytes (a list when there are several), or an address. */
type OptionKind = 'none' | 'u8' | 'u16' | 'u32' | 'mac' | 'ip4' | 'ip6' | 'bytes';

interface OptionRow {
  readonly kind: number;
  readonly name: string;
  readonly data: OptionKind;
}

/**
 * ```
 * tcp, ip4   kind 8 | length 8, whole option | data          kinds 0 (end) and 1 (nop) are one byte
 * ip6        kind 8 | length 8, data only    | data          kind 0 (pad1) is one byte
 * ndp        kind 8 | length 8, in 8 bytes   | data
 * geneve     class 16 | kind 8 | 0 3 | length 5, data in 4 bytes | data
 * ```
 */
const STYLES = {
  tcp: [
    { kind: 0, name: 'eol', data: 'none' },
    { kind: 1, name: 'nop', data: 'none' },
    { kind: 2, name: 'mss', data: 'u16' },
    { kind: 3, name: 'wscale', data: 'u8' },
    { kind: 4, name: 'sackok', data: 'none' },
    { kind: 5, name: 'sack', data: 'u32' },
    { kind: 8, name: 'timestamp', data: 'u32' },
    { kind: 19, name: 'md5', data: 'bytes' },
    { kind: 30, name: 'mptcp', data: 'bytes' },
    { kind: 34, name: 'fastopen', data: 'bytes' },
  ],
  ip4: [
    { kind: 0, name: 'eol', data: 'none' },
    { kind: 1, name: 'nop', data: 'none' },
    { kind: 7, name: 'rr', data: 'bytes' },
    { kind: 68, name: 'timestamp', data: 'bytes' },
    { kind: 131, name: 'lsrr', data: 'bytes' },
    { kind: 137, name: 'ssrr', data: 'bytes' },
    { kind: 148, name: 'router-alert', data: 'u16' },
  ],
  ip6: [
    { kind: 0, name: 'pad1', data: 'none' },
    { kind: 1, name: 'padn', data: 'bytes' },
    { kind: 5, name: 'router-alert', data: 'u16' },
    { kind: 0xc2, name: 'jumbo', data: 'u32' },
  ],
  ndp: [
    { kind: 1, name: 'slla', data: 'mac' },
    { kind: 2, name: 'tlla', data: 'mac' },
    { kind: 3, name: 'prefix', data: 'bytes' },
    { kind: 5, name: 'mtu', data: 'bytes' },
  ],
  geneve: [],
} as const satisfies Record<string, readonly OptionRow[]>;

export type OptionStyle = keyof typeof STYLES;

/** One option of a header; `offset` counts from the start of the options. */
export interface Option {
  readonly offset: number;
  readonly kind: number;
  /** Geneve's option class. */
  readonly class?: number;
  readonly name: string;
  /** Read by its row: `mss 1460`; the raw bytes for kinds without one. */
  readonly value?: number | string | readonly number[] | Uint8Array;
  readonly data: Uint8Array;
}

const rows = (style: OptionStyle): readonly OptionRow[] => STYLES[style];
const isSingleByte = (style: OptionStyle, kind: number) =>
  ((style === 'tcp' || style === 'ip4') && kind < 2) || (style === 'ip6' && kind === 0);
const padding = (style: OptionStyle) => (style === 'ip6' || style === 'ndp' ? 8 : 4);

/** Reads options until their end, or until the first one that makes no sense, which `problem` then describes. */
export function parseOptions(style: OptionStyle, bytes: Uint8Array): { options: Option[]; problem?: string } {
  const options: Option[] = [];
  let at = 0;
  while (at < bytes.length) {
    const kind = bytes[style === 'geneve' ? at + 2 : at] ?? 0;
    const row = rows(style).find((candidate) => candidate.kind === kind);
    if (isSingleByte(style, kind)) {
      options.push({ offset: at, kind, name: row!.name, data: bytes.subarray(at, at) });
      if (row!.name === 'eol') break;
      at++;
      continue;
    }
    const head = style === 'geneve' ? 4 : 2;
    if (at + head > bytes.length) return { options, problem: `option at ${at} is cut` };
    const stated = bytes[at + head - 1]!;
    const size = { tcp: stated, ip4: stated, ip6: stated + 2, ndp: stated * 8, geneve: (stated & 31) * 4 + 4 }[style];
    if (size < head) return { options, problem: `option ${kind} at ${at} has length ${stated}` };
    if (at + size > bytes.length) {
      return { options, problem: `option ${kind} at ${at} takes ${size} bytes, ${bytes.length - at} are there` };
    }
    const data = bytes.subarray(at + head, at + size);
    const optionClass = style === 'geneve' ? { class: (bytes[at]! << 8) | bytes[at + 1]! } : {};
    const name = row?.name ?? `option ${kind}`;
    options.push({ offset: at, kind, ...optionClass, name, value: readOption(row?.data ?? 'bytes', data), data });
    at += size;
  }
  return { options };
}

const WIDTH = { u8: 1, u16: 2, u32: 4 } as const;
const ADDRESS_BYTES = { mac: 6, ip4: 4, ip6: 16 } as const;

function readOption(kind: OptionKind, data: Uint8Array): Option['value'] {
  switch (kind) {
    case 'none':
      return data.length ? data : undefined;
    case 'bytes':
      return data;
    case 'mac':
    case 'ip4':
    case 'ip6':
      if (data.length !== ADDRESS_BYTES[kind]) return data;
      return { mac: formatMac, ip4: formatIp4, ip6: formatIp6 }[kind](data);
    default: {
      const width = WIDTH[kind];
      if (data.length === 0 || data.length % width !== 0) return data;
      const numbers: number[] = [];
      for (let i = 0; i < data.length; i += width) {
        let number = 0;
        for (let j = 0; j < width; j++) number = number * 256 + data[i + j]!;
        numbers.push(number);
      }
      return numbers.length === 1 ? numbers[0]! : numbers;
    }
  }
}

/** Encodes options and pads them to the header's unit. @throws PacketError for one that cannot be encoded. */
export function encodeOptions(style: OptionStyle, inputs: readonly OptionInput[]): Uint8Array {
  const bytes: number[] = [];
  for (const input of inputs) {
    const row = rows(style).find((candidate) => candidate.name === input.name || candidate.kind === input.kind);
    const kind = input.kind ?? row?.kind;
    if (kind === undefined) {
      const known = rows(style).map((candidate) => candidate.name);
      throw new PacketError(`no ${style} option "${input.name}"`, {
        hint: `known by name: ${known.join(' ') || 'none'}; others by kind and data`,
      });
    }
    if (isSingleByte(style, kind)) {
      bytes.push(kind);
      continue;
    }
    const data = input.data ?? writeOption(row, input);
    const size = {
      tcp: data.length + 2,
      ip4: data.length + 2,
      ip6: data.length,
      ndp: (data.length + 2) / 8,
      geneve: data.length / 4,
    };
    const length = size[style];
    if (!Number.isInteger(length) || length > (style === 'geneve' ? 31 : 255)) {
      throw new PacketError(`${style} option ${input.name ?? kind}: ${data.length} data bytes do not fit`);
    }
    if (style === 'geneve') bytes.push((input.class ?? 0) >> 8, (input.class ?? 0) & 0xff);
    bytes.push(kind, length, ...data);
  }
  while (bytes.length % padding(style) !== (style === 'ip6' ? 6 : 0)) bytes.push(0);
  return Uint8Array.from(bytes);
}

function writeOption(row: OptionRow | undefined, input: OptionInput): Uint8Array {
  const { value } = input;
  if (value === undefined) return new Uint8Array(0);
  const kind = row?.data ?? 'bytes';
  if (typeof value === 'string') {
    if (kind === 'mac' || kind === 'ip4' || kind === 'ip6') {
      return { mac: parseMac, ip4: parseIp4, ip6: parseIp6 }[kind](value);
    }
  } else if (kind in WIDTH) {
    const width = WIDTH[kind as keyof typeof WIDTH];
    const bytes: number[] = [];
    for (const number of typeof value === 'number' ? [value] : value) {
      for (let shift = width - 1; shift >= 0; shift--) bytes.push(Math.floor(number / 2 ** (8 * shift)) & 0xff);
    }
    return Uint8Array.from(bytes);
  }
  throw new PacketError(`option ${row?.name ?? input.kind}: ${String(value)} does not fit`, {
    hint: 'give data bytes',
  });
}

/** `mss 1460, nop, wscale 7`. */
export function formatOptions(style: OptionStyle, bytes: Uint8Array): string {
  const { options, problem } = parseOptions(style, bytes);
  const texts = options.map(({ name, value }) => {
    if (value === undefined) return name;
    return `${name} ${value instanceof Uint8Array ? formatHex(value) : Array.isArray(value) ? value.join('/') : value}`;
  });
  if (problem) texts.push(`malformed (${problem})`);
  return texts.join(', ') || 'none';
}
