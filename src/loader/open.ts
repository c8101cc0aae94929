import { Btf } from './btf.ts';
import { BtfExt } from './btf-ext.ts';
import { fixupDatasecs } from './datasec.ts';
import { decodeText, type ElfObject, type ElfSection, readElf, SHT } from './elf.ts';
import { collectExterns, kconfigSize, placeKconfig } from './externs.ts';
import { collectFuncs } from './funcs.ts';
import { fillStaticSlots } from './map-slots.ts';
import { btfMaps } from './maps-btf.ts';
import { dataMapSpec, dataMaps } from './maps-data.ts';
import { legacyMapSections, legacyMaps } from './maps-legacy.ts';
import { structOpsMaps } from './maps-struct-ops.ts';
import { ObjectError } from './object-error.ts';
import type { LoaderMap, OpenedObject } from './opened.ts';
import { collectCodeRelocations } from './relocate.ts';
import type { Dialect } from './sections.ts';
import { completeTailCalls } from './tail-calls.ts';

/** libbpf keeps 64 bytes of a license, NUL included. */
const LICENSE_MAX = 63;
const OBJECT_NAME_MAX = 63;

/** What decides how an object is read. */
export interface OpenOptions {
  /** Object name; by default the file name up to its first dot. */
  readonly name?: string;
  /** File name, for messages and for the default object name. */
  readonly file?: string;
  readonly dialect?: Dialect;
  /** Ignore unknown members of map definitions. */
  readonly relaxedMaps?: boolean;
  /** Program type by section or program name, for sections whose name says nothing; wins over the name. */
  readonly types?: Readonly<Record<string, string>>;
}

/**
 * libbpf's open step: reads sections, symbols, BTF, programs, maps, externs and relocations. Nothing is relocated, so
 * objects open that cannot be loaded: big-endian ones, unknown section names, missing kernel symbols.
 * @throws ObjectError with libbpf's text and errno, prefixed with the file name.
 */
export function openObject(bytes: Uint8Array, options: OpenOptions = {}): OpenedObject {
  const file = options.file ?? (options.name ? `${options.name}.o` : 'object');
  // A Buffer's slice() would share memory with the file; a plain view copies.
  const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return withFile(file, () => open(plain, file, options));
}

/** Adds the file name to errors of the loader, and turns anything else that damaged input provokes into one. */
export function withFile<T>(file: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof ObjectError) || error.message.includes(file)) throw error;
    throw new ObjectError(error.code, `${file}: ${error.message}${placeOf(error)}`, {
      ...error.facts,
      stage: error.stage,
      section: error.section,
      offset: error.offset,
      // Program, instruction and hint stand in the message already.
      program: undefined,
      insn: undefined,
      source: undefined,
      hint: undefined,
      cause: error.cause,
    });
  }
}

function placeOf({ section, offset }: ObjectError): string {
  if (section === undefined) return '';
  return offset === undefined ? ` (section ${section})` : ` (section ${section}, offset 0x${offset.toString(16)})`;
}

function open(bytes: Uint8Array, file: string, options: OpenOptions): OpenedObject {
  const dialect = options.dialect ?? 'auto';
  const warnings: string[] = [];
  const elf = readElf(bytes, file);
  const name = (options.name ?? objectName(file)).slice(0, OBJECT_NAME_MAX);
  const { license, kernelVersion } = readFacts(elf, dialect);
  const funcs = collectFuncs(elf, { dialect, types: options.types, warnings });
  const { btf, btfExt } = readBtf(elf, warnings);
  const externs = collectExterns(elf, btf);
  if (btf) fixupDatasecs(btf, elf);

  const maps: LoaderMap[] = [
    ...(dialect === 'libbpf' ? [] : legacyMaps(elf, btf, dialect, warnings)),
    ...(btf ? btfMaps(elf, btf, { relaxed: options.relaxedMaps === true }) : []),
    ...dataMaps(elf, btf, name),
  ];
  const size = kconfigSize(externs);
  if (size > 0) {
    if (btf) placeKconfig(btf, externs, size);
    const spec = dataMapSpec(name, '.kconfig', 'kconfig', new Uint8Array(size), btf);
    maps.push({ spec, index: 0, section: -1, offset: 0, size });
  }
  if (btf) maps.push(...structOpsMaps(elf, btf, warnings));
  for (const [index, map] of maps.entries()) map.index = index;

  const text = elf.sections.find((section) => section.name === '.text' && section.exec)?.index ?? -1;
  const object = { elf, name, dialect, license, kernelVersion, btf, btfExt, funcs, maps, externs, text, warnings };
  collectCodeRelocations(object);
  fillStaticSlots(object);
  completeTailCalls(object);
  return object;
}

