import { viewOf } from './libc.ts';

const KIND = {
  ptr: 2,
  array: 3,
  struct: 4,
  union: 5,
  enum: 6,
  func: 12,
  func_proto: 13,
  var: 14,
  datasec: 15,
} as const;
const KIND_INT = 1;
const KIND_CONST = 10;
const KIND_DECL_TAG = 17;
const KIND_ENUM64 = 19;
const LINKAGE_EXTERN = 2;

/** Bytes behind the 12-byte struct btf_type. */
function extraBytes(kind: number, vlen: number): number {
  switch (kind) {
    case KIND_INT:
    case KIND.var:
    case KIND_DECL_TAG:
      return 4;
    case KIND.array:
      return 12;
    case KIND.struct:
    case KIND.union:
    case KIND.datasec:
    case KIND_ENUM64:
      return vlen * 12;
    case KIND.enum:
    case KIND.func_proto:
      return vlen * 8;
    default:
      return 0;
  }
}

interface TypeAt {
  readonly id: number;
  readonly offset: number;
  readonly nameOffset: number;
  readonly kind: number;
  readonly vlen: number;
  readonly size: number;
}

function* typesOf(btf: Uint8Array): Generator<TypeAt> {
  const view = viewOf(btf);
  const start = view.getUint32(4, true) + view.getUint32(8, true);
  const end = start + view.getUint32(12, true);
  let id = 1;
  for (let offset = start; offset < end; id++) {
    const info = view.getUint32(offset + 4, true);
    const kind = (info >>> 24) & 0x1f;
    const vlen = info & 0xffff;
    const size = 12 + extraBytes(kind, vlen);
    yield { id, offset, nameOffset: view.getUint32(offset, true), kind, vlen, size };
    offset += size;
  }
}

/**
 * An object's .BTF as the kernel takes it. Data sections may lack sizes and offsets, and extern functions have a linkage
 * that the kernel does not know; programs and maps need neither, so these types become `const void` and every other type
 * keeps its id.
 */
export function btfForKernel(btf: Uint8Array): Uint8Array {
  const view = viewOf(btf);
  const headerSize = view.getUint32(4, true);
  const stringsAt = headerSize + view.getUint32(16, true);
  const strings = btf.subarray(stringsAt, stringsAt + view.getUint32(20, true));
  const types = [...typesOf(btf)];
  const dropped = new Set(
    types
      .filter(
        ({ kind, vlen }) =>
          kind === KIND.var || kind === KIND.datasec || (kind === KIND.func && vlen === LINKAGE_EXTERN),
      )
      .map(({ id }) => id),
  );
  const parts = types.map(({ id, offset, kind, size }) => {
    const tagsDropped = kind === KIND_DECL_TAG && dropped.has(view.getUint32(offset + 8, true));
    if (!dropped.has(id) && !tagsDropped) return btf.subarray(offset, offset + size);
    const constVoid = new Uint8Array(12);
    viewOf(constVoid).setUint32(4, KIND_CONST << 24, true);
    return constVoid;
  });
  const typesLength = parts.reduce((sum, part) => sum + part.length, 0);
  const out = new Uint8Array(24 + typesLength + strings.length);
  out.set(btf.subarray(0, 8));
  const outView = viewOf(out);
  outView.setUint32(4, 24, true);
  outView.setUint32(8, 0, true);
  outView.setUint32(12, typesLength, true);
  outView.setUint32(16, typesLength, true);
  outView.setUint32(20, strings.length, true);
  let at = 24;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  out.set(strings, at);
  return out;
}

/** Ids of the named functions in a kernel's BTF. */
export function functionIds(btf: Uint8Array, names: readonly string[]): Map<string, number> {
  const view = viewOf(btf);
  const stringsAt = view.getUint32(4, true) + view.getUint32(16, true);
  const wanted = new Map(names.map((name) => [name, new TextEncoder().encode(`${name}\0`)]));
  const found = new Map<string, number>();
  for (const { id, kind, nameOffset } of typesOf(btf)) {
    if (kind !== KIND.func) continue;
    for (const [name, bytes] of wanted) {
      if (bytes.every((byte, i) => btf[stringsAt + nameOffset + i] === byte)) found.set(name, id);
    }
  }
  return found;
}
