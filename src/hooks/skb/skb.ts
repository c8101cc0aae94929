import { type Memory, PAGE_SIZE, type Region } from '../../base/memory.ts';
import { ETH_HLEN } from '../../packet/protocols.ts';
import type { PacketView } from '../../vm/cpu.ts';
import { TAIL_RESERVE } from '../xdp/xdp-buff.ts';
import { SK_BUFF } from './sk-buff.ts';

/** Headroom of a freshly allocated skb. kernel: NET_SKB_PAD + NET_IP_ALIGN on x86-64 */
export const SKB_HEADROOM = 64;
/** Largest linear packet of one page: 3712. */
export const SKB_LINEAR_MAX = PAGE_SIZE - SKB_HEADROOM - TAIL_RESERVE;

const SKF_NET_OFF = -0x100000;
const SKF_LL_OFF = -0x200000;
const ETH_P_802_3_MIN = 0x600;
const ETH_P_802_3 = 0x0001;
const ETH_P_802_2 = 0x0004;
const AF_INET = 2;
const AF_INET6 = 10;
/** struct bpf_sock, which `skb->sk` points at. */
const BPF_SOCK_SIZE = 80;

/** Byte offset of each field of __sk_buff. */
const FIELD = Object.fromEntries(SK_BUFF.fields.map((field) => [field.name, field.offset])) as Record<
  (typeof SK_BUFF.fields)[number]['name'],
  number
>;

/**
 * A linear sk_buff in one page and the __sk_buff through which programs see it.
 *
 * ```
 * head          data / mac        tail       end        +4096
 * | headroom 64 | packet          | tailroom | 320 reserve |
 * ```
 */
export class Skb implements PacketView {
  readonly memory: Memory;
  /** Address of the __sk_buff. */
  readonly ctx: number;
  /** Where the program's packet starts: the MAC header for tc, else the network header. */
  data = 0;
  tail = 0;
  /** Start of the MAC header. */
  mac = 0;
  /** Start of the network header. */
  network = 0;

  #page: Region;
  #sock: number;

  constructor(memory: Memory) {
    this.memory = memory;
    this.#page = memory.allocate(PAGE_SIZE, { kind: 'packet', name: 'packet' });
    this.ctx = memory.allocate(SK_BUFF.size, { kind: 'ctx', name: '__sk_buff' }).start;
    this.#sock = memory.allocate(BPF_SOCK_SIZE, { kind: 'mem', name: 'bpf_sock', writable: false }).start;
  }

  get length(): number {
    return this.tail - this.data;
  }

  /**
   * Puts an Ethernet frame into the buffer and fills the __sk_buff as a received packet of device `ifindex` has it.
   * @param l2 do programs of this type see the Ethernet header?
   */
  fill(bytes: Uint8Array, l2: boolean, ifindex: number): void {
    this.mac = this.#page.start + SKB_HEADROOM;
    this.memory.u8.set(bytes, this.mac);
    this.network = this.mac + ETH_HLEN;
    this.data = l2 ? this.mac : this.network;
    this.tail = this.mac + bytes.length;
    this.memory.u8.fill(0, this.ctx, this.ctx + SK_BUFF.size);
    this.memory.u8.fill(0, this.#sock, this.#sock + BPF_SOCK_SIZE);
    this.#set('pkt_type', packetType(bytes));
    const protocol = etherProtocol(bytes);
    // Network byte order in the low half, as skb->protocol.
    this.#set('protocol', ((protocol & 0xff) << 8) | (protocol >> 8));
    this.#set('ifindex', ifindex);
    this.#set('sk', this.#sock);
    this.#fillSocket(bytes, protocol);
    this.#publish();
  }

  /** The packet from `data` on. */
  bytes(): Uint8Array {
    return this.memory.u8.slice(this.data, this.tail);
  }

  copyOut(offset: number, to: number, size: number): void {
    this.memory.u8.copyWithin(to, this.data + offset, this.data + offset + size);
  }

  copyIn(offset: number, from: number, size: number): void {
    this.memory.u8.copyWithin(this.data + offset, from, from + size);
  }

  contiguous(offset: number, size: number): number {
    return offset + size <= this.length ? this.data + offset : 0;
  }

  /** kernel: bpf_skb_load_helper_32() and bpf_internal_load_pointer_neg_helper() */
  loadAbs(offset: number, size: number): number {
    let at: number;
    if (offset >= 0) at = this.data + offset;
    else if (offset >= SKF_NET_OFF) at = this.network + offset - SKF_NET_OFF;
    else if (offset >= SKF_LL_OFF) at = this.mac + offset - SKF_LL_OFF;
    else return -1;
    if (at < this.#page.start || at + size > this.tail) return -1;
    const { view } = this.memory;
    return size === 1 ? view.getUint8(at) : size === 2 ? view.getUint16(at) : view.getUint32(at);
  }

  #set(field: keyof typeof FIELD, value: number): void {
    this.memory.view.setUint32(this.ctx + FIELD[field], value, true);
  }

  /** Makes __sk_buff and the access bounds say where the packet is now. kernel: bpf_compute_data_pointers() */
  #publish(): void {
    this.#set('len', this.length);
    this.#set('data', this.data);
    this.#set('data_end', this.tail);
    this.#set('data_meta', this.data);
    this.memory.setBounds(this.#page, this.data, this.tail);
  }

  /** The socket that BPF_PROG_TEST_RUN gives the skb, with addresses of the packet. kernel: bpf_prog_test_run_skb() */
  #fillSocket(bytes: Uint8Array, protocol: number): void {
    const { view, u8 } = this.memory;
    const ip = this.network;
    const room = bytes.length - ETH_HLEN;
    if (protocol === 0x0800 && room >= 20) {
      view.setUint32(this.#sock + 4, AF_INET, true);
      this.#set('family', AF_INET);
      u8.copyWithin(this.ctx + FIELD.local_ip4, ip + 12, ip + 16);
      u8.copyWithin(this.ctx + FIELD.remote_ip4, ip + 16, ip + 20);
      u8.copyWithin(this.#sock + 24, ip + 12, ip + 16);
      u8.copyWithin(this.#sock + 52, ip + 16, ip + 20);
    } else if (protocol === 0x86dd && room >= 40) {
      view.setUint32(this.#sock + 4, AF_INET6, true);
      this.#set('family', AF_INET6);
      u8.copyWithin(this.ctx + FIELD.local_ip6, ip + 8, ip + 24);
      u8.copyWithin(this.ctx + FIELD.remote_ip6, ip + 24, ip + 40);
      u8.copyWithin(this.#sock + 28, ip + 8, ip + 24);
      u8.copyWithin(this.#sock + 56, ip + 24, ip + 40);
    }
  }
}

/** PACKET_HOST 0, MULTICAST 2, OTHERHOST 3, seen from loopback (address 0). kernel: eth_type_trans() */
function packetType(bytes: Uint8Array): number {
  if (bytes[0]! & 1) return 2;
  for (let i = 0; i < 6; i++) if (bytes[i] !== 0) return 3;
  return 0;
}

/** kernel: eth_type_trans() */
function etherProtocol(bytes: Uint8Array): number {
  const type = (bytes[12]! << 8) | bytes[13]!;
  if (type >= ETH_P_802_3_MIN) return type;
  return bytes.length >= 16 && bytes[14] === 0xff && bytes[15] === 0xff ? ETH_P_802_3 : ETH_P_802_2;
}
