/** The public API: what scripts, tests and the command line use. */
export { E, type Errno, errnoName, errnoText } from './base/errno.ts';
export { BpfError, FaultError, InternalError, LoadError, MapError, PacketError } from './base/error.ts';
export { Rng } from './base/rng.ts';
export { type ContextValues, canTestRun, contextOf } from './hooks/test-run.ts';
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
export { LabMap, type MapInput, type MapValue, type ReadOptions } from './lab-map.ts';
export type { Btf } from './loader/btf.ts';
export type { BtfType } from './loader/btf-types.ts';
export { type BtfValue, decodeValue } from './loader/btf-values.ts';
export { describeFeatures, type ObjectFeatures } from './loader/features.ts';
export { loadObject, prepareObject } from './loader/object.ts';
export { openObject } from './loader/open.ts';
export { patchSymbol, readSymbol } from './loader/patch.ts';
export { rawProgram } from './loader/raw.ts';
export type { MapSpec, ObjectSpec, ProgramSpec } from './loader/spec.ts';
export { MAP_TYPES, mapType } from './maps/map-types.ts';
export { builderFrom, eth, PacketBuilder, packet } from './packet/builder.ts';
export { CapturedPacket, CaptureError } from './packet/capture.ts';
export { CaptureReader, readCaptureBytes } from './packet/capture-reader.ts';
export { readCapture } from './packet/capture-stream.ts';
export { captureName, PcapngWriter, PcapWriter } from './packet/capture-writer.ts';
export { diffPackets, formatDiff, type PacketChange } from './packet/diff.ts';
export { dissect, dissectionData, verifyChecksums } from './packet/dissect.ts';
export { bitFlipped, malformedPackets } from './packet/malformed.ts';
export type { PacketOptions } from './packet/pcapng-options.ts';
export { ETH_HLEN } from './packet/protocols.ts';
export { formatSummary, type PacketSummary, summarize, summaryOf } from './packet/summary.ts';
export { MICROSOFT_RSS_KEY, rssInput, toeplitz } from './packet/toeplitz.ts';
export { addressSweep, imix, portSweep, sizeSweep, tcpFlows, udpFlows } from './packet/traffic.ts';
export { HELPERS, KFUNCS, platform } from './platform.ts';
export { verdictName } from './verdict.ts';
export { assemble } from './vm/isa/assemble.ts';
export { decodeProgram, type Insn } from './vm/isa/decode.ts';
export { type DisassembleContext, disassemble, disassembleLine } from './vm/isa/disassemble.ts';
export { encodeProgram } from './vm/isa/encode.ts';
export { INSTRUCTIONS } from './vm/isa/instructions.ts';
export { HELPER_NAMES, helperName } from './vm/prototypes/helper-names.ts';
export { PROG_TYPES, progType } from './vm/prototypes/prog-type.ts';
