import { E, errnoName, errnoText } from './base/errno.ts';
import { MapError } from './base/error.ts';
import type { Btf } from './loader/btf.ts';
import { type BtfValue, decodeValue, encodeValue } from './loader/btf-values.ts';
import type { MapSpec } from './loader/spec.ts';
import type { FdObject } from './maps/fd-table.ts';
import { roundUp8 } from './maps/layout.ts';
import type { BpfMap } from './maps/map.ts';
import { openPerfEvent, type PerfEventSlots, type PerfRecord } from './maps/perf-event.ts';
import type { Ringbuf, UserRingbuf } from './maps/ringbuf.ts';
import { type MapFd, openMap } from './maps/syscall.ts';
import type { Machine } from './vm/machine.ts';

/** A key or value as user code sees it: a BTF-typed plain value, or bytes where the map has no types. */
export type MapValue = BtfValue | Uint8Array;

/** Options of typed reading. */
export interface ReadOptions {
  /** Present network data as text: `__be32` as `10.0.0.1`, MAC and IPv6 addresses likewise. */
  readonly present?: boolean;
}

/** Data pages of a perf ring: 256 KiB. */
const PERF_PAGES = 64;

/**
 * A map from user space: keys and values as plain objects by their BTF types, or as bytes. Per-CPU maps take and give
 * one value per CPU.
 */
export class LabMap {
  readonly machine: Machine;
  /** The map itself, for bytes and system calls. */
  readonly map: BpfMap;
  readonly spec: MapSpec | undefined;
  /** Descriptor of user space. */
  readonly fd: number;
  /** The system calls on it, for bytes, batches, freezing and mmap. */
  readonly sys: MapFd;
  readonly #btf: Btf | undefined;
  #eventsOpen = false;

  constructor(machine: Machine, map: BpfMap, spec: MapSpec | undefined, btf: Btf | undefined) {
    this.machine = machine;
    this.map = map;
    this.spec = spec;
    this.#btf = btf;
    this.sys = openMap(machine, map);
    this.fd = this.sys.fd;
  }

  get name(): string {
    return this.map.name;
  }

  get type(): string {
    return this.map.type;
  }

  /** Is there one value per CPU? */
  get perCpu(): boolean {
    return this.type.includes('percpu');
  }

  /** The value under a key, or undefined. Per-CPU maps: one value per CPU. @throws MapError */
  get(key: MapValue | MapInput, options: ReadOptions = {}): MapValue | MapValue[] | undefined {
    const bytes = this.lookup(this.encodeKey(key));
    return bytes === undefined ? undefined : this.decodeValue(bytes, options);
  }

  /**
   * Stores a value. Objects may leave members out (zero); one value for a per-CPU map goes to every CPU.
   * @param flags BPF_ANY 0, BPF_NOEXIST 1, BPF_EXIST 2
   * @throws MapError with the kernel's errno
   */
  set(key: MapValue | MapInput, value: MapInput, flags = 0): void {
    this.#check('update', this.update(this.encodeKey(key), this.encodeValue(value), flags));
  }

  /** Removes an element; false when there was none. @throws MapError */
  delete(key: MapValue | MapInput): boolean {
    const errno = this.sys.delete(this.encodeKey(key));
    if (errno === -E.ENOENT) return false;
    this.#check('delete', errno);
    return true;
  }

  /** Adds to a queue, stack or bloom filter. @throws MapError (E2BIG when full) */
  push(value: MapInput, flags = 0): void {
    this.#check('push', this.sys.update(undefined, this.encodeValue(value), BigInt(flags)));
  }

  /** Takes from a queue or stack; undefined when it is empty. @throws MapError */
  pop(options: ReadOptions = {}): MapValue | MapValue[] | undefined {
    const out = new Uint8Array(this.map.valueSize);
    const errno = this.sys.lookupAndDelete(undefined, out);
    if (errno === -E.ENOENT) return undefined;
    this.#check('lookup_and_delete', errno);
    return this.decodeValue(out, options);
  }

