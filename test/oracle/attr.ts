import { addressOf, ascii, pinned, syscall, viewOf } from './libc.ts';

/** Commands of bpf(2) that the oracle gives. */
const CMD = {
  map_create: 0,
  map_lookup_elem: 1,
  map_update_elem: 2,
  map_delete_elem: 3,
  map_get_next_key: 4,
  prog_load: 5,
  prog_test_run: 10,
  map_get_fd_by_id: 14,
  prog_get_fd_by_id: 13,
  obj_get_info_by_fd: 15,
  btf_load: 18,
  map_lookup_and_delete_elem: 21,
  map_freeze: 22,
  map_lookup_batch: 24,
  map_lookup_and_delete_batch: 25,
  map_update_batch: 26,
  map_delete_batch: 27,
} as const;
export type Command = keyof typeof CMD;

const ATTR_SIZE = 152;

/** What a command gave: 0 or more (file descriptors are the caller's to close), or a negative errno. */
export type Result = number;

/** Fields of union bpf_attr by offset; u64 fields take a number, an address or bytes (their address is taken). */
export class Attr {
  readonly #bytes = pinned(ATTR_SIZE);
  readonly #view = viewOf(this.#bytes);
  /** Keeps what the attributes point at alive during the call. */
  readonly #held: Uint8Array[] = [];

  u32(offset: number, value: number): this {
    this.#view.setUint32(offset, value, true);
    return this;
  }

  u64(offset: number, value: number | bigint): this {
    this.#view.setBigUint64(offset, BigInt(value), true);
    return this;
  }

  ptr(offset: number, value: Uint8Array | undefined): this {
    if (value) this.#held.push(value);
    return this.u64(offset, addressOf(value));
  }

  /** At most 15 characters; the kernel allows letters, digits, `_` and `.` only. */
  name(offset: number, name: string): this {
    this.#bytes.set(ascii(name.replace(/[^A-Za-z0-9_.]/g, '_').slice(0, 15)), offset);
    return this;
  }

  /** What the kernel wrote back. */
  read32(offset: number): number {
    return this.#view.getUint32(offset, true);
  }

  /** The result, or a negative errno. */
  call(command: Command): Result {
    return syscall('bpf', CMD[command], addressOf(this.#bytes), ATTR_SIZE);
  }
}
