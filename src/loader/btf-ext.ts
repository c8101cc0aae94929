import { BTF_MAGIC, type Btf } from './btf.ts';
import { ObjectError } from './object-error.ts';

/** Records of one kind for one ELF section: `count` records of `size` bytes from `start`. */
export interface ExtBlock {
  readonly section: string;
  readonly start: number;
  readonly count: number;
  readonly size: number;
}

/** A CO-RE relocation record. */
export interface CoreRecord {
  /** Byte offset in the section. */
  readonly insnOffset: number;
  readonly typeId: number;
  readonly access: string;
  readonly kind: number;
}

/** `.BTF.ext`: function and line information, CO-RE relocations. Blocks are found by section name. */
export class BtfExt {
  readonly #view: DataView;
  readonly #le: boolean;
  readonly funcInfo: readonly ExtBlock[];
  readonly lineInfo: readonly ExtBlock[];
  readonly core: readonly ExtBlock[];

  /** @throws ObjectError EINVAL when header or records are damaged; libbpf then goes on without the section. */
  constructor(bytes: Uint8Array, btf: Btf) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (view.byteLength < 24) throw fail(`header of ${view.byteLength} bytes`);
    const le = view.getUint16(0, true) === BTF_MAGIC;
    if (!le && view.getUint16(0, false) !== BTF_MAGIC) throw fail('invalid magic');
    if (view.getUint8(2) !== 1) throw fail(`unsupported version ${view.getUint8(2)}`);
    if (view.getUint8(3) !== 0) throw fail(`unsupported flags 0x${view.getUint8(3).toString(16)}`);
    const headerLength = view.getUint32(4, le);
    if (headerLength < 24 || headerLength >= view.byteLength) throw fail(`header length ${headerLength}`);
    this.#view = view;
    this.#le = le;
    const part = (at: number, minimum: number, what: string) =>
      this.#blocks(btf, headerLength, view.getUint32(at, le), view.getUint32(at + 4, le), minimum, what);
    this.funcInfo = part(8, 8, 'func_info');
    this.lineInfo = part(16, 16, 'line_info');
    this.core = headerLength >= 32 ? part(24, 16, 'core_relo') : [];
  }

  #blocks(btf: Btf, header: number, offset: number, length: number, minimum: number, what: string): ExtBlock[] {
    if (length === 0) return [];
    const view = this.#view;
    const start = header + offset;
    const end = start + length;
    if (offset % 4 !== 0) throw fail(`${what} section is not aligned to 4 bytes`);
    if (end > view.byteLength) throw fail(`${what} section (off:${offset} len:${length}) is beyond the end`);
    if (length < 4) throw fail(`${what} record size not found`);
    const size = view.getUint32(start, this.#le);
    if (size < minimum || size % 4 !== 0) throw fail(`${what} section has invalid record size ${size}`);
    const blocks: ExtBlock[] = [];
    let at = start + 4;
    if (at >= end) throw fail(`${what} section has no records`);
    while (at < end) {
      if (at + 8 > end) throw fail(`${what} section header is cut off`);
      const section = btf.text(view.getUint32(at, this.#le));
      const count = view.getUint32(at + 4, this.#le);
      if (count === 0) throw fail(`${what} section has incorrect num_records 0`);
      at += 8;
      if (at + count * size > end) throw fail(`${what} section has incorrect num_records ${count}`);
      blocks.push({ section, start: at, count, size });
      at += count * size;
    }
    return blocks;
  }

  /** Word `word` of record `index`. */
  word(block: ExtBlock, index: number, word: number): number {
    return this.#view.getUint32(block.start + index * block.size + word * 4, this.#le);
  }

  /**
   * The run of records that lie in `[from, to)` slots of a section: from the first at or behind `from` to the last
   * before `to`, as libbpf copies them. Undefined when there is none.
   */
  range(blocks: readonly ExtBlock[], section: string, from: number, to: number): ExtBlock | undefined {
    const block = blocks.find((candidate) => candidate.section === section);
    if (!block) return undefined;
    // Records ascend; binary search, because real sections hold tens of thousands.
    const lowerBound = (slot: number) => {
      let low = 0;
      let high = block.count;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (this.word(block, middle, 0) < slot * 8) low = middle + 1;
        else high = middle;
      }
      return low;
    };
    const first = lowerBound(from);
    const last = lowerBound(to);
    if (last <= first) return undefined;
    return { section, start: block.start + first * block.size, count: last - first, size: block.size };
  }

  /** CO-RE records of one block. */
  coreRecords(block: ExtBlock, btf: Btf): CoreRecord[] {
    return Array.from({ length: block.count }, (_, i) => ({
      insnOffset: this.word(block, i, 0),
      typeId: this.word(block, i, 1),
      access: btf.text(this.word(block, i, 2)),
      kind: this.word(block, i, 3),
    }));
  }
}

function fail(text: string): ObjectError {
  return new ObjectError('EINVAL', `.BTF.ext: ${text}`, { section: '.BTF.ext' });
}
