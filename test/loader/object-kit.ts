import type { LoadOptions } from '../../src/loader/object.ts';
import { loadObject } from '../../src/loader/object.ts';
import { ObjectError } from '../../src/loader/object-error.ts';
import type { ObjectSpec, ProgramSpec } from '../../src/loader/spec.ts';
import { BtfWriter, type ExtRecords, writeBtfExt } from '../support/btf-writer.ts';
import {
  type ElfInput,
  type RelocationInput,
  returns,
  type SectionInput,
  type SymbolInput,
  writeElf,
} from '../support/elf-writer.ts';

interface FuncOptions extends Partial<SymbolInput> {
  /** Symbols at local slots. */
  readonly relocations?: readonly { slot: number; symbol: string | number; type?: number; addend?: number }[];
}

/** Puts objects together section by section, as a compiler would. */
export class ObjectKit {
  readonly btf = new BtfWriter();
  readonly sections = new Map<string, { input: SectionInput; data: number[] }>();
  readonly symbols: SymbolInput[] = [];
  readonly relocations: RelocationInput[] = [];
  readonly ext: {
    funcs: [string, number, number][];
    lines: [string, number, string, string, number, number][];
    core: [string, number, number, string, number][];
  } = { funcs: [], lines: [], core: [] };
  readonly int: number;
  withBtf = true;
  #maps: [number, number, number][] = [];
  #externs: [number, string][] = [];

  constructor() {
    this.int = this.btf.int('int', 4, 1);
  }

  section(name: string, data: readonly number[] = [], input: Partial<SectionInput> = {}): this {
    const known = this.sections.get(name);
    if (known) known.data.push(...data);
    else this.sections.set(name, { input: { name, ...input }, data: [...data] });
    return this;
  }

  /** Appends a function to an executable section; returns its byte offset. */
  func(section: string, name: string, insns: readonly number[] = returns(2), options: FuncOptions = {}): number {
    this.section(section, [], { flags: 6 });
    const { data } = this.sections.get(section)!;
    const value = data.length;
    for (const byte of insns) data.push(byte);
    const { relocations, ...symbol } = options;
    this.symbols.push({ name, section, value, size: insns.length, type: 'func', ...symbol });
    for (const { slot, ...rest } of relocations ?? [])
      this.relocations.push({ section, offset: value + slot * 8, ...rest });
    return value;
  }

  /** A variable of a data section, with its symbol; BTF is up to the caller. */
  data(section: string, name: string, bytes: readonly number[], options: Partial<SymbolInput> = {}): number {
    this.section(section, [], { flags: section.startsWith('.rodata') ? 2 : 3 });
    const { data } = this.sections.get(section)!;
    const value = data.length;
    data.push(...bytes);
    this.symbols.push({ name, section, value, size: bytes.length, type: 'object', ...options });
    return value;
  }

  uint(value: number): number {
    return this.btf.ptr(this.btf.array(this.int, value));
  }

  pointer(type: number): number {
    return this.btf.ptr(type);
  }

  /** A map in `.maps`: members by name with their type ids, 8 bytes each. */
  map(
    name: string,
    members: Readonly<Record<string, number>>,
    options: { linkage?: number; weak?: boolean; bytes?: number } = {},
  ): number {
    const rows = Object.entries(members).map(([member, type], i) => [member, type, i * 64] as const);
    const bytes = options.bytes ?? rows.length * 8;
    const struct = this.btf.struct('', rows.length * 8, rows);
    return this.mapOf(name, struct, bytes, options);
  }

  /** A variable of `.maps` of any type. */
  mapOf(name: string, type: number, bytes: number, options: { linkage?: number; weak?: boolean } = {}): number {
    const bind = options.linkage === 0 ? 'local' : options.weak ? 'weak' : 'global';
    const offset = this.data(
      '.maps',
      name,
      Array.from({ length: bytes }, () => 0),
      { bind },
    );
    const variable = this.btf.variable(name, type, options.linkage ?? 1);
    this.#maps.push([variable, options.linkage === 0 ? offset : 0, bytes]);
    return offset;
  }

  /** An array map with 4-byte keys and values, or another type. */
  plainMap(name: string, type = 2, maxEntries = 1): number {
    return this.map(name, {
      type: this.uint(type),
      key_size: this.uint(4),
      value_size: this.uint(4),
      max_entries: this.uint(maxEntries),
    });
  }

