import { formatIp4, formatIp6, formatMac } from '../base/address.ts';
import { MapError } from '../base/error.ts';
import type { Btf } from './btf.ts';
import type { BtfEnum, BtfInt, BtfMember, BtfOf, BtfType } from './btf-types.ts';

/**
 * A C value as JavaScript has it: integers up to 32 bits as numbers, 64-bit ones (and pointers) always as bigint, bool
 * as boolean, enums by name where the value has one, structs and unions as objects (anonymous members inlined), arrays
 * as arrays, printable `char[]` as strings, types without a known layout as bytes, and structs that only the kernel
 * may touch (`bpf_spin_lock`, `bpf_timer`) as null.
 */
export type BtfValue =
  | number
  | bigint
  | boolean
  | string
  | null
  | Uint8Array
  | readonly BtfValue[]
  | { readonly [member: string]: BtfValue };

export interface DecodeOptions {
  /**
   * Present network data as text: `__be32` as `10.0.0.1`, `__be16` as the number in host order (`'80'`), `__u8[6]` as a
   * MAC address, `in6_addr` as an IPv6 address. `encodeValue` reads it back.
   */
  readonly present?: boolean;
}

/** Structs of the kernel whose bytes mean nothing to user space. */
const KERNEL_MANAGED = new Set([
  'bpf_spin_lock',
  'bpf_res_spin_lock',
  'bpf_timer',
  'bpf_wq',
  'bpf_dynptr',
  'bpf_list_head',
  'bpf_list_node',
  'bpf_rb_root',
  'bpf_rb_node',
  'bpf_refcount',
  'bpf_task_work',
]);

/** True for structs that user space may not fill in. */
export function isKernelManaged(type: BtfType): boolean {
  return type.kind === 'struct' && KERNEL_MANAGED.has(type.name);
}

/** By-value nesting beyond this is a loop. */
export const MAX_VALUE_DEPTH = 32;
/** Unions of unions can name a few bytes in billions of ways. */
const MAX_NODES = 4_000_000;

/**
 * Decodes `bytes` as a value of a type. Bytes beyond the type's size are ignored.
 * @throws MapError when the type has no size, does not fit, or contains itself.
 */
export function decodeValue(btf: Btf, typeId: number, bytes: Uint8Array, options: DecodeOptions = {}): BtfValue {
  const size = btf.size(typeId);
  if (size !== undefined && bytes.length < size) {
    throw new MapError(`${typeName(btf, typeId)} has ${size} bytes, but there are only ${bytes.length}`);
  }
  return new Decoder(btf, bytes, options.present === true).decode(typeId, 0, 0);
}

/** C spelling of a type, for messages: `struct flow_key`, `__u32`, `char[16]`. */
export function typeName(btf: Btf, typeId: number, depth = 0): string {
  if (depth > MAX_VALUE_DEPTH) return '...';
  const type = btf.type(typeId);
  const inner = (id: number) => typeName(btf, id, depth + 1);
  switch (type.kind) {
    case 'ptr':
      return `${inner(type.type)} *`;
    case 'array':
      return `${inner(type.type)}[${type.nelems}]`;
    case 'struct':
    case 'union':
    case 'enum':
      return `${type.kind} ${type.name || '{...}'}`;
    case 'enum64':
      return `enum ${type.name || '{...}'}`;
    case 'const':
    case 'volatile':
    case 'restrict':
      return `${type.kind} ${inner(type.type)}`;
    case 'type_tag':
      return inner(type.type);
    case 'fwd':
      return `${type.union ? 'union' : 'struct'} ${type.name}`;
    case 'void':
      return 'void';
    default:
      return type.name || type.kind;
  }
}

/** Outermost typedef names of a type, followed through qualifiers. */
export function typedefNames(btf: Btf, typeId: number): string[] {
  const names: string[] = [];
  let type = btf.type(typeId);
  for (let depth = 0; depth < MAX_VALUE_DEPTH; depth++) {
    if (type.kind === 'typedef') names.push(type.name);
    else if (type.kind !== 'const' && type.kind !== 'volatile' && type.kind !== 'type_tag' && type.kind !== 'restrict')
      break;
    type = btf.type(type.type);
  }
  return names;
}

