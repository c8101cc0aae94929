import type { Btf } from './btf.ts';
import { hasVisibleVariable } from './datasec.ts';
import { type ElfObject, type ElfSection, SHT } from './elf.ts';
import { BPF_F, mapTypeId } from './kernel-names.ts';
import { ObjectError } from './object-error.ts';
import type { LoaderMap } from './opened.ts';
import type { MapOrigin, MapSpec } from './spec.ts';

/** Kernel names are 16 bytes with their NUL. */
const NAME_MAX = 15;
/** Room that a section name takes at least: `.rodata`. */
const SUFFIX_MIN = 7;
/** Zero data can claim any size; the linear memory of a lab is 1 GiB. */
const MAX_DATA = 1 << 28;

/** Which kind of data section a name is; `.data` and `.rodata` alone or followed by a dot, `.data1` is none. */
export function dataOrigin(section: ElfSection): 'data' | 'rodata' | 'bss' | undefined {
  const is = (base: string) => section.name === base || section.name.startsWith(`${base}.`);
  if (section.type === SHT.NOBITS) return is('.bss') ? 'bss' : undefined;
  if (section.type !== SHT.PROGBITS || section.exec) return undefined;
  if (is('.data')) return 'data';
  return is('.rodata') ? 'rodata' : undefined;
}

/** Name that libbpf gives to the map of a data section. libbpf: internal_map_name() */
export function dataMapName(object: string, section: string): string {
  const suffix = Math.min(NAME_MAX, Math.max(SUFFIX_MIN, section.length));
  const prefix = section.indexOf('.', 1) >= 0 ? '' : object.slice(0, NAME_MAX - suffix);
  return (prefix + section.slice(0, suffix)).replace(/[^A-Za-z0-9_.]/g, '_');
}

/** The maps behind .data*, .rodata* and .bss*, in section order. */
export function dataMaps(elf: ElfObject, btf: Btf | undefined, object: string): LoaderMap[] {
  const maps: LoaderMap[] = [];
  for (const section of elf.sections) {
    const origin = dataOrigin(section);
    if (!origin || section.size === 0) continue;
    if (section.size > MAX_DATA) {
      throw new ObjectError('E2BIG', `section ${section.name} of ${section.size} bytes is too large for a map`, {
        section: section.name,
      });
    }
    const initial = origin === 'bss' ? new Uint8Array(section.size) : section.data.slice();
    const spec = dataMapSpec(object, section.name, origin, initial, btf);
    maps.push({ spec, index: 0, section: section.index, offset: 0, size: section.size });
  }
  return maps;
}

/** An array map with one value, as libbpf makes it for a data section. libbpf: bpf_object__init_internal_map() */
export function dataMapSpec(
  object: string,
  section: string,
  origin: MapOrigin,
  initial: Uint8Array,
  btf: Btf | undefined,
): MapSpec {
  const short = dataMapName(object, section);
  const custom = (origin === 'data' && section !== '.data') || (origin === 'rodata' && section !== '.rodata');
  const readOnly = origin === 'rodata' || origin === 'kconfig';
  return {
    name: custom ? section : short,
    kernelName: short,
    type: 'array',
    typeId: mapTypeId.array,
    keySize: 4,
    valueSize: initial.length,
    maxEntries: 1,
    flags: (readOnly ? BPF_F.RDONLY_PROG : 0) | (hasVisibleVariable(btf, section) ? BPF_F.MMAPABLE : 0),
    mapExtra: 0,
    numaNode: 0,
    pinning: 0,
    initial,
    frozen: readOnly,
    keyTypeId: 0,
    valueTypeId: btf?.find(section, 'datasec')?.id ?? 0,
    section,
    origin,
  };
}
