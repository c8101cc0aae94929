import { errnoText } from '../../src/base/errno.ts';
import { Attr, type Result } from './attr.ts';
import { mapCreate } from './kernel-maps.ts';
import { addressOf, ascii, pinned, pinnedCopy, syscall, viewOf } from './libc.ts';

const ENOSPC = 28;

export function closeFd(fd: number): void {
  syscall('close', fd);
}

/** BPF_BTF_LOAD: a file descriptor or a negative errno, and the kernel's log when it refused. */
export function btfLoad(btf: Uint8Array): { readonly fd: Result; readonly log: string } {
  const load = (log: Uint8Array | undefined) =>
    new Attr()
      .ptr(0, pinnedCopy(btf))
      .ptr(8, log)
      .u32(16, btf.length)
      .u32(20, log?.length ?? 0)
      .u32(24, log ? 1 : 0)
      .call('btf_load');
  const fd = load(undefined);
  if (fd >= 0) return { fd, log: '' };
  const log = pinned(1 << 20);
  return { fd: load(log), log: cString(log) };
}

export interface ProgLoad {
  readonly type: number;
  readonly insns: Uint8Array;
  readonly license?: string;
  readonly name?: string;
  readonly expectedAttachType?: number;
  readonly flags?: number;
  readonly ifindex?: number;
  readonly btfFd?: number;
  readonly funcInfo?: { readonly recordSize: number; readonly bytes: Uint8Array };
  readonly lineInfo?: { readonly recordSize: number; readonly bytes: Uint8Array };
  readonly attachBtfId?: number;
  /** File descriptors that LD_IMM64 with src 5 and 6 count in, and kfunc calls by their offset. */
  readonly fds?: readonly number[];
  /** 0: no log unless refused. */
  readonly logLevel?: number;
  readonly logSize?: number;
}

/** BPF_PROG_LOAD: a file descriptor or a negative errno; the verifier's log where one was asked for or it refused. */
export function progLoad(prog: ProgLoad): { readonly fd: Result; readonly log: string } {
  const fds = prog.fds && pinned(prog.fds.length * 4);
  prog.fds?.forEach((fd, i) => {
    viewOf(fds!).setInt32(i * 4, fd, true);
  });
  const insns = pinnedCopy(prog.insns);
  const load = (level: number, log: Uint8Array | undefined) => {
    const attr = new Attr()
      .u32(0, prog.type)
      .u32(4, prog.insns.length / 8)
      .ptr(8, insns)
      .ptr(16, pinnedCopy(ascii(`${prog.license ?? 'GPL'}\0`)))
      .u32(24, level)
      .u32(28, log?.length ?? 0)
      .ptr(32, log)
      .u32(44, prog.flags ?? 0)
      .name(48, prog.name ?? '')
      .u32(64, prog.ifindex ?? 0)
      .u32(68, prog.expectedAttachType ?? 0)
      .u32(72, prog.btfFd ?? 0)
      .u32(108, prog.attachBtfId ?? 0)
      .ptr(120, fds);
    if (prog.funcInfo) {
      attr
        .u32(76, prog.funcInfo.recordSize)
        .ptr(80, pinnedCopy(prog.funcInfo.bytes))
        .u32(88, prog.funcInfo.bytes.length / prog.funcInfo.recordSize);
    }
    if (prog.lineInfo) {
      attr
        .u32(92, prog.lineInfo.recordSize)
        .ptr(96, pinnedCopy(prog.lineInfo.bytes))
        .u32(104, prog.lineInfo.bytes.length / prog.lineInfo.recordSize);
    }
    return attr.call('prog_load');
  };
  const logged = (level: number, size: number): { fd: Result; log: string } => {
    const log = pinned(size);
    const fd = load(level, log);
    if (fd === -ENOSPC && size < 1 << 27) return logged(level, size * 16);
    return { fd, log: cString(log) };
  };
  if (prog.logLevel) return logged(prog.logLevel, prog.logSize ?? 1 << 20);
  const fd = load(0, undefined);
  // Level 4 gives statistics and the reason only, but not where; the reason's place needs the walk of level 1.
  return fd >= 0 ? { fd, log: '' } : logged(1, prog.logSize ?? 1 << 20);
}