/** True for the element type of text: `char`, or an INT with char encoding. */
export function isCharType(btf: Btf, typeId: number): boolean {
  const type = btf.strip(typeId);
  return type.kind === 'int' && type.size === 1 && (type.char || type.name === 'char');
}

/** Bits of an old-style bitfield (an INT narrower than its size), or the member's own; 0 for an ordinary member. */
export function bitfieldOf(btf: Btf, member: BtfMember): { offset: number; bits: number } {
  if (member.bitSize > 0) return { offset: member.bitOffset, bits: member.bitSize };
  const type = btf.strip(member.type);
  if (type.kind === 'int' && (type.bits !== type.size * 8 || type.bitOffset !== 0) && type.bits <= 64) {
    return { offset: member.bitOffset + type.bitOffset, bits: type.bits };
  }
  if (member.bitOffset % 8 !== 0 && (type.kind === 'int' || type.kind === 'enum')) {
    return { offset: member.bitOffset, bits: type.size * 8 };
  }
  return { offset: member.bitOffset, bits: 0 };
}

const NETWORK_ORDER = new Set(['__be16', '__be32', '__be64', '__sum16']);

export function isNetworkOrder(btf: Btf, typeId: number): boolean {
  return typedefNames(btf, typeId).some((name) => NETWORK_ORDER.has(name));
}

class Decoder {
  readonly #btf: Btf;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #present: boolean;
  #nodes = 0;

  constructor(btf: Btf, bytes: Uint8Array, present: boolean) {
    this.#btf = btf;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#present = present;
  }