  /** All elements in the kernel's order. Queues, stacks and event buffers have none to walk. */
  *entries(options: ReadOptions = {}): Generator<[MapValue, MapValue | MapValue[]]> {
    for (const [key, value] of this.rawEntries()) {
      yield [this.decodeKey(key, options), this.decodeValue(value, options)];
    }
  }

  /** All elements as bytes, in the kernel's order; keys without a readable value are left out. */
  *rawEntries(): Generator<[Uint8Array, Uint8Array]> {
    let key: Uint8Array | undefined;
    for (;;) {
      const next = new Uint8Array(this.map.keySize);
      if (this.sys.nextKey(key, next) < 0) return;
      const value = this.lookup(next);
      if (value) yield [next, value];
      key = next;
    }
  }

  /** Value bytes under key bytes (per-CPU: all slots), or undefined when there is none. @throws MapError */
  lookup(key: Uint8Array): Uint8Array | undefined {
    const out = new Uint8Array(this.map.sys.wireValueSize);
    const errno = this.sys.lookup(key, out);
    if (errno === -E.ENOENT || errno === -E.ENOTSUPP || errno === -E.EOPNOTSUPP) return undefined;
    this.#check('lookup', errno);
    return out;
  }

  /** Stores bytes; 0 or a negative errno. */
  update(key: Uint8Array, value: Uint8Array, flags = 0): number {
    return this.sys.update(key, value, BigInt(flags));
  }

  /** Puts a program, map or socket into a slot of a map that holds descriptors. @throws MapError */
  setSlot(slot: number, object: FdObject): void {
    const fd = this.machine.fds.find(object) ?? this.machine.fds.open(object);
    const key = new Uint8Array(this.map.keySize);
    const value = new Uint8Array(4);
    new DataView(key.buffer).setUint32(0, slot, true);
    new DataView(value.buffer).setUint32(0, fd, true);
    this.#check(`slot ${slot}`, this.sys.update(key, value));
  }

  /** First contents of a data section. */
  init(bytes: Uint8Array, frozen: boolean): void {
    const value = new Uint8Array(this.map.sys.wireValueSize);
    value.set(bytes.subarray(0, value.length));
    this.#check('initial contents', this.sys.update(new Uint8Array(4), value));
    if (frozen) this.#check('freeze', this.sys.freeze());
  }

