import type { Btf } from './btf.ts';
import { BTF_LINKAGE } from './btf-types.ts';
import { type ElfObject, type ElfSymbol, STB, STT } from './elf.ts';
import { ObjectError } from './object-error.ts';
import type { LoaderExtern } from './opened.ts';

/** What a `__kconfig` variable can hold. */
export type KconfigKind = 'bool' | 'char' | 'int' | 'tristate' | 'string';

/** Functions that compilers call on their own. */
const LIBCALLS = new Set(['memset', 'memcpy', 'memmove', 'memcmp', '__udivti3', '__umodti3', '__multi3']);

/** libbpf: sym_is_extern() */
export function isExtern(symbol: ElfSymbol): boolean {
  return (
    symbol.shndx === 0 &&
    (symbol.bind === STB.GLOBAL || symbol.bind === STB.WEAK) &&
    symbol.type === STT.NOTYPE &&
    symbol.name !== ''
  );
}

/**
 * Externs of the object in libbpf's order: kconfig by alignment (descending), size, name; then ksyms by name. Offsets
 * of kconfig variables in their map are set.
 * libbpf: bpf_object__collect_externs()
 */
export function collectExterns(elf: ElfObject, btf: Btf | undefined): LoaderExtern[] {
  const symbols = elf.symbols.filter(isExtern);
  if (symbols.length === 0) return [];
  const sectionOf = new Map<number, string>();
  for (const datasec of btf?.datasecs() ?? []) {
    for (const entry of datasec.vars) if (!sectionOf.has(entry.type)) sectionOf.set(entry.type, datasec.name);
  }
  const externs = symbols.map((symbol) => readExtern(symbol, btf, sectionOf));
  const byName = (a: LoaderExtern, b: LoaderExtern) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
  const kconfig = externs
    .filter((extern) => extern.kind === 'kconfig')
    .sort((a, b) => b.align - a.align || a.size - b.size || byName(a, b));
  let end = 0;
  for (const extern of kconfig) {
    extern.offset = Math.ceil(end / extern.align) * extern.align;
    end = extern.offset + extern.size;
  }
  return [...kconfig, ...externs.filter((extern) => extern.kind !== 'kconfig').sort(byName)];
}

/** Bytes of the `.kconfig` map, 0 when there is no kconfig variable. */
export function kconfigSize(externs: readonly LoaderExtern[]): number {
  return externs.reduce((end, one) => (one.kind === 'kconfig' ? Math.max(end, one.offset + one.size) : end), 0);
}

/** Writes offsets and sizes of the kconfig variables into BTF, as those of the `.kconfig` map. */
export function placeKconfig(btf: Btf, externs: readonly LoaderExtern[], size: number): void {
  const datasec = btf.find('.kconfig', 'datasec');
  if (!datasec) return;
  const byType = new Map(externs.map((extern) => [extern.btfTypeId, extern]));
  const vars = datasec.vars.map((entry) => {
    const extern = byType.get(entry.type);
    return { type: entry.type, offset: extern?.offset ?? 0, size: extern?.size ?? 0 };
  });
  btf.setDatasec(
    datasec.id,
    size,
    vars.sort((a, b) => a.offset - b.offset),
  );
}

function readExtern(symbol: ElfSymbol, btf: Btf | undefined, sectionOf: ReadonlyMap<number, string>): LoaderExtern {
  const { name } = symbol;
  const hint = LIBCALLS.has(name)
    ? `the compiler emitted a call to ${name}(): make the copy smaller, or use __builtin_${name} with a constant size`
    : 'externs need __kconfig or __ksym';
  if (!btf) throw new ObjectError('ESRCH', `failed to find BTF for extern '${name}': -3`, { hint });
  const type = btf.find(name, 'var', 'func');
  if (!type) throw new ObjectError('ENOENT', `failed to find BTF for extern '${name}': -2`, { hint });
  if (type.linkage !== BTF_LINKAGE.EXTERN) {
    throw new ObjectError('EINVAL', `failed to find BTF for extern '${name}': -22`, {
      hint: 'it is not extern in BTF',
    });
  }
  const section = sectionOf.get(type.id);
  if (section === undefined) {
    throw new ObjectError('ENOENT', `failed to find BTF for extern '${name}' [${type.id}] section: -2`, { hint });
  }
  const base = {
    name,
    symbol: symbol.index,
    weak: symbol.bind === STB.WEAK,
    btfTypeId: type.id,
    size: 0,
    align: 1,
    signed: false,
    ksymTypeId: 0,
    offset: 0,
  };
  if (section === '.kconfig') {
    if (type.kind === 'func') {
      throw new ObjectError('EOPNOTSUPP', `extern function ${name} is unsupported under .kconfig section`);
    }
    const found = kconfigKind(btf, type.type);
    if (!found) throw new ObjectError('EOPNOTSUPP', `extern (kcfg) '${name}': type is unsupported`);
    const size = btf.size(type.type) ?? 0;
    const align = btf.align(type.type);
    if (size === 0 || align === 0) {
      throw new ObjectError('EINVAL', `failed to determine size or alignment of extern (kcfg) '${name}'`);
    }
    return { ...base, kind: 'kconfig', kconfig: found.kind, signed: found.signed, size, align };
  }
  if (section === '.ksyms') {
    if (type.kind === 'func') return { ...base, kind: 'kfunc', ksymTypeId: type.type };
    return { ...base, kind: 'ksym', ksymTypeId: btf.strip(type.type).id };
  }
  throw new ObjectError('EOPNOTSUPP', `unrecognized extern section '${section}'`);
}

/** libbpf: find_kcfg_type() */
function kconfigKind(btf: Btf, id: number): { kind: KconfigKind; signed: boolean } | undefined {
  const type = btf.strip(id);
  const name = btf.name(id);
  switch (type.kind) {
    case 'int':
      if (type.bool) return type.size === 1 ? { kind: 'bool', signed: false } : undefined;
      if (type.size === 1) return { kind: 'char', signed: type.signed };
      return [2, 4, 8].includes(type.size) ? { kind: 'int', signed: type.signed } : undefined;
    case 'enum':
      if (type.size !== 4 || type.name !== 'libbpf_tristate') return undefined;
      return { kind: 'tristate', signed: false };
    case 'enum64':
      return type.name === 'libbpf_tristate' || name === 'libbpf_tristate'
        ? { kind: 'tristate', signed: false }
        : undefined;
    case 'array': {
      if (type.nelems === 0) return undefined;
      const element = btf.strip(type.type);
      return element.kind === 'int' && element.size === 1 && !element.bool
        ? { kind: 'string', signed: false }
        : undefined;
    }
    default:
      return undefined;
  }
}
