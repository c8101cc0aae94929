import { BpfError, InternalError } from './error.ts';

/** Granule of the arena and of the access table. */
export const PAGE_SIZE = 4096;
const PAGE_SHIFT = 12;
/** Never handed out, so that NULL plus a small offset always faults. */
const RESERVED = 0x10000;
/** Addresses stay positive as signed 32-bit numbers, also after adding any instruction's offset. */
const MAX_SIZE = 0x7fff0000;
const MAX_REGIONS = 0xffff;

/** Words of a row of `Memory.regionTable`. */
export const ROW_LO = 0;
export const ROW_HI = 1;
export const ROW_WRITABLE = 2;
export const ROW_STRIDE = 3;
export const ROW_ELEMENT = 4;
export const ROW_WORDS = 8;

/** The page table covers the whole 32-bit address space, so that looking up a wild address needs no range check. */
const TABLE_PAGES = 1 << (32 - PAGE_SHIFT);

export const REGION_KINDS = ['stack', 'ctx', 'packet', 'map_value', 'map_key', 'map_desc', 'mem', 'internal'] as const;
export type RegionKind = (typeof REGION_KINDS)[number];

export interface RegionOptions {
  readonly kind: RegionKind;
  /** Shown in fault messages: `map flows`, `packet`, `stack frame 0`. */
  readonly name: string;
  /** May programs store into it? Default true. */
  readonly writable?: boolean;
  /** May programs touch it at all? Default true; false keeps bookkeeping (hash buckets, free lists) out of their reach. */
  readonly accessible?: boolean;
  /**
   * For arrays of elements: distance between elements and the accessible bytes of each. An access must then stay
   * inside one element.
   */
  readonly stride?: number;
  readonly elementSize?: number;
}

/** A WebAssembly.Memory, by what is used of it. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer;
}

/** A run of whole pages with one owner; `lo..hi` is what programs may touch at the moment. */
export interface Region {
  readonly id: number;
  readonly kind: RegionKind;
  readonly name: string;
  /** First byte of the first page. */
  readonly start: number;
  /** Bytes in whole pages. */
  readonly size: number;
}

/**
 * The one linear memory: everything that a BPF program can see lives here, at 32-bit addresses. Fixed size (initial =
 * maximum), so views never detach; untouched pages cost nothing.
 *
 * ```
 * 0        64 KiB                                                   size
 * | never  | region | region | ...  page-granular, first fit     |
 * ```
 *
 * Beside the bytes stands an access table: page -> region -> bounds, which the interpreter consults on every load and
 * store and which costs two table reads (see `accessible`).
 */
export class Memory {
  /** For engines that compile to WebAssembly. */
  readonly wasm: WasmMemory;
  readonly size: number;
  readonly u8: Uint8Array;
  readonly i32: Int32Array;
  readonly u32: Uint32Array;
  readonly view: DataView;

  /** For each page of the 32-bit address space, where the row of its region starts in `regionTable`; 0: nobody's. */
  readonly pageRow: Int32Array;
  /**
   * One row of ROW_WORDS words per region; programs may touch `[lo, hi)`.
   *
   * ```
   * word  0    1    2                     3                     4
   *       lo   hi   1 = stores allowed    stride or 0 (plain)   accessible bytes per stride
   * ```
   * Row 0 has lo > hi for every address.
   */
  readonly regionTable: Int32Array;

  #regions: (Region | undefined)[] = [undefined];
  #freeIds: number[] = [];
  /** Free page runs, sorted by start. */
  #free: { start: number; size: number }[];

  /** @param size bytes, a multiple of 64 KiB, at most 2 GiB - 64 KiB; default 1 GiB of address space (not of RAM). */
  constructor({ size = 1 << 30, shared = false }: { size?: number; shared?: boolean } = {}) {
    if (size % 0x10000 !== 0 || size <= RESERVED || size > MAX_SIZE) {
      throw new BpfError(`memory size ${size} is not a multiple of 65536 between 128 KiB and 2 GiB - 64 KiB`);
    }
    const pages = size / 0x10000;
    this.wasm = new WebAssembly.Memory({ initial: pages, maximum: pages, shared });
    this.size = size;
    const buffer = this.wasm.buffer;
    this.u8 = new Uint8Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.view = new DataView(buffer);
    this.pageRow = new Int32Array(TABLE_PAGES);
    this.regionTable = new Int32Array((MAX_REGIONS + 1) * ROW_WORDS);
    this.regionTable[ROW_LO] = 0x7fffffff;
    this.regionTable[ROW_HI] = -0x80000000;
    this.#free = [{ start: RESERVED, size: size - RESERVED }];
  }

