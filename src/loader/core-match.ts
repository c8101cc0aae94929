import { type Btf, essentialName, MAX_RESOLVE_DEPTH } from './btf.ts';
import type { BtfKind, BtfOf } from './btf-types.ts';

const sameKind = (a: BtfKind, b: BtfKind) => a === b || (isEnum(a) && isEnum(b));

/** `enum` and `enum64` are one kind to CO-RE. */
export function isEnum(kind: BtfKind): kind is 'enum' | 'enum64' {
  return kind === 'enum' || kind === 'enum64';
}

/** Whether two types agree closely enough for type_exists and kfuncs. libbpf: bpf_core_types_are_compat() */
export function typesCompatible(local: Btf, localId: number, target: Btf, targetId: number): boolean {
  return compatible(local, localId, target, targetId, MAX_RESOLVE_DEPTH, new Map());
}

/** @param known answers of pairs met before, so that functions that take functions stay linear; false while open. */
function compatible(
  local: Btf,
  localId: number,
  target: Btf,
  targetId: number,
  level: number,
  known: Map<string, boolean>,
): boolean {
  const key = `${localId}/${targetId}`;
  const answer = known.get(key);
  if (answer !== undefined) return answer;
  known.set(key, false);
  const result = level > 0 && compareTypes(local, localId, target, targetId, level, known);
  known.set(key, result);
  return result;
}

function compareTypes(
  local: Btf,
  localId: number,
  target: Btf,
  targetId: number,
  level: number,
  known: Map<string, boolean>,
): boolean {
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
        const { params } = other;
        for (const [i, param] of at.params.entries()) {
          const a = local.strip(param.type).id;
          if (!compatible(local, a, target, target.strip(params[i]!.type).id, level - 1, known)) return false;
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

/**
 * Whether two types are the same in all that matters to a program. libbpf: bpf_core_types_match()
 *
 * Members and enumerators of the local type must be there in the target; behind a pointer only names and kinds count.
 */
export function typesMatch(local: Btf, localId: number, target: Btf, targetId: number): boolean {
  return new Matcher(local, target).match(localId, targetId, false, MAX_RESOLVE_DEPTH);
}

class Matcher {
  readonly #local: Btf;
  readonly #target: Btf;
  readonly #known = new Map<string, boolean>();

  constructor(local: Btf, target: Btf) {
    this.#local = local;
    this.#target = target;
  }

  match(localId: number, targetId: number, behindPointer: boolean, level: number): boolean {
    const key = `${localId}/${targetId}/${behindPointer}`;
    const answer = this.#known.get(key);
    if (answer !== undefined) return answer;
    this.#known.set(key, false);
    const result = level > 0 && this.#compare(localId, targetId, behindPointer, level);
    this.#known.set(key, result);
    return result;
  }

  #compare(localId: number, targetId: number, behindPointer: boolean, level: number): boolean {
    const a = this.#local.strip(localId);
    const b = this.#target.strip(targetId);
    if (a.name !== '' && b.name !== '' && essentialName(a.name) !== essentialName(b.name)) return false;
    if ((a.name === '') !== (b.name === '') && (a.kind === 'struct' || a.kind === 'union' || isEnum(a.kind)))
      return false;
    const composite = (kind: BtfKind) => kind === 'struct' || kind === 'union';
    switch (a.kind) {
      case 'void':
        return b.kind === 'void';
      case 'fwd':
        if (b.kind === 'fwd') return a.union === b.union;
        return behindPointer && (a.union ? b.kind === 'union' : b.kind === 'struct');
      case 'enum':
      case 'enum64':
        if (!isEnum(b.kind)) return false;
        if (a.size !== (b as typeof a).size) return false;
        return a.values.every((row) =>
          (b as typeof a).values.some((other) => essentialName(other.name) === essentialName(row.name)),
        );
      case 'struct':
      case 'union':
        if (behindPointer && b.kind === 'fwd') return b.union === (a.kind === 'union');
        if (a.kind !== b.kind || !composite(b.kind)) return false;
        return behindPointer || this.#members(a, b as typeof a, level);
      case 'int':
        return b.kind === 'int' && a.size === b.size && a.signed === b.signed;
      case 'ptr':
        return b.kind === 'ptr' && this.match(a.type, b.type, true, level - 1);
      case 'array':
        return b.kind === 'array' && a.nelems === b.nelems && this.match(a.type, b.type, behindPointer, level - 1);
      case 'func_proto':
        return (
          b.kind === 'func_proto' &&
          a.params.length === b.params.length &&
          a.params.every((param, i) => this.match(param.type, b.params[i]!.type, behindPointer, level - 1)) &&
          this.match(a.type, b.type, behindPointer, level - 1)
        );
      case 'float':
        return b.kind === 'float' && a.size === b.size;
      default:
        return false;
    }
  }

  #members(a: BtfOf<'struct'>, b: BtfOf<'struct'>, level: number): boolean {
    return a.members.every((member) =>
      b.members.some(
        (other) =>
          essentialName(other.name) === essentialName(member.name) &&
          this.match(member.type, other.type, false, level - 1),
      ),
    );
  }
}
