import type { BpfMap, ProgRef } from '../maps/map.ts';

/** A loaded program: instructions resolved against maps and helpers, ready for an engine. */
export interface Program extends ProgRef {
  readonly type: string;
  readonly maps: readonly BpfMap[];
}
