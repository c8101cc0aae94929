/** Writes small ELF objects for tests: what clang emits, or deliberately something else. */

export interface SectionInput {
  readonly name: string;
  /** sh_type, default PROGBITS. */
  readonly type?: number;
  /** sh_flags: 1 write, 2 alloc, 4 exec. */
  readonly flags?: number;
  readonly data?: Uint8Array;
  /** Size of NOBITS sections. */
  readonly size?: number;
  readonly link?: number;
  readonly info?: number;
  readonly entsize?: number;
}

export interface SymbolInput {
  readonly name: string;
  /** Section name, or a number for st_shndx. */
  readonly section: string | number;
  readonly value?: number;
  readonly size?: number;
  readonly bind?: 'local' | 'global' | 'weak';
  readonly type?: 'notype' | 'object' | 'func' | 'section';
  /** 0 default, 1 internal, 2 hidden. */
  readonly visibility?: number;
}

export interface RelocationInput {
  /** Section that is relocated. */
  readonly section: string;
  readonly offset: number;
  /** Symbol by name, or its number in the table. */
  readonly symbol: string | number;
  readonly type?: number;
  /** Given for any record of a section: the section is RELA. */
  readonly addend?: number;
}

export interface ElfInput {
  readonly sections: readonly SectionInput[];
  readonly symbols?: readonly SymbolInput[];
  readonly relocations?: readonly RelocationInput[];
  readonly littleEndian?: boolean;
  /** e_machine, default EM_BPF. */
  readonly machine?: number;
  /** Empty sections added in front of the named ones. */
  readonly padding?: number;
}

const BINDS = { local: 0, global: 1, weak: 2 } as const;
const TYPES = { notype: 0, object: 1, func: 2, section: 3 } as const;

class Strings {
  readonly #offsets = new Map<string, number>([['', 0]]);
  readonly #parts: number[] = [0];

  add(text: string): number {
    const known = this.#offsets.get(text);
    if (known !== undefined) return known;
    const offset = this.#parts.length;
    this.#offsets.set(text, offset);
    this.#parts.push(...new TextEncoder().encode(text), 0);
    return offset;
  }

