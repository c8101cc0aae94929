/** BTF kinds by number; the names are those of libbpf's and the kernel's messages. */
export const BTF_KINDS = [
  'void',
  'int',
  'ptr',
  'array',
  'struct',
  'union',
  'enum',
  'fwd',
  'typedef',
  'volatile',
  'const',
  'restrict',
  'func',
  'func_proto',
  'var',
  'datasec',
  'float',
  'decl_tag',
  'type_tag',
  'enum64',
] as const;
export type BtfKind = (typeof BTF_KINDS)[number];

/** `var` and `func` linkage. */
export const BTF_LINKAGE = { STATIC: 0, GLOBAL: 1, EXTERN: 2 } as const;

interface Named {
  readonly id: number;
  readonly name: string;
}

export interface BtfVoid extends Named {
  readonly kind: 'void';
}

export interface BtfInt extends Named {
  readonly kind: 'int';
  readonly size: number;
  readonly bits: number;
  readonly bitOffset: number;
  readonly signed: boolean;
  readonly char: boolean;
  readonly bool: boolean;
  /** Encoding bits as stored: 1 signed, 2 char, 4 bool. */
  readonly encoding: number;
}

/** A type that only refers to another one. */
export interface BtfRef extends Named {
  readonly kind: 'ptr' | 'typedef' | 'volatile' | 'const' | 'restrict' | 'type_tag';
  readonly type: number;
}

export interface BtfArray extends Named {
  readonly kind: 'array';
  readonly type: number;
  readonly indexType: number;
  readonly nelems: number;
}

export interface BtfMember {
  readonly name: string;
  readonly type: number;
  readonly bitOffset: number;
  /** Bits of a bitfield, 0 for an ordinary member. */
  readonly bitSize: number;
}

export interface BtfComposite extends Named {
  readonly kind: 'struct' | 'union';
  readonly size: number;
  readonly members: readonly BtfMember[];
}

export interface BtfEnumerator {
  readonly name: string;
  readonly value: bigint;
}

export interface BtfEnum extends Named {
  readonly kind: 'enum' | 'enum64';
  readonly size: number;
  readonly signed: boolean;
  readonly values: readonly BtfEnumerator[];
}

export interface BtfFwd extends Named {
  readonly kind: 'fwd';
  readonly union: boolean;
}

export interface BtfFunc extends Named {
  readonly kind: 'func';
  readonly type: number;
  readonly linkage: number;
}

export interface BtfParam {
  readonly name: string;
  readonly type: number;
}

export interface BtfFuncProto extends Named {
  readonly kind: 'func_proto';
  /** Return type. */
  readonly type: number;
  readonly params: readonly BtfParam[];
}

export interface BtfVar extends Named {
  readonly kind: 'var';
  readonly type: number;
  readonly linkage: number;
}

export interface BtfSecVar {
  readonly type: number;
  readonly offset: number;
  readonly size: number;
}

export interface BtfDatasec extends Named {
  readonly kind: 'datasec';
  readonly size: number;
  readonly vars: readonly BtfSecVar[];
}

export interface BtfFloat extends Named {
  readonly kind: 'float';
  readonly size: number;
}

export interface BtfDeclTag extends Named {
  readonly kind: 'decl_tag';
  readonly type: number;
  /** -1 for the whole type. */
  readonly component: number;
}

export type BtfType =
  | BtfVoid
  | BtfInt
  | BtfRef
  | BtfArray
  | BtfComposite
  | BtfEnum
  | BtfFwd
  | BtfFunc
  | BtfFuncProto
  | BtfVar
  | BtfDatasec
  | BtfFloat
  | BtfDeclTag;

/** The type (of several kinds at most) that a kind stands for. */
export type BtfOf<Kind extends BtfKind> = BtfType extends infer T
  ? T extends BtfType
    ? Extract<T['kind'], Kind> extends never
      ? never
      : T
    : never
  : never;
