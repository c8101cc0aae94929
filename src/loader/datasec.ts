import type { Btf } from './btf.ts';
import { BTF_LINKAGE, type BtfSecVar } from './btf-types.ts';
import { type ElfObject, type ElfSymbol, STB, STT } from './elf.ts';
import { ObjectError } from './object-error.ts';

const STV_INTERNAL = 1;
const STV_HIDDEN = 2;

/** HIDDEN and INTERNAL symbols are private to the object: libbpf makes them static in BTF. */
export function isHidden(symbol: ElfSymbol): boolean {
  return symbol.visibility === STV_HIDDEN || symbol.visibility === STV_INTERNAL;
}

/**
 * Fills in what the compiler leaves open in data sections: sizes, and the offsets of global variables, both known to
 * the ELF file alone. Variables are sorted by offset.
 * libbpf: bpf_object_fixup_btf()
 */
export function fixupDatasecs(btf: Btf, elf: ElfObject): void {
  const datasecs = btf.datasecs();
  if (datasecs.length === 0) return;
  // The first section of a name counts.
  const sizes = new Map(elf.sections.toReversed().map((section) => [section.name, section.size]));
  const globals = new Map<string, ElfSymbol>();
  for (const symbol of elf.symbols) {
    if (symbol.type === STT.OBJECT && (symbol.bind === STB.GLOBAL || symbol.bind === STB.WEAK)) {
      if (!globals.has(symbol.name)) globals.set(symbol.name, symbol);
    }
  }
  for (const datasec of datasecs) {
    if (datasec.name === '.kconfig' || datasec.name === '.ksyms') continue;
    const fresh = datasec.size === 0;
    const size = fresh ? (sizes.get(datasec.name) ?? 0) : datasec.size;
    if (size === 0) {
      throw new ObjectError('ENOENT', `BTF describes a section ${datasec.name} that is missing or empty in the file`, {
        section: datasec.name,
      });
    }
    const vars: BtfSecVar[] = [];
    for (const entry of datasec.vars) {
      const variable = btf.type(entry.type);
      if (variable.kind !== 'var') {
        throw new ObjectError('EINVAL', `Non-VAR type [${entry.type}] seen in section ${datasec.name}`);
      }
      let { offset } = entry;
      if (variable.linkage !== BTF_LINKAGE.STATIC) {
        const symbol = globals.get(variable.name);
        if (!symbol && fresh) {
          throw new ObjectError(
            'ENOENT',
            `failed to find symbol for variable '${variable.name}' in section '${datasec.name}'`,
            { section: datasec.name },
          );
        }
        if (symbol && fresh) offset = symbol.value;
        if (symbol && isHidden(symbol)) btf.setLinkage(variable.id, BTF_LINKAGE.STATIC);
      }
      vars.push({ type: entry.type, offset, size: entry.size });
    }
    vars.sort((a, b) => a.offset - b.offset);
    btf.setDatasec(datasec.id, size, vars);
  }
}

/** True when the data section of that name has a variable that is visible outside: then libbpf makes the map mmapable. */
export function hasVisibleVariable(btf: Btf | undefined, name: string): boolean {
  const datasec = btf?.find(name, 'datasec');
  if (!btf || !datasec) return false;
  return datasec.vars.some((entry) => {
    const variable = btf.type(entry.type);
    return variable.kind === 'var' && variable.linkage !== BTF_LINKAGE.STATIC;
  });
}
