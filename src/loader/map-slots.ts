import { mapTypeId } from './kernel-names.ts';
import { ObjectError } from './object-error.ts';
import type { LoaderFunc, LoaderMap } from './opened.ts';
import { type RelocationContext, readRelocations, relocationSections } from './relocate.ts';

/** Static slots of map-in-maps and prog arrays, from the relocations of `.maps`. libbpf: bpf_object__collect_map_relos() */
export function fillStaticSlots(context: RelocationContext): void {
  const { elf, maps, funcs } = context;
  for (const { section, target } of relocationSections(elf, context.dialect)) {
    if (target.name !== '.maps') continue;
    let index = -1;
    for (const { offset, symbol } of readRelocations(elf, section, target)) {
      index++;
      const fail = (code: 'EINVAL' | 'ESRCH' | 'RELOC', text: string) =>
        new ObjectError(code, `.maps relo #${index}: ${text}`, { section: '.maps', offset });
      const outer = maps.find(
        (map) => map.section === target.index && map.offset <= offset && offset + 8 <= map.offset + map.size,
      );
      if (!outer) throw fail('EINVAL', `cannot find map '${symbol.name}' at rel->r_offset ${offset}`);
      const { typeId } = outer.spec;
      const inMaps = typeId === mapTypeId.array_of_maps || typeId === mapTypeId.hash_of_maps;
      if (!inMaps && typeId !== mapTypeId.prog_array) {
        throw fail('EINVAL', `map '${outer.spec.name}' of type ${outer.spec.type} takes no values`);
      }
      const slot = slotOf(outer, offset);
      if (slot === undefined)
        throw fail('EINVAL', `unexpected initialiser at offset ${offset} of '${outer.spec.name}'`);
      outer.spec.values ??= [];
      if (inMaps) outer.spec.values.push({ slot, map: innerMap(context, outer, symbol, fail).index });
      else outer.spec.values.push({ slot, program: entryProgram(funcs, symbol, fail).name });
    }
  }
}

function slotOf(map: LoaderMap, offset: number): number | undefined {
  if (map.valuesOffset === undefined) return undefined;
  const bytes = offset - map.offset - map.valuesOffset;
  return bytes >= 0 && bytes % 8 === 0 ? bytes / 8 : undefined;
}

type Symbol = { readonly name: string; readonly shndx: number; readonly value: number };
type Fail = (code: 'EINVAL' | 'ESRCH' | 'RELOC', text: string) => ObjectError;

function innerMap(context: RelocationContext, outer: LoaderMap, symbol: Symbol, fail: Fail): LoaderMap {
  if (symbol.shndx !== outer.section) throw fail('RELOC', `'${symbol.name}' isn't a BTF-defined map`);
  if (outer.spec.typeId === mapTypeId.hash_of_maps && outer.spec.keySize !== 4) {
    throw fail('EINVAL', `hash-of-maps '${outer.spec.name}' should have key size 4.`);
  }
  const inner = context.maps.find((map) => map.spec.name === symbol.name);
  if (!inner) throw fail('ESRCH', `'${symbol.name}' isn't a valid map reference`);
  return inner;
}

function entryProgram(funcs: readonly LoaderFunc[], symbol: Symbol, fail: Fail): LoaderFunc {
  const program = funcs.find((func) => func.name === symbol.name && func.entry);
  if (!program) throw fail('ESRCH', `'${symbol.name}' isn't a valid program reference`);
  if (program.section.index !== symbol.shndx || program.start * 8 !== symbol.value) {
    throw fail('RELOC', `'${symbol.name}' isn't an entry-point program`);
  }
  return program;
}
