import type { Btf } from './btf.ts';
import { BTF_LINKAGE } from './btf-types.ts';
import { type CoreOptions, relocateCore } from './core.ts';
import { DEFAULT_KERNEL_VERSION, resolveKconfig } from './kconfig.ts';
import { mapTypeId } from './kernel-names.ts';
import { checkKsyms, type KsymOptions, type KsymResolution } from './ksyms.ts';
import { type LinkedProgram, Linker, type MovedRecords, moveRecords } from './link.ts';
import { ObjectError } from './object-error.ts';
import { type OpenOptions, openObject, withFile } from './open.ts';
import type { LoaderFunc, OpenedObject } from './opened.ts';
import { resolveReferences } from './references.ts';
import type { ExternSpec, FuncSpec, LineSpec, MapSpec, ObjectSpec, ProgramSpec } from './spec.ts';
import { listVariables } from './variables.ts';

/** Everything that can be said about loading an object; all of it optional. */
export interface LoadOptions extends OpenOptions, CoreOptions, KsymOptions {
  /** `CONFIG_X=y` lines for `__kconfig` variables. */
  readonly kconfig?: string;
  /** Version for LINUX_KERNEL_VERSION, `6.18.44`. */
  readonly kernelVersion?: string;
  /** Number of possible CPUs: size of perf event arrays that name none. */
  readonly possibleCpus?: number;
}

/**
 * Reads a BPF object file and prepares its programs and maps for loading: relocations, CO-RE, subprograms, externs.
 *
 * ```ts
 * const spec = loadObject(await readFile('fw.bpf.o'), { file: 'fw.bpf.o' });
 * spec.programs[0].type; // 'xdp'
 * ```
 *
 * @throws ObjectError (a LoadError) with libbpf's text and errno.
 */
export function loadObject(bytes: Uint8Array, options: LoadOptions = {}): ObjectSpec {
  const object = openObject(bytes, options);
  const spec = prepareObject(object, options);
  return withFile(object.elf.file, () => {
    checkLoadable(object);
    finishMaps(spec, options);
    return spec;
  });
}

/** What libbpf checks when it loads, beyond preparing. libbpf: bpf_object_load(), bpf_object_load_prog() */
function checkLoadable(object: OpenedObject): void {
  if (!object.elf.littleEndian) {
    throw new ObjectError('ENDIAN', `object '${object.name}': loading non-native endianness is unsupported`, {
      stage: 'load',
      hint: 'compile with --target=bpfel',
    });
  }
  if (object.dialect === 'auto' || object.dialect === 'cilium' || object.dialect === 'iproute2') return;
  for (const func of object.funcs) {
    if (!func.entry || !func.autoload) continue;
    const fail = (text: string) => new ObjectError('EINVAL', `prog '${func.name}': ${text}`, { stage: 'load' });
    if (!func.meaning) throw fail(`missing BPF prog type, check ELF section name '${func.sectionName}'`);
    if (!func.meaning.attachBtf) continue;
    if (func.meaning.type === 'ext') throw fail('attach program FD is not set');
    if (!func.meaning.attachTarget) {
      throw fail('no BTF-based attach target is specified, use bpf_program__set_attach_target()');
    }
  }
  for (const { spec } of object.maps) {
    for (const { slot, program } of spec.values ?? []) {
      if (program === undefined || object.funcs.some((func) => func.name === program && func.autoload)) continue;
      throw new ObjectError(
        'EBADF',
        `map '${spec.name}': failed to initialize slot [${slot}] to prog '${program}': it is not loaded`,
        { stage: 'load' },
      );
    }
  }
}

function finishMaps(spec: ObjectSpec, options: LoadOptions): void {
  const cpus = options.possibleCpus;
  if (!cpus) return;
  const finish = (map: MapSpec) => {
    if (map.typeId === mapTypeId.perf_event_array && map.maxEntries === 0) map.maxEntries = cpus;
    if (map.innerMap) finish(map.innerMap);
  };
  spec.maps.forEach(finish);
}

/**
 * libbpf's prepare step on an opened object. Big-endian objects are prepared too (with instructions turned into
 * little-endian ones), so that they can be shown.
 */
export function prepareObject(object: OpenedObject, options: LoadOptions = {}): ObjectSpec {
  return withFile(object.elf.file, () => prepare(object, options));
}

