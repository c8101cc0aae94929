import { ip4Bytes, ip6Bytes, macBytes } from '../base/address.ts';
import { MapError } from '../base/error.ts';
import type { Btf } from './btf.ts';
import {
  type BtfValue,
  bitfieldOf,
  type DecodeOptions,
  decodeValue,
  isCharType,
  isKernelManaged,
  isNetworkOrder,
  MAX_VALUE_DEPTH,
  typeName,
} from './btf-decode.ts';
import type { BtfEnum, BtfInt, BtfMember, BtfOf } from './btf-types.ts';

export { type BtfValue, type DecodeOptions, decodeValue, typeName };

export interface EncodeOptions {
  /** How messages call the value: `flows[0].key`. */
  readonly path?: string;
  /** Bytes to start from, so that padding and members that are not named keep their contents. */
  readonly base?: Uint8Array;
}

/**
 * The bytes of a C value; inverse of `decodeValue`. Besides what that gives it takes: bytes for anything, numbers as
 * text (`'0x10'`), IPv4 text for 4-byte integers, numbers as text for `__be16` and `__be64` (written in network order),
 * MAC text for 6 bytes, IPv6 text for 16, hex text for byte arrays, and short arrays and objects with members left
 * out (the rest is zero, or `base`).
 *
 * ```ts
 * encodeValue(btf, keyTypeId, { saddr: '10.0.0.1', dport: '80' });
 * ```
 * @throws MapError for values that do not fit: wrong type, out of range, unknown member.
 */
export function encodeValue(btf: Btf, typeId: number, value: unknown, options: EncodeOptions = {}): Uint8Array {
  const path = options.path ?? typeName(btf, typeId);
  const size = btf.size(typeId);
  if (size === undefined) throw new MapError(`${path}: ${typeName(btf, typeId)} has no size`);
  if (size > MAX_VALUE_BYTES) throw new MapError(`${path}: ${size} bytes are too many`);
  const bytes = new Uint8Array(size);
  if (options.base) bytes.set(options.base.subarray(0, size));
  new Encoder(btf, bytes).encode(typeId, 0, value, path, 0);
  return bytes;
}

const MAX_VALUE_BYTES = 1 << 28;
/** Anonymous structs inside of each other. */
const MAX_NESTED_TYPES = 1000;

