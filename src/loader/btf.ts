import { BTF_KINDS, type BtfKind, type BtfOf, type BtfType } from './btf-types.ts';
import { decodeText } from './elf.ts';
import { ObjectError } from './object-error.ts';

export const BTF_MAGIC = 0xeb9f;
const HEADER_SIZE = 24;
const TYPE_SIZE = 12;
/** kernel: MAX_RESOLVE_DEPTH */
export const MAX_RESOLVE_DEPTH = 32;
const U32_MAX = 0xffffffff;

const K = Object.fromEntries(BTF_KINDS.map((name, number) => [name, number])) as Readonly<Record<BtfKind, number>>;

/** Bytes behind the 12 common ones: a constant, plus so many per `vlen`. */
const TAIL = [
  [0, 0], // void
  [4, 0], // int
  [0, 0], // ptr
  [12, 0], // array
  [0, 12], // struct
  [0, 12], // union
  [0, 8], // enum
  [0, 0], // fwd
  [0, 0], // typedef
  [0, 0], // volatile
  [0, 0], // const
  [0, 0], // restrict
  [0, 0], // func
  [0, 8], // func_proto
  [4, 0], // var
  [0, 12], // datasec
  [0, 0], // float
  [4, 0], // decl_tag
  [0, 0], // type_tag
  [0, 12], // enum64
] as const;

const VOID: BtfType = { id: 0, kind: 'void', name: '' };

/** Kinds whose size_or_type word is a type id. */
const REFERS = new Set<number>([
  K.ptr,
  K.typedef,
  K.volatile,
  K.const,
  K.restrict,
  K.func,
  K.func_proto,
  K.var,
  K.decl_tag,
  K.type_tag,
]);

/** Kinds that are transparent to sizes and to CO-RE. */
export function isModifier(kind: BtfKind): boolean {
  return kind === 'volatile' || kind === 'const' || kind === 'restrict' || kind === 'typedef' || kind === 'type_tag';
}

/**
 * Type information of an object or of a kernel. Types are decoded when asked for; the bytes stay at hand, and the few
 * corrections that a loader makes (data section sizes, linkage) are made in them, so `bytes` is what a kernel should get.
 *
 * @throws ObjectError EINVAL for bytes that are not BTF: bad header, overrun, bad ids or string offsets.
 */
export class Btf {
  /** Little- or big-endian as in the file. */
  readonly bytes: Uint8Array;
  readonly littleEndian: boolean;
  /** Number of types, void included: ids run from 0 to count - 1. */
  readonly count: number;

  readonly #view: DataView;
  readonly #offsets: Uint32Array;
  readonly #strings: Uint8Array;
  readonly #cache: (BtfType | undefined)[] = [VOID];
  readonly #texts = new Map<number, string>();
  #names: Map<string, number[]> | undefined;
  #tags: Map<number, BtfOf<'decl_tag'>[]> | undefined;

