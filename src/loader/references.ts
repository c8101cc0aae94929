import type { KsymResolution } from './ksyms.ts';
import type { LinkedProgram } from './link.ts';
import type { InsnRelocation, OpenedObject } from './opened.ts';

const CALL = 0x85;
const PSEUDO_BTF_ID = 3;
const PSEUDO_MAP_IDX = 5;
const PSEUDO_MAP_IDX_VALUE = 6;
const PSEUDO_KFUNC_CALL = 2;
/** libbpf: POISON_CALL_KFUNC_BASE: an unresolved weak kfunc, plus its index among the externs. */
const POISON_KFUNC = 2002000000;

/** Fills in maps, variables and kernel symbols of a linked program. libbpf: bpf_object__relocate_data() */
export function resolveReferences(object: OpenedObject, program: LinkedProgram, ksyms: KsymResolution): void {
  const { view } = program;
  const kconfig = object.maps.find((map) => map.spec.origin === 'kconfig')?.index ?? -1;
  for (const { func, at } of program.placed) {
    for (const relocation of func.relocations) resolve(view, (at + relocation.slot) * 8, relocation, kconfig, ksyms);
  }
}

function resolve(view: DataView, at: number, { target }: InsnRelocation, kconfig: number, ksyms: KsymResolution): void {
  switch (target.kind) {
    case 'map':
      setSource(view, at, PSEUDO_MAP_IDX);
      view.setInt32(at + 4, target.map.index, true);
      return;
    case 'data':
      setSource(view, at, PSEUDO_MAP_IDX_VALUE);
      view.setInt32(at + 4, target.map.index, true);
      view.setInt32(at + 12, target.offset, true);
      return;
    case 'extern': {
      const { extern } = target;
      if (extern.kind === 'kconfig') {
        setSource(view, at, PSEUDO_MAP_IDX_VALUE);
        view.setInt32(at + 4, kconfig, true);
        view.setInt32(at + 12, extern.offset, true);
        return;
      }
      const symbol = ksyms.symbol(extern);
      if (symbol.address !== undefined) {
        setSource(view, at, 0);
        view.setInt32(at + 4, Number(BigInt.asIntN(32, symbol.address)), true);
        view.setInt32(at + 12, Number(BigInt.asIntN(32, symbol.address >> 32n)), true);
      } else {
        setSource(view, at, PSEUDO_BTF_ID);
        view.setInt32(at + 4, symbol.index, true);
        view.setInt32(at + 12, 0, true);
      }
      return;
    }
    case 'extern-call': {
      const { extern } = target;
      const symbol = ksyms.symbol(extern);
      view.setUint8(at, CALL);
      setSource(view, at, symbol.kfunc === undefined ? 0 : PSEUDO_KFUNC_CALL);
      view.setInt32(at + 4, symbol.kfunc ?? POISON_KFUNC + symbol.index, true);
      return;
    }
    case 'call':
    case 'func':
      return;
    default:
      target satisfies never;
  }
}

function setSource(view: DataView, at: number, source: number): void {
  view.setUint8(at + 1, (view.getUint8(at + 1) & 0x0f) | (source << 4));
}
