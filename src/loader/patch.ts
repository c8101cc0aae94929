import type { Btf } from './btf.ts';
import { encodeValue } from './btf-values.ts';
import { ObjectError } from './object-error.ts';
import type { ObjectSpec, VariableSpec } from './spec.ts';

const fail = (text: string, hint?: string) => new ObjectError('EINVAL', text, { hint });

/** A variable, or a member of one: bytes `[offset, offset + size)` of the first contents of a map. */
interface Place {
  readonly map: number;
  readonly offset: number;
  readonly size: number;
  readonly typeId: number;
}

/**
 * Sets a global or static variable before the object is loaded, by its C name: `debug`, `cfg.enabled`, `ports[2]`;
 * function-local ones also as `function.name`. Bytes must have the variable's size; other values are encoded by its type.
 *
 * ```ts
 * patchSymbol(spec, 'cfg.enabled', 1);
 * ```
 * @throws ObjectError when there is no such variable, the name is ambiguous, or the value does not fit.
 */
export function patchSymbol(spec: ObjectSpec, path: string, value: unknown): void {
  const place = findPlace(spec, path);
  const { initial } = spec.maps[place.map]!;
  if (!initial) throw fail(`'${path}' has no contents to set`);
  const bytes = value instanceof Uint8Array ? value : encodeBytes(spec.btf, place, path, value);
  if (bytes.length !== place.size) throw fail(`'${path}' has ${place.size} bytes, not ${bytes.length}`);
  if (place.offset + place.size > initial.length) {
    throw fail(`'${path}' (bytes ${place.offset} to ${place.offset + place.size}) is outside of its section`);
  }
  initial.set(bytes, place.offset);
}

/** Current first contents of a variable. @throws ObjectError as `patchSymbol` does. */
export function readSymbol(spec: ObjectSpec, path: string): Uint8Array {
  const { map, offset, size } = findPlace(spec, path);
  return (spec.maps[map]!.initial ?? new Uint8Array(0)).slice(offset, offset + size);
}

function encodeBytes(btf: Btf | undefined, place: Place, path: string, value: unknown): Uint8Array {
  if (btf && place.typeId > 0) return encodeValue(btf, place.typeId, value, { path });
  if ((typeof value !== 'number' && typeof value !== 'bigint') || ![1, 2, 4, 8].includes(place.size)) {
    throw fail(`'${path}' has no type information: give its ${place.size} bytes`);
  }
  const number = BigInt(value);
  const bits = place.size * 8;
  if (BigInt.asUintN(bits, number) !== number && BigInt.asIntN(bits, number) !== number) {
    throw fail(`'${path}': ${value} does not fit in ${place.size} bytes`);
  }
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, number), true);
  return bytes.slice(0, place.size);
}

function findPlace(spec: ObjectSpec, path: string): Place {
  const parts = path.match(/[^.[\]]+|\[\d+\]/g) ?? [];
  const matching = (name: string) => {
    const exact = spec.variables.filter((variable) => variable.name === name);
    return exact.length > 0 ? exact : spec.variables.filter((variable) => variable.name.endsWith(`.${name}`));
  };
  // The longest name first: `main.count` is the variable count of main() before it is a member of `main`.
  for (let taken = parts.length; taken > 0; taken--) {
    const name = parts.slice(0, taken).join('.');
    const found = matching(name);
    if (found.length === 0) continue;
    if (found.length > 1) {
      const all = found.map((variable) => variable.name).join(', ');
      throw fail(
        `'${name}' names ${found.length} variables (${all})`,
        'static variables of several functions: write function.name',
      );
    }
    return descend(spec.btf, found[0]!, parts.slice(taken), path);
  }
  const known = spec.variables.map((variable) => variable.name);
  throw fail(
    `no variable '${parts[0] ?? path}' in the data sections`,
    known.length > 0 ? `there are: ${known.slice(0, 12).join(', ')}` : 'the object has no global data',
  );
}

function descend(btf: Btf | undefined, variable: VariableSpec, parts: readonly string[], path: string): Place {
  let place: Place = variable;
  if (variable.typeId > 0 && variable.size === 0) place = { ...place, size: btf?.size(variable.typeId) ?? 0 };
  for (const part of parts) {
    if (!btf || place.typeId === 0) throw fail(`'${path}': '${variable.name}' has no type information`);
    place = step(btf, place, part, path);
  }
  return place;
}

function step(btf: Btf, place: Place, part: string, path: string): Place {
  const type = btf.strip(place.typeId);
  if (part.startsWith('[')) {
    const index = Number(part.slice(1, -1));
    if (type.kind !== 'array') throw fail(`'${path}': ${part} on something that is not an array`);
    if (index >= type.nelems) throw fail(`'${path}': index ${index} of ${type.nelems} elements`);
    const size = btf.size(type.type) ?? 0;
    return { map: place.map, offset: place.offset + index * size, size, typeId: type.type };
  }
  if (type.kind === 'struct' || type.kind === 'union') {
    for (const member of type.members) {
      const offset = place.offset + Math.floor(member.bitOffset / 8);
      if (member.name === part) {
        if (member.bitSize > 0) throw fail(`'${path}' is a bitfield: set the whole struct`);
        return { map: place.map, offset, size: btf.size(member.type) ?? 0, typeId: member.type };
      }
      if (member.name !== '') continue;
      const inner = btf.strip(member.type);
      if ((inner.kind !== 'struct' && inner.kind !== 'union') || !hasMember(btf, inner.id, part, new Set())) continue;
      return step(btf, { map: place.map, offset, size: inner.size, typeId: inner.id }, part, path);
    }
  }
  throw fail(`'${path}': there is no member '${part}'`);
}

function hasMember(btf: Btf, id: number, name: string, visited: Set<number>): boolean {
  const type = btf.strip(id);
  if ((type.kind !== 'struct' && type.kind !== 'union') || visited.has(type.id) || visited.size > 1000) return false;
  visited.add(type.id);
  return type.members.some(
    (member) => member.name === name || (member.name === '' && hasMember(btf, member.type, name, visited)),
  );
}
