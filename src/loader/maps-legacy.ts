import type { Btf } from './btf.ts';
import { type ElfObject, type ElfSection, type ElfSymbol, STB, STT } from './elf.ts';
import { kernelName, mapTypeId, mapTypeName } from './kernel-names.ts';
import { ObjectError } from './object-error.ts';
import type { LoaderMap } from './opened.ts';
import type { Dialect } from './sections.ts';

const WORDS = 5;
const ELF_MAP_SIZE = 36;

/** Sections with legacy map definitions by the dialect's rules. */
export function legacyMapSections(elf: ElfObject, dialect: Dialect): ElfSection[] {
  const loose = dialect === 'auto' || dialect === 'cilium';
  return elf.sections.filter(
    (section) => section.type === 1 && (section.name === 'maps' || (loose && /^maps\//.test(section.name))),
  );
}

/** Maps of legacy sections: `struct bpf_map_def` of libbpf, or `struct bpf_elf_map` of iproute2. */
export function legacyMaps(elf: ElfObject, btf: Btf | undefined, dialect: Dialect, warnings: string[]): LoaderMap[] {
  const maps = legacyMapSections(elf, dialect).flatMap((section) => {
    const symbols = elf.symbols.filter(
      (symbol) => symbol.shndx === section.index && symbol.type !== STT.SECTION && isDefinition(symbol, dialect),
    );
    return dialect === 'libbpf-0.8'
      ? libbpf08(elf.file, section, symbols, btf)
      : lenient(elf, section, symbols, btf, dialect, warnings);
  });
  return linkInnerMaps(maps, warnings);
}

function isDefinition(symbol: ElfSymbol, dialect: Dialect): boolean {
  if (dialect === 'libbpf-0.8') return true;
  return symbol.bind !== STB.LOCAL || symbol.type === STT.OBJECT;
}

/** libbpf 0.8: bpf_object__init_user_maps(): all definitions have the size that the number of symbols gives. */
function libbpf08(file: string, section: ElfSection, symbols: ElfSymbol[], btf: Btf | undefined): LoaderMap[] {
  const fail = (text: string, offset?: number) => new ObjectError('EINVAL', text, { section: section.name, offset });
  if (symbols.length === 0 || section.size === 0 || section.size % symbols.length !== 0) {
    throw fail(`unable to determine legacy map definition size in ${file}`);
  }
  const size = section.size / symbols.length;
  return symbols.map((symbol) => {
    if (symbol.bind === STB.LOCAL) {
      throw new ObjectError('EOPNOTSUPP', `map '${symbol.name}' (legacy): static maps are not supported`);
    }
    if (symbol.value + size > section.size) {
      throw fail(`corrupted maps section in ${file}: last map "${symbol.name}" too small`, symbol.value);
    }
    const map = definition(section, symbol, size, btf);
    if (section.data.subarray(symbol.value + 4 * WORDS, symbol.value + size).some((byte) => byte !== 0)) {
      throw fail(`maps section in ${file}: "${symbol.name}" has unrecognized, non-zero options`, symbol.value);
    }
    return map;
  });
}

function lenient(
  elf: ElfObject,
  section: ElfSection,
  symbols: ElfSymbol[],
  btf: Btf | undefined,
  dialect: Dialect,
  warnings: string[],
): LoaderMap[] {
  if (symbols.length === 0) return [];
  const offsets = [...new Set(symbols.map((symbol) => symbol.value))].sort((a, b) => a - b);
  const following = new Map(offsets.map((offset, i) => [offset, offsets[i + 1] ?? section.size]));
  return symbols.map((symbol) => {
    // Old compilers give no sizes: then a definition reaches to the next one.
    const next = Math.min(section.size, following.get(symbol.value)!);
    const size = symbol.size || next - symbol.value;
    if (symbol.value % 4 !== 0 || size < 16 || symbol.value + size > section.size) {
      throw new ObjectError(
        'EINVAL',
        `corrupted maps section in ${elf.file}: map "${symbol.name}" of ${size} bytes at ${symbol.value}`,
        { section: section.name, offset: symbol.value },
      );
    }
    if (dialect === 'iproute2' && size > ELF_MAP_SIZE) {
      throw new ObjectError('EINVAL', 'struct bpf_elf_map not supported, coming from future version?', {
        section: section.name,
        offset: symbol.value,
      });
    }
    const map = definition(section, symbol, size, btf);
    const tail = map.tail ?? [];
    if (tail.some((word) => word !== 0)) readTail(map, tail, warnings);
    return map;
  });
}

/** iproute2's id, pinning, inner_id and inner_idx; a 28-byte definition has only the first two. */
function readTail(map: LoaderMap, tail: readonly number[], warnings: string[]): void {
  const { spec } = map;
  if (tail.length === 4 || tail.length === 2) spec.pinning = tail[1]!;
  else warnings.push(`map '${spec.name}' (legacy): bytes behind the first 20 were not understood`);
}

function definition(section: ElfSection, symbol: ElfSymbol, size: number, btf: Btf | undefined): LoaderMap {
  const view = new DataView(section.data.buffer, section.data.byteOffset, section.data.byteLength);
  const words = Array.from({ length: Math.floor(size / 4) }, (_, i) => view.getUint32(symbol.value + i * 4, true));
  const [type = 0, keySize = 0, valueSize = 0, maxEntries = 0, flags = 0] = words;
  const ids = annotatedTypes(btf, symbol.name, keySize, valueSize);
  return {
    spec: {
      name: symbol.name,
      kernelName: kernelName(symbol.name),
      type: mapTypeName(type),
      typeId: type,
      keySize,
      valueSize,
      maxEntries,
      flags,
      mapExtra: 0,
      numaNode: 0,
      pinning: 0,
      frozen: false,
      keyTypeId: ids.key,
      valueTypeId: ids.value,
      section: section.name,
      origin: 'legacy',
    },
    index: 0,
    section: section.index,
    offset: symbol.value,
    size,
    tail: words.slice(WORDS),
  };
}

/** BPF_ANNOTATE_KV_PAIR: `struct ____btf_map_NAME { key; value; }` */
function annotatedTypes(btf: Btf | undefined, name: string, keySize: number, valueSize: number) {
  const struct = btf?.find(`____btf_map_${name}`, 'struct');
  const [key, value] = struct?.members ?? [];
  if (!btf || !key || !value || btf.size(key.type) !== keySize || btf.size(value.type) !== valueSize) {
    return { key: 0, value: 0 };
  }
  return { key: key.type, value: value.type };
}

/** iproute2: an outer map names its template by id; inner maps with an index put themselves into the outer one. */
function linkInnerMaps(maps: LoaderMap[], warnings: string[]): LoaderMap[] {
  const outer = (map: LoaderMap) =>
    map.spec.typeId === mapTypeId.array_of_maps || map.spec.typeId === mapTypeId.hash_of_maps;
  const byId = new Map<number, LoaderMap>();
  for (const map of maps)
    if (map.tail?.length === 4 && map.tail[0]) byId.set(map.tail[0], byId.get(map.tail[0]) ?? map);
  for (const map of maps) {
    if (!outer(map)) continue;
    const innerId = map.tail?.length === 4 ? map.tail[2]! : 0;
    const samplesIndex = map.tail?.length === 2 && map.tail[1] === 0 ? map.tail[0]! : -1;
    const template = innerId ? byId.get(innerId) : samplesIndex >= 0 ? maps[samplesIndex] : undefined;
    if (!template || template === map) {
      if (innerId) warnings.push(`map '${map.spec.name}' (legacy): no inner map has the id ${innerId}`);
      continue;
    }
    map.spec.innerMap = { ...template.spec, name: `${map.spec.name}.inner`, pinning: 0 };
    if (!innerId) continue;
    const slots = maps.flatMap((inner, index) => {
      const own = inner.tail?.length === 4 && !outer(inner) && inner.tail[0] === innerId;
      return own && inner.tail![3] !== 0xffffffff ? [{ slot: inner.tail![3]!, map: index }] : [];
    });
    if (slots.length > 0) map.spec.values = slots;
  }
  return maps;
}
