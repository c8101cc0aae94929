import type { SpecialFields } from '../maps/map.ts';
import type { Btf } from './btf.ts';

const MAX_DEPTH = 8;
const MAX_MEMBERS = 100_000;

interface Found {
  spinLock?: number;
  timer?: number;
  workqueue?: number;
  kptrs: number[];
  members: number;
}

const KPTR_TAGS = new Set(['kptr', 'kptr_untrusted', 'percpu_kptr']);

/**
 * Offsets of fields that the kernel manages inside a map value: spin lock, timer, work queue, kptrs. Undefined when the
 * type has none. kernel: btf_parse_fields()
 */
export function specialFields(btf: Btf, typeId: number): SpecialFields | undefined {
  const found: Found = { kptrs: [], members: 0 };
  collect(btf, typeId, 0, 0, found);
  const { kptrs, members: _, ...rest } = found;
  if (kptrs.length > 0) return { ...rest, kptrs };
  return Object.keys(rest).length > 0 ? rest : undefined;
}

function collect(btf: Btf, typeId: number, base: number, depth: number, found: Found): void {
  if (depth > MAX_DEPTH) return;
  const type = btf.strip(typeId);
  if (type.kind !== 'struct') return;
  if (type.name === 'bpf_spin_lock') found.spinLock = base;
  else if (type.name === 'bpf_timer') found.timer = base;
  else if (type.name === 'bpf_wq') found.workqueue = base;
  else {
    for (const member of type.members) {
      // Hostile BTF nests structs so that their members multiply.
      if (++found.members > MAX_MEMBERS) return;
      const at = base + member.bitOffset / 8;
      const pointer = btf.strip(member.type);
      if (pointer.kind === 'ptr') {
        const target = btf.type(pointer.type);
        if (target.kind === 'type_tag' && KPTR_TAGS.has(target.name)) found.kptrs.push(at);
      } else collect(btf, member.type, at, depth + 1, found);
    }
  }
}
