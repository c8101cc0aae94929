import { isHidden } from './datasec.ts';
import { type ElfObject, type ElfSection, type ElfSymbol, SHT, STB, STT } from './elf.ts';
import { PROGRAM_TYPES, type ProgramTypeName } from './kernel-names.ts';
import { ObjectError } from './object-error.ts';
import type { LoaderFunc } from './opened.ts';
import { type Dialect, meaningOfSection, meaningOfType, type SectionMeaning, splitSectionName } from './sections.ts';

/** How functions are found and typed. */
export interface FuncOptions {
  readonly dialect: Dialect;
  /** Program type by section or program name. */
  readonly types?: Readonly<Record<string, string>>;
  readonly warnings: string[];
}

/** Section names that never hold programs, executable or not. */
const RESERVED = new Set(['license', 'version', 'maps', '.maps', '.BTF', '.BTF.ext']);

/** All functions of executable sections, in order of section and offset. libbpf: bpf_object__add_programs() */
export function collectFuncs(elf: ElfObject, options: FuncOptions): LoaderFunc[] {
  const bySection = new Map<number, ElfSymbol[]>();
  for (const symbol of elf.symbols) {
    const list = bySection.get(symbol.shndx);
    if (list) list.push(symbol);
    else bySection.set(symbol.shndx, [symbol]);
  }
  const funcs: LoaderFunc[] = [];
  for (const section of elf.sections) {
    const isCode = section.type === SHT.PROGBITS && section.exec && section.size > 0;
    if (!isCode || RESERVED.has(section.name) || section.name.startsWith('.debug_')) continue;
    const own = functionSymbols(section, bySection.get(section.index) ?? [], options);
    const read = own.map((symbol) => readFunc(elf, section, symbol, options));
    funcs.push(...read.sort((a, b) => a.start - b.start));
  }
  return funcs;
}

function functionSymbols(section: ElfSection, symbols: ElfSymbol[], options: FuncOptions): ElfSymbol[] {
  const functions = symbols.filter((symbol) => symbol.type === STT.FUNC);
  const { dialect, warnings } = options;
  if (functions.length > 0 || dialect === 'libbpf' || dialect === 'libbpf-0.8') return functions;
  // LLVM before 8: functions are NOTYPE, and reach to the next one.
  const labels = symbols
    .filter((symbol) => symbol.type === STT.NOTYPE && symbol.bind !== STB.LOCAL && symbol.value % 8 === 0)
    .sort((a, b) => a.value - b.value);
  if (labels.length > 0) {
    warnings.push(
      `section '${section.name}': symbols have no type (old compiler); taken as functions, libbpf would find none`,
    );
    return labels.map((symbol, i) => ({
      ...symbol,
      size: symbol.size || (labels[i + 1]?.value ?? section.size) - symbol.value,
    }));
  }
  if (section.name === '.text') return [];
  warnings.push(`section '${section.name}' has no function symbol: taken as one program, libbpf would find none`);
  const whole = { index: 0, name: section.name, bind: STB.GLOBAL, type: STT.FUNC, visibility: 0 };
  return [{ ...whole, shndx: section.index, value: 0, size: section.size }];
}

function readFunc(elf: ElfObject, section: ElfSection, symbol: ElfSymbol, options: FuncOptions): LoaderFunc {
  const { dialect, warnings } = options;
  const { name, value, size } = symbol;
  const facts = { section: section.name, offset: value };
  if (value + size > section.size) {
    throw new ObjectError(
      'FORMAT',
      `sec '${section.name}': program at offset ${value} crosses section boundary`,
      facts,
    );
  }
  const entry = section.name !== '.text';
  if (entry && symbol.bind === STB.LOCAL) {
    if (dialect === 'libbpf' || dialect === 'libbpf-0.8') {
      throw new ObjectError(
        'EOPNOTSUPP',
        `sec '${section.name}': program '${name}' is static and not supported`,
        facts,
      );
    }
    warnings.push(`sec '${section.name}': program '${name}' is static; libbpf would refuse the object`);
  }
  if (size === 0 || size % 8 !== 0 || value % 8 !== 0) {
    throw new ObjectError(
      'EINVAL',
      `sec '${section.name}': corrupted program '${name}', offset ${value}, size ${size}`,
      facts,
    );
  }
  const { name: sectionName, autoload } = splitSectionName(section.name);
  const insns = section.data.slice(value, value + size);
  if (!elf.littleEndian) swapInsns(insns);
  return {
    name,
    section,
    sectionName,
    start: value / 8,
    count: size / 8,
    insns,
    view: new DataView(insns.buffer),
    entry,
    autoload,
    hidden: symbol.bind !== STB.LOCAL && isHidden(symbol),
    meaning: entry ? meaning(name, sectionName, options) : undefined,
    relocations: [],
  };
}

function meaning(program: string, section: string, options: FuncOptions): SectionMeaning | undefined {
  const given = options.types ?? {};
  const chosen = Object.hasOwn(given, program)
    ? given[program]
    : Object.hasOwn(given, section)
      ? given[section]
      : undefined;
  if (chosen !== undefined) {
    if (!PROGRAM_TYPES.includes(chosen as ProgramTypeName) || chosen === 'unspec') {
      const hint = `known types: ${PROGRAM_TYPES.slice(1).join(', ')}`;
      throw new ObjectError('EINVAL', `prog '${program}': unknown program type '${chosen}'`, { hint });
    }
    return meaningOfType(chosen as ProgramTypeName);
  }
  return meaningOfSection(section, options.dialect);
}

/** Big-endian instructions to little-endian ones: both fields, and the two register nibbles. */
function swapInsns(insns: Uint8Array): void {
  const view = new DataView(insns.buffer, insns.byteOffset, insns.byteLength);
  for (let at = 0; at < insns.length; at += 8) {
    const registers = insns[at + 1]!;
    insns[at + 1] = ((registers << 4) | (registers >> 4)) & 0xff;
    view.setInt16(at + 2, view.getInt16(at + 2, false), true);
    view.setInt32(at + 4, view.getInt32(at + 4, false), true);
  }
}
