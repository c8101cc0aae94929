/** Kinds of CO-RE relocations by number, with the names of libbpf's log. */
export const CORE_KINDS = [
  'byte_off',
  'byte_sz',
  'field_exists',
  'signed',
  'lshift_u64',
  'rshift_u64',
  'local_type_id',
  'target_type_id',
  'type_exists',
  'type_size',
  'enumval_exists',
  'enumval_value',
  'type_matches',
] as const;
export type CoreKind = (typeof CORE_KINDS)[number];

const FIELD_KINDS = ['byte_off', 'byte_sz', 'field_exists', 'signed', 'lshift_u64', 'rshift_u64'] as const;
export type FieldKind = (typeof FIELD_KINDS)[number];

export function isFieldKind(kind: CoreKind): kind is FieldKind {
  return (FIELD_KINDS as readonly CoreKind[]).includes(kind);
}

export function isEnumKind(kind: CoreKind): boolean {
  return kind === 'enumval_exists' || kind === 'enumval_value';
}

export function isTypeKind(kind: CoreKind): boolean {
  return !isFieldKind(kind) && !isEnumKind(kind);
}
