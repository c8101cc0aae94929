import type { Btf } from './btf.ts';
import type { BtfExt } from './btf-ext.ts';
import type { ElfObject, ElfSection } from './elf.ts';
import type { KconfigKind } from './externs.ts';
import type { Dialect, SectionMeaning } from './sections.ts';
import type { MapSpec } from './spec.ts';

/** What an ELF relocation of an instruction means. */
export type RelocationTarget =
  /** A function of an executable section; `value` is the symbol's byte offset. */
  | { readonly kind: 'call' | 'func'; readonly section: number; readonly value: number }
  | { readonly kind: 'map'; readonly map: LoaderMap }
  | { readonly kind: 'data'; readonly map: LoaderMap; readonly offset: number }
  | { readonly kind: 'extern' | 'extern-call'; readonly extern: LoaderExtern };

export interface InsnRelocation {
  /** Slot inside the function. */
  readonly slot: number;
  readonly target: RelocationTarget;
  readonly symbol: string;
}

/** A function of the object: an entry program, or a subprogram. */
export interface LoaderFunc {
  readonly name: string;
  readonly section: ElfSection;
  /** Section name without `?`. */
  readonly sectionName: string;
  /** First slot in its section. */
  readonly start: number;
  readonly count: number;
  /** Own slots, little-endian, a copy; CO-RE writes into it. */
  readonly insns: Uint8Array;
  readonly view: DataView;
  /** Entry programs; false for subprograms in `.text`. */
  readonly entry: boolean;
  readonly autoload: boolean;
  readonly hidden: boolean;
  meaning: SectionMeaning | undefined;
  relocations: InsnRelocation[];
}

/** A map with where it stands in the file. */
export interface LoaderMap {
  readonly spec: MapSpec;
  /** Index in ObjectSpec.maps. */
  index: number;
  /** Section index, -1 for the kconfig map. */
  readonly section: number;
  readonly offset: number;
  /** Bytes of the definition. */
  readonly size: number;
  /** Offset of `values` in the definition, when it has that member. */
  readonly valuesOffset?: number;
  /** Legacy words behind the first five. */
  readonly tail?: readonly number[];
}

export interface LoaderExtern {
  readonly name: string;
  readonly symbol: number;
  readonly kind: 'kconfig' | 'ksym' | 'kfunc';
  readonly weak: boolean;
  readonly btfTypeId: number;
  /** kconfig only. */
  readonly kconfig?: KconfigKind;
  readonly size: number;
  readonly align: number;
  readonly signed: boolean;
  /** ksym: type id after modifiers, 0 for untyped. */
  readonly ksymTypeId: number;
  offset: number;
}

/** An object after libbpf's open step: everything found, nothing relocated. */
export interface OpenedObject {
  readonly elf: ElfObject;
  /** Object name, not cut. */
  readonly name: string;
  readonly dialect: Dialect;
  readonly license: string;
  readonly kernelVersion: number | undefined;
  readonly btf: Btf | undefined;
  readonly btfExt: BtfExt | undefined;
  /** In order of section and offset, subprograms of `.text` included. */
  readonly funcs: readonly LoaderFunc[];
  readonly maps: readonly LoaderMap[];
  readonly externs: readonly LoaderExtern[];
  /** Index of `.text`, -1 when there is none. */
  readonly text: number;
  readonly warnings: string[];
}
