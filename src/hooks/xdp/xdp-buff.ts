// hot: no allocation, no closure, no BigInt per packet (frags excepted)
import { E, type Errno } from '../../base/errno.ts';
import { type Memory, PAGE_SIZE, type Region } from '../../base/memory.ts';
import { ETH_HLEN } from '../../packet/protocols.ts';
import type { PacketView } from '../../vm/cpu.ts';
import { XDP_MD } from './xdp-md.ts';

/** Space in front of a packet. kernel: XDP_PACKET_HEADROOM */
export const XDP_HEADROOM = 256;
/** Of it, what an xdp_frame needs when the buffer is converted. */
export const XDP_FRAME_SIZE = 40;
/** Reserve behind the packet. kernel: SKB_DATA_ALIGN(sizeof(struct skb_shared_info)) */
export const TAIL_RESERVE = 320;
/** Largest linear part: 3520. */
export const XDP_LINEAR_MAX = PAGE_SIZE - XDP_HEADROOM - TAIL_RESERVE;
/** kernel: MAX_SKB_FRAGS */
export const MAX_FRAGS = 17;
const META_MAX = 252;

interface Frag {
  readonly region: Region;
  length: number;
}

/**
 * An xdp_buff: one page with headroom and tail reserve, further pages as frags, and the xdp_md through which programs
 * see it.
 *
 * ```
 * hard_start        data_meta   data        data_end     hard_end   +4096
 * | 40: xdp_frame | headroom | meta | packet | tailroom | 320 reserve |
 * ```
 */
export class XdpBuff implements PacketView {
  readonly memory: Memory;
  /** Address of the xdp_md. */
  readonly ctx: number;
  data = 0;
  dataEnd = 0;
  dataMeta = 0;
  ingressIfindex = 1;
  rxQueueIndex = 0;
  egressIfindex = 0;
  /** Does the driver support metadata? Otherwise data_meta > data and bpf_xdp_adjust_meta gives ENOTSUPP. */
  metaSupported = true;

  #page: Region;
  #frags: Frag[] = [];
  #spare: Region[] = [];
  #fragBytes = 0;

  constructor(memory: Memory) {
    this.memory = memory;
    this.#page = memory.allocate(PAGE_SIZE, { kind: 'packet', name: 'packet' });
    this.ctx = memory.allocate(XDP_MD.size, { kind: 'ctx', name: 'xdp_md', writable: false }).start;
  }

  get hardStart(): number {
    return this.#page.start;
  }

  get hardEnd(): number {
    return this.#page.start + PAGE_SIZE - TAIL_RESERVE;
  }

  /** Linear part and frags. */
  get length(): number {
    return this.dataEnd - this.data + this.#fragBytes;
  }

  get fragCount(): number {
    return this.#frags.length;
  }