/** Values as JSON can hold them: bigint as a number where exact, else as text; bytes as hex text. */
export function toJsonValue(value: BtfValue): unknown {
  if (typeof value === 'bigint') {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : `${value}`;
  }
  if (value instanceof Uint8Array)
    return `0x${Array.from(value, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
  if (Array.isArray(value)) return value.map(toJsonValue);
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, toJsonValue(member)]));
  }
  return value;
}

class Encoder {
  readonly #btf: Btf;
  readonly #bytes: Uint8Array;

  constructor(btf: Btf, bytes: Uint8Array) {
    this.#btf = btf;
    this.#bytes = bytes;
  }

  encode(typeId: number, offset: number, value: unknown, path: string, depth: number): void {
    const btf = this.#btf;
    if (depth > MAX_VALUE_DEPTH) throw new MapError(`${path}: the type contains itself, or is too deeply nested`);
    const size = btf.size(typeId) ?? 0;
    if (offset + size > this.#bytes.length) throw new MapError(`${path}: the type is larger than its container`);
    if (value instanceof Uint8Array) {
      this.#raw(offset, size, value, path);
      return;
    }
    const type = btf.strip(typeId);
    switch (type.kind) {
      case 'int':
        this.#int(type, typeId, offset, value, path);
        return;
      case 'enum':
      case 'enum64':
        this.#put(offset * 8, type.size * 8, enumNumber(type, value, path), path, type.signed);
        return;
      case 'ptr':
        this.#put(offset * 8, 64, integer(value, path), path, false);
        return;
      case 'float':
        this.#float(type.size, offset, value, path);
        return;
      case 'array':
        this.#array(type, offset, value, path, depth);
        return;
      case 'struct':
      case 'union':
        this.#struct(type, offset, value, path, depth);
        return;
      case 'datasec':
        this.#datasec(type, value, path, depth);
        return;
      case 'var':
        this.encode(type.type, offset, value, path, depth + 1);
        return;
      default:
        throw new MapError(`${path}: ${typeName(btf, typeId)} takes bytes only`);
    }
  }

  #raw(offset: number, size: number, value: Uint8Array, path: string): void {
    if (value.length !== size) throw new MapError(`${path}: ${value.length} bytes given, the type has ${size}`);
    this.#bytes.set(value, offset);
  }

  #int(type: BtfInt, typeId: number, offset: number, value: unknown, path: string): void {
    if (typeof value === 'string') {
      const address = type.size === 4 ? ip4Bytes(value) : undefined;
      if (address) {
        this.#bytes.set(address, offset);
        return;
      }
      if (isNetworkOrder(this.#btf, typeId)) {
        this.#put(offset * 8, type.size * 8, integer(value, path), path, false);
        this.#bytes.subarray(offset, offset + type.size).reverse();
        return;
      }
    }
    const number = integer(value, path);
    if (type.bool && number !== 0n && number !== 1n) throw new MapError(`${path}: ${value} is not a bool`);
    this.#put(offset * 8, type.size * 8, number, path, isSigned(type));
  }

  #float(size: number, offset: number, value: unknown, path: string): void {
    if (typeof value !== 'number') throw new MapError(`${path}: a number is wanted, not ${describe(value)}`);
    const view = new DataView(this.#bytes.buffer);
    if (size === 4) view.setFloat32(offset, value, true);
    else if (size === 8) view.setFloat64(offset, value, true);
    else throw new MapError(`${path}: floats of ${size} bytes take bytes only`);
  }

  #array(type: BtfOf<'array'>, offset: number, value: unknown, path: string, depth: number): void {
    const size = this.#btf.size(type.type) ?? 0;
    const total = size * type.nelems;
    if (typeof value === 'string') {
      this.#bytes.set(this.#arrayText(type, total, size, value, path), offset);
      return;
    }
    if (!Array.isArray(value)) throw new MapError(`${path}: an array is wanted, not ${describe(value)}`);
    if (value.length > type.nelems)
      throw new MapError(`${path}: ${value.length} elements given, there is room for ${type.nelems}`);
    value.forEach((element: unknown, i) => {
      this.encode(type.type, offset + i * size, element, `${path}[${i}]`, depth + 1);
    });
  }

  #arrayText(type: BtfOf<'array'>, total: number, size: number, value: string, path: string): Uint8Array {
    const bytes = new Uint8Array(total);
    const address = total === 6 ? macBytes(value) : total === 16 ? ip6Bytes(value) : undefined;
    if (address) return address;
    if (isCharType(this.#btf, type.type)) {
      const text = new TextEncoder().encode(value);
      if (text.length > total) throw new MapError(`${path}: text of ${text.length} bytes in an array of ${total}`);
      bytes.set(text);
      return bytes;
    }
    if (total === 4 && size === 1) {
      const ipv4 = ip4Bytes(value);
      if (ipv4) return ipv4;
    }
    const hex = /^0x([0-9a-f]*)$/i.exec(value)?.[1];
    if (hex === undefined || size !== 1 || hex.length !== total * 2) {
      throw new MapError(`${path}: '${value}' is not text for ${typeName(this.#btf, type.id)}`);
    }
    return bytes.map((_, i) => Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16));
  }

  #struct(type: BtfOf<'struct'>, offset: number, value: unknown, path: string, depth: number): void {
    if (isKernelManaged(type)) {
      if (value === null || value === undefined) return;
      throw new MapError(`${path}: struct ${type.name} belongs to the kernel and cannot be set`);
    }
    if (typeof value === 'string') {
      const address = type.size === 16 ? ip6Bytes(value) : type.size === 4 ? ip4Bytes(value) : undefined;
      if (address && (type.name === 'in6_addr' || type.name === 'in_addr')) {
        this.#bytes.set(address, offset);
        return;
      }
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new MapError(`${path}: an object is wanted, not ${describe(value)}`);
    }
    for (const [name, member] of Object.entries(value)) {
      const found = findMember(this.#btf, type, name, 0, new Set());
      if (!found) {
        const known = type.members.map((row) => row.name).filter((row) => row !== '');
        throw new MapError(`${path}: there is no member '${name}'`, { hint: `there are: ${known.join(', ')}` });
      }
      this.#member(found.member, offset + found.offset, member, `${path}.${name}`, depth);
    }
  }

  #member(member: BtfMember, offset: number, value: unknown, path: string, depth: number): void {
    const field = bitfieldOf(this.#btf, member);
    if (field.bits === 0) {
      this.encode(member.type, offset + field.offset / 8, value, path, depth + 1);
      return;
    }
    const type = this.#btf.strip(member.type);
    const isEnum = type.kind === 'enum' || type.kind === 'enum64';
    const number = isEnum ? enumNumber(type, value, path) : integer(value, path);
    const signed = isEnum ? type.signed : type.kind === 'int' && isSigned(type);
    this.#put(offset * 8 + field.offset, field.bits, number, path, signed);
  }

  #datasec(type: BtfOf<'datasec'>, value: unknown, path: string, depth: number): void {
    if (typeof value !== 'object' || value === null)
      throw new MapError(`${path}: an object is wanted, not ${describe(value)}`);
    for (const [name, member] of Object.entries(value)) {
      const entry = type.vars.find((row) => this.#btf.name(row.type) === name);
      if (!entry) throw new MapError(`${path}: there is no variable '${name}'`);
      this.encode(entry.type, entry.offset, member, `${path}.${name}`, depth + 1);
    }
  }

  /** Writes `bits` bits, little-endian, leaving the neighbours alone. */
  #put(bitOffset: number, bits: number, value: bigint, path: string, signed: boolean): void {
    const low = signed ? -(1n << BigInt(bits - 1)) : 0n;
    const high = (1n << BigInt(signed ? bits - 1 : bits)) - 1n;
    if (value < low || value > high) throw new MapError(`${path}: ${value} is out of range (${low} to ${high})`);
    const raw = BigInt.asUintN(bits, value);
    const first = Math.floor(bitOffset / 8);
    const count = Math.ceil((bitOffset + bits) / 8) - first;
    if (first + count > this.#bytes.length) throw new MapError(`${path}: the member reaches beyond its struct`);
    const shift = BigInt(bitOffset % 8);
    const mask = ((1n << BigInt(bits)) - 1n) << shift;
    let old = 0n;
    for (let i = count - 1; i >= 0; i--) old = (old << 8n) | BigInt(this.#bytes[first + i]!);
    let mixed = (old & ~mask) | (raw << shift);
    for (let i = 0; i < count; i++) {
      this.#bytes[first + i] = Number(mixed & 0xffn);
      mixed >>= 8n;
    }
  }
}