  constructor(bytes: Uint8Array) {
    // Not slice(): a Buffer's would share the memory.
    this.bytes = new Uint8Array(bytes);
    this.#view = new DataView(this.bytes.buffer);
    const { littleEndian, typeStart, typeEnd, strStart, strEnd } = readHeader(this.#view);
    this.littleEndian = littleEndian;
    this.#strings = this.bytes.subarray(strStart, strEnd);
    this.#offsets = this.#indexTypes(typeStart, typeEnd);
    this.count = this.#offsets.length;
    this.#checkReferences();
  }

  /** Keeps `JSON.stringify(spec)` short. */
  toJSON(): unknown {
    return { types: this.count - 1, bytes: this.bytes.length };
  }

  /** @throws ObjectError EINVAL when there is no such type. */
  type(id: number): BtfType {
    const known = this.#cache[id];
    if (known) return known;
    if (!(id > 0 && id < this.count))
      throw new ObjectError('EINVAL', `BTF has no type [${id}] (${this.count - 1} types)`);
    const type = this.#decode(id);
    this.#cache[id] = type;
    return type;
  }

  /** Kind without decoding the type. */
  kind(id: number): BtfKind {
    if (id === 0 || id >= this.count) return 'void';
    return BTF_KINDS[(this.#u32(this.#offsets[id]! + 4) >>> 24) & 0x1f]!;
  }

  /** Name without decoding the type. */
  name(id: number): string {
    return id === 0 || id >= this.count ? '' : this.text(this.#u32(this.#offsets[id]!));
  }

  /** A string of the string section; '' for an offset outside. */
  text(offset: number): string {
    const known = this.#texts.get(offset);
    if (known !== undefined) return known;
    if (offset >= this.#strings.length) return '';
    const end = this.#strings.indexOf(0, offset);
    const text = decodeText(this.#strings, offset, end < 0 ? this.#strings.length : end);
    this.#texts.set(offset, text);
    return text;
  }

  /** Ids of all types of that name, ascending. */
  idsByName(name: string): readonly number[] {
    return this.#nameIndex().get(name) ?? [];
  }

  /** First type of that name and kind, or undefined. */
  find<Kind extends BtfKind>(name: string, ...kinds: Kind[]): BtfOf<Kind> | undefined {
    for (const id of this.idsByName(name)) {
      if ((kinds as BtfKind[]).includes(this.kind(id))) return this.type(id) as BtfOf<Kind>;
    }
    return undefined;
  }

  /** All names with the ids that bear them; built on first use. */
  #nameIndex(): Map<string, number[]> {
    if (this.#names) return this.#names;
    const names = new Map<string, number[]>();
    for (let id = 1; id < this.count; id++) {
      const name = this.name(id);
      if (name === '') continue;
      const ids = names.get(name);
      if (ids) ids.push(id);
      else names.set(name, [id]);
    }
    this.#names = names;
    return names;
  }

  /** Names in id order of first appearance. */
  names(): Iterable<readonly [string, readonly number[]]> {
    return this.#nameIndex();
  }

  /** Data sections in id order. */
  datasecs(): BtfOf<'datasec'>[] {
    const found: BtfOf<'datasec'>[] = [];
    for (let id = 1; id < this.count; id++) {
      if (this.kind(id) !== 'datasec') continue;
      const type = this.type(id);
      if (type.kind === 'datasec') found.push(type);
    }
    return found;
  }

  /** Declaration tags on a type, its members and its parameters. */
  declTags(id: number): readonly BtfOf<'decl_tag'>[] {
    if (!this.#tags) {
      this.#tags = new Map();
      for (let at = 1; at < this.count; at++) {
        if (this.kind(at) !== 'decl_tag') continue;
        const tag = this.type(at) as BtfOf<'decl_tag'>;
        const known = this.#tags.get(tag.type);
        if (known) known.push(tag);
        else this.#tags.set(tag.type, [tag]);
      }
    }
    return this.#tags.get(id) ?? [];
  }

  /** Follows const, volatile, restrict, typedef and type_tag; stops after 32 steps, at void, so loops end. */
  strip(id: number): BtfType {
    let type = this.type(id);
    for (let depth = 0; depth < MAX_RESOLVE_DEPTH; depth++) {
      if (!isModifier(type.kind)) return type;
      type = this.type((type as BtfOf<'typedef'>).type);
    }
    return VOID;
  }

  /** Size in bytes, or undefined: void, fwd, func, overflow of 32 bits, more than 32 steps. kernel: btf_type_id_size() */
  size(id: number): number | undefined {
    let factor = 1;
    let at = id;
    for (let depth = 0; depth < MAX_RESOLVE_DEPTH; depth++) {
      const type = this.type(at);
      switch (type.kind) {
        case 'int':
        case 'struct':
        case 'union':
        case 'enum':
        case 'enum64':
        case 'datasec':
        case 'float':
          return within32(factor * type.size);
        case 'ptr':
          return within32(factor * 8);
        case 'typedef':
        case 'volatile':
        case 'const':
        case 'restrict':
        case 'type_tag':
        case 'var':
        case 'decl_tag':
          at = type.type;
          break;
        case 'array':
          factor *= type.nelems;
          if (factor > U32_MAX) return undefined;
          at = type.type;
          break;
        default:
          return undefined;
      }
    }
    return undefined;
  }

  /** Alignment in bytes of a scalar, or of the scalars of an array; 0 for other types. libbpf: btf__align_of() */
  align(id: number): number {
    let type = this.strip(id);
    for (let depth = 0; type.kind === 'array' && depth < MAX_RESOLVE_DEPTH; depth++) type = this.strip(type.type);
    if (type.kind === 'ptr') return 8;
    return type.kind === 'int' || type.kind === 'enum' || type.kind === 'enum64' || type.kind === 'float'
      ? Math.min(8, type.size)
      : 0;
  }

  /** Rewrites the size and the variables of a data section, in the order given. The number of variables must not change. */
  setDatasec(id: number, size: number, vars: readonly { type: number; offset: number; size: number }[]): void {
    const at = this.#offsets[id]!;
    this.#put(at + 8, size);
    vars.forEach((entry, i) => {
      this.#put(at + 12 + i * 12, entry.type);
      this.#put(at + 16 + i * 12, entry.offset);
      this.#put(at + 20 + i * 12, entry.size);
    });
    this.#cache[id] = undefined;
  }

  /** Changes the linkage of a `var` or `func`. */
  setLinkage(id: number, linkage: number): void {
    const at = this.#offsets[id]!;
    if (this.kind(id) === 'func') this.#put(at + 4, (this.#u32(at + 4) & 0xffff0000) | linkage);
    else this.#put(at + 12, linkage);
    this.#cache[id] = undefined;
  }

  #u32(at: number): number {
    return this.#view.getUint32(at, this.littleEndian);
  }

  #put(at: number, value: number): void {
    this.#view.setUint32(at, value, this.littleEndian);
  }

  #indexTypes(start: number, end: number): Uint32Array {
    const offsets: number[] = [0];
    let at = start;
    while (at < end) {
      const id = offsets.length;
      if (at + TYPE_SIZE > end) throw malformed(id);
      const info = this.#u32(at + 4);
      const kind = (info >>> 24) & 0x1f;
      const tail = TAIL[kind];
      if (!tail || kind === 0) {
        throw new ObjectError('EINVAL', `Unsupported BTF_KIND:${kind} (type [${id}])`, { section: '.BTF' });
      }
      offsets.push(at);
      at += TYPE_SIZE + tail[0] + tail[1] * (info & 0xffff);
      if (at > end) throw malformed(id);
    }
    return Uint32Array.from(offsets);
  }

  /** libbpf: btf_sanity_check(): every name and every referenced id exists. */
  #checkReferences(): void {
    const { count } = this;
    const checkId = (id: number, from: number) => {
      if (id >= count) {
        throw new ObjectError('EINVAL', `btf: type [${from}]: invalid referenced type ID ${id}`, { section: '.BTF' });
      }
    };
    const checkName = (offset: number, from: number) => {
      if (offset >= this.#strings.length) {
        throw new ObjectError('EINVAL', `btf: type [${from}]: invalid string offset ${offset}`, { section: '.BTF' });
      }
    };
    for (let id = 1; id < count; id++) {
      const at = this.#offsets[id]!;
      const info = this.#u32(at + 4);
      const kind = (info >>> 24) & 0x1f;
      checkName(this.#u32(at), id);
      if (REFERS.has(kind)) checkId(this.#u32(at + 8), id);
      if (kind === K.array) {
        checkId(this.#u32(at + 12), id);
        checkId(this.#u32(at + 16), id);
      } else if (kind === K.func && this.kind(this.#u32(at + 8)) !== 'func_proto') {
        throw new ObjectError('EINVAL', `btf: type [${id}]: FUNC referencing wrong kind`, { section: '.BTF' });
      }
      const step = TAIL[kind]![1];
      if (step === 0) continue;
      for (let i = 0, entry = at + TYPE_SIZE; i < (info & 0xffff); i++, entry += step) {
        if (kind === K.datasec) checkId(this.#u32(entry), id);
        else checkName(this.#u32(entry), id);
        if (kind === K.struct || kind === K.union || kind === K.func_proto) checkId(this.#u32(entry + 4), id);
      }
    }
  }

  #decode(id: number): BtfType {
    const at = this.#offsets[id]!;
    const info = this.#u32(at + 4);
    const vlen = info & 0xffff;
    const flag = info >>> 31 === 1;
    const word = this.#u32(at + 8);
    const tail = at + TYPE_SIZE;
    const kind = BTF_KINDS[(info >>> 24) & 0x1f]!;
    const name = this.text(this.#u32(at));
    const each = <T>(step: number, read: (entry: number) => T): T[] =>
      Array.from({ length: vlen }, (_, i) => read(tail + i * step));
    switch (kind) {
      case 'void':
        return VOID;
      case 'int': {
        const bits = this.#u32(tail);
        const encoding = (bits >>> 24) & 15;
        return {
          id,
          kind,
          name,
          size: word,
          bits: bits & 0xff,
          bitOffset: (bits >>> 16) & 0xff,
          signed: (encoding & 1) !== 0,
          char: (encoding & 2) !== 0,
          bool: (encoding & 4) !== 0,
          encoding,
        };
      }
      case 'array':
        return { id, kind, name, type: this.#u32(tail), indexType: this.#u32(tail + 4), nelems: this.#u32(tail + 8) };
      case 'struct':
      case 'union': {
        const members = each(12, (entry) => {
          const offset = this.#u32(entry + 8);
          return {
            name: this.text(this.#u32(entry)),
            type: this.#u32(entry + 4),
            bitOffset: flag ? offset & 0xffffff : offset,
            bitSize: flag ? offset >>> 24 : 0,
          };
        });
        return { id, kind, name, size: word, members };
      }
      case 'enum': {
        const values = each(8, (entry) => ({
          name: this.text(this.#u32(entry)),
          value: flag ? BigInt(this.#u32(entry + 4) | 0) : BigInt(this.#u32(entry + 4)),
        }));
        return { id, kind, name, size: word, signed: flag, values };
      }
      case 'enum64': {
        const values = each(12, (entry) => {
          const bits = (BigInt(this.#u32(entry + 8)) << 32n) | BigInt(this.#u32(entry + 4));
          return { name: this.text(this.#u32(entry)), value: flag ? BigInt.asIntN(64, bits) : bits };
        });
        return { id, kind, name, size: word, signed: flag, values };
      }
      case 'fwd':
        return { id, kind, name, union: flag };
      case 'func':
        return { id, kind, name, type: word, linkage: vlen };
      case 'func_proto': {
        const params = each(8, (entry) => ({ name: this.text(this.#u32(entry)), type: this.#u32(entry + 4) }));
        return { id, kind, name, type: word, params };
      }
      case 'var':
        return { id, kind, name, type: word, linkage: this.#u32(tail) };
      case 'datasec': {
        const vars = each(12, (entry) => ({
          type: this.#u32(entry),
          offset: this.#u32(entry + 4),
          size: this.#u32(entry + 8),
        }));
        return { id, kind, name, size: word, vars };
      }
      case 'float':
        return { id, kind, name, size: word };
      case 'decl_tag':
        return { id, kind, name, type: word, component: this.#u32(tail) | 0 };
      case 'ptr':
      case 'typedef':
      case 'volatile':
      case 'const':
      case 'restrict':
      case 'type_tag':
        return { id, kind, name, type: word };
      default:
        return kind satisfies never;
    }
  }
}

/** Cuts a CO-RE flavour off: `task_struct___old` -> `task_struct`. libbpf: bpf_core_essential_name_len() */
export function essentialName(name: string): string {
  for (let i = name.length - 5; i >= 0; i--) {
    if (name[i] !== '_' && name.startsWith('___', i + 1) && name[i + 4] !== '_') return name.slice(0, i + 1);
  }
  return name;
}

function within32(value: number): number | undefined {
  return value > U32_MAX ? undefined : value;
}

function malformed(id: number): ObjectError {
  return new ObjectError('EINVAL', `BTF type [${id}] is malformed`, { section: '.BTF' });
}

function readHeader(view: DataView) {
  const fail = (text: string) => new ObjectError('EINVAL', `BTF: ${text}`, { section: '.BTF' });
  const size = view.byteLength;
  if (size < HEADER_SIZE) throw fail(`header not found (${size} bytes)`);
  const littleEndian = view.getUint16(0, true) === BTF_MAGIC;
  if (!littleEndian && view.getUint16(0, false) !== BTF_MAGIC) {
    throw fail(`Invalid magic: 0x${view.getUint16(0, true).toString(16)}`);
  }
  const header = view.getUint32(4, littleEndian);
  if (header < HEADER_SIZE || header > size) throw fail(`header length ${header} of ${size} bytes`);
  const typeOff = view.getUint32(8, littleEndian);
  const typeLen = view.getUint32(12, littleEndian);
  const strOff = view.getUint32(16, littleEndian);
  const strLen = view.getUint32(20, littleEndian);
  if (typeOff % 4 !== 0 || typeOff + typeLen > strOff)
    throw fail('type and string sections overlap or are not aligned');
  if (strOff + strLen > size - header) throw fail('string section reaches beyond the end');
  const strStart = header + strOff;
  const strEnd = strStart + strLen;
  if (strLen === 0 || strLen > 0x1000000 || view.getUint8(strStart) !== 0 || view.getUint8(strEnd - 1) !== 0) {
    throw fail('invalid string section');
  }
  return { littleEndian, typeStart: header + typeOff, typeEnd: header + typeOff + typeLen, strStart, strEnd };
}
