import { fibHelpers } from './hooks/fib-lookup.ts';
import { redirectHelpers } from './hooks/redirect.ts';
import { xdpHelpers } from './hooks/xdp/helpers.ts';
import { genericHelpers, genericKfuncs } from './vm/helpers/generic.ts';
import type { HelperTable } from './vm/program.ts';
import type { HelperRow } from './vm/prototypes/helper.ts';

/** Every helper that the lab implements; several rows may share an id for different program types. */
export const HELPERS: readonly HelperRow[] = [...genericHelpers, ...xdpHelpers, ...redirectHelpers, ...fibHelpers];

/** Every kernel function that the lab implements. */
export const KFUNCS: readonly HelperRow[] = genericKfuncs;

function fits(row: HelperRow, type: string): boolean {
  return row.types === 'all' || (row.types as readonly string[]).includes(type);
}

/** The Linux platform table as engines, verifier and disassembler ask it. */
export const platform: HelperTable = {
  helper: (id, type) => HELPERS.find((row) => row.id === id && fits(row, type)),
  kfunc: (name, type) => KFUNCS.find((row) => row.name === name && fits(row, type)),
};
