import type { Btf } from './btf.ts';
import type { ElfObject } from './elf.ts';
import { kernelName, mapTypeId } from './kernel-names.ts';
import type { LoaderMap } from './opened.ts';

/** One map per variable of `.struct_ops` sections: listed, not supported. libbpf: init_struct_ops_maps() */
export function structOpsMaps(elf: ElfObject, btf: Btf, warnings: string[]): LoaderMap[] {
  const maps: LoaderMap[] = [];
  for (const section of elf.sections) {
    if (!/^\??\.struct_ops(\.link)?$/.test(section.name) || section.size === 0) continue;
    const datasec = btf.find(section.name, 'datasec');
    for (const entry of datasec?.vars ?? []) {
      const variable = btf.type(entry.type);
      const struct = variable.kind === 'var' ? btf.strip(variable.type) : undefined;
      if (struct?.kind !== 'struct' || entry.offset + struct.size > section.data.length) continue;
      warnings.push(`map '${variable.name}': struct_ops is not supported`);
      maps.push({
        spec: {
          name: variable.name,
          kernelName: kernelName(variable.name),
          type: 'struct_ops',
          typeId: mapTypeId.struct_ops,
          keySize: 4,
          valueSize: struct.size,
          maxEntries: 1,
          flags: section.name.endsWith('.link') ? 0x2000 : 0,
          mapExtra: 0,
          numaNode: 0,
          pinning: 0,
          initial: section.data.slice(entry.offset, entry.offset + struct.size),
          frozen: false,
          keyTypeId: 0,
          valueTypeId: struct.id,
          section: section.name,
          origin: 'struct_ops',
        },
        index: 0,
        section: section.index,
        offset: entry.offset,
        size: struct.size,
      });
    }
  }
  return maps;
}