  /** An undefined symbol with its declaration; `type` is the VAR's type or, for functions, the prototype. */
  extern(
    name: string,
    section: '.kconfig' | '.ksyms' | string,
    type: number,
    options: { weak?: boolean; func?: boolean } = {},
  ): void {
    this.symbols.push({ name, section: 0, type: 'notype', bind: options.weak ? 'weak' : 'global' });
    const id = options.func ? this.btf.func(name, type, 2) : this.btf.variable(name, type, 2);
    this.#externs.push([id, section]);
  }

  license(text = 'GPL\0'): this {
    return this.section('license', [...new TextEncoder().encode(text)], { flags: 3 });
  }

  build(input: Partial<ElfInput> = {}): Uint8Array {
    if (this.#maps.length > 0) this.btf.datasec('.maps', this.#maps);
    for (const section of new Set(this.#externs.map((extern) => extern[1]))) {
      if (section === '') continue;
      const own = this.#externs.filter((extern) => extern[1] === section);
      this.btf.datasec(
        section,
        own.map(([id]) => [id, 0, 0] as const),
      );
    }
    this.#maps = [];
    this.#externs = [];
    const sections = [...this.sections.values()].map(({ input: section, data }) => ({
      data: Uint8Array.from(data),
      ...section,
    }));
    if (this.withBtf) {
      const hasExt = Object.values(this.ext).some((rows) => rows.length > 0);
      const ext = hasExt ? writeBtfExt(this.btf, this.ext as ExtRecords) : undefined;
      sections.push({ name: '.BTF', data: this.btf.bytes() });
      if (ext) sections.push({ name: '.BTF.ext', data: ext });
    }
    return writeElf({ sections, symbols: this.symbols, relocations: this.relocations, ...input });
  }
}

/** An object with one program. */
export function oneProgram(section = 'xdp', name = 'p', insns: readonly number[] = returns(2)): ObjectKit {
  const kit = new ObjectKit();
  kit.func(section, name, insns);
  return kit.license();
}

/** Loads by libbpf's rules. */
export function strict(bytes: Uint8Array, options: LoadOptions = {}): ObjectSpec {
  return loadObject(bytes, { dialect: 'libbpf', name: 'obj', ...options });
}

/** The error of a load that must fail: `-4001 open: text`, without the place at its end. */
export function failure(bytes: Uint8Array, options: LoadOptions = {}): string {
  try {
    strict(bytes, options);
  } catch (error) {
    if (!(error instanceof ObjectError)) throw error;
    return `${error.errno} ${error.stage}: ${error.message.replace(/ \(section [^)]*\)$/, '')}`;
  }
  return 'loaded';
}

/** `opcode dst src off imm` per slot. */
export function insnText(program: ProgramSpec): string[] {
  const view = new DataView(program.insns.buffer, program.insns.byteOffset, program.insns.byteLength);
  return Array.from({ length: view.byteLength / 8 }, (_, slot) => {
    const at = slot * 8;
    const registers = view.getUint8(at + 1);
    return `${view.getUint8(at).toString(16).padStart(2, '0')} ${registers & 15} ${registers >> 4} ${view.getInt16(at + 2, true)} ${view.getInt32(at + 4, true)}`;
  });
}

/** A copy with some bytes changed. */
export function tampered(bytes: Uint8Array, change: (view: DataView, bytes: Uint8Array) => void): Uint8Array {
  const copy = bytes.slice();
  change(new DataView(copy.buffer), copy);
  return copy;
}

/** Byte offset of a section's header, by name. */
export function headerOf(bytes: Uint8Array, name: string): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const shoff = Number(view.getBigUint64(40, true));
  const strings = Number(view.getBigUint64(shoff + view.getUint16(62, true) * 64 + 24, true));
  for (let i = 0; i < view.getUint16(60, true); i++) {
    const at = strings + view.getUint32(shoff + i * 64, true);
    const text = new TextDecoder().decode(bytes.subarray(at, bytes.indexOf(0, at)));
    if (text === name) return shoff + i * 64;
  }
  throw new Error(`no section ${name}`);
}
