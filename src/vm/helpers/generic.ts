import type { HelperRow } from '../prototypes/helper.ts';
import { cpuHelpers } from './cpu-state.ts';
import { csumHelpers } from './csum.ts';
import { taskHelpers } from './current-task.ts';
import { dynptrHelpers, dynptrKfuncs } from './dynptr.ts';
import { kptrHelpers } from './kptr.ts';
import { iteratorKfuncs, loopHelpers } from './loop.ts';
import { mapHelpers } from './map-access.ts';
import { netnsHelpers } from './netns.ts';
import { perfHelpers } from './perf-output.ts';
import { printkHelpers } from './printk.ts';
import { probeReadHelpers } from './probe-read.ts';
import { ringbufHelpers } from './ring-buffer.ts';
import { sectionHelpers, sectionKfuncs } from './sections.ts';
import { stringHelpers, stringKfuncs } from './strings.ts';
import { timeHelpers } from './time.ts';
import { timerHelpers, workqueueKfuncs } from './timer.ts';

/** Helpers that need no network device. */
export const genericHelpers: readonly HelperRow[] = [
  ...mapHelpers,
  ...timeHelpers,
  ...cpuHelpers,
  ...csumHelpers,
  ...taskHelpers,
  ...netnsHelpers,
  ...printkHelpers,
  ...stringHelpers,
  ...probeReadHelpers,
  ...sectionHelpers,
  ...loopHelpers,
  ...timerHelpers,
  ...kptrHelpers,
  ...dynptrHelpers,
  ...ringbufHelpers,
  ...perfHelpers,
];

/** Kernel functions that need no network device. */
export const genericKfuncs: readonly HelperRow[] = [
  ...dynptrKfuncs,
  ...iteratorKfuncs,
  ...stringKfuncs,
  ...sectionKfuncs,
  ...workqueueKfuncs,
];