  decode(typeId: number, offset: number, depth: number): BtfValue {
    const btf = this.#btf;
    if (depth > MAX_VALUE_DEPTH || ++this.#nodes > MAX_NODES) {
      throw new MapError(`${typeName(btf, typeId)} contains itself, or is too deeply nested`);
    }
    const type = btf.strip(typeId);
    switch (type.kind) {
      case 'int':
        return this.#int(type, typeId, offset);
      case 'enum':
      case 'enum64':
        return enumValue(type, this.#unsigned(offset, type.size));
      case 'ptr':
        return this.#unsigned(offset, 8);
      case 'float':
        if (type.size === 4 && this.#holds(offset, 4)) return this.#view.getFloat32(offset, true);
        if (type.size === 8 && this.#holds(offset, 8)) return this.#view.getFloat64(offset, true);
        return this.#slice(offset, type.size);
      case 'array':
        return this.#array(type, offset, depth);
      case 'struct':
      case 'union': {
        if (isKernelManaged(type)) return null;
        if (this.#present && type.name === 'in6_addr' && type.size === 16 && this.#holds(offset, 16)) {
          return formatIp6(this.#slice(offset, 16));
        }
        const members: Record<string, BtfValue> = {};
        this.#members(type, offset, depth, members);
        return members;
      }
      case 'datasec': {
        const variables: Record<string, BtfValue> = {};
        for (const entry of type.vars) {
          // Declared, but without a place.
          if (entry.size === 0) continue;
          setMember(variables, btf.name(entry.type), this.decode(entry.type, entry.offset, depth + 1));
        }
        return variables;
      }
      case 'var':
        return this.decode(type.type, offset, depth + 1);
      default:
        return this.#slice(offset, this.#bytes.length - offset);
    }
  }

  #holds(offset: number, size: number): boolean {
    return offset + size <= this.#bytes.length;
  }

  #slice(offset: number, size: number): Uint8Array {
    return this.#bytes.slice(offset, offset + Math.max(0, size));
  }

  #unsigned(offset: number, size: number): bigint {
    if (!this.#holds(offset, size)) throw new MapError(`bytes ${offset} to ${offset + size} of ${this.#bytes.length}`);
    let value = 0n;
    for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.#bytes[offset + i]!);
    return value;
  }

  #int(type: BtfInt, typeId: number, offset: number): BtfValue {
    if (this.#present && isNetworkOrder(this.#btf, typeId)) {
      const bytes = this.#slice(offset, type.size);
      if (bytes.length === 4) return formatIp4(bytes);
      return `${bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n)}`;
    }
    const bits = type.size * 8;
    return intValue(type, this.#unsigned(offset, type.size), bits);
  }

  #array(type: BtfOf<'array'>, offset: number, depth: number): BtfValue {
    const btf = this.#btf;
    const size = btf.size(type.type) ?? 0;
    // A flexible tail has what is left.
    const room = size > 0 ? Math.max(0, Math.floor((this.#bytes.length - offset) / size)) : 0;
    const count = type.nelems === 0 ? room : Math.min(type.nelems, room);
    if (isCharType(btf, type.type)) {
      const text = printableText(this.#slice(offset, count));
      if (text !== undefined) return text;
    }
    if (this.#present && type.nelems === 6 && size === 1) return formatMac(this.#slice(offset, 6));
    if (this.#present && type.nelems === 4 && size === 4 && isNetworkOrder(btf, type.type)) {
      return formatIp6(this.#slice(offset, 16));
    }
    return Array.from({ length: count }, (_, i) => this.decode(type.type, offset + i * size, depth + 1));
  }

  #members(type: BtfOf<'struct'>, offset: number, depth: number, into: Record<string, BtfValue>): void {
    const btf = this.#btf;
    if (depth > MAX_VALUE_DEPTH) throw new MapError(`struct ${type.name} contains itself, or is too deeply nested`);
    for (const member of type.members) {
      const field = bitfieldOf(btf, member);
      if (member.name === '') {
        const inner = btf.strip(member.type);
        if (++this.#nodes > MAX_NODES) throw new MapError(`struct ${type.name} is too deeply nested`);
        if (inner.kind === 'struct' || inner.kind === 'union') {
          this.#members(inner, offset + Math.floor(member.bitOffset / 8), depth + 1, into);
        }
      } else if (field.bits > 0)
        setMember(into, member.name, this.#bitfield(member, offset * 8 + field.offset, field.bits));
      else setMember(into, member.name, this.decode(member.type, offset + field.offset / 8, depth + 1));
    }
  }

  #bitfield(member: BtfMember, bitOffset: number, bits: number): BtfValue {
    const first = Math.floor(bitOffset / 8);
    const raw = this.#unsigned(first, Math.ceil((bitOffset + bits) / 8) - first);
    const value = BigInt.asUintN(bits, raw >> BigInt(bitOffset % 8));
    const type = this.#btf.strip(member.type);
    if (type.kind === 'int') return intValue(type, value, bits);
    if (type.kind === 'enum' || type.kind === 'enum64') return enumValue(type, value, bits);
    return value;
  }
}

/** C names are free to be `__proto__`. */
function setMember(into: Record<string, BtfValue>, name: string, value: BtfValue): void {
  if (name !== '__proto__') into[name] = value;
  else Object.defineProperty(into, name, { value, enumerable: true, configurable: true, writable: true });
}

function intValue(type: BtfInt, value: bigint, bits: number): BtfValue {
  if (type.bool && value <= 1n) return value === 1n;
  const signed = type.signed || (type.size === 1 && type.name === 'char');
  const exact = signed ? BigInt.asIntN(bits, value) : value;
  return type.size > 4 ? exact : Number(exact);
}

function enumValue(type: BtfEnum, raw: bigint, bits = type.size * 8): BtfValue {
  const value = type.signed ? BigInt.asIntN(bits, raw) : raw;
  const known = type.values.find((row) => row.value === value || BigInt.asUintN(bits, row.value) === raw);
  if (known) return known.name;
  return type.size > 4 ? value : Number(value);
}

/** Text up to the first NUL, when all of it is printable and nothing follows; undefined otherwise. */
function printableText(bytes: Uint8Array): string | undefined {
  const nul = bytes.indexOf(0);
  const end = nul < 0 ? bytes.length : nul;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (i < end ? (byte < 0x20 && byte !== 9 && byte !== 10 && byte !== 13) || byte === 0x7f : byte !== 0)
      return undefined;
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, end));
  } catch {
    return undefined;
  }
}