export interface TestRun {
  readonly data?: Uint8Array;
  readonly ctx?: Uint8Array;
  readonly repeat?: number;
  readonly flags?: number;
  readonly cpu?: number;
  readonly batchSize?: number;
  /** Room for the packet afterwards; default 128 KiB. 0: ask for none. */
  readonly dataOutSize?: number;
  /** Room for the context afterwards; default as much as went in, at least 256 where a context was given. */
  readonly ctxOutSize?: number;
}

export interface TestRunResult {
  /** 0 or a negative errno. */
  readonly result: Result;
  /** Unsigned 32-bit. */
  readonly retval: number;
  readonly data: Uint8Array;
  readonly dataSize: number;
  readonly ctx: Uint8Array;
  readonly ctxSize: number;
  /** Average ns per run. */
  readonly duration: number;
}

/** BPF_PROG_TEST_RUN. */
export function progTestRun(fd: number, run: TestRun): TestRunResult {
  const dataOut = pinned(run.data ? (run.dataOutSize ?? 1 << 17) : 0);
  const ctxOut = pinned(run.ctxOutSize ?? (run.ctx ? Math.max(run.ctx.length, 256) : 0));
  const attr = new Attr()
    .u32(0, fd)
    .u32(8, run.data?.length ?? 0)
    .u32(12, dataOut.length)
    .ptr(16, run.data && pinnedCopy(run.data))
    .ptr(24, dataOut)
    .u32(32, run.repeat ?? 1)
    .u32(40, run.ctx?.length ?? 0)
    .u32(44, ctxOut.length)
    .ptr(48, run.ctx && pinnedCopy(run.ctx))
    .ptr(56, ctxOut)
    .u32(64, run.flags ?? 0)
    .u32(68, run.cpu ?? 0)
    .u32(72, run.batchSize ?? 0);
  const result = attr.call('prog_test_run');
  const dataSize = attr.read32(12);
  const ctxSize = attr.read32(44);
  const failed = result < 0 && result !== -ENOSPC;
  return {
    result,
    retval: attr.read32(4),
    data: failed ? pinned(0) : dataOut.subarray(0, dataSize),
    dataSize,
    ctx: failed ? pinned(0) : ctxOut.subarray(0, ctxSize),
    ctxSize,
    duration: attr.read32(36),
  };
}

/** BPF_OBJ_GET_INFO_BY_FD: the info struct's bytes as far as the kernel filled them. */
export function objInfo(fd: number, size = 256): Uint8Array | Result {
  const info = pinned(size);
  const attr = new Attr().u32(0, fd).u32(4, size).ptr(8, info);
  const result = attr.call('obj_get_info_by_fd');
  return result < 0 ? result : info.subarray(0, attr.read32(4));
}

/** Id of a map or program, for BPF_*_GET_FD_BY_ID and for what lookups of prog arrays and outer maps give. */
export function objId(fd: number): number {
  const info = objInfo(fd);
  return typeof info === 'number' ? info : viewOf(info).getUint32(4, true);
}

/** Keeps this thread on one CPU, so that per-CPU results are the same each time. */
export function pinToCpu(cpu: number): Result {
  const mask = pinned(128);
  mask[cpu >> 3] = 1 << (cpu & 7);
  return syscall('sched_setaffinity', 0, mask.length, addressOf(mask));
}

function cString(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}

export type Availability = { readonly ok: true } | { readonly ok: false; readonly reason: string };
let availability: Availability | undefined;

/**
 * May this process ask the kernel? Yes on Linux as root where bpf() loads a trivial program; else the reason.
 * `BPFLAB_NO_KERNEL=1` says no, to try what the tests do elsewhere.
 */
export function kernelAvailable(): Availability {
  availability ??= probe();
  return availability;
}

function probe(): Availability {
  if (process.env.BPFLAB_NO_KERNEL) return { ok: false, reason: 'BPFLAB_NO_KERNEL is set' };
  try {
    // r0 = 0; exit
    const insns = Uint8Array.from([0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0]);
    const { fd } = progLoad({ type: 6, insns });
    if (fd < 0) return { ok: false, reason: `bpf(BPF_PROG_LOAD) of a trivial program: ${errnoText(fd)}` };
    closeFd(fd);
    const map = mapCreate({ type: 1, keySize: 4, valueSize: 4, maxEntries: 1 });
    if (map < 0) return { ok: false, reason: `bpf(BPF_MAP_CREATE) of a hash: ${errnoText(map)}` };
    closeFd(map);
    return { ok: true };
  } catch (error) {
    return { ok: false, reason: (error as Error).message };
  }
}