/** `dir/fw.bpf.o` -> `fw` */
function objectName(file: string): string {
  const base = file.slice(file.lastIndexOf('/') + 1);
  const dot = base.indexOf('.');
  return dot < 0 ? base : base.slice(0, dot);
}

/** Sections that are looked at by name before anything else. libbpf: bpf_object__elf_collect() */
function readFacts(elf: ElfObject, dialect: Dialect): { license: string; kernelVersion: number | undefined } {
  let license = '';
  let kernelVersion: number | undefined;
  for (const section of elf.sections) {
    if (section.name === 'license') {
      if (section.size === 0) throw new ObjectError('FORMAT', 'invalid license section', { section: 'license' });
      license = readLicense(section);
    } else if (section.name === 'version') {
      if (section.data.length !== 4) {
        throw new ObjectError('FORMAT', `invalid kver section (${section.size} bytes instead of 4)`, {
          section: 'version',
        });
      }
      kernelVersion = new DataView(section.data.buffer, section.data.byteOffset).getUint32(0, elf.littleEndian);
    } else if ((section.name === '.BTF' || section.name === '.BTF.ext') && section.type !== SHT.PROGBITS) {
      throw new ObjectError('FORMAT', `elf: section ${section.name} is not PROGBITS`, { section: section.name });
    }
  }
  if (dialect === 'libbpf' && legacyMapSections(elf, dialect).length > 0) {
    throw new ObjectError(
      'EOPNOTSUPP',
      "elf: legacy map definitions in 'maps' section are not supported by libbpf v1.0+",
      { section: 'maps' },
    );
  }
  return { license, kernelVersion };
}

function readLicense(section: ElfSection): string {
  const kept = section.data.subarray(0, LICENSE_MAX);
  const end = kept.indexOf(0);
  return decodeText(kept, 0, end < 0 ? kept.length : end);
}

/** libbpf: bpf_object__init_btf(): damaged BTF is fatal only where maps need it. */
function readBtf(elf: ElfObject, warnings: string[]): { btf: Btf | undefined; btfExt: BtfExt | undefined } {
  const find = (name: string) => elf.sections.findLast((section) => section.name === name);
  const section = find('.BTF');
  const ext = find('.BTF.ext');
  let btf: Btf | undefined;
  let btfExt: BtfExt | undefined;
  const ignore = (name: string, error: unknown, consequence: string) => {
    if (!(error instanceof ObjectError)) throw error;
    warnings.push(`Error loading ELF section ${name}: ${error.message}. ${consequence}`);
  };
  if (section) {
    try {
      btf = new Btf(section.data);
    } catch (error) {
      ignore('.BTF', error, 'The object is taken as having no BTF.');
    }
  }
  if (ext && btf) {
    try {
      btfExt = new BtfExt(ext.data, btf);
    } catch (error) {
      ignore('.BTF.ext', error, 'Ignored and continue.');
    }
  } else if (ext) {
    warnings.push('Ignore ELF section .BTF.ext because its depending ELF section .BTF is not found.');
  }
  const needed = elf.sections.find(
    ({ name, size }) => name === '.maps' || (/^\??\.struct_ops(\.link)?$/.test(name) && size > 0),
  );
  if (!btf && needed) {
    throw new ObjectError('ENOENT', 'BTF is required, but is missing or corrupted.', {
      section: needed.name,
      hint: 'compile with -g',
    });
  }
  return { btf, btfExt };
}
