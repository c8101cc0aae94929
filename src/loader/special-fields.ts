import type { SpecialFields } from '../maps/map.ts';
import type { Btf } from './btf.ts';

const KPTR_TAGS = new Set(['kptr', 'kptr_untrusted', 'percpu_kptr']);

/**
 * Offsets of fields that the kernel manages inside a map value: spin lock, timer, work queue, kptrs. Undefined when the
 * type has none. kernel: btf_parse_fields()
 */
export function specialFields(btf: Btf, typeId: number): SpecialFields | undefined {
  const found: { spinLock?: number; timer?: number; workqueue?: number; kptrs: number[] } = { kptrs: [] };
  collect(btf, typeId, 0, 0, found);
  const { kptrs, ...rest } = found;
  if (kptrs.length > 0) return { ...rest, kptrs };
  return Object.keys(rest).length > 0 ? rest : undefined;
}

function collect(
  btf: Btf,
  typeId: number,
  base: number,
  depth: number,
  found: { spinLock?: number; timer?: number; workqueue?: number; kptrs: number[] },
): void {
  if (depth > 8) return;
  const type = btf.strip(typeId);
  if (type.kind !== 'struct') return;
  if (type.name === 'bpf_spin_lock') found.spinLock = base;
  else if (type.name === 'bpf_timer') found.timer = base;
  else if (type.name === 'bpf_wq') found.workqueue = base;
  else {
    for (const member of type.members) {
      const at = base + member.bitOffset / 8;
      const pointer = btf.strip(member.type);
      if (pointer.kind === 'ptr') {
        const target = btf.type(pointer.type);
        if (target.kind === 'type_tag' && KPTR_TAGS.has(target.name)) found.kptrs.push(at);
      } else collect(btf, member.type, at, depth + 1, found);
    }
  }
}
