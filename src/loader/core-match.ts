import { type Btf, essentialName, MAX_RESOLVE_DEPTH } from './btf.ts';
import type { BtfKind } from './btf-types.ts';

const sameKind = (a: BtfKind, b: BtfKind) => a === b || (isEnum(a) && isEnum(b));

/** `enum` and `enum64` are one kind to CO-RE. */
export function isEnum(kind: BtfKind): kind is 'enum' | 'enum64' {
  return kind === 'enum' || kind === 'enum64';
}

/** Whether two types agree closely enough for type_exists and kfuncs. libbpf: bpf_core_types_are_compat() */
export function typesCompatible(
  local: Btf,
  localId: number,
  target: Btf,
  targetId: number,
  level = MAX_RESOLVE_DEPTH,
): boolean {
  if (level <= 0) return false;
  if (!sameKind(local.kind(localId), target.kind(targetId))) return false;
  let at = local.strip(localId);
  let other = target.strip(targetId);
  for (let depth = level; depth >= 0; depth--) {
    if (!sameKind(at.kind, other.kind)) return false;
    switch (at.kind) {
      case 'void':
      case 'struct':
      case 'union':
      case 'enum':
      case 'enum64':
      case 'fwd':
        return true;
      case 'int':
        return at.bitOffset === 0 && other.kind === 'int' && other.bitOffset === 0;
      case 'ptr':
      case 'array':
        if (other.kind !== 'ptr' && other.kind !== 'array') return false;
        at = local.strip(at.type);
        other = target.strip(other.type);
        break;
      case 'func_proto': {
        if (other.kind !== 'func_proto' || at.params.length !== other.params.length) return false;
        const params = other.params;
        for (const [i, param] of at.params.entries()) {
          const a = local.strip(param.type).id;
          if (!typesCompatible(local, a, target, target.strip(params[i]!.type).id, level - 1)) return false;
        }
        at = local.strip(at.type);
        other = target.strip(other.type);
        break;
      }
      default:
        return false;
    }
  }
  return false;
}

/** Whether a field of the local type may be read from one of the target type. libbpf: bpf_core_fields_are_compat() */
export function fieldsCompatible(local: Btf, localId: number, target: Btf, targetId: number): boolean {
  let at = local.strip(localId);
  let other = target.strip(targetId);
  for (let depth = 0; depth <= MAX_RESOLVE_DEPTH; depth++) {
    const composite = (kind: BtfKind) => kind === 'struct' || kind === 'union';
    if (composite(at.kind) && composite(other.kind)) return true;
    if (!sameKind(at.kind, other.kind)) return false;
    switch (at.kind) {
      case 'ptr':
      case 'float':
        return true;
      case 'fwd':
      case 'enum':
      case 'enum64':
        return at.name === '' || other.name === '' || essentialName(at.name) === essentialName(other.name);
      case 'int':
        return at.bitOffset === 0 && other.kind === 'int' && other.bitOffset === 0;
      case 'array':
        if (other.kind !== 'array') return false;
        at = local.strip(at.type);
        other = target.strip(other.type);
        break;
      default:
        return false;
    }
  }
  return false;
}
