import { type Btf, MAX_RESOLVE_DEPTH } from './btf.ts';
import { typeName } from './btf-decode.ts';
import type { BtfMember, BtfOf } from './btf-types.ts';
import { type CoreKind, type FieldKind, isEnumKind, isTypeKind } from './core-kinds.ts';
import { fieldsCompatible } from './core-match.ts';
import { ObjectError } from './object-error.ts';

const MAX_PARTS = 64;

/** One step to a field: a named member, or an array element. */
export interface CoreAccessor {
  /** Type of the container for members, of the element for array accesses. */
  readonly container: number;
  /** Type that the step arrives at. */
  readonly type: number;
  readonly index: number;
  /** Absent for array elements. */
  readonly name?: string;
  readonly member?: BtfMember;
}

/** What a CO-RE record refers to. libbpf: struct bpf_core_spec */
export interface CoreSpec {
  readonly root: number;
  readonly bitOffset: number;
  readonly accessors: readonly CoreAccessor[];
  readonly path: readonly number[];
  readonly enumerator?: { readonly name: string; readonly value: bigint };
}

const fail = (text: string, code: 'EINVAL' | 'E2BIG' | 'EOPNOTSUPP' = 'EINVAL') =>
  new ObjectError(code, text, { stage: 'load' });

/** Reads an access string against the object's own types. libbpf: bpf_core_parse_spec() */
export function parseSpec(btf: Btf, root: number, access: string, kind: CoreKind): CoreSpec {
  if (!/^\d+(:\d+)*$/.test(access)) throw fail(`access string '${access}' is not numbers`);
  const path = access.split(':').map(Number);
  if (path.length > MAX_PARTS) throw fail(`access string has ${path.length} parts`, 'E2BIG');
  if (path.some((part) => part > 0x7fffffff)) throw fail(`access string '${access}' is out of range`);
  if (isTypeKind(kind)) {
    if (access !== '0') throw fail(`access string '${access}' of a type is not 0`);
    btf.type(root);
    return { root, bitOffset: 0, accessors: [], path };
  }
  const type = btf.strip(root);
  if (isEnumKind(kind)) {
    if (type.kind !== 'enum' && type.kind !== 'enum64') throw fail(`type [${root}] is not an enum`);
    const row = type.values[path[0]!];
    if (path.length !== 1 || !row) throw fail(`enumerator '${access}' of ${type.values.length}`);
    const value = type.kind === 'enum' ? BigInt.asIntN(32, row.value) : row.value;
    return { root, bitOffset: 0, accessors: [], path, enumerator: { name: row.name, value } };
  }
  return parseField(btf, root, path);
}

function parseField(btf: Btf, root: number, path: readonly number[]): CoreSpec {
  const size = btf.size(btf.strip(root).id);
  if (size === undefined) throw fail(`type [${root}] has no size`);
  const accessors: CoreAccessor[] = [{ container: root, type: btf.strip(root).id, index: path[0]! }];
  let bitOffset = path[0]! * size * 8;
  let at = btf.strip(root);
  for (const [position, index] of path.entries()) {
    if (position === 0) continue;
    if (at.kind === 'struct' || at.kind === 'union') {
      const member = at.members[index];
      if (!member) throw fail(`member ${index} of ${at.members.length} in ${typeName(btf, at.id)}`);
      bitOffset += member.bitOffset;
      if (member.name !== '') {
        accessors.push({ container: at.id, type: member.type, index, name: member.name, member });
      }
      at = btf.strip(member.type);
    } else if (at.kind === 'array') {
      const element = btf.strip(at.type);
      if (index >= at.nelems && !isFlexible(btf, at, accessors[accessors.length - 1])) {
        throw fail(`element ${index} of ${at.nelems}`);
      }
      accessors.push({ container: element.id, type: element.id, index });
      bitOffset += index * sizeOf(btf, element.id) * 8;
      at = element;
    } else {
      throw fail(`captures type [${at.id}] of unexpected kind ${at.kind} (at idx ${position})`);
    }
  }
  return { root, bitOffset, accessors, path };
}

function sizeOf(btf: Btf, id: number): number {
  const size = btf.size(id);
  if (size === undefined) throw fail(`type [${id}] has no size`);
  return size;
}

/** An array without length that is the last member of its struct. libbpf: is_flex_arr() */
function isFlexible(btf: Btf, array: BtfOf<'array'>, accessor: CoreAccessor | undefined): boolean {
  if (array.nelems > 0 || !accessor?.member) return false;
  const container = btf.strip(accessor.container);
  return (container.kind === 'struct' || container.kind === 'union') && accessor.index === container.members.length - 1;
}

/** Walks the same fields in a candidate type; undefined when it has no such field. libbpf: bpf_core_spec_match() */
export function matchSpec(local: Btf, spec: CoreSpec, target: Btf, id: number): CoreSpec | undefined {
  const size = target.size(target.strip(id).id);
  if (size === undefined) return undefined;
  const first = spec.accessors[0]!;
  const accessors: CoreAccessor[] = [{ container: id, type: target.strip(id).id, index: first.index }];
  const path = [first.index];
  let bitOffset = first.index * size * 8;
  let at = target.strip(id);
  for (const accessor of spec.accessors.slice(1)) {
    if (accessor.name !== undefined) {
      const found = findField(local, accessor, target, at.id, 0, []);
      if (!found) return undefined;
      bitOffset += found.bitOffset;
      path.push(...found.path);
      accessors.push({
        container: found.container,
        type: found.member.type,
        index: found.path[found.path.length - 1]!,
        name: found.member.name,
        member: found.member,
      });
      at = target.strip(found.member.type);
    } else {
      if (at.kind !== 'array') return undefined;
      if (accessor.index >= at.nelems && !isFlexible(target, at, accessors[accessors.length - 1])) return undefined;
      const element = target.strip(at.type);
      const elementSize = target.size(element.id);
      if (elementSize === undefined) return undefined;
      bitOffset += accessor.index * elementSize * 8;
      path.push(accessor.index);
      accessors.push({ container: element.id, type: element.id, index: accessor.index });
      at = element;
    }
  }
  return { root: id, bitOffset, accessors, path };
}