  /**
   * Takes `bytes` (rounded up to pages) from the arena. Contents are zero.
   * @throws BpfError ENOMEM when the arena has no run of that length.
   */
  allocate(bytes: number, options: RegionOptions): Region {
    const size = Math.max(PAGE_SIZE, Math.ceil(bytes / PAGE_SIZE) * PAGE_SIZE);
    const slot = this.#free.findIndex((run) => run.size >= size);
    if (slot < 0) {
      throw new BpfError(`no room for ${options.name}: ${size} bytes wanted, ${this.largestFree()} free in one piece`, {
        errno: 'ENOMEM',
        hint: `the lab's memory is ${this.size} bytes`,
      });
    }
    const run = this.#free[slot]!;
    const start = run.start;
    if (run.size === size) this.#free.splice(slot, 1);
    else this.#free[slot] = { start: start + size, size: run.size - size };

    const id = this.#freeIds.pop() ?? this.#regions.length;
    if (id > MAX_REGIONS) throw new BpfError(`more than ${MAX_REGIONS} memory regions`, { errno: 'ENOMEM' });
    const region: Region = { id, kind: options.kind, name: options.name, start, size };
    this.#regions[id] = region;
    const row = id * ROW_WORDS;
    this.regionTable[row + ROW_WRITABLE] = options.writable === false ? 0 : 1;
    this.regionTable[row + ROW_STRIDE] = options.stride ?? 0;
    this.regionTable[row + ROW_ELEMENT] = options.elementSize ?? 0;
    if (options.accessible === false) this.setBounds(region, start, start);
    else this.setBounds(region, start, start + bytes);
    this.pageRow.fill(row, start >>> PAGE_SHIFT, (start + size) >>> PAGE_SHIFT);
    return region;
  }

  /** Gives a region back; its bytes read as zero when they are handed out again. */
  free(region: Region): void {
    if (this.#regions[region.id] !== region) throw new InternalError(`region ${region.name} freed twice`);
    this.#regions[region.id] = undefined;
    this.#freeIds.push(region.id);
    this.pageRow.fill(0, region.start >>> PAGE_SHIFT, (region.start + region.size) >>> PAGE_SHIFT);
    this.u8.fill(0, region.start, region.start + region.size);
    let at = this.#free.findIndex((run) => run.start > region.start);
    if (at < 0) at = this.#free.length;
    const merged = { start: region.start, size: region.size };
    const next = this.#free[at];
    if (next && merged.start + merged.size === next.start) {
      merged.size += next.size;
      this.#free.splice(at, 1);
    }
    const previous = this.#free[at - 1];
    if (previous && previous.start + previous.size === merged.start) previous.size += merged.size;
    else this.#free.splice(at, 0, merged);
  }

  /** Largest run of bytes that one allocation could get. */
  largestFree(): number {
    return this.#free.reduce((most, run) => Math.max(most, run.size), 0);
  }

  /** Sets what programs may touch: `[lo, hi)` inside the region. For packets, data_meta..data_end. */
  setBounds(region: Region, lo: number, hi: number): void {
    this.regionTable[region.id * ROW_WORDS + ROW_LO] = lo;
    this.regionTable[region.id * ROW_WORDS + ROW_HI] = hi;
  }

  setWritable(region: Region, writable: boolean): void {
    this.regionTable[region.id * ROW_WORDS + ROW_WRITABLE] = writable ? 1 : 0;
  }

  /** May a program touch `[address, address + size)` for reading, or for writing? */
  accessible(address: number, size: number, write: boolean): boolean {
    const table = this.regionTable;
    const row = this.pageRow[address >>> PAGE_SHIFT]!;
    if (address < table[row]! || address + size > table[row + ROW_HI]!) return false;
    if (write && table[row + ROW_WRITABLE] === 0) return false;
    const stride = table[row + ROW_STRIDE]!;
    return stride === 0 || ((address - table[row]!) % stride) + size <= table[row + ROW_ELEMENT]!;
  }

  /** The region whose pages hold the address, whether accessible or not. */
  regionAt(address: number): Region | undefined {
    return this.#regions[this.pageRow[address >>> PAGE_SHIFT]! / ROW_WORDS];
  }

  /** One clause for a fault message: what lives at, or nearest to, the address. */
  describe(address: number): string {
    const region = this.regionAt(address);
    if (region) {
      const row = region.id * ROW_WORDS;
      const lo = this.regionTable[row + ROW_LO]!;
      const hi = this.regionTable[row + ROW_HI]!;
      const stride = this.regionTable[row + ROW_STRIDE]!;
      if (address < lo) return `${lo - address} bytes before ${region.name} (${hi - lo} bytes at 0x${lo.toString(16)})`;
      if (address >= hi)
        return `${address - hi} bytes past the end of ${region.name} (${hi - lo} bytes at 0x${lo.toString(16)})`;
      if (stride) {
        const offset = (address - lo) % stride;
        return `offset ${offset} of element ${Math.floor((address - lo) / stride)} of ${region.name} (${this.regionTable[row + ROW_ELEMENT]} bytes each)`;
      }
      return `offset ${address - lo} of ${region.name} (${hi - lo} bytes)`;
    }
    if (address < RESERVED) return 'the NULL page';
    let nearest: Region | undefined;
    for (const other of this.#regions) {
      if (other && other.start <= address && (!nearest || other.start > nearest.start)) nearest = other;
    }
    return nearest
      ? `no object; the nearest below is ${nearest.name} at 0x${nearest.start.toString(16)}`
      : 'outside of the memory';
  }

  /** Copies bytes out. */
  read(address: number, size: number): Uint8Array {
    return this.u8.slice(address, address + size);
  }

  /** Copies bytes in. */
  write(address: number, bytes: Uint8Array): void {
    this.u8.set(bytes, address);
  }
}