  /**
   * Puts a packet into the buffer: `meta` bytes of metadata first, then `linear` bytes, the rest in frags of a page each.
   * The caller has checked the sizes.
   */
  fill(bytes: Uint8Array, meta = 0, linear = Math.min(bytes.length - meta, XDP_LINEAR_MAX - meta)): void {
    if (this.#frags.length > 0) this.#dropFrags();
    this.dataMeta = this.#page.start + XDP_HEADROOM;
    this.data = this.dataMeta + meta;
    this.dataEnd = this.data + linear;
    const rest = meta + linear;
    if (rest === bytes.length) this.memory.u8.set(bytes, this.dataMeta);
    else {
      this.memory.u8.set(bytes.subarray(0, rest), this.dataMeta);
      for (let at = rest; at < bytes.length; at += PAGE_SIZE) {
        const piece = bytes.subarray(at, Math.min(at + PAGE_SIZE, bytes.length));
        const region = this.#spare.pop() ?? this.#newFrag();
        this.memory.u8.set(piece, region.start);
        this.#frags.push({ region, length: piece.length });
        this.#fragBytes += piece.length;
      }
    }
    this.#publish();
  }

  /** Metadata, linear part and frags in one array: what BPF_PROG_TEST_RUN gives as data_out. */
  bytes(): Uint8Array {
    const linear = this.memory.u8.slice(this.dataMeta, this.dataEnd);
    if (this.#frags.length === 0) return linear;
    const all = new Uint8Array(linear.length + this.#fragBytes);
    all.set(linear);
    let at = linear.length;
    for (const { region, length } of this.#frags) {
      all.set(this.memory.u8.subarray(region.start, region.start + length), at);
      at += length;
    }
    return all;
  }

  /** kernel: bpf_xdp_adjust_head() */
  adjustHead(delta: number): Errno {
    const meta = this.metaSupported ? this.data - this.dataMeta : 0;
    const data = this.data + delta;
    if (data < this.hardStart + XDP_FRAME_SIZE + meta || data > this.dataEnd - ETH_HLEN) return -E.EINVAL;
    if (meta > 0) this.memory.u8.copyWithin(data - meta, this.dataMeta, this.data);
    this.data = data;
    this.dataMeta = data - meta;
    this.#publish();
    return 0;
  }

  /** kernel: bpf_xdp_adjust_tail(), bpf_xdp_frags_increase_tail(), bpf_xdp_frags_shrink_tail() */
  adjustTail(delta: number): Errno {
    if (this.#frags.length > 0) return delta < 0 ? this.#shrinkFrags(-delta) : this.#growFrag(delta);
    const end = this.dataEnd + delta;
    if (end > this.hardEnd || end < this.data + ETH_HLEN) return -E.EINVAL;
    if (delta > 0) this.memory.u8.fill(0, this.dataEnd, end);
    this.dataEnd = end;
    this.#publish();
    return 0;
  }

  /** kernel: bpf_xdp_adjust_meta() */
  adjustMeta(delta: number): Errno {
    if (!this.metaSupported) return -E.ENOTSUPP;
    const meta = this.dataMeta + delta;
    if (meta < this.hardStart + XDP_FRAME_SIZE || meta > this.data) return -E.EINVAL;
    const length = this.data - meta;
    if (length % 4 !== 0 || length > META_MAX) return -E.EACCES;
    this.dataMeta = meta;
    this.#publish();
    return 0;
  }

  copyOut(offset: number, to: number, size: number): void {
    this.#walk(offset, size, (from, done, count) => this.memory.u8.copyWithin(to + done, from, from + count));
  }

  copyIn(offset: number, from: number, size: number): void {
    this.#walk(offset, size, (to, done, count) => this.memory.u8.copyWithin(to, from + done, from + done + count));
  }

  contiguous(offset: number, size: number): number {
    const linear = this.dataEnd - this.data;
    if (offset + size <= linear) return this.data + offset;
    let at = linear;
    for (const { region, length } of this.#frags) {
      if (offset >= at && offset + size <= at + length) return region.start + offset - at;
      at += length;
    }
    return 0;
  }

  /** Makes xdp_md and the access bounds say what the buffer is now. */
  #publish(): void {
    const words = this.memory.u32;
    const at = this.ctx >>> 2;
    words[at] = this.data;
    words[at + 1] = this.dataEnd;
    words[at + 2] = this.metaSupported ? this.dataMeta : this.data + 1;
    words[at + 3] = this.ingressIfindex;
    words[at + 4] = this.rxQueueIndex;
    words[at + 5] = this.egressIfindex;
    this.memory.setBounds(this.#page, this.dataMeta, this.dataEnd);
  }

  #walk(offset: number, size: number, copy: (address: number, done: number, count: number) => void): void {
    let done = 0;
    const linear = this.dataEnd - this.data;
    if (offset < linear) {
      done = Math.min(size, linear - offset);
      copy(this.data + offset, 0, done);
    }
    let at = linear;
    for (const { region, length } of this.#frags) {
      if (done === size) return;
      const start = offset + done - at;
      if (start < length) {
        const count = Math.min(size - done, length - start);
        copy(region.start + start, done, count);
        done += count;
      }
      at += length;
    }
  }

  /** A frag page; programs reach it through bpf_xdp_load_bytes and dynptr slices only. */
  #newFrag(): Region {
    return this.memory.allocate(PAGE_SIZE, { kind: 'packet', name: 'packet frag' });
  }

  #dropFrags(): void {
    for (const { region } of this.#frags) this.#spare.push(region);
    this.#frags = [];
    this.#fragBytes = 0;
  }

  #growFrag(delta: number): Errno {
    const last = this.#frags[this.#frags.length - 1]!;
    if (last.length + delta > PAGE_SIZE) return -E.EINVAL;
    const end = last.region.start + last.length;
    this.memory.u8.fill(0, end, end + delta);
    last.length += delta;
    this.#fragBytes += delta;
    return 0;
  }

  #shrinkFrags(count: number): Errno {
    if (count > this.length - ETH_HLEN) return -E.EINVAL;
    let left = count;
    while (left > 0) {
      const last = this.#frags[this.#frags.length - 1];
      if (!last) {
        this.dataEnd -= left;
        this.#publish();
        return 0;
      }
      const cut = Math.min(left, last.length);
      last.length -= cut;
      this.#fragBytes -= cut;
      left -= cut;
      if (last.length === 0) this.#spare.push(this.#frags.pop()!.region);
    }
    return 0;
  }
}