interface FoundField {
  readonly member: BtfMember;
  readonly container: number;
  readonly bitOffset: number;
  readonly path: readonly number[];
}

/** libbpf: bpf_core_match_member(): by name, also inside anonymous members; the first hit decides. */
function findField(
  local: Btf,
  accessor: CoreAccessor,
  target: Btf,
  id: number,
  bitOffset: number,
  path: readonly number[],
  visited: Set<number> = new Set(),
): FoundField | undefined {
  const type = target.strip(id);
  if ((type.kind !== 'struct' && type.kind !== 'union') || visited.has(type.id)) return undefined;
  if (path.length >= MAX_RESOLVE_DEPTH) return undefined;
  visited.add(type.id);
  for (const [index, member] of type.members.entries()) {
    const offset = bitOffset + member.bitOffset;
    if (member.name === '') {
      const inner = findField(local, accessor, target, member.type, offset, [...path, index], visited);
      if (inner) return inner;
    } else if (member.name === accessor.name) {
      if (!fieldsCompatible(local, accessor.type, target, member.type)) return undefined;
      return { member, container: type.id, bitOffset: offset, path: [...path, index] };
    }
  }
  return undefined;
}

/** Value of a field relocation. libbpf: bpf_core_calc_field_relo() */
export function fieldValue(btf: Btf, spec: CoreSpec, kind: FieldKind, prefix: string) {
  if (kind === 'field_exists') return { value: 1n, validate: true, size: 0 };
  const accessor = spec.accessors[spec.accessors.length - 1]!;
  const { member } = accessor;
  if (!member) {
    if (kind === 'byte_off') {
      return { value: BigInt(spec.bitOffset / 8), validate: true, size: elementSize(btf, accessor.type) };
    }
    if (kind === 'byte_sz') return { value: BigInt(sizeOf(btf, accessor.type)), validate: true, size: 0 };
    throw fail(`${prefix}: relocation ${kind} can't be applied to array access`);
  }
  const type = btf.strip(member.type);
  const bitOffset = spec.bitOffset;
  let byteSize: number;
  let byteOffset: number;
  let bits = member.bitSize;
  const bitfield = bits > 0;
  if (bitfield) {
    byteSize = 'size' in type ? type.size : 4;
    if (byteSize === 0) throw fail(`${prefix}: field '${member.name}' has no size`);
    byteOffset = Math.floor(bitOffset / 8 / byteSize) * byteSize;
    while (bitOffset + bits > (byteOffset + byteSize) * 8) {
      if (byteSize >= 8) throw fail(`${prefix}: relocation ${kind} can't be satisfied for bitfield`, 'E2BIG');
      byteSize *= 2;
      byteOffset = Math.floor(bitOffset / 8 / byteSize) * byteSize;
    }
  } else {
    byteSize = sizeOf(btf, member.type);
    byteOffset = bitOffset / 8;
    bits = byteSize * 8;
  }
  const validate = !bitfield;
  switch (kind) {
    case 'byte_off':
      return { value: BigInt(Math.floor(byteOffset)), validate, size: bitfield ? 0 : elementSize(btf, member.type) };
    case 'byte_sz':
      return { value: BigInt(byteSize), validate, size: 0 };
    case 'signed': {
      const signed = (type.kind === 'int' || type.kind === 'enum' || type.kind === 'enum64') && type.signed;
      return { value: signed ? 1n : 0n, validate: true, size: 0 };
    }
    case 'lshift_u64':
      return { value: BigInt(64 - (bitOffset + bits - byteOffset * 8)), validate, size: 0 };
    case 'rshift_u64':
      return { value: BigInt(64 - bits), validate: true, size: 0 };
    default:
      return kind satisfies never;
  }
}

/** Bytes that one load of the field takes: arrays count with their innermost element. */
function elementSize(btf: Btf, id: number): number {
  let type = btf.strip(id);
  for (let depth = 0; type.kind === 'array' && depth < MAX_RESOLVE_DEPTH; depth++) type = btf.strip(type.type);
  return btf.size(type.id) ?? 0;
}

/** `[5] struct S` */
export function describeSpec(btf: Btf, root: number): string {
  return `[${root}] ${typeName(btf, root)}`;
}

/** `<byte_off> [5] struct S.d (0:3 @ offset 8)`, as in libbpf's log. */
export function specText(btf: Btf, spec: CoreSpec, kind: CoreKind): string {
  let text = `<${kind}> ${describeSpec(btf, spec.root)}`;
  if (isTypeKind(kind)) return text;
  if (spec.enumerator) return `${text}::${spec.enumerator.name} = ${spec.enumerator.value}`;
  for (const [i, { name, index }] of spec.accessors.entries()) {
    if (name !== undefined) text += `.${name}`;
    else if (i > 0 || index > 0) text += `[${index}]`;
  }
  const bits = spec.bitOffset % 8;
  const offset = Math.floor(spec.bitOffset / 8);
  return `${text} (${spec.path.join(':')} @ offset ${offset}${bits ? `.${bits}` : ''})`;
}