  /** Opens a perf ring on every CPU, so that bpf_perf_event_output has somewhere to write. */
  openEvents(): void {
    if (this.#eventsOpen) return;
    this.#eventsOpen = true;
    for (let cpu = 0; cpu < Math.min(this.machine.cpus, this.map.maxEntries); cpu++) {
      this.setSlot(cpu, openPerfEvent(this.machine, { cpu, pages: PERF_PAGES }).event);
    }
  }

  /** Takes what a ring buffer or perf event array holds: records in order, per CPU. */
  takeEvents(): { cpu?: number; data: Uint8Array; lost?: number }[] {
    const taken: { cpu?: number; data: Uint8Array; lost?: number }[] = [];
    if (this.type === 'ringbuf') {
      (this.map as Ringbuf).consume((data) => {
        taken.push({ data: data.slice() });
        return 0;
      });
    } else if (this.type === 'perf_event_array') {
      for (let cpu = 0; cpu < this.map.maxEntries; cpu++) {
        (this.map as PerfEventSlots).eventAt(cpu)?.consume((record: PerfRecord) => {
          if (record.kind === 'sample') taken.push({ cpu, data: record.data.slice() });
          else taken.push({ cpu, data: new Uint8Array(0), lost: Number(record.lost) });
        });
      }
    }
    return taken;
  }

  /** Puts a sample into a user ring buffer, as a producer in user space does. @throws MapError */
  produce(data: Uint8Array): void {
    this.#check('produce', (this.map as UserRingbuf).produce(data));
  }

  /** Bytes of a key. @throws MapError when it does not fit the key's type */
  encodeKey(key: MapValue | MapInput): Uint8Array {
    return this.#encode(key, this.map.keySize, this.spec?.keyTypeId ?? 0, 'key');
  }

  /** Bytes of a value as user space passes them. @throws MapError when it does not fit the value's type */
  encodeValue(value: MapInput): Uint8Array {
    const typeId = this.spec?.valueTypeId ?? 0;
    const { valueSize, sys } = this.map;
    if (!this.perCpu) return this.#encode(value, sys.wireValueSize, typeId, 'value');
    if (value instanceof Uint8Array && value.length === sys.wireValueSize) return value;
    const stride = roundUp8(valueSize);
    const bytes = new Uint8Array(sys.wireValueSize);
    const cpus = bytes.length / stride;
    const each = Array.isArray(value) && value.length === cpus ? value : new Array(cpus).fill(value);
    for (const [cpu, one] of each.entries()) bytes.set(this.#encode(one, valueSize, typeId, 'value'), cpu * stride);
    return bytes;
  }

  decodeKey(bytes: Uint8Array, options: ReadOptions = {}): MapValue {
    return this.#decode(bytes, this.spec?.keyTypeId ?? 0, options);
  }

  /** A value from its bytes; of per-CPU maps one per CPU. */
  decodeValue(bytes: Uint8Array, options: ReadOptions = {}): MapValue | MapValue[] {
    const typeId = this.spec?.valueTypeId ?? 0;
    const { valueSize } = this.map;
    if (!this.perCpu) return this.#decode(bytes, typeId, options);
    const stride = roundUp8(valueSize);
    return Array.from({ length: bytes.length / stride }, (_, cpu) =>
      this.#decode(bytes.subarray(cpu * stride, cpu * stride + valueSize), typeId, options),
    );
  }

  #decode(bytes: Uint8Array, typeId: number, options: ReadOptions): MapValue {
    if (this.#btf && typeId > 0) return decodeValue(this.#btf, typeId, bytes, options);
    if (bytes.length === 4 || bytes.length === 8) {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      return bytes.length === 4 ? view.getUint32(0, true) : view.getBigUint64(0, true);
    }
    return bytes.slice();
  }

  #encode(value: unknown, size: number, typeId: number, what: 'key' | 'value'): Uint8Array {
    const path = `${this.name} ${what}`;
    if (value instanceof Uint8Array) {
      if (value.length === size) return value;
      throw new MapError(`${path} has ${size} bytes, not ${value.length}`, { errno: 'EINVAL' });
    }
    if (this.#btf && typeId > 0) return encodeValue(this.#btf, typeId, value, { path });
    const bytes = new Uint8Array(size);
    const number = typeof value === 'string' && value !== '' ? Number(value) : value;
    if ((typeof number === 'number' && Number.isInteger(number)) || typeof number === 'bigint') {
      const wide = BigInt.asUintN(64, BigInt(number));
      if (size < 8 && BigInt.asUintN(size * 8, wide) !== wide && BigInt(number) >= 0n) {
        throw new MapError(`${path}: ${number} does not fit ${size} bytes`, { errno: 'EINVAL' });
      }
      for (let i = 0; i < Math.min(size, 8); i++) bytes[i] = Number((wide >> BigInt(8 * i)) & 0xffn);
      return bytes;
    }
    throw new MapError(`${path} has no BTF type`, { errno: 'EINVAL', hint: `give a number or ${size} bytes` });
  }

  #check(what: string, errno: number): void {
    if (errno >= 0) return;
    const facts = `${this.type}, key ${this.map.keySize}, value ${this.map.valueSize}, max_entries ${this.map.maxEntries}`;
    throw new MapError(`map ${this.name} (${facts}): ${what}: ${errnoText(errno)}`, {
      errno: errnoName(errno) as keyof typeof E,
    });
  }
}

/** What typed access takes: numbers, text, plain objects, arrays, bytes. */
export type MapInput =
  | number
  | bigint
  | string
  | boolean
  | Uint8Array
  | readonly unknown[]
  | { readonly [member: string]: unknown };
