/** The public API: what scripts, tests and the command line use. */
export { E, type Errno, errnoName, errnoText } from './base/errno.ts';
export { BpfError, FaultError, InternalError, LoadError, MapError, PacketError } from './base/error.ts';
export { Rng } from './base/rng.ts';
export type { ContextValues } from './hooks/test-run.ts';
export {
  createLab,
  Lab,
  type LabLoadOptions,
  LabObject,
  type LabOptions,
  LabProgram,
  type RedirectTarget,
  type RunOptions,
  type RunResult,
} from './lab.ts';
export { LabMap } from './lab-map.ts';
export { loadObject } from './loader/object.ts';
export type { MapSpec, ObjectSpec, ProgramSpec } from './loader/spec.ts';
export { HELPERS, KFUNCS } from './platform.ts';
export { verdictName } from './verdict.ts';
