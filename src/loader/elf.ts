import elfy from 'elfy';
import { ObjectError } from './object-error.ts';

/** A section of the object; `data` shares memory with the file and is empty for NOBITS. */
export interface ElfSection {
  readonly index: number;
  readonly name: string;
  /** sh_type. */
  readonly type: number;
  readonly exec: boolean;
  /** sh_size: for NOBITS larger than `data`. */
  readonly size: number;
  readonly link: number;
  readonly info: number;
  readonly entsize: number;
  readonly data: Uint8Array;
}

export interface ElfSymbol {
  readonly index: number;
  /** For SECTION symbols the section's name. */
  readonly name: string;
  readonly bind: number;
  readonly type: number;
  /** STV_*: 0 default, 1 internal, 2 hidden, 3 protected. */
  readonly visibility: number;
  readonly shndx: number;
  readonly value: number;
  readonly size: number;
}

export interface ElfObject {
  /** File name, for messages. */
  readonly file: string;
  readonly littleEndian: boolean;
  readonly sections: readonly ElfSection[];
  readonly symbols: readonly ElfSymbol[];
  /** Section index of the symbol table. */
  readonly symtab: number;
}

export const SHT = { PROGBITS: 1, SYMTAB: 2, STRTAB: 3, RELA: 4, NOBITS: 8, REL: 9, LLVM_ADDRSIG: 0x6fff4c03 } as const;
export const STB = { LOCAL: 0, GLOBAL: 1, WEAK: 2 } as const;
export const STT = { NOTYPE: 0, OBJECT: 1, FUNC: 2, SECTION: 3, FILE: 4 } as const;
/** First of the section indices that are not sections. */
export const SHN_LORESERVE = 0xff00;
const SHF_EXECINSTR = 4;
const EM_NONE = 0;
const EM_BPF = 247;
const HEADER_SIZE = 64;
const SECTION_HEADER_SIZE = 64;
const SYMBOL_SIZE = 24;
/** Section names of real objects stay below 100 characters; the limit keeps names without end from being quadratic. */
const MAX_NAME_BYTES = 1 << 22;

