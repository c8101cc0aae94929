import { createRequire } from 'node:module';

type Koffi = typeof import('koffi');
type SyscallArgument = number | bigint;

interface Libc {
  readonly koffi: Koffi;
  readonly syscall: (number: number, ...args: SyscallArgument[]) => number | bigint;
  readonly mmap: (
    address: number,
    length: number,
    prot: number,
    flags: number,
    fd: number,
    offset: number,
  ) => number | bigint;
  readonly munmap: (address: bigint, length: number) => number;
}

/** System call numbers of the two architectures that the oracle knows. */
const SYSCALLS = {
  x64: { bpf: 321, close: 3, ioctl: 16, unshare: 272, setns: 308, sched_setaffinity: 203, perf_event_open: 298 },
  arm64: { bpf: 280, close: 57, ioctl: 29, unshare: 97, setns: 268, sched_setaffinity: 122, perf_event_open: 241 },
} as const;
export type SyscallName = keyof (typeof SYSCALLS)['x64'];

let loaded: Libc | undefined;

/** Opens libc; throws with a plain reason where this machine cannot have it. */
function libc(): Libc {
  if (loaded) return loaded;
  if (process.platform !== 'linux') throw new Error(`the kernel oracle needs Linux, this is ${process.platform}`);
  if (!(process.arch in SYSCALLS)) throw new Error(`the kernel oracle knows x64 and arm64, this is ${process.arch}`);
  let koffi: Koffi;
  try {
    koffi = createRequire(import.meta.url)('koffi') as Koffi;
  } catch (error) {
    throw new Error(`koffi cannot be loaded: ${(error as Error).message}`);
  }
  const lib = koffi.load(null);
  loaded = {
    koffi,
    syscall: lib.func('int64_t syscall(int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t)'),
    mmap: lib.func('uint64_t mmap(uint64_t, size_t, int, int, int, int64_t)'),
    munmap: lib.func('int munmap(uint64_t, size_t)'),
  };
  return loaded;
}

/** A system call: its result (0 or more), or a negative errno. Numbers are passed as 64-bit words. */
export function syscall(name: SyscallName, ...args: SyscallArgument[]): number {
  const { koffi, syscall: call } = libc();
  const numbers = SYSCALLS[process.arch as keyof typeof SYSCALLS];
  const words = args.map((arg) => BigInt.asUintN(64, BigInt(arg)));
  while (words.length < 5) words.push(0n);
  const result = Number(call(numbers[name], ...words));
  return result < 0 ? -koffi.errno() : result;
}

/** Zeroed bytes that never move, so that the kernel may be given their address. */
export function pinned(size: number): Uint8Array {
  return new Uint8Array(new ArrayBuffer(size));
}

/** A copy of `bytes` that never moves. */
export function pinnedCopy(bytes: Uint8Array): Uint8Array {
  const copy = pinned(bytes.length);
  copy.set(bytes);
  return copy;
}

/** Address of bytes made by `pinned`; 0 for none. */
export function addressOf(bytes: Uint8Array | undefined): bigint {
  return bytes && bytes.length > 0 ? BigInt(libc().koffi.address(bytes)) : 0n;
}

/** A mapping of a file descriptor's memory into this process. */
export interface Mapping {
  readonly bytes: Uint8Array;
  unmap(): void;
}

export const PROT_READ = 1;
export const PROT_WRITE = 2;

/** mmap(MAP_SHARED): the mapping, or a negative errno. */
export function mapMemory(fd: number, length: number, prot: number, offset = 0): Mapping | number {
  const { koffi, mmap, munmap } = libc();
  const address = BigInt(mmap(0, length, prot, 1, fd, offset));
  if (address === 0xffff_ffff_ffff_ffffn) return -koffi.errno();
  return {
    bytes: new Uint8Array(koffi.view(address, length)),
    unmap: () => {
      munmap(address, length);
    },
  };
}

/** Little-endian reads and writes over bytes. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export function unhex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}
