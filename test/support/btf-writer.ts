/** Writes BTF and .BTF.ext for tests. Type ids are given out in the order of the calls, from 1. */
export class BtfWriter {
  readonly #types: number[][] = [];
  readonly #strings = new Map<string, number>([['', 0]]);
  readonly #text: number[] = [0];

  string(text: string): number {
    const known = this.#strings.get(text);
    if (known !== undefined) return known;
    const offset = this.#text.length;
    this.#strings.set(text, offset);
    for (const byte of new TextEncoder().encode(text)) this.#text.push(byte);
    this.#text.push(0);
    return offset;
  }

  /** Any type by its words. */
  add(name: string, kind: number, vlen: number, word: number, tail: readonly number[] = [], flag = false): number {
    this.#types.push([this.string(name), ((flag ? 1 << 31 : 0) | (kind << 24) | vlen) >>> 0, word, ...tail]);
    return this.#types.length;
  }

  /** encoding: 1 signed, 2 char, 4 bool */
  int(name: string, size: number, encoding = 0, bits = size * 8): number {
    return this.add(name, 1, 0, size, [(encoding << 24) | bits]);
  }

  ptr(type: number): number {
    return this.add('', 2, 0, type);
  }

  array(type: number, nelems: number, indexType = 1): number {
    return this.add('', 3, 0, 0, [type, indexType, nelems]);
  }

  /** Members as [name, type, bit offset, bits of a bitfield]. */
  struct(
    name: string,
    size: number,
    members: readonly (readonly [string, number, number, number?])[],
    union = false,
  ): number {
    const flag = members.some((member) => member[3] !== undefined);
    const tail = members.flatMap(([member, type, offset, bits]) => [
      this.string(member),
      type,
      flag ? (((bits ?? 0) << 24) | offset) >>> 0 : offset,
    ]);
    return this.add(name, union ? 5 : 4, members.length, size, tail, flag);
  }

  enumeration(name: string, values: Readonly<Record<string, number>>, signed = false, size = 4): number {
    const rows = Object.entries(values);
    return this.add(
      name,
      6,
      rows.length,
      size,
      rows.flatMap(([key, value]) => [this.string(key), value >>> 0]),
      signed,
    );
  }

  enum64(name: string, values: Readonly<Record<string, bigint>>, signed = false): number {
    const tail = Object.entries(values).flatMap(([key, value]) => [
      this.string(key),
      Number(BigInt.asUintN(32, value)),
      Number(BigInt.asUintN(32, value >> 32n)),
    ]);
    return this.add(name, 19, Object.keys(values).length, 8, tail, signed);
  }

  fwd(name: string, union = false): number {
    return this.add(name, 7, 0, 0, [], union);
  }

  typedef(name: string, type: number): number {
    return this.add(name, 8, 0, type);
  }

  volatile(type: number): number {
    return this.add('', 9, 0, type);
  }

  const(type: number): number {
    return this.add('', 10, 0, type);
  }

  proto(result: number, params: readonly (readonly [string, number])[] = []): number {
    const tail = params.flatMap(([name, type]) => [this.string(name), type]);
    return this.add('', 13, params.length, result, tail);
  }

  /** linkage: 0 static, 1 global, 2 extern */
  func(name: string, proto: number, linkage = 1): number {
    return this.add(name, 12, linkage, proto);
  }

  variable(name: string, type: number, linkage = 1): number {
    return this.add(name, 14, 0, type, [linkage]);
  }

  /** Variables as [type id of the VAR, offset, size]. */
  datasec(name: string, vars: readonly (readonly [number, number, number])[], size = 0): number {
    return this.add(name, 15, vars.length, size, vars.flat());
  }

  float(name: string, size: number): number {
    return this.add(name, 16, 0, size);
  }

  declTag(text: string, type: number, component = -1): number {
    return this.add(text, 17, 0, type, [component >>> 0]);
  }

  typeTag(text: string, type: number): number {
    return this.add(text, 18, 0, type);
  }

  /** Id of the next type, for types that refer to themselves. */
  get next(): number {
    return this.#types.length + 1;
  }

  bytes(): Uint8Array {
    const words = this.#types.flat();
    const header = [0xeb9f | (1 << 16), 24, 0, words.length * 4, words.length * 4, this.#text.length];
    const bytes = new Uint8Array((header.length + words.length) * 4 + this.#text.length);
    const view = new DataView(bytes.buffer);
    for (const [i, word] of [...header, ...words].entries()) view.setUint32(i * 4, word, true);
    bytes.set(this.#text, (header.length + words.length) * 4);
    return bytes;
  }
}

export interface ExtRecords {
  /** [section, byte offset, type id] */
  readonly funcs?: readonly (readonly [string, number, number])[];
  /** [section, byte offset, file, text, line, column] */
  readonly lines?: readonly (readonly [string, number, string, string, number, number])[];
  /** [section, byte offset, type id, access string, kind] */
  readonly core?: readonly (readonly [string, number, number, string, number])[];
}

/** Bytes of .BTF.ext; call it before `BtfWriter.bytes()`, since it adds strings. */
export function writeBtfExt(btf: BtfWriter, records: ExtRecords): Uint8Array {
  const part = (size: number, rows: readonly { section: string; words: number[] }[]): number[] => {
    if (rows.length === 0) return [];
    const words = [size];
    for (const section of new Set(rows.map((row) => row.section))) {
      const own = rows.filter((row) => row.section === section);
      words.push(btf.string(section), own.length, ...own.flatMap((row) => row.words));
    }
    return words;
  };
  const funcs = part(
    8,
    (records.funcs ?? []).map(([section, offset, type]) => ({ section, words: [offset, type] })),
  );
  const lines = part(
    16,
    (records.lines ?? []).map(([section, offset, file, text, line, column]) => ({
      section,
      words: [offset, btf.string(file), btf.string(text), line * 1024 + column],
    })),
  );
  const core = part(
    16,
    (records.core ?? []).map(([section, offset, type, access, kind]) => ({
      section,
      words: [offset, type, btf.string(access), kind],
    })),
  );
  const size = (words: number[]) => words.length * 4;
  const header = [0xeb9f | (1 << 16), 32, 0, size(funcs), size(funcs), size(lines)];
  header.push(size(funcs) + size(lines), size(core));
  return new Uint8Array(Uint32Array.from([...header, ...funcs, ...lines, ...core]).buffer);
}
