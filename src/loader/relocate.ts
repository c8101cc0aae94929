import { type ElfObject, type ElfSection, type ElfSymbol, SHN_LORESERVE, SHT, STB, STT } from './elf.ts';
import { isExtern } from './externs.ts';
import { ObjectError } from './object-error.ts';
import type { LoaderExtern, LoaderFunc, LoaderMap, RelocationTarget } from './opened.ts';
import type { Dialect } from './sections.ts';

const CALL = 0x85;
const LDDW = 0x18;
const PSEUDO_CALL = 1;

/** A record of a `.rel` or `.rela` section. */
export interface ElfRelocation {
  readonly offset: number;
  readonly symbol: ElfSymbol;
  /** RELA only. */
  readonly addend?: number;
}

/** What relocations may refer to. */
export interface RelocationContext {
  readonly elf: ElfObject;
  readonly dialect: Dialect;
  readonly funcs: readonly LoaderFunc[];
  readonly maps: readonly LoaderMap[];
  readonly externs: readonly LoaderExtern[];
  readonly text: number;
  readonly warnings: string[];
}

/** Relocation sections that the loader looks at, each with its target. Others are skipped, as in libbpf. */
export function relocationSections(elf: ElfObject, dialect: Dialect): { section: ElfSection; target: ElfSection }[] {
  const found: { section: ElfSection; target: ElfSection }[] = [];
  for (const section of elf.sections) {
    const rela = section.type === SHT.RELA;
    if (section.type !== SHT.REL && !(rela && dialect !== 'libbpf' && dialect !== 'libbpf-0.8')) continue;
    if (isMetadata(section.name)) continue;
    const target = elf.sections[section.info];
    if (!target || section.entsize !== (rela ? 24 : 16)) {
      throw new ObjectError(
        'FORMAT',
        `sec '${section.name}': relocation section with entries of ${section.entsize} bytes for section ${section.info}`,
        { section: section.name },
      );
    }
    found.push({ section, target });
  }
  return found;
}

/** DWARF and BTF relocations: the values in the file are already right. libbpf: ignore_elf_section() */
function isMetadata(name: string): boolean {
  const target = name.replace(/^\.rela?/, '');
  return target.startsWith('.debug_') || target === '.BTF' || target === '.BTF.ext' || target === '.eh_frame';
}

/** Records of one relocation section, checked against the symbol table. */
export function* readRelocations(elf: ElfObject, section: ElfSection, target: ElfSection): Iterable<ElfRelocation> {
  const { data } = section;
  const le = elf.littleEndian;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const step = section.type === SHT.RELA ? 24 : 16;
  for (let index = 0, at = 0; at + step <= data.length; index++, at += step) {
    const fail = (text: string) =>
      new ObjectError('FORMAT', `sec '${section.name}': ${text} for relo #${index}`, {
        section: section.name,
        offset: at,
      });
    const low = view.getUint32(at + (le ? 0 : 4), le);
    const high = view.getUint32(at + (le ? 4 : 0), le);
    const symbolIndex = view.getUint32(at + (le ? 12 : 8), le);
    const symbol = elf.symbols[symbolIndex];
    if (!symbol) throw fail(`symbol #${symbolIndex} not found`);
    if (symbol.shndx >= elf.sections.length) {
      throw fail(`corrupted symbol #${symbolIndex} pointing to invalid section #${symbol.shndx}`);
    }
    const offset = high * 0x100000000 + low;
    if (offset % 8 !== 0 || offset >= target.size) throw fail(`invalid offset 0x${offset.toString(16)}`);
    if (step === 24) {
      const addend = Number(view.getBigInt64(at + 16, le));
      yield { offset, symbol, addend };
    } else yield { offset, symbol };
  }
}

/** What symbols refer to, by symbol and by section. */
interface Lookup {
  readonly externs: Map<number, LoaderExtern>;
  readonly maps: Map<number, { readonly first: LoaderMap; readonly byOffset: Map<number, LoaderMap> }>;
}

/** Finds functions by section and slot. */
export class FuncIndex {
  readonly #bySection = new Map<number, LoaderFunc[]>();

  /** @param funcs sorted by section and start. */
  constructor(funcs: readonly LoaderFunc[]) {
    for (const func of funcs) {
      const list = this.#bySection.get(func.section.index);
      if (list) list.push(func);
      else this.#bySection.set(func.section.index, [func]);
    }
  }

  /** The last function that starts at or before the slot, if it covers it. libbpf: find_prog_by_sec_insn() */
  at(section: number, slot: number): LoaderFunc | undefined {
    const list = this.#bySection.get(section);
    if (!list) return undefined;
    let low = 0;
    let high = list.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (list[middle]!.start <= slot) low = middle;
      else high = middle - 1;
    }
    const func = list[low]!;
    return slot >= func.start && slot < func.start + func.count ? func : undefined;
  }
}