function prepare(object: OpenedObject, options: LoadOptions): ObjectSpec {
  const warnings = [...object.warnings];
  const maps = object.maps.map((map) => map.spec);
  const kconfig = object.maps.find((map) => map.spec.origin === 'kconfig');
  const ksyms = checkKsyms(object, options);
  if (kconfig) {
    kconfig.spec.initial = resolveKconfig(
      object.externs,
      kconfig.size,
      { text: options.kconfig, kernelVersion: options.kernelVersion ?? DEFAULT_KERNEL_VERSION },
      warnings,
    );
  }
  const coreRelocations = relocateCore(object, options, warnings);
  markHiddenStatic(object);

  const linker = new Linker(object);
  const programs = object.funcs
    .filter((func) => func.entry)
    .map((func) => toProgram(object, func, func.autoload ? linker.link(func) : undefined, ksyms, warnings));
  const spec: ObjectSpec = {
    name: object.name,
    license: object.license,
    programs,
    maps,
    externs: object.externs.map(toExtern),
    kfuncs: ksyms.kfuncs,
    variables: listVariables(object),
    coreRelocations,
    warnings,
  };
  if (object.kernelVersion !== undefined) spec.kernelVersion = object.kernelVersion;
  if (object.btf) spec.btf = object.btf;
  return spec;
}

/** Hidden subprograms are verified as static ones. */
function markHiddenStatic({ btf, funcs }: OpenedObject): void {
  for (const func of funcs) {
    if (func.entry || !func.hidden) continue;
    const type = btf?.find(func.name, 'func');
    if (type && type.linkage === BTF_LINKAGE.GLOBAL) btf!.setLinkage(type.id, BTF_LINKAGE.STATIC);
  }
}

function toExtern(extern: OpenedObject['externs'][number]): ExternSpec {
  const spec: ExternSpec = { name: extern.name, kind: extern.kind, weak: extern.weak, btfTypeId: extern.btfTypeId };
  if (extern.kind === 'kconfig') spec.offset = extern.offset;
  if (extern.kind === 'ksym') spec.untyped = extern.ksymTypeId === 0;
  return spec;
}

const LINKAGES = ['static', 'global', 'extern'] as const;

function toProgram(
  object: OpenedObject,
  func: LoaderFunc,
  linked: LinkedProgram | undefined,
  ksyms: KsymResolution,
  warnings: string[],
): ProgramSpec {
  if (linked) resolveReferences(object, linked, ksyms);
  else warnings.push(`prog '${func.name}': autoload is off (section name with '?'), not prepared`);
  const { btf, btfExt } = object;
  const placed = linked?.placed ?? [{ func, at: 0 }];
  const moved = (what: 'func' | 'line'): MovedRecords | undefined =>
    linked && btf && btfExt
      ? moveRecords(btfExt, what === 'func' ? btfExt.funcInfo : btfExt.lineInfo, placed, what, warnings)
      : undefined;
  const funcInfo = moved('func');
  const lineInfo = moved('line');
  const meaning = func.meaning;
  if (!meaning && func.autoload) {
    warnings.push(
      `prog '${func.name}': missing BPF prog type, section name '${func.sectionName}' is unknown: give its type`,
    );
  } else if (meaning?.foreign && func.autoload) {
    warnings.push(
      `prog '${func.name}': section name '${func.sectionName}' is unknown to libbpf; taken as ${meaning.type} (${meaning.foreign})`,
    );
  }
  let lines: LineSpec[] | undefined;
  return {
    name: func.name,
    section: func.sectionName,
    type: meaning?.type ?? 'unspec',
    typeId: meaning?.typeId ?? 0,
    expectedAttachType: meaning?.expectedAttachType ?? 0,
    ...(meaning?.attachTarget === undefined ? {} : { attachTarget: meaning.attachTarget }),
    flags: meaning?.flags ?? 0,
    autoload: func.autoload,
    insns: linked?.insns ?? func.insns,
    funcs: listFuncs(btf, placed, funcInfo, object),
    get lines() {
      lines ??= lineInfo && btf ? readLines(object, btf, lineInfo) : [];
      return lines;
    },
  };
}

function listFuncs(
  btf: Btf | undefined,
  placed: LinkedProgram['placed'],
  info: MovedRecords | undefined,
  object: OpenedObject,
): FuncSpec[] {
  const ids = new Map<number, number>();
  info?.slots.forEach((slot, i) => {
    const { block, index } = info.records[i]!;
    ids.set(slot, object.btfExt!.word(block, index, 1));
  });
  return placed.map(({ func, at }) => {
    const id = ids.get(at) ?? 0;
    const type = btf && id > 0 && id < btf.count ? btf.type(id) : undefined;
    return {
      name: func.name,
      insn: at,
      count: func.count,
      btfTypeId: id,
      linkage: (type?.kind === 'func' ? LINKAGES[type.linkage] : undefined) ?? 'unknown',
    };
  });
}

function readLines(object: OpenedObject, btf: Btf, info: MovedRecords): LineSpec[] {
  const ext = object.btfExt!;
  return info.slots.map((slot, i) => {
    const { block, index } = info.records[i]!;
    const position = ext.word(block, index, 3);
    return {
      slot,
      // A compilation folder of "." says nothing that the name does not.
      file: btf.text(ext.word(block, index, 1)).replace(/^\.\//, ''),
      line: position >>> 10,
      column: position & 0x3ff,
      text: btf.text(ext.word(block, index, 2)).trim(),
    };
  });
}