  bytes(): Uint8Array {
    return Uint8Array.from(this.#parts);
  }
}

/** Bytes of an ELF64 relocatable object. Sections: null, the given ones each with its relocations, .symtab, .strtab. */
export function writeElf(input: ElfInput): Uint8Array {
  const le = input.littleEndian ?? true;
  const strings = new Strings();
  const symbols = [...(input.symbols ?? [])].sort(
    (a, b) => Number((a.bind ?? 'global') !== 'local') - Number((b.bind ?? 'global') !== 'local'),
  );
  const sections: SectionInput[] = [{ name: '', type: 0 }];
  for (let i = 0; i < (input.padding ?? 0); i++) sections.push({ name: '', type: 1 });
  const index = new Map<string, number>();
  const pending: { at: number; records: RelocationInput[] }[] = [];
  for (const section of input.sections) {
    if (!index.has(section.name)) index.set(section.name, sections.length);
    sections.push(section);
    const records = (input.relocations ?? []).filter((record) => record.section === section.name);
    if (records.length > 0) {
      pending.push({ at: sections.length, records });
      sections.push({ name: '' });
    }
  }
  const symtab = sections.length;
  const strtab = symtab + 1;
  for (const { at, records } of pending) {
    const rela = records.some((record) => record.addend !== undefined);
    sections[at] = {
      name: `${rela ? '.rela' : '.rel'}${records[0]!.section}`,
      type: rela ? 4 : 9,
      data: relocationBytes(records, symbols, rela, le),
      link: symtab,
      info: index.get(records[0]!.section)!,
      entsize: rela ? 24 : 16,
    };
  }
  const table = symbolBytes(symbols, index, strings, le);
  const locals = symbols.filter((symbol) => symbol.bind === 'local').length;
  sections.push({ name: '.symtab', type: 2, data: table, link: strtab, info: locals + 1, entsize: 24 });
  for (const section of sections) strings.add(section.name);
  strings.add('.strtab');
  sections.push({ name: '.strtab', type: 3, data: strings.bytes() });
  return layOut(sections, strings, strtab, le, input.machine ?? 247);
}

function symbolBytes(
  symbols: readonly SymbolInput[],
  index: Map<string, number>,
  strings: Strings,
  le: boolean,
): Uint8Array {
  const bytes = new Uint8Array((symbols.length + 1) * 24);
  const view = new DataView(bytes.buffer);
  for (const [i, symbol] of symbols.entries()) {
    const at = (i + 1) * 24;
    const shndx = typeof symbol.section === 'number' ? symbol.section : index.get(symbol.section);
    if (shndx === undefined) throw new Error(`no section ${symbol.section} for symbol ${symbol.name}`);
    view.setUint32(at, symbol.type === 'section' ? 0 : strings.add(symbol.name), le);
    bytes[at + 4] = (BINDS[symbol.bind ?? 'global'] << 4) | TYPES[symbol.type ?? 'func'];
    bytes[at + 5] = symbol.visibility ?? 0;
    view.setUint16(at + 6, shndx, le);
    view.setBigUint64(at + 8, BigInt(symbol.value ?? 0), le);
    view.setBigUint64(at + 16, BigInt(symbol.size ?? 0), le);
  }
  return bytes;
}

function relocationBytes(
  records: RelocationInput[],
  symbols: readonly SymbolInput[],
  rela: boolean,
  le: boolean,
): Uint8Array {
  const step = rela ? 24 : 16;
  const bytes = new Uint8Array(records.length * step);
  const view = new DataView(bytes.buffer);
  for (const [i, record] of records.entries()) {
    const found =
      typeof record.symbol === 'number' ? record.symbol : symbols.findIndex((s) => s.name === record.symbol) + 1;
    if (found === 0 && record.symbol !== 0) throw new Error(`no symbol ${record.symbol}`);
    view.setBigUint64(i * step, BigInt(record.offset), le);
    view.setBigUint64(i * step + 8, (BigInt(found) << 32n) | BigInt(record.type ?? 1), le);
    if (rela) view.setBigInt64(i * step + 16, BigInt(record.addend ?? 0), le);
  }
  return bytes;
}

function layOut(
  sections: readonly SectionInput[],
  strings: Strings,
  strtab: number,
  le: boolean,
  machine: number,
): Uint8Array {
  const offsets: number[] = [];
  let end = 64;
  for (const section of sections) {
    end = Math.ceil(end / 8) * 8;
    offsets.push(end);
    end += section.type === 8 ? 0 : (section.data?.length ?? 0);
  }
  const shoff = Math.ceil(end / 8) * 8;
  const bytes = new Uint8Array(shoff + sections.length * 64);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, le ? 1 : 2, 1]);
  view.setUint16(16, 1, le);
  view.setUint16(18, machine, le);
  view.setUint32(20, 1, le);
  view.setBigUint64(40, BigInt(shoff), le);
  view.setUint16(52, 64, le);
  view.setUint16(58, 64, le);
  const extended = sections.length >= 0xff00;
  view.setUint16(60, extended ? 0 : sections.length, le);
  view.setUint16(62, extended ? 0xffff : strtab, le);
  for (const [i, section] of sections.entries()) {
    const at = shoff + i * 64;
    if (section.data && section.type !== 8) bytes.set(section.data, offsets[i]!);
    view.setUint32(at, strings.add(section.name), le);
    view.setUint32(at + 4, section.type ?? 1, le);
    view.setBigUint64(at + 8, BigInt(section.flags ?? 0), le);
    view.setBigUint64(at + 24, BigInt(i === 0 ? 0 : offsets[i]!), le);
    view.setBigUint64(at + 32, BigInt(section.size ?? section.data?.length ?? 0), le);
    view.setUint32(at + 40, section.link ?? 0, le);
    view.setUint32(at + 44, section.info ?? 0, le);
    view.setBigUint64(at + 48, BigInt(i === 0 ? 0 : 8), le);
    view.setBigUint64(at + 56, BigInt(section.entsize ?? 0), le);
  }
  if (extended) {
    view.setBigUint64(shoff + 32, BigInt(sections.length), le);
    view.setUint32(shoff + 40, strtab, le);
  }
  return bytes;
}

/** One instruction slot, little-endian. */
export function insn(opcode: number, dst = 0, src = 0, off = 0, imm = 0): number[] {
  const view = new DataView(new ArrayBuffer(8));
  view.setUint8(0, opcode);
  view.setUint8(1, dst | (src << 4));
  view.setInt16(2, off, true);
  view.setInt32(4, imm | 0, true);
  return [...new Uint8Array(view.buffer)];
}

/** A 16-byte load of a constant or pseudo value. */
export function lddw(dst: number, src = 0, low = 0, high = 0): number[] {
  return [...insn(0x18, dst, src, 0, low), ...insn(0, 0, 0, 0, high)];
}

/** `r0 = value; exit` */
export function returns(value: number): number[] {
  return [...insn(0xb7, 0, 0, 0, value), ...insn(0x95)];
}