/** Reads NUL-terminated strings out of a string table; undefined when the offset is outside or the NUL is missing. */
export class StringTable {
  readonly #bytes: Uint8Array;
  readonly #cache = new Map<number, string>();

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  at(offset: number): string | undefined {
    const known = this.#cache.get(offset);
    if (known !== undefined) return known;
    if (offset >= this.#bytes.length) return undefined;
    const end = this.#bytes.indexOf(0, offset);
    if (end < 0) return undefined;
    const text = decodeText(this.#bytes, offset, end);
    this.#cache.set(offset, text);
    return text;
  }
}

const decoder = new TextDecoder();

/** UTF-8 text of `bytes[start..end)`; short ASCII, the usual case, without a decoder call. */
export function decodeText(bytes: Uint8Array, start: number, end: number): string {
  if (end - start > 64) return decoder.decode(bytes.subarray(start, end));
  let text = '';
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!;
    if (byte >= 0x80) return decoder.decode(bytes.subarray(start, end));
    text += String.fromCharCode(byte);
  }
  return text;
}

/**
 * Reads headers, sections and symbols of a BPF object.
 * @throws ObjectError with libbpf's text and error number when libbpf could not open it either.
 */
export function readElf(bytes: Uint8Array, file: string): ElfObject {
  const fail = (text: string) => new ObjectError('FORMAT', `elf: ${text}`);
  if (bytes.length < HEADER_SIZE || bytes[0] !== 0x7f || bytes[1] !== 0x45 || bytes[2] !== 0x4c || bytes[3] !== 0x46) {
    throw fail(`'${file}' is not a proper ELF object (${bytes.length} bytes)`);
  }
  if (bytes[5] !== 1 && bytes[5] !== 2) throw fail(`'${file}' is not a proper ELF object (byte order ${bytes[5]})`);
  if (bytes[4] !== 2) throw fail(`'${file}' is not a 64-bit ELF object`);

  const littleEndian = bytes[5] === 1;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const type = view.getUint16(16, littleEndian);
  const machine = view.getUint16(18, littleEndian);
  if (type !== 1 || (machine !== EM_BPF && machine !== EM_NONE)) {
    throw fail(`${file} is not a valid eBPF object file (e_type ${type}, e_machine ${machine})`);
  }

  const sections = readSections(bytes, view, littleEndian, file);
  const symtab = findSymtab(sections, file);
  const symbols = readSymbols(sections, sections[symtab]!, littleEndian, file);
  return { file, littleEndian, sections, symbols, symtab };
}

/** A u64 as a double; above 2^53 inexact, and then larger than any file anyway. */
function getU64(view: DataView, offset: number, littleEndian: boolean): number {
  const first = view.getUint32(offset, littleEndian);
  const second = view.getUint32(offset + 4, littleEndian);
  return littleEndian ? second * 0x100000000 + first : first * 0x100000000 + second;
}

function readSections(bytes: Uint8Array, view: DataView, le: boolean, file: string): ElfSection[] {
  const fail = (text: string) => new ObjectError('FORMAT', `elf: ${text}`);
  const shoff = getU64(view, 40, le);
  const shentsize = view.getUint16(58, le);
  let shnum = view.getUint16(60, le);
  let shstrndx = view.getUint16(62, le);
  const inside = (at: number) => shentsize === SECTION_HEADER_SIZE && at + SECTION_HEADER_SIZE <= bytes.length;
  if (shoff === 0 || !inside(shoff)) {
    throw fail(`failed to get section names strings from ${file}: the section table is not inside of the file`);
  }
  // More sections than 16 bits can count: the numbers stand in section 0, which elfy does not know.
  const extended = shnum === 0 || shstrndx === 0xffff;
  if (shnum === 0) shnum = getU64(view, shoff + 32, le);
  if (shstrndx === 0xffff) shstrndx = view.getUint32(shoff + 40, le);
  if (shnum === 0 || shoff + shnum * SECTION_HEADER_SIZE > bytes.length) {
    throw fail(`failed to get section names strings from ${file}: the section table is cut off`);
  }
  if (shstrndx === 0 || shstrndx >= shnum || view.getUint32(shoff + shstrndx * 64 + 4, le) !== SHT.STRTAB) {
    throw fail(`failed to get section name string at offset 0 from ${file}: e_shstrndx is ${shstrndx} of ${shnum}`);
  }

  const nameTable = sectionBytes(bytes, view, shoff + shstrndx * 64, le);
  checkNameLengths(nameTable, view, shoff, shnum, le, file);
  const parsed = extended ? undefined : parseWithElfy(bytes, file);
  const names = new StringTable(nameTable);

  const sections: ElfSection[] = [];
  for (let index = 0; index < shnum; index++) {
    const at = shoff + index * SECTION_HEADER_SIZE;
    const entry = parsed?.[index];
    const sectionType = view.getUint32(at + 4, le);
    const name = entry ? entry.name : (names.at(view.getUint32(at, le)) ?? '');
    if (name === '' && names.at(view.getUint32(at, le)) === undefined) {
      throw fail(`failed to get section(${index}) name from ${file}`);
    }
    const size = entry ? entry.size : getU64(view, at + 32, le);
    // elfy gives NOBITS sections the file bytes that happen to follow, and clamps what does not fit.
    const data = sectionType === SHT.NOBITS || index === 0 ? new Uint8Array(0) : sectionBytes(bytes, view, at, le);
    if (sectionType !== SHT.NOBITS && index > 0 && sectionType !== 0 && data.length !== size) {
      throw fail(`failed to get section(${index}) ${name} data from ${file}: ${size} bytes reach beyond the file`);
    }
    sections.push({
      index,
      name,
      type: sectionType,
      exec: entry ? entry.flags.execinstr === true : (view.getUint32(at + (le ? 8 : 12), le) & SHF_EXECINSTR) !== 0,
      size,
      link: entry ? entry.link : view.getUint32(at + 40, le),
      info: entry ? entry.info : view.getUint32(at + 44, le),
      // elfy reads alignment and entry size two bytes too early.
      entsize: getU64(view, at + 56, le),
      data,
    });
  }
  return sections;
}

function sectionBytes(bytes: Uint8Array, view: DataView, header: number, le: boolean): Uint8Array {
  const start = getU64(view, header + 24, le);
  const size = getU64(view, header + 32, le);
  return start + size <= bytes.length ? bytes.subarray(start, start + size) : new Uint8Array(0);
}

/** elfy copies each name up to the next NUL, however far that is. */
function checkNameLengths(table: Uint8Array, view: DataView, shoff: number, shnum: number, le: boolean, file: string) {
  let total = 0;
  for (let index = 0; index < shnum; index++) {
    const offset = view.getUint32(shoff + index * SECTION_HEADER_SIZE, le);
    if (offset >= table.length) continue;
    const end = table.indexOf(0, offset);
    total += (end < 0 ? table.length : end) - offset;
    if (end < 0 || total > MAX_NAME_BYTES) {
      throw new ObjectError('FORMAT', `elf: failed to get section(${index}) name from ${file}`);
    }
  }
}

function parseWithElfy(bytes: Uint8Array, file: string) {
  try {
    // elfy needs Node's Buffer; the two differ for TypeScript only.
    const buffer: unknown = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    return elfy.parse(buffer as Uint8Array).body.sections;
  } catch (cause) {
    throw new ObjectError('FORMAT', `elf: failed to get section names strings from ${file}`, { cause });
  }
}

function findSymtab(sections: readonly ElfSection[], file: string): number {
  const tables = sections.filter((section) => section.type === SHT.SYMTAB);
  if (tables.length > 1) throw new ObjectError('FORMAT', `elf: multiple symbol tables in ${file}`);
  const table = tables[0];
  if (!table) {
    throw new ObjectError('ENOENT', `elf: couldn't find symbol table in ${file}, stripped object file?`, {
      hint: 'strip only with -g (llvm-strip -g)',
    });
  }
  return table.index;
}

function readSymbols(sections: readonly ElfSection[], table: ElfSection, le: boolean, file: string): ElfSymbol[] {
  const { data } = table;
  if (table.entsize !== SYMBOL_SIZE || data.length % SYMBOL_SIZE !== 0) {
    throw new ObjectError('FORMAT', `elf: symbol table of ${file} has entries of ${table.entsize} bytes instead of 24`);
  }
  const strings = sections[table.link];
  const names = new StringTable(strings?.type === SHT.STRTAB ? strings.data : new Uint8Array(0));
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const symbols: ElfSymbol[] = [];
  for (let at = 0, index = 0; at < data.length; at += SYMBOL_SIZE, index++) {
    const info = data[at + 4]!;
    const type = info & 15;
    const shndx = view.getUint16(at + 6, le);
    const nameOffset = view.getUint32(at, le);
    const name = names.at(nameOffset);
    if (name === undefined) {
      throw new ObjectError('FORMAT', `elf: failed to get symbol name for offset ${nameOffset} from ${file}`);
    }
    symbols.push({
      index,
      name: type === STT.SECTION ? (sections[shndx]?.name ?? name) : name,
      bind: info >> 4,
      type,
      visibility: data[at + 5]! & 3,
      shndx,
      value: getU64(view, at + 8, le),
      size: getU64(view, at + 16, le),
    });
  }
  return symbols;
}