function isSigned(type: BtfInt): boolean {
  return type.signed || (type.size === 1 && type.name === 'char');
}

/** Member by name, also inside anonymous members; `offset` is that of the struct that holds it. */
function findMember(
  btf: Btf,
  type: BtfOf<'struct'>,
  name: string,
  offset: number,
  visited: Set<number>,
): { member: BtfMember; offset: number } | undefined {
  // A type that was searched once has nothing new the second time, and may be its own member.
  if (visited.has(type.id) || visited.size > MAX_NESTED_TYPES) return undefined;
  visited.add(type.id);
  for (const member of type.members) {
    if (member.name === name) return { member, offset };
    if (member.name !== '') continue;
    const inner = btf.strip(member.type);
    if (inner.kind !== 'struct' && inner.kind !== 'union') continue;
    const found = findMember(btf, inner, name, offset + Math.floor(member.bitOffset / 8), visited);
    if (found) return found;
  }
  return undefined;
}

function integer(value: unknown, path: string): bigint {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'boolean') return value ? 1n : 0n;
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value)) {
      throw new MapError(`${path}: ${value} is not an exact integer`, {
        hint: 'write large numbers as bigint: 1n << 60n',
      });
    }
    return BigInt(value);
  }
  if (typeof value === 'string' && /^-?(0x[0-9a-f]+|\d+)$/i.test(value)) {
    return value.startsWith('-') ? -BigInt(value.slice(1)) : BigInt(value);
  }
  throw new MapError(`${path}: an integer is wanted, not ${describe(value)}`);
}

function enumNumber(type: BtfEnum, value: unknown, path: string): bigint {
  if (typeof value !== 'string') return integer(value, path);
  const row = type.values.find((candidate) => candidate.name === value);
  if (row) return row.value;
  if (/^-?(0x)?\d/.test(value)) return integer(value, path);
  const known = type.values.slice(0, 12).map((candidate) => candidate.name);
  throw new MapError(`${path}: enum ${type.name} has no '${value}'`, { hint: `there are: ${known.join(', ')}` });
}

function describe(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'string' ? `'${value}'` : typeof value === 'object' ? 'an object' : String(value);
}
