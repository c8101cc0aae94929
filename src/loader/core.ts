import type { Btf } from './btf.ts';
import type { OpenedObject } from './opened.ts';

/** What CO-RE relocations are made against. */
export interface CoreOptions {
  /** BTF of the kernel that the programs should run on; by default the object's own types, as they are. */
  readonly targetBtf?: Btf;
}

export function relocateCore(_object: OpenedObject, _options: CoreOptions, _warnings: string[]): number {
  return 0;
}
