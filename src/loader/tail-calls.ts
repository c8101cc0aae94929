import { mapTypeId } from './kernel-names.ts';
import type { LoaderFunc, OpenedObject } from './opened.ts';

/** `2/7`, `1/0x10`: map id and key as iproute2 writes them. */
const NUMERIC = /^(-?(?:0[xX][0-9a-fA-F]+|\d+))\/(-?(?:0[xX][0-9a-fA-F]+|\d+))/;

/**
 * What iproute2 and tail-call libraries leave unsaid: programs of sections named `id/key` go into that slot of the
 * prog array with that id, and programs that stand in a prog array have the type of those that jump through it.
 */
export function completeTailCalls(object: OpenedObject): void {
  if (object.dialect !== 'auto' && object.dialect !== 'iproute2') return;
  for (const func of object.funcs) {
    if (func.entry && func.autoload && !func.meaning) fillNumericSlot(object, func);
  }
  // Chains: a program that got its type may be the one that jumps to the next.
  for (let changed = true; changed; ) {
    changed = false;
    for (const func of object.funcs) {
      if (!func.entry || func.meaning) continue;
      const caller = callerOf(object, func);
      if (!caller?.meaning) continue;
      func.meaning = { ...caller.meaning, foreign: `called from '${caller.name}'` };
      changed = true;
    }
  }
}

function fillNumericSlot(object: OpenedObject, func: LoaderFunc): void {
  const numbers = NUMERIC.exec(func.sectionName);
  if (!numbers) return;
  const id = cInteger(numbers[1]!);
  const map = object.maps.find((one) => one.spec.typeId === mapTypeId.prog_array && one.tail?.[0] === id && id !== 0);
  if (!map) return;
  map.spec.values ??= [];
  map.spec.values.push({ slot: cInteger(numbers[2]!), program: func.name });
}

/** C's %i: decimal, 0x hexadecimal or leading-zero octal. */
function cInteger(text: string): number {
  const digits = text.replace('-', '');
  const value = /^0[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number(digits);
  return text.startsWith('-') ? -value : value;
}

/** A typed program that uses a prog array in which the function stands. */
function callerOf({ maps, funcs }: OpenedObject, func: LoaderFunc): LoaderFunc | undefined {
  const arrays = maps.filter((map) => map.spec.values?.some((slot) => slot.program === func.name));
  if (arrays.length === 0) return undefined;
  return funcs.find(
    (caller) =>
      caller.meaning && caller.relocations.some(({ target }) => target.kind === 'map' && arrays.includes(target.map)),
  );
}
