import { STB, STT } from './elf.ts';
import type { LoaderMap, OpenedObject } from './opened.ts';
import type { VariableSpec } from './spec.ts';

/** Named variables of data sections: symbols (local ones too), and the members of `.kconfig`. */
export function listVariables(object: OpenedObject): VariableSpec[] {
  const bySection = new Map<number, LoaderMap>();
  for (const map of object.maps) {
    if (map.spec.initial && map.section >= 0 && map.spec.origin !== 'struct_ops') bySection.set(map.section, map);
  }
  const { btf } = object;
  const types = new Map<string, number>();
  for (const datasec of btf?.datasecs() ?? []) {
    for (const entry of datasec.vars) {
      const variable = btf!.type(entry.type);
      if (variable.kind === 'var') types.set(`${datasec.name}/${entry.offset}/${variable.name}`, variable.type);
    }
  }
  const variables: VariableSpec[] = [];
  for (const symbol of object.elf.symbols) {
    const map = bySection.get(symbol.shndx);
    if (!map || symbol.name === '' || (symbol.type !== STT.OBJECT && symbol.type !== STT.NOTYPE)) continue;
    // Names of function-local variables carry their function: `prog.count` in ELF, `count` in BTF.
    const short = symbol.name.slice(symbol.name.indexOf('.') + 1);
    const key = (name: string) => `${map.spec.section}/${symbol.value}/${name}`;
    variables.push({
      name: symbol.name,
      map: map.index,
      offset: symbol.value,
      size: symbol.size,
      typeId: types.get(key(symbol.name)) ?? types.get(key(short)) ?? 0,
      local: symbol.bind === STB.LOCAL,
    });
  }
  const kconfig = object.maps.find((map) => map.spec.origin === 'kconfig');
  for (const extern of kconfig ? object.externs : []) {
    if (extern.kind !== 'kconfig') continue;
    const variable = btf!.type(extern.btfTypeId);
    variables.push({
      name: extern.name,
      map: kconfig!.index,
      offset: extern.offset,
      size: extern.size,
      typeId: variable.kind === 'var' ? variable.type : 0,
      local: false,
    });
  }
  return variables.sort((a, b) => a.map - b.map || a.offset - b.offset);
}