/** Distributes the relocations of executable sections to the functions. libbpf: bpf_object__collect_prog_relos() */
export function collectCodeRelocations(context: RelocationContext): void {
  const { elf } = context;
  const index = new FuncIndex(context.funcs);
  const lookup: Lookup = {
    externs: new Map(context.externs.map((extern) => [extern.symbol, extern])),
    maps: new Map(),
  };
  for (const map of context.maps) {
    const known = lookup.maps.get(map.section);
    if (known) known.byOffset.set(map.offset, known.byOffset.get(map.offset) ?? map);
    else lookup.maps.set(map.section, { first: map, byOffset: new Map([[map.offset, map]]) });
  }
  for (const { section, target } of relocationSections(elf, context.dialect)) {
    if (!target.exec) {
      noteSkipped(context, section, target);
      continue;
    }
    if (target.type !== SHT.PROGBITS) continue;
    for (const relocation of readRelocations(elf, section, target)) {
      const slot = relocation.offset / 8;
      const func = index.at(target.index, slot);
      if (!func) continue;
      const local = slot - func.start;
      if (relocation.addend !== undefined) applyAddend(func, local, relocation);
      const found = classify(context, func, local, relocation.symbol, lookup);
      func.relocations.push({ slot: local, target: found, symbol: relocation.symbol.name });
    }
  }
  for (const func of context.funcs) func.relocations.sort((a, b) => a.slot - b.slot);
}

/** Pointers in data would need the address of other data, which no loader fills in. */
function noteSkipped(context: RelocationContext, section: ElfSection, target: ElfSection): void {
  if (!/^\.(data|rodata|bss)/.test(target.name)) return;
  context.warnings.push(
    `skipping relo section ${section.name}: pointers in ${target.name} are not filled in (tables of functions or strings do not work in BPF)`,
  );
}

/** RELA carries the addend in the record instead of in the instruction. */
function applyAddend(func: LoaderFunc, slot: number, { addend, symbol }: ElfRelocation): void {
  if (func.view.getUint8(slot * 8) === LDDW) func.view.setInt32(slot * 8 + 4, addend! | 0, true);
  else if (addend !== 0) {
    throw new ObjectError(
      'RELOC',
      `prog '${func.name}': RELA relocation with an addend against '${symbol.name}' is not supported`,
    );
  }
}

/** libbpf: bpf_program__record_reloc() */
function classify(
  context: RelocationContext,
  func: LoaderFunc,
  slot: number,
  symbol: ElfSymbol,
  lookup: Lookup,
): RelocationTarget {
  const { elf, text } = context;
  const fail = (message: string, hint?: string) =>
    new ObjectError('RELOC', `prog '${func.name}': ${message}`, {
      section: func.section.name,
      offset: (func.start + slot) * 8,
      hint,
    });
  const opcode = func.view.getUint8(slot * 8);
  const imm = func.view.getInt32(slot * 8 + 4, true);
  if (opcode !== CALL && opcode !== LDDW) {
    throw fail(`invalid relo against '${symbol.name}' for insns[${slot}].code 0x${opcode.toString(16)}`);
  }
  if (isExtern(symbol)) {
    const extern = lookup.externs.get(symbol.index);
    if (!extern) throw fail(`extern relo failed to find extern for '${symbol.name}' (${symbol.index})`);
    return { kind: opcode === CALL ? 'extern-call' : 'extern', extern };
  }
  const section = elf.sections[symbol.shndx];
  const anySection = context.dialect === 'auto' || context.dialect === 'cilium';
  if (opcode === CALL) {
    if (func.view.getUint8(slot * 8 + 1) >> 4 !== PSEUDO_CALL) throw fail('incorrect bpf_call opcode');
    const inCode = symbol.shndx === text || (anySection && section?.exec);
    if (!inCode || symbol.shndx === 0) {
      throw fail(
        `bad call relo against '${symbol.name}' in section '${section?.name ?? ''}'`,
        'functions that are called must stand in .text: take the SEC() off',
      );
    }
    if (symbol.value % 8 !== 0) throw fail(`bad call relo against '${symbol.name}' at offset ${symbol.value}`);
    if (symbol.shndx !== text) {
      context.warnings.push(
        `prog '${func.name}' calls '${symbol.name}' in section '${section!.name}': libbpf would refuse`,
      );
    }
    return { kind: 'call', section: symbol.shndx, value: symbol.value };
  }
  if (!section || symbol.shndx === 0 || symbol.shndx >= SHN_LORESERVE) {
    throw fail(
      `invalid relo against '${symbol.name}' in special section 0x${symbol.shndx.toString(16)}; forgot to initialize global var?..`,
    );
  }
  const global = symbol.bind === STB.GLOBAL || symbol.bind === STB.WEAK;
  if (
    (symbol.shndx === text || (anySection && section.exec)) &&
    ((symbol.bind === STB.LOCAL && symbol.type === STT.SECTION) || (global && symbol.type === STT.FUNC))
  ) {
    if (symbol.shndx === text || (symbol.type === STT.SECTION && context.dialect !== 'libbpf')) {
      if (symbol.value % 8 !== 0 || imm % 8 !== 0) {
        throw fail(`bad subprog addr relo against '${symbol.name}' at offset ${symbol.value}+${imm}`);
      }
      return { kind: 'func', section: symbol.shndx, value: symbol.value };
    }
  }
  const maps = lookup.maps.get(symbol.shndx);
  if (maps && (maps.first.spec.origin === 'btf' || maps.first.spec.origin === 'legacy')) {
    const map = maps.byOffset.get(symbol.value);
    if (!map) throw fail(`map relo failed to find map for section '${section.name}', off ${symbol.value}`);
    return { kind: 'map', map };
  }
  if (maps?.first.spec.initial && maps.first.spec.origin !== 'struct_ops') {
    return { kind: 'data', map: maps.first, offset: symbol.value + imm };
  }
  throw fail(
    `bad map relo against '${symbol.name}' in section '${section.name}'`,
    section.exec ? 'a program cannot be used as a callback' : 'global data belongs into .data*, .rodata* or .bss*',
  );
}
