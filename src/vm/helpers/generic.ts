import type { HelperRow } from '../prototypes/helper.ts';
import { cpuHelpers } from './cpu-state.ts';
import { csumHelpers } from './csum.ts';
import { mapHelpers } from './map-access.ts';
import { timeHelpers } from './time.ts';

/** Helpers that need no network device. */
export const genericHelpers: readonly HelperRow[] = [...mapHelpers, ...timeHelpers, ...cpuHelpers, ...csumHelpers];

/** Kernel functions that need no network device. */
export const genericKfuncs: readonly HelperRow[] = [];
